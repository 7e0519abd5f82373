package viproute

import (
	"cmp"
	"maps"
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
}

func newHeld() held { return held{make(map[rule]bool), make(map[route]bool)} }

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
	for _, r := range sorted(want.routes, route.compare) {
		if !have.routes[r] {
			ops = append(ops, op{add: true, route: &r})
		}
	}
	for _, r := range sorted(want.rules, rule.compare) {
		if !have.rules[r] {
			ops = append(ops, op{add: true, rule: &r})
		}
	}
	for _, r := range sorted(have.rules, rule.compare) {
		if !want.rules[r] {
			ops = append(ops, op{rule: &r})
		}
	}
	for _, r := range sorted(have.routes, route.compare) {
		if !want.routes[r] && !want.leads(r.table, r.vip) {
			ops = append(ops, op{route: &r})
		}
	}
	return ops
}

// leads tells whether some route is wanted to a virtual IP in a table.
func (h held) leads(table uint32, vip netip.Addr) bool {
	for r := range h.routes {
		if r.table == table && r.vip == vip {
			return true
		}
	}
	return false
}

func sorted[T comparable](set map[T]bool, compare func(a, b T) int) []T {
	return slices.SortedFunc(maps.Keys(set), compare)
}

func (r rule) compare(o rule) int { return cmp.Compare(r.mark, o.mark) } // a mark is of one family

func (r route) compare(o route) int {
	return cmp.Or(cmp.Compare(r.table, o.table), r.vip.Compare(o.vip), r.via.Compare(o.via), cmp.Compare(r.link, o.link))
}
