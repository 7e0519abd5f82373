package flow

import (
	"math"
	"net/netip"
	"slices"

	"fairlead/internal/model"
)

// Layout is a rule set as the data plane holds it: the rules that can matter to
// a packet are found by its destination, so that their number hardly counts. A packet is
// tried against the rules of its service (whole packets only), those of its destination and the general ones;
// of the hits the one with the lowest order is that of Match. An ignore rule stands in
// no list: a match rule refers to those before it in its flow, which are tried when it holds.
type Layout struct {
	Rules    []Placed
	Addrs    []Addr    // single destinations, sorted
	Services []Service // of those destinations
	General  Extent

	addrs    map[netip.Addr]int // indices of the above
	services map[service]int
}

// Extent is a run of Layout.Rules, a list. Match rules are sorted by order.
type Extent struct{ First, N int }

// Placed is a rule at its place.
type Placed struct {
	model.FlowRule
	Order   int    // its index in RuleSet.Rules
	Ignores Extent // before it in its flow
	Next    int    // how many places further another flow's rules begin: where to go on when it is ignored
	Service bool   // in the list of a destination: only for what hides its ports
}

// Addr is a single destination.
type Addr struct {
	Addr     netip.Addr
	Director string // that the first of its rules for a director leads to; "": none does
	Services bool   // it has services
	Direct   Direct // for all but its services
	List     Extent
}

// Service is a port of a single destination.
type Service struct {
	Addr   netip.Addr
	Proto  model.Proto // TCP or UDP
	Port   uint16
	Direct Direct
	List   Extent
}

// Direct is a rule that decides without any list: it gives every packet to its
// director, and no rule before it can hold.
type Direct struct {
	Is    bool
	Rule  model.FlowRule
	Iface string // where packets must arrive; "": anywhere. Others need the lists
}

// placing collects the layout of one rule set.
type placing struct {
	layout  Layout
	rules   []Placed // the match rules, by order
	general []int    // of rules: those for more than one address
	ifaces  map[string]string
}

// service is the key of one.
type service struct {
	addr  netip.Addr
	proto model.Proto
	port  uint16
}

// Lay lays out a rule set.
func Lay(set model.RuleSet) Layout {
	p := placing{ifaces: flowIfaces(set)}
	p.layout.addrs, p.layout.services = make(map[netip.Addr]int), make(map[service]int)
	p.placeIgnores(set)
	addrs := make(map[netip.Addr][]int)
	var order []netip.Addr
	for i, r := range p.rules {
		a, exact := VIP(r.Rule)
		switch {
		case !exact:
			p.general = append(p.general, i)
			continue
		case addrs[a] == nil:
			order = append(order, a)
		}
		addrs[a] = append(addrs[a], i)
	}
	p.layout.General = p.list(p.general)
	slices.SortFunc(order, netip.Addr.Compare)
	for _, a := range order {
		p.addr(a, addrs[a])
	}
	return p.layout
}

// flowIfaces is the one interface that all match rules of a flow name, if they do.
func flowIfaces(set model.RuleSet) map[string]string {
	ifaces, several := make(map[string]string), make(map[string]bool)
	for _, r := range set.Rules {
		name, named := Iface(r.Rule)
		if r.Rule.Ignore {
			continue
		}
		first, seen := ifaces[r.Flow]
		several[r.Flow] = several[r.Flow] || !named || seen && name != first
		ifaces[r.Flow] = name
	}
	for flow := range several {
		if several[flow] {
			delete(ifaces, flow)
		}
	}
	return ifaces
}

// placeIgnores places the ignore rules of each flow, and notes for each match
// rule those before it.
func (p *placing) placeIgnores(set model.RuleSet) {
	first, flow := 0, ""
	for i, r := range set.Rules {
		if r.Flow != flow {
			first, flow = len(p.layout.Rules), r.Flow
		}
		placed := Placed{FlowRule: r, Order: i}
		if r.Rule.Ignore {
			p.layout.Rules = append(p.layout.Rules, placed)
			continue
		}
		placed.Ignores = Extent{first, len(p.layout.Rules) - first}
		p.rules = append(p.rules, placed)
	}
}

// list places rules one after the other.
func (p *placing) list(rules []int) Extent {
	at := Extent{len(p.layout.Rules), len(rules)}
	for _, i := range rules {
		p.layout.Rules = append(p.layout.Rules, p.rules[i])
	}
	placed := p.layout.Rules[at.First:]
	for i := len(placed) - 1; i >= 0; i-- {
		placed[i].Next = 1
		if i+1 < len(placed) && placed[i+1].Flow == placed[i].Flow {
			placed[i].Next += placed[i+1].Next
		}
	}
	return at
}

