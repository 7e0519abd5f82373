package dataplane

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"fairlead/internal/model"
)

// policyCase is a rule, with a packet that it takes and one that it does not.
type policyCase struct {
	name      string
	rules     []model.Rule
	hit, miss frameSpec
}

func policyCases() []policyCase {
	network := func(s string) model.Cond[netip.Prefix] { return is(netip.MustParsePrefix(s)) }
	not := func(c model.Cond[netip.Prefix]) model.Cond[netip.Prefix] { c.Not = true; return c }
	stranger := netip.MustParseAddr("203.0.113.7")
	own := frameSpec{dst: ownAddr}
	udp, tcp, icmp := is(model.ProtoUDP), is(model.ProtoTCP), is(model.ProtoICMP)
	ssh := is(ports(22, 22))
	ignore := func(r model.Rule) model.Rule { r.Ignore = true; return r }
	return []policyCase{
		{"everything", []model.Rule{{}}, frameSpec{}, own},
		{"everything, of a protocol without ports", []model.Rule{{}}, frameSpec{proto: 47}, own},
		{"everything, a later fragment", []model.Rule{{}}, frameSpec{fragment: 9}, frameSpec{dst: ownAddr, fragment: 9}},
		{"everything, to somebody else", []model.Rule{{}}, frameSpec{dst: stranger}, frameSpec{dst: broadcast}},
		{"an address", []model.Rule{{Dst: network("192.168.10.50/32")}}, frameSpec{}, frameSpec{dst: otherAddr}},
		{"the director's own address", []model.Rule{{Dst: network("192.168.10.2/31")}}, frameSpec{dst: netip.MustParseAddr("192.168.10.3")}, own},
		{"a network", []model.Rule{{Dst: network("192.168.10.48/30")}}, frameSpec{dst: otherAddr}, frameSpec{dst: netip.MustParseAddr("192.168.10.52")}},
		{"not a network", []model.Rule{{Dst: not(network("192.168.10.50/31"))}}, frameSpec{dst: stranger}, frameSpec{dst: otherAddr}},
		{"not an address", []model.Rule{{Dst: not(network("192.168.10.50/32"))}}, frameSpec{dst: otherAddr}, frameSpec{}},
		{"a source", []model.Rule{{Src: network("203.0.113.0/24")}}, frameSpec{src: stranger}, frameSpec{}},
		{"not a source", []model.Rule{{Src: not(network("203.0.113.0/24"))}}, frameSpec{}, frameSpec{src: stranger}},
		{"TCP", []model.Rule{{Proto: tcp}}, frameSpec{flags: synFlag}, frameSpec{proto: 17}},
		{"UDP", []model.Rule{{Proto: udp}}, frameSpec{proto: 17}, frameSpec{proto: 1}},
		{"ICMP", []model.Rule{{Proto: icmp}}, frameSpec{proto: 1}, frameSpec{}},
		{"UDP, a later fragment", []model.Rule{{Proto: udp}}, frameSpec{proto: 17, fragment: 9}, frameSpec{fragment: 9}},
		{"a port", []model.Rule{{DstPort: ssh}}, frameSpec{dport: 22}, frameSpec{dport: 23}},
		{"a port of an address", []model.Rule{{Dst: network("192.168.10.50/32"), DstPort: ssh}}, frameSpec{dport: 22}, frameSpec{dport: 22, dst: otherAddr}},
		{"a port of an address, UDP", []model.Rule{{Dst: network("192.168.10.50/32"), Proto: udp, DstPort: ssh}},
			frameSpec{proto: 17, dport: 22}, frameSpec{dport: 22}},
		{"a port of an address, a later fragment", []model.Rule{{Dst: network("192.168.10.50/32"), Proto: udp, DstPort: ssh}},
			frameSpec{proto: 17, fragment: 9}, frameSpec{fragment: 9}},
		{"a port, with IP options", []model.Rule{{DstPort: ssh}}, frameSpec{dport: 22, options: 12}, frameSpec{dport: 23, options: 12}},
		{"ports", []model.Rule{{DstPort: is(ports(22, 111))}}, frameSpec{dport: 111}, frameSpec{dport: 112}},
		{"a source port", []model.Rule{{SrcPort: is(ports(700, 700))}}, frameSpec{}, frameSpec{sport: 701}},
		{"an ICMP type", []model.Rule{{ICMPType: is(uint8(8))}}, frameSpec{proto: 1, icmpType: 8}, frameSpec{proto: 1, icmpType: 3}},
		{"an interface that is not there", []model.Rule{{Iface: model.Cond[string]{Set: true, Not: true, Value: "none-such"}}}, frameSpec{}, own},
		{"what is not ignored", []model.Rule{ignore(model.Rule{DstPort: ssh}), {}}, frameSpec{dport: 23}, frameSpec{dport: 22}},
		{"the second rule", []model.Rule{{Proto: icmp}, {DstPort: ssh}}, frameSpec{dport: 22}, frameSpec{dport: 23}},
	}
}

