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

	tests := []struct {
		name  string
		flows []model.Flow
		want  model.RuleSet
	}{
		{"the note", []model.Flow{director("nfs", "nfs", note)},
			model.RuleSet{Ifaces: []string{"eth0"}, VIPs: []model.VIP{
				{Addr: addr("192.168.10.50"), Rules: []model.VIPRule{{Flow: "nfs", Director: "nfs", Rule: note}}}}}},
		{"an interface is named by no rule, nor by a negated one", []model.Flow{director("a", "d", anywhere, other)},
			model.RuleSet{VIPs: []model.VIP{
				{Addr: addr("192.168.10.50"), Rules: []model.VIPRule{{Flow: "a", Director: "d", Rule: anywhere}}},
				{Addr: addr("192.168.10.60"), Rules: []model.VIPRule{{Flow: "a", Director: "d", Rule: other}}}}}},
		{"virtual IPs are sorted, each has the rules of all flows in order",
			[]model.Flow{director("a", "d", other), director("b", "e", note, other)},
			model.RuleSet{Ifaces: []string{"eth0"}, VIPs: []model.VIP{
				{Addr: addr("192.168.10.50"), Rules: []model.VIPRule{{Flow: "b", Director: "e", Rule: note}}},
				{Addr: addr("192.168.10.60"), Rules: []model.VIPRule{
					{Flow: "a", Director: "d", Rule: other}, {Flow: "b", Director: "e", Rule: other}}}}}},
		{"an ignore rule without dst belongs to every virtual IP of its flow, one with dst to that one",
			[]model.Flow{director("a", "d", ssh, ssh60, anywhere, other)},
			model.RuleSet{VIPs: []model.VIP{
				{Addr: addr("192.168.10.50"), Rules: []model.VIPRule{
					{Flow: "a", Director: "d", Rule: ssh}, {Flow: "a", Director: "d", Rule: anywhere}}},
				{Addr: addr("192.168.10.60"), Rules: []model.VIPRule{
					{Flow: "a", Director: "d", Rule: ssh}, {Flow: "a", Director: "d", Rule: ssh60},
					{Flow: "a", Director: "d", Rule: other}}}}}},
		{"ignore rules that can change nothing are left out",
			[]model.Flow{director("a", "d", other, ssh), director("b", "d", ssh60, anywhere)},
			model.RuleSet{VIPs: []model.VIP{
				{Addr: addr("192.168.10.50"), Rules: []model.VIPRule{{Flow: "b", Director: "d", Rule: anywhere}}},
				{Addr: addr("192.168.10.60"), Rules: []model.VIPRule{{Flow: "a", Director: "d", Rule: other}}}}}},
		{"only flows that lead to a director contribute",
			[]model.Flow{{Name: "a", Policy: model.PolicySkip, Rules: []model.Rule{note}},
				{Name: "o", Out: true, Policy: model.PolicyDirector, Rules: []model.Rule{note}}},
			model.RuleSet{}},
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
		{"an ignore rule without ports takes fragments too",
			[]model.Flow{director("f", "d", model.Rule{Ignore: true, Src: is(net("192.168.10.10/32"))}, model.Rule{Dst: vip50})},
			rest(nfs), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := Match(Compile(model.Config{Flows: tt.flows}), tt.p)
			if got.Flow != tt.want || ok != (tt.want != "") {
				t.Errorf("Match = flow %q, %v; want %q", got.Flow, ok, tt.want)
			}
		})
	}
}