// addr places the rules of one destination.
func (p *placing) addr(a netip.Addr, all []int) {
	rest, services, keys := p.split(a, all)
	direct, last := Direct{}, math.MaxInt
	for _, i := range rest {
		if p.takesAll(i) { // nothing behind it is reached
			last = i
			break
		}
	}
	if len(rest) > 0 {
		direct = p.direct(rest[0], a, nil, nil)
	}
	entry := Addr{Addr: a}
	if i := slices.IndexFunc(all, func(i int) bool { return p.rules[i].Policy == model.PolicyDirector }); i >= 0 {
		entry.Director = p.rules[all[i]].Director
	}
	var listed []int
	behind := false // a service stands behind the first of the rest
	for _, i := range all {
		if i > last {
			break
		}
		behind = behind || len(rest) > 0 && i > rest[0] && isService(p.rules[i].Rule)
		if !isService(p.rules[i].Rule) || !p.covered(i, listed) {
			listed = append(listed, i)
		}
	}
	if direct.Is && (direct.Iface == "" || !behind) {
		entry.Direct = direct
	}
	places := make(map[int]int) // of listed rules
	if !entry.Direct.Is || entry.Direct.Iface != "" || len(services) > 0 && len(listed) > 1 {
		entry.List = p.list(listed)
		for n, i := range listed {
			places[i] = entry.List.First + n
			p.layout.Rules[places[i]].Service = isService(p.rules[i].Rule)
		}
	}
	for _, k := range keys {
		rules := services[k]
		for len(rules) > 0 && rules[len(rules)-1] > last {
			rules = rules[:len(rules)-1]
		}
		if len(rules) > 0 {
			entry.Services = true
			p.service(k, rules, rest, places)
		}
	}
	p.layout.addrs[a] = len(p.layout.Addrs)
	p.layout.Addrs = append(p.layout.Addrs, entry)
}

// ported are the protocols that have ports.
var ported = []model.Proto{model.ProtoTCP, model.ProtoUDP}

// split tells the services of a destination from its other rules.
func (p *placing) split(a netip.Addr, all []int) (rest []int, services map[service][]int, keys []service) {
	services = make(map[service][]int)
	for _, i := range all {
		r := p.rules[i].Rule
		if !isService(r) {
			rest = append(rest, i)
			continue
		}
		for _, proto := range ported {
			k := service{a, proto, r.DstPort.Value.First}
			if r.Proto.Set && r.Proto.Value != proto {
				continue
			}
			if services[k] == nil {
				keys = append(keys, k)
			}
			services[k] = append(services[k], i)
		}
	}
	return rest, services, keys
}

// isService tells whether a rule for a single destination is for one port only.
func isService(r model.Rule) bool {
	return r.DstPort.Set && !r.DstPort.Not && r.DstPort.Value.First == r.DstPort.Value.Last &&
		(!r.Proto.Set || !r.Proto.Not && (r.Proto.Value == model.ProtoTCP || r.Proto.Value == model.ProtoUDP))
}

// service places the rules of one service: a single one has a place already in
// its destination's list.
func (p *placing) service(k service, rules, rest []int, places map[int]int) {
	s := Service{Addr: k.addr, Proto: k.proto, Port: k.port, Direct: p.direct(rules[0], k.addr, &k, rest)}
	at, listed := places[rules[0]]
	switch {
	case s.Direct.Is && s.Direct.Iface == "":
	case len(rules) == 1 && listed:
		s.List = Extent{at, 1}
	default:
		s.List = p.list(rules)
	}
	p.layout.services[k] = len(p.layout.Services)
	p.layout.Services = append(p.layout.Services, s)
}

// takesAll tells whether a rule takes every packet that comes as far as to it.
func (p *placing) takesAll(i int) bool {
	r := p.rules[i].Rule
	return p.rules[i].Ignores.N == 0 && !r.Iface.Set && !r.Proto.Set && !r.Src.Set && !r.SrcPort.Set && !r.DstPort.Set && !r.ICMPType.Set
}

// covered tells whether what hides its ports never comes as far as to a rule,
// since an earlier one of the list takes it.
func (p *placing) covered(i int, listed []int) bool {
	b := p.rules[i]
	return slices.ContainsFunc(listed, func(j int) bool {
		a := p.rules[j]
		return (a.Ignores.N == 0 || a.Flow == b.Flow) &&
			implied(a.Rule.Iface, b.Rule.Iface) && implied(a.Rule.Proto, b.Rule.Proto) && implied(a.Rule.Src, b.Rule.Src)
	})
}

// implied tells whether every packet that meets condition b also meets a.
func implied[T comparable](a, b model.Cond[T]) bool { return !a.Set || a == b }

// mostBlockers is how many general rules are looked at for one that can come
// before a direct rule. Where there are more, all of them must be tried anyway.
const mostBlockers = 1000

// direct tells whether a rule, the first one of a destination or of one of its
// services, decides without any list. before are other rules of the destination.
func (p *placing) direct(i int, a netip.Addr, s *service, before []int) Direct {
	r := p.rules[i]
	d := Direct{Is: true, Rule: r.FlowRule, Iface: p.ifaces[r.Flow]}
	if name, named := Iface(r.Rule); r.Rule.Iface.Set && (!named || name != d.Iface) {
		return Direct{}
	}
	free := s != nil || !r.Rule.Proto.Set && !r.Rule.DstPort.Set
	if r.Policy != model.PolicyDirector || r.Ignores.N > 0 || !free || r.Rule.Src.Set || r.Rule.SrcPort.Set || r.Rule.ICMPType.Set {
		return Direct{}
	}
	for _, list := range [][]int{before, p.general} {
		for n, j := range list {
			if j > i {
				break
			}
			if n == mostBlockers || couldHold(p.rules[j].Rule, a, s) {
				return Direct{}
			}
		}
	}
	return d
}

// couldHold tells whether a rule can hold for a packet to a destination, of a
// service where one is given.
func couldHold(r model.Rule, a netip.Addr, s *service) bool {
	if !holdsAddr(r.Dst, a) {
		return false
	}
	if s == nil {
		return true
	}
	return (!r.Proto.Set || (r.Proto.Value == s.proto) != r.Proto.Not) && holdsPort(r.DstPort, s.port, true) &&
		(!r.ICMPType.Set || r.ICMPType.Not)
}
