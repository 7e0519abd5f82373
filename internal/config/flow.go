package config

import (
	"net/netip"
	"slices"
	"strings"

	"fairlead/internal/model"
)

// policies are the words after a flow's name.
var policies = []string{"director", "skip", "permit", "deny", "table"}

// flow reads a flow or outflow section.
func (c *checker) flow(s Section) {
	args := s.Head.args()
	if len(args) == 0 {
		c.fail(s.Head.keyword(), "for example flow nfs director nfs", "%s needs a name", quote(s.Kind.String()))
		return
	}
	draft := flowDraft{name: args[0], flow: model.Flow{Name: args[0].Text, Out: s.Kind == KindOutflow}}
	c.name(args[0], "flow", "")
	if s.Kind == KindOutflow {
		c.unsupported(s.Head.keyword(), "only flow is supported", "outflow")
	}
	before := len(c.diags)
	c.policy(&draft, s.Head)
	for _, l := range s.Body {
		if slices.Contains(bodies[KindFlow], l.keyword().Text) {
			c.rule(&draft, l)
		}
	}
	if !stranger(s) && before == len(c.diags) {
		c.needsMatch(draft, s)
	}
	if c.isFirst("flow", args[0]) {
		c.flows = append(c.flows, draft)
		if len(c.flows) == maxFlows+1 {
			c.fail(args[0], "at most 10000 are supported", "too many flows")
		}
	}
}

// policy reads what follows the flow's name: nothing, a policy, or a policy and
// its argument.
func (c *checker) policy(f *flowDraft, l Line) {
	if len(l.Words) < 3 {
		f.flow.Policy = model.PolicySkip
		return
	}
	w := l.Words[2]
	if f.flow.Policy.UnmarshalText([]byte(w.Text)) != nil {
		c.fail(w, expected(w.Text, policies), "unknown policy %s of flow %s", quote(w.Text), f.name.Text)
		return
	}
	switch f.flow.Policy {
	case model.PolicyDirector:
		if f.flow.Out {
			c.fail(w, "only a flow can", "an outflow cannot lead to a director")
		}
		c.flowDirector(f, l)
	case model.PolicyTable:
		c.unsupportedPolicy(f, w)
		if len(l.Words) < 4 {
			c.fail(w, "expected a number", "\"table\" needs the number of a routing table")
		} else if n, ok := c.number(l.Words[3], "table", 1, 1<<31-1); ok {
			f.flow.Table = uint32(n)
		}
		c.extra(l, 4)
	case model.PolicyPermit, model.PolicyDeny, model.PolicySkip:
		c.extra(l, 3)
	}
}

func (c *checker) unsupportedPolicy(f *flowDraft, w Word) {
	if !f.flow.Out { // an outflow is not supported as a whole
		c.unsupported(w, "supported: director NAME, permit, deny, skip", "policy %s", w.Text)
	}
}

// flowDirector reads the director of a flow, which another source may define.
func (c *checker) flowDirector(f *flowDraft, l Line) {
	if len(l.Words) < 4 {
		c.fail(l.Words[2], "for example flow nfs director nfs", "\"director\" needs the name of a director")
		return
	}
	f.director = l.Words[3]
	f.flow.Director = f.director.Text
	if _, ok := c.directorNames[f.director.Text]; !ok {
		c.fail(f.director, c.directorHint(f.director.Text), "flow %s: director %s does not exist", f.name.Text, quote(f.director.Text))
	}
	if len(l.Words) == 4 {
		return
	}
	second := l.Words[4]
	if second.Text == "director" && len(l.Words) > 5 {
		second = l.Words[5]
	}
	if _, ok := c.directorNames[second.Text]; ok {
		c.fail(second, "a flow has one director: write another flow for the other",
			"flow %s names two directors, %s and %s", f.name.Text, quote(f.director.Text), quote(second.Text))
		return
	}
	if second.Text == "match" || second.Text == "ignore" {
		c.fail(second, "write the rule on a line of its own", "unexpected word %s after %s", quote(second.Text), quote(f.director.Text))
		return
	}
	c.extra(l, 4)
}

// directorHint helps with a director's name that does not exist.
func (c *checker) directorHint(name string) string {
	if len(c.directorNames) == 0 {
		return "no director is configured"
	}
	return expected(name, c.sortedDirectors())
}

// needsMatch reports a flow that takes nothing.
func (c *checker) needsMatch(f flowDraft, s Section) {
	missing, ok := map[model.Policy]string{
		model.PolicyDirector: "nothing reaches its director",
		model.PolicyPermit:   "it permits nothing",
		model.PolicyDeny:     "it denies nothing",
	}[f.flow.Policy]
	if !ok {
		return
	}
	for _, l := range s.Body {
		if l.keyword().Text == "match" {
			return
		}
	}
	c.fail(f.name, "write a line such as match dst 192.168.10.50", "flow %s has no match rule: %s", f.name.Text, missing)
}

