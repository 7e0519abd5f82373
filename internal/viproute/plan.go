package viproute

import (
	"cmp"
	"net/netip"
	"slices"
)

// rule sends the packets with a mark to the table of the same number.
type rule struct {
	mark uint32
	six  bool // of IPv6
}

// route leads to a virtual IP by a server.
type route struct {
	table uint32
	vip   netip.Addr
	via   netip.Addr
	link  int
}

// held is what there is of rules and routes.
type held struct {
	rules  map[rule]bool
	routes map[route]bool
	others map[uint32]bool // tables with routes of other daemons
}

func newHeld() held {
	return held{make(map[rule]bool), make(map[route]bool), make(map[uint32]bool)}
}

// op is one change. Exactly one of rule and route is set.
type op struct {
	add   bool
	rule  *rule
	route *route
}

// plan lists what is to be changed, in order: routes come before their rule and go
// after it, and a route that changes is replaced before the old one would go.
func plan(have, want held) []op {
	var ops []op
	for _, r := range missing(want.routes, have.routes, route.compare) {
		ops = append(ops, op{add: true, route: &r})
	}
	for _, r := range missing(want.rules, have.rules, rule.compare) {
		ops = append(ops, op{add: true, rule: &r})
	}
	for _, r := range missing(have.rules, want.rules, rule.compare) {
		if !have.others[r.mark] {
			ops = append(ops, op{rule: &r})
		}
	}
	replaced := make(map[route]bool) // what is wanted, but for the way
	for r := range want.routes {
		replaced[route{table: r.table, vip: r.vip}] = true
	}
	for _, r := range missing(have.routes, want.routes, route.compare) {
		if !replaced[route{table: r.table, vip: r.vip}] {
			ops = append(ops, op{route: &r})
		}
	}
	return ops
}

// missing are those of a set that the other one lacks, in order.
func missing[T comparable](of, from map[T]bool, compare func(a, b T) int) []T {
	var all []T
	for one := range of {
		if !from[one] {
			all = append(all, one)
		}
	}
	slices.SortFunc(all, compare)
	return all
}

func (r rule) compare(o rule) int { return cmp.Compare(r.mark, o.mark) } // a mark is of one family

func (r route) compare(o route) int {
	return cmp.Or(cmp.Compare(r.table, o.table), r.vip.Compare(o.vip), r.via.Compare(o.via), cmp.Compare(r.link, o.link))
}