// Each policy does what it says with what its rule takes, counts it under its
// flow, and leaves alone what the rule does not take.
func TestPolicies(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		for _, policy := range []model.Policy{model.PolicyPermit, model.PolicyDeny, model.PolicyDirector} {
			for i, c := range policyCases() {
				name := fmt.Sprintf("%s, %s %s", h.name, policy, c.name)
				d := note()
				d.Rules = model.RuleSet{Own: []netip.Addr{ownAddr}}
				for _, r := range c.rules {
					f := model.FlowRule{Flow: fmt.Sprint(policy, i), Policy: policy, Rule: r}
					if policy == model.PolicyDirector {
						f.Director = "nfs"
					}
					d.Rules.Rules = append(d.Rules.Rules, f)
				}
				settledNow(p)
				apply(t, p, d)
				c.check(t, h, p, name, c.hit, policy, fmt.Sprint(policy, i))
				c.check(t, h, p, name+", another packet", c.miss, model.PolicySkip, "")
			}
		}
	}
}

func (c policyCase) check(t *testing.T, h hook, p *Plane, name string, s frameSpec, policy model.Policy, flow string) {
	t.Helper()
	frame := s.bytes(t)
	verdict, want := "pass", frame
	switch policy {
	case model.PolicyDirector:
		verdict, want = "forward", sent(serverMAC1, frame)
	case model.PolicyPermit, model.PolicyDeny:
		verdict = policy.String()
	}
	result, out := h.run(t, p, frame)
	if result != h.returns(verdict) || !bytes.Equal(out, want) {
		t.Errorf("%s: returned %d with\n%x, want the verdict %s with\n%x", name, int32(result), out, verdict, want)
	}
	traffic, err := p.Traffic()
	if err != nil {
		t.Fatal(err)
	}
	if got := traffic.Flows[flow][verdict]; flow != "" && got != (model.Counter{Packets: 1, Bytes: uint64(len(frame))}) {
		t.Errorf("%s: its flow counts %+v under %s", name, got, verdict)
	}
}

// A deny rule on a port is not evaded by a header that is cut short, and a
// malformed packet that a director's flow takes is dropped.
func TestPoliciesMeetMalformed(t *testing.T) {
	tiny := change(frameSpec{flags: synFlag, dport: 23, fragment: 0x2000}.bytes(t)[:42], 16, 0, 28)
	badLength := change(frameSpec{dport: 23}.bytes(t), 14, 0x44)
	for _, h := range hooks {
		p := h.plane(t, 1000)
		for _, tt := range []struct {
			policy  model.Policy
			verdict string
		}{{model.PolicyDeny, "deny"}, {model.PolicyPermit, "permit"}, {model.PolicyDirector, "drop-malformed"}} {
			d := note()
			d.Rules = model.RuleSet{Rules: []model.FlowRule{{Flow: "f", Policy: tt.policy,
				Rule: model.Rule{Proto: is(model.ProtoTCP), DstPort: is(ports(23, 23))}}}}
			if tt.policy == model.PolicyDirector {
				d.Rules.Rules[0].Director = "nfs"
			}
			settledNow(p)
			apply(t, p, d)
			for name, frame := range map[string][]byte{"tiny first fragment": tiny, "short header length": badLength} {
				if got, out := h.run(t, p, frame); got != h.returns(tt.verdict) || !bytes.Equal(out, frame) {
					t.Errorf("%s, %s, %s: returned %d with\n%x", h.name, tt.policy, name, int32(got), out)
				}
			}
		}
	}
}

// Who changes from a director to the others, and back, leaves nothing behind.
func TestPolicyChanges(t *testing.T) {
	p := newPlane(t, 1000)
	frame := frameSpec{proto: 17}.bytes(t)
	d := note()
	for _, policy := range []model.Policy{model.PolicyDirector, model.PolicyDeny, model.PolicyPermit, model.PolicyDirector} {
		d.Rules.Rules = []model.FlowRule{{Flow: "f", Policy: policy, Rule: to(vipAddr)}}
		verdict := policy.String()
		if policy == model.PolicyDirector {
			d.Rules.Rules[0].Director, verdict = "nfs", "forward"
		}
		apply(t, p, d)
		if got, _ := hooks[0].run(t, p, frame); got != hooks[0].returns(verdict) {
			t.Errorf("policy %s: returned %d", policy, int32(got))
		}
		a, err := p.Applied()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := a.VIPs[vipAddr]; ok != (policy == model.PolicyDirector) {
			t.Errorf("policy %s: the address is a virtual IP: %t", policy, ok)
		}
	}
}