var ruleSpecs = []spec{
	{name: "iface", value: "an interface", not: true}, {name: "proto", value: "a protocol", not: true},
	{name: "src", value: "an address", not: true}, {name: "dst", value: "an address", not: true},
	{name: "srcport", value: "a port number", not: true}, {name: "dstport", value: "a port number", not: true},
	{name: "icmptype", value: "a number", not: true},
}

// rule reads a match or ignore line.
func (c *checker) rule(f *flowDraft, l Line) {
	draft := ruleDraft{keyword: l.keyword()}
	r := model.Rule{Ignore: draft.keyword.Text == "ignore"}
	of := "flow " + f.name.Text
	before := len(c.diags)
	for _, s := range c.settings(of, l.args(), ruleSpecs) {
		switch s.name.Text {
		case "iface":
			if draft.iface = s.value; c.iface(s.value) {
				r.Iface = model.Cond[string]{Set: true, Not: s.negated, Value: s.value.Text}
			}
		case "dst":
			draft.dst = s.value
			c.ruleDst(&r, s, f.flow.Policy)
		default:
			c.condition(&r, s)
		}
	}
	if before == len(c.diags) { // else a condition is missing in r
		c.coherent(r, draft)
	}
	f.flow.Rules = append(f.flow.Rules, r)
	f.rules = append(f.rules, draft)
}

// condition reads a condition on what a packet is.
func (c *checker) condition(r *model.Rule, s setting) {
	switch s.name.Text {
	case "proto":
		r.Proto.Set, r.Proto.Not = true, s.negated
		if r.Proto.Value.UnmarshalText([]byte(s.value.Text)) != nil || r.Proto.Value == model.ProtoAny {
			c.fail(s.value, expected(s.value.Text, []string{"tcp", "udp", "icmp"}), "unknown protocol %s", quote(s.value.Text))
			r.Proto = model.Cond[model.Proto]{}
		}
	case "src":
		p, ok := c.network(s.value, "src")
		r.Src = model.Cond[netip.Prefix]{Set: ok, Not: ok && s.negated, Value: p.Masked()}
	case "srcport":
		p, ok := c.ports(s.value, "srcport")
		r.SrcPort = model.Cond[model.Ports]{Set: ok, Not: ok && s.negated, Value: p}
	case "dstport":
		p, ok := c.ports(s.value, "dstport")
		r.DstPort = model.Cond[model.Ports]{Set: ok, Not: ok && s.negated, Value: p}
	case "icmptype":
		n, ok := c.number(s.value, "icmptype", 0, 255)
		r.ICMPType = model.Cond[uint8]{Set: ok, Not: ok && s.negated, Value: uint8(n)}
	}
}

// network reads an address or a network. Host bits beyond the mask are ignored.
func (c *checker) network(w Word, what string) (netip.Prefix, bool) {
	p, ok := c.prefix(w, what)
	if ok && p != p.Masked() {
		c.warn(w, "write it so", "%s %s means the network %s", what, w.Text, p.Masked())
	}
	return p.Masked(), ok
}

// ruleDst reads a dst condition. One address for a director is a virtual IP: it
// must be the address of one machine.
func (c *checker) ruleDst(r *model.Rule, s setting, policy model.Policy) {
	p, ok := c.network(s.value, "dst")
	if !ok {
		return
	}
	r.Dst = model.Cond[netip.Prefix]{Set: true, Not: s.negated, Value: p}
	if policy == model.PolicyDirector && !s.negated && p.IsSingleIP() {
		text, _, _ := strings.Cut(s.value.Text, "/")
		c.host(s.value.cut(0, len(text)), "virtual IP")
	}
}

// coherent reports conditions that no packet can meet together.
func (c *checker) coherent(r model.Rule, d ruleDraft) {
	if !r.Proto.Set || r.Proto.Not {
		if r.ICMPType.Set && (r.SrcPort.Set || r.DstPort.Set) {
			c.fail(d.keyword, "write two rules", "this rule matches nothing: ports are of tcp and udp, icmptype is of icmp")
		}
		return
	}
	if proto := r.Proto.Value; proto == model.ProtoICMP && (r.SrcPort.Set || r.DstPort.Set) {
		c.fail(d.keyword, "use icmptype, or proto tcp or udp", "this rule matches nothing: proto icmp has no ports")
	} else if proto != model.ProtoICMP && r.ICMPType.Set {
		c.fail(d.keyword, "use proto icmp", "this rule matches nothing: proto %s has no icmptype", proto)
	}
}
