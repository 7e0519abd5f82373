package flow

import (
	"net/netip"
	"reflect"
	"testing"

	"fairlead/internal/model"
)

// is is a condition that must hold, not one that must not.
func is[T comparable](v T) model.Cond[T]  { return model.Cond[T]{Set: true, Value: v} }
func not[T comparable](v T) model.Cond[T] { return model.Cond[T]{Set: true, Not: true, Value: v} }

func net(s string) netip.Prefix     { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr      { return netip.MustParseAddr(s) }
func port(p uint16) model.Ports     { return model.Ports{First: p, Last: p} }
func ports(a, b uint16) model.Ports { return model.Ports{First: a, Last: b} }

var (
	vip50 = is(net("192.168.10.50/32"))
	vip60 = is(net("192.168.10.60/32"))
)

func director(name, to string, rules ...model.Rule) model.Flow {
	return model.Flow{Name: name, Policy: model.PolicyDirector, Director: to, Rules: rules}
}

func TestCompile(t *testing.T) {
	note := model.Rule{Iface: is("eth0"), Dst: vip50}
	anywhere := model.Rule{Dst: vip50}
	other := model.Rule{Iface: not("eth9"), Dst: vip60}
	ssh := model.Rule{Ignore: true, Proto: is(model.ProtoTCP), DstPort: is(port(22))}
	ssh60 := model.Rule{Ignore: true, Dst: vip60, DstPort: is(port(22))}

	block := model.Rule{Src: is(net("10.0.0.0/8"))}
	rules := func(f model.Flow, all ...model.Rule) (out []model.FlowRule) {
		for _, r := range all {
			out = append(out, model.FlowRule{Flow: f.Name, Policy: f.Policy, Director: f.Director, Rule: r})
		}
		return out
	}
	a, b := director("a", "d", other), director("b", "e", note, other)
	ignoring := director("a", "d", ssh, ssh60, anywhere, other)
	useless := director("a", "d", other, ssh)
	deny := model.Flow{Name: "no", Policy: model.PolicyDeny, Rules: []model.Rule{block}}
	eth1 := model.Rule{Iface: is("eth1")}
	permit := model.Flow{Name: "yes", Policy: model.PolicyPermit, Rules: []model.Rule{eth1}}

	tests := []struct {
		name  string
		flows []model.Flow
		want  model.RuleSet
	}{
		{"the note", []model.Flow{director("nfs", "nfs", note)},
			model.RuleSet{Ifaces: []string{"eth0"}, VIPs: []model.VIP{{Addr: addr("192.168.10.50")}},
				Rules: rules(director("nfs", "nfs"), note)}},
		{"an interface is named by no rule, nor by a negated one", []model.Flow{director("a", "d", anywhere, other)},
			model.RuleSet{VIPs: []model.VIP{{Addr: addr("192.168.10.50")}, {Addr: addr("192.168.10.60")}},
				Rules: rules(director("a", "d"), anywhere, other)}},
		{"virtual IPs are sorted, rules are in order", []model.Flow{a, b},
			model.RuleSet{Ifaces: []string{"eth0"}, VIPs: []model.VIP{{Addr: addr("192.168.10.50")}, {Addr: addr("192.168.10.60")}},
				Rules: append(rules(a, other), rules(b, note, other)...)}},
		{"ignore rules claim nothing", []model.Flow{ignoring},
			model.RuleSet{VIPs: []model.VIP{{Addr: addr("192.168.10.50")}, {Addr: addr("192.168.10.60")}},
				Rules: rules(ignoring, ssh, ssh60, anywhere, other)}},
		{"ignore rules that can change nothing are left out", []model.Flow{useless},
			model.RuleSet{VIPs: []model.VIP{{Addr: addr("192.168.10.60")}}, Rules: rules(useless, other)}},
		{"a flow that skips and an outflow contribute nothing",
			[]model.Flow{{Name: "a", Policy: model.PolicySkip, Rules: []model.Rule{note}},
				{Name: "o", Out: true, Policy: model.PolicyDeny, Rules: []model.Rule{note}}},
			model.RuleSet{}},
		{"deny claims no virtual IP, and is everywhere", []model.Flow{deny},
			model.RuleSet{Everywhere: true, Rules: rules(deny, block)}},
		{"permit on an interface is there only", []model.Flow{permit},
			model.RuleSet{Ifaces: []string{"eth1"}, Rules: rules(permit, eth1)}},
		{"a director for a network has no virtual IP", []model.Flow{director("n", "d", block)},
			model.RuleSet{Rules: rules(director("n", "d"), block)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Compile(model.Config{Flows: tt.flows}); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Compile =\n%+v, want\n%+v", got, tt.want)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	tcp := func(dst string, dstPort uint16) Packet {
		return Packet{Iface: "eth0", Proto: 6, Src: addr("192.168.10.10"), Dst: addr(dst),
			SrcPort: 700, DstPort: dstPort, HasPorts: true}
	}
	with := func(p Packet, change func(*Packet)) Packet { change(&p); return p }
	rest := func(p Packet) Packet { // a fragment that is not the first
		p.SrcPort, p.DstPort, p.HasPorts, p.ICMPType, p.HasICMPType = 0, 0, false, 0, false
		return p
	}
	nfs := tcp("192.168.10.50", 2049)
	ping := with(nfs, func(p *Packet) { *p = rest(*p); p.Proto, p.ICMPType, p.HasICMPType = 1, 8, true })
	gre := with(rest(nfs), func(p *Packet) { p.Proto = 47 })

	whole := director("whole", "d", model.Rule{Dst: vip50})
	only2049 := director("only2049", "d", model.Rule{Proto: is(model.ProtoTCP), Dst: vip50, DstPort: is(port(2049))})
	echo := director("echo", "d", model.Rule{Dst: vip50, ICMPType: is(uint8(8))})
	not22 := director("not22", "d",
		model.Rule{Ignore: true, DstPort: is(port(22))}, model.Rule{Dst: vip50})

	tests := []struct {
		name  string
		flows []model.Flow
		p     Packet
		want  string // the flow; "": none
	}{
		{"every packet to the virtual IP", []model.Flow{whole}, nfs, "whole"},
		{"of every protocol", []model.Flow{whole}, gre, "whole"},
		{"another destination", []model.Flow{whole}, tcp("192.168.10.51", 2049), ""},
		{"the first flow wins", []model.Flow{only2049, whole}, nfs, "only2049"},
		{"the next flow when a condition fails", []model.Flow{only2049, whole}, tcp("192.168.10.50", 111), "whole"},
		{"rules of a flow are alternatives",
			[]model.Flow{director("two", "d", model.Rule{Dst: vip50, DstPort: is(port(1))}, model.Rule{Dst: vip50, DstPort: is(port(2049))})},
			nfs, "two"},

		{"interface", []model.Flow{director("f", "d", model.Rule{Dst: vip50, Iface: is("eth1")})}, nfs, ""},
		{"not interface", []model.Flow{director("f", "d", model.Rule{Dst: vip50, Iface: not("eth1")})}, nfs, "f"},
		{"source network", []model.Flow{director("f", "d", model.Rule{Dst: vip50, Src: is(net("192.168.10.0/24"))})}, nfs, "f"},
		{"not source network", []model.Flow{director("f", "d", model.Rule{Dst: vip50, Src: not(net("192.168.10.0/24"))})}, nfs, ""},
		{"protocol", []model.Flow{director("f", "d", model.Rule{Dst: vip50, Proto: is(model.ProtoUDP)})}, nfs, ""},
		{"not protocol", []model.Flow{director("f", "d", model.Rule{Dst: vip50, Proto: not(model.ProtoUDP)})}, nfs, "f"},
		{"a range of ports, its ends included",
			[]model.Flow{director("f", "d", model.Rule{Dst: vip50, DstPort: is(ports(2000, 2049))})}, nfs, "f"},
		{"beside a range of ports",
			[]model.Flow{director("f", "d", model.Rule{Dst: vip50, DstPort: is(ports(2050, 3000))})}, nfs, ""},
		{"source port", []model.Flow{director("f", "d", model.Rule{Dst: vip50, SrcPort: is(port(700))})}, nfs, "f"},
		{"not source port", []model.Flow{director("f", "d", model.Rule{Dst: vip50, SrcPort: not(port(700))})}, nfs, ""},
		{"ICMP type", []model.Flow{echo}, ping, "echo"},
		{"not ICMP type", []model.Flow{director("f", "d", model.Rule{Dst: vip50, ICMPType: not(uint8(8))})}, ping, ""},

		{"a condition on ports fails for a protocol without ports",
			[]model.Flow{director("f", "d", model.Rule{Dst: vip50, DstPort: is(port(0))})}, gre, ""},
		{"so a negated one holds", []model.Flow{director("f", "d", model.Rule{Dst: vip50, DstPort: not(port(0))})}, gre, "f"},
		{"a condition on the ICMP type fails for other protocols",
			[]model.Flow{director("f", "d", model.Rule{Dst: vip50, ICMPType: is(uint8(0))})}, nfs, ""},
		{"so a negated one holds too", []model.Flow{director("f", "d", model.Rule{Dst: vip50, ICMPType: not(uint8(0))})}, nfs, "f"},

		{"an ignored packet", []model.Flow{not22}, tcp("192.168.10.50", 22), ""},
		{"is exempt from that flow only", []model.Flow{not22, whole}, tcp("192.168.10.50", 22), "whole"},
		{"the others of that flow are not ignored", []model.Flow{not22}, nfs, "not22"},
		{"an ignore rule behind the match rule that held",
			[]model.Flow{director("f", "d", model.Rule{Dst: vip50, DstPort: is(port(22))},
				model.Rule{Ignore: true, DstPort: is(ports(1, 99))}, model.Rule{Dst: vip50})},
			tcp("192.168.10.50", 22), "f"},

		{"a later fragment is matched as if the port condition held", []model.Flow{only2049}, rest(nfs), "only2049"},
		{"a negated one too", []model.Flow{director("f", "d", model.Rule{Dst: vip50, DstPort: not(port(22))})}, rest(nfs), "f"},
		{"but its protocol still counts", []model.Flow{only2049}, with(rest(nfs), func(p *Packet) { p.Proto = 17 }), ""},
		{"and is ignored as if it did not", []model.Flow{not22}, rest(nfs), "not22"},
		{"a later fragment of ICMP, by its type", []model.Flow{echo}, rest(ping), "echo"},
		{"a later fragment of any protocol", []model.Flow{director("f", "d", model.Rule{Dst: vip50, DstPort: is(port(1))})},
			with(gre, func(p *Packet) { p.Later = true }), "f"},
		{"no destination: every one", []model.Flow{director("f", "d", model.Rule{DstPort: is(port(2049))})}, nfs, "f"},
		{"a network", []model.Flow{director("f", "d", model.Rule{Dst: is(net("192.168.10.0/24"))})}, nfs, "f"},
		{"not a network", []model.Flow{director("f", "d", model.Rule{Dst: not(net("192.168.10.0/24"))})}, nfs, ""},
		{"a deny flow before", []model.Flow{{Name: "no", Policy: model.PolicyDeny, Rules: []model.Rule{{SrcPort: is(port(700))}}}, whole}, nfs, "no"},
		{"a permit flow behind", []model.Flow{whole, {Name: "yes", Policy: model.PolicyPermit, Rules: []model.Rule{{}}}}, nfs, "whole"},
		{"a flow that skips", []model.Flow{{Name: "off", Rules: []model.Rule{{}}}, whole}, nfs, "whole"},
		{"an ignore rule without ports takes fragments too",
			[]model.Flow{director("f", "d", model.Rule{Ignore: true, Src: is(net("192.168.10.10/32"))}, model.Rule{Dst: vip50})},
			rest(nfs), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set := Compile(model.Config{Flows: tt.flows})
			got, ok := Match(set, tt.p)
			if got.Flow != tt.want || ok != (tt.want != "") {
				t.Errorf("Match = flow %q, %v; want %q", got.Flow, ok, tt.want)
			}
			if found, same := Lay(set).Match(tt.p); found != got || same != ok {
				t.Errorf("the layout finds flow %q, %v", found.Flow, same)
			}
			set.Own = []netip.Addr{tt.p.Dst}
			if got, ok := Match(set, tt.p); ok {
				t.Errorf("of the director's own address: flow %q claims it", got.Flow)
			}
		})
	}
}

func TestReaches(t *testing.T) {
	http := model.Rule{Dst: vip50, Proto: is(model.ProtoTCP), DstPort: is(port(80))}
	all := model.Rule{Dst: vip50}
	block := model.Flow{Name: "no", Policy: model.PolicyDeny, Rules: []model.Rule{{Proto: is(model.ProtoUDP)}}}
	some := model.Flow{Name: "some", Policy: model.PolicyDeny, Rules: []model.Rule{{Src: is(net("10.0.0.0/8"))}}}
	elsewhere := director("else", "e", all)
	for _, tt := range []struct {
		name  string
		flows []model.Flow
		proto model.Proto
		port  uint16
		want  bool
	}{
		{"by a port", []model.Flow{director("f", "d", http)}, model.ProtoTCP, 80, true},
		{"not by another", []model.Flow{director("f", "d", http)}, model.ProtoTCP, 81, false},
		{"not by whatever port", []model.Flow{director("f", "d", http)}, model.ProtoTCP, 0, false},
		{"by whatever port", []model.Flow{director("f", "d", all)}, model.ProtoUDP, 0, true},
		{"denied before", []model.Flow{block, director("f", "d", all)}, model.ProtoUDP, 53, false},
		{"another protocol is denied", []model.Flow{block, director("f", "d", all)}, model.ProtoTCP, 53, true},
		{"some clients are denied", []model.Flow{some, director("f", "d", all)}, model.ProtoTCP, 53, true},
		{"another director takes all", []model.Flow{elsewhere, director("f", "d", all)}, model.ProtoTCP, 80, false},
		{"another address", []model.Flow{director("f", "d", model.Rule{Dst: vip60})}, model.ProtoTCP, 80, false},
		{"a network", []model.Flow{director("f", "d", model.Rule{Dst: is(net("192.168.10.0/24"))})}, model.ProtoTCP, 80, true},
		{"ignored for every client", []model.Flow{director("f", "d", model.Rule{Ignore: true, DstPort: is(port(80))}, all)}, model.ProtoTCP, 80, false},
	} {
		rules := Index(Compile(model.Config{Flows: tt.flows})).Of(addr("192.168.10.50"))
		if got := Reaches(rules, "d", tt.proto, tt.port); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
}
