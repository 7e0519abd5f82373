// Package flow is the flow manager: it compiles the flows of a configuration
// to the rules of each virtual IP, and holds the readable reference of how a
// packet is matched against them. It parses no text and no packets, knows
// nothing of servers, and touches no kernel: the data plane does the same in C
// and is compared with Match.
package flow

import (
	"net/netip"
	"slices"

	"fairlead/internal/model"
)

// Compile returns the rules of each virtual IP: of every host address that a
// match rule of a director's flow names. Other policies contribute nothing.
//
// Ifaces are the interfaces that match rules name. It is empty when none does:
// the interface then follows from the networks of the machine, which a
// configuration alone does not know.
func Compile(cfg model.Config) model.RuleSet {
	var set model.RuleSet
	for _, f := range cfg.Flows {
		for _, r := range matches(f) {
			if name, ok := Iface(r); ok {
				set.Ifaces = append(set.Ifaces, name)
			}
			if addr, ok := VIP(r); ok {
				set.VIPs = append(set.VIPs, model.VIP{Addr: addr})
			}
		}
	}
	slices.Sort(set.Ifaces)
	set.Ifaces = slices.Compact(set.Ifaces)
	slices.SortFunc(set.VIPs, func(a, b model.VIP) int { return a.Addr.Compare(b.Addr) })
	set.VIPs = slices.CompactFunc(set.VIPs, func(a, b model.VIP) bool { return a.Addr == b.Addr })
	for i := range set.VIPs {
		set.VIPs[i].Rules = rulesOf(cfg, set.VIPs[i].Addr)
	}
	return set
}

// VIP is the virtual IP that a match rule claims.
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

// matches are the match rules of a flow that leads to a director.
func matches(f model.Flow) []model.Rule {
	if f.Out || f.Policy != model.PolicyDirector {
		return nil
	}
	var rules []model.Rule
	for _, r := range f.Rules {
		if !r.Ignore {
			rules = append(rules, r)
		}
	}
	return rules
}

// rulesOf are the rules that packets to a virtual IP are tried against, in
// order. A rule that could never change the outcome is left out: one for
// another destination, or an ignore rule after the last match rule of its flow.
func rulesOf(cfg model.Config, vip netip.Addr) []model.VIPRule {
	var all []model.VIPRule
	for _, f := range cfg.Flows {
		if f.Out || f.Policy != model.PolicyDirector {
			continue
		}
		var rules []model.VIPRule
		end := 0 // behind the last match rule
		for _, r := range f.Rules {
			if !holdsAddr(r.Dst, vip) {
				continue
			}
			rules = append(rules, model.VIPRule{Flow: f.Name, Director: f.Director, Rule: r})
			if !r.Ignore {
				end = len(rules)
			}
		}
		all = append(all, rules[:end]...)
	}
	return all
}
