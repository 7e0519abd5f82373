// Package flow is the flow manager: it compiles the flows of a configuration to
// one list of rules, holds the readable reference of how a packet is matched
// against them, and lays the rules out so that few of them need to be tried. It
// parses no text and no packets, knows nothing of servers, and touches no kernel: the
// data plane does the same in C and is compared with Match.
package flow

import (
	"net/netip"
	"slices"

	"fairlead/internal/model"
)

// Compile returns the rules of all flows, in order, and the virtual IPs: every
// host address that a match rule of a director's flow names. A flow that skips
// contributes nothing, nor does an ignore rule behind the last match rule.
//
// Ifaces are the interfaces that match rules name. It is empty when none does:
// the interface then follows from the networks of the machine, which a
// configuration alone does not know.
func Compile(cfg model.Config) model.RuleSet {
	var set model.RuleSet
	for _, f := range cfg.Flows {
		if f.Out || f.Policy == model.PolicySkip {
			continue
		}
		for _, r := range Effective(f) {
			set.Rules = append(set.Rules, model.FlowRule{Flow: f.Name, Policy: f.Policy, Director: f.Director, Rule: r})
			if r.Ignore {
				continue
			}
			name, named := Iface(r)
			if named {
				set.Ifaces = append(set.Ifaces, name)
			}
			vip, ok := VIP(r)
			switch {
			case f.Policy != model.PolicyDirector:
				set.Everywhere = set.Everywhere || !named
			case ok:
				set.VIPs = append(set.VIPs, model.VIP{Addr: vip})
			}
		}
	}
	slices.Sort(set.Ifaces)
	set.Ifaces = slices.Compact(set.Ifaces)
	slices.SortFunc(set.VIPs, func(a, b model.VIP) int { return a.Addr.Compare(b.Addr) })
	set.VIPs = slices.CompactFunc(set.VIPs, func(a, b model.VIP) bool { return a.Addr == b.Addr })
	return set
}

// Effective are the rules of a flow that count: an ignore rule behind the last
// match rule exempts nothing.
func Effective(f model.Flow) []model.Rule {
	n := len(f.Rules)
	for n > 0 && f.Rules[n-1].Ignore {
		n--
	}
	return f.Rules[:n]
}

// VIP is the one address that a match rule claims.
func VIP(r model.Rule) (netip.Addr, bool) {
	if r.Ignore || !r.Dst.Set || r.Dst.Not || !r.Dst.Value.IsSingleIP() {
		return netip.Addr{}, false
	}
	return r.Dst.Value.Addr(), true
}

// Iface is the interface that a rule names; `not iface` names none.
func Iface(r model.Rule) (string, bool) {
	if !r.Iface.Set || r.Iface.Not {
		return "", false
	}
	return r.Iface.Value, true
}

// VIPsOf are the virtual IPs that rules give to a director, sorted.
func VIPsOf(set model.RuleSet, director string) []netip.Addr {
	var all []netip.Addr
	for _, r := range set.Rules {
		if vip, ok := VIP(r.Rule); ok && r.Policy == model.PolicyDirector && r.Director == director {
			all = append(all, vip)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}
