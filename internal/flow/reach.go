package flow

import (
	"net/netip"
	"slices"

	"fairlead/internal/model"
)

// ByAddr finds the rules that can hold for an address, without looking at all.
type ByAddr struct {
	rules  []model.FlowRule
	single map[netip.Addr][]int // indices of the rules for one address
	others []int
}

// Index sorts the rules of a set by the addresses that they are for.
func Index(set model.RuleSet) ByAddr {
	b := ByAddr{rules: set.Rules, single: make(map[netip.Addr][]int)}
	for i, r := range set.Rules {
		if dst := r.Rule.Dst; dst.Set && !dst.Not && dst.Value.IsSingleIP() {
			b.single[dst.Value.Addr()] = append(b.single[dst.Value.Addr()], i)
		} else {
			b.others = append(b.others, i)
		}
	}
	return b
}

// Of are the rules that can hold for an address, in order.
func (b ByAddr) Of(a netip.Addr) []model.FlowRule {
	all := slices.Clone(b.single[a])
	for _, i := range b.others {
		if holdsAddr(b.rules[i].Rule.Dst, a) {
			all = append(all, i)
		}
	}
	slices.Sort(all)
	rules := make([]model.FlowRule, len(all))
	for n, i := range all {
		rules[n] = b.rules[i]
	}
	return rules
}

// Reaches tells whether the rules that can hold for a virtual IP lead clients'
// packets of a protocol to a director, by this port; port 0: by whatever port. Where
// they come from does not matter: some client's do.
func Reaches(rules []model.FlowRule, director string, proto model.Proto, port uint16) bool {
	exempt := "" // the flow that an ignore rule ended for every client
	for _, r := range rules {
		if r.Flow == exempt || !wants(r.Rule, proto, port) {
			continue
		}
		everyone := !r.Rule.Src.Set && !r.Rule.SrcPort.Set && !r.Rule.Iface.Set && !r.Rule.ICMPType.Set
		switch {
		case r.Rule.Ignore && everyone:
			exempt = r.Flow
		case r.Rule.Ignore:
		case r.Policy == model.PolicyDirector && r.Director == director:
			return true
		case everyone:
			return false // whatever comes as far as here goes elsewhere
		}
	}
	return false
}

// wants tells whether a rule may hold for packets of a protocol to a port.
func wants(r model.Rule, proto model.Proto, port uint16) bool {
	if r.Proto.Set && r.Proto.Value != model.ProtoAny && (r.Proto.Value == proto) == r.Proto.Not {
		return false
	}
	ports := r.DstPort.Value
	inside := port >= ports.First && port <= ports.Last
	switch {
	case proto == model.ProtoICMP:
		return !r.DstPort.Set
	case port == 0:
		return r.Ignore || !r.DstPort.Set // an ignore rule may take the port away
	}
	return !r.DstPort.Set || inside != r.DstPort.Not
}
