package dataplane

import (
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"

	"fairlead/internal/flow"
	"fairlead/internal/model"
)

const (
	vipSlots      = len(directorFlowSet{}.Vips)
	vip6Slots     = len(directorRuleLists{}.Vips6)
	serviceSlots  = len(directorFlowSet{}.Services)
	maxRules      = len(directorRuleLists{}.Rules)
	maxFlows      = len(directorFlowSet{}.Ifaces) // index 0 is "no flow"
	maxDirectors  = len(directorSettings{}.Choices)
	maxServers    = 16 // of a director
	counterColumn = 16 // of the first server; the verdicts stand before
	columns       = counterColumn + maxServers
)

// be is an IPv4 address as the programme loads it from a packet.
func be(a netip.Addr) uint32 {
	b := a.As4()
	return binary.NativeEndian.Uint32(b[:])
}

func unbe(v uint32) netip.Addr {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], v)
	return netip.AddrFrom4(b)
}

// words are an address of either family as the programme stores it: see union
// address in bpf/parse.h.
func words(a netip.Addr) (w [4]uint32) {
	b := a.As16()
	for i := range w {
		w[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return w
}

func unwords(w [4]uint32) netip.Addr {
	var b [16]byte
	for i, word := range w {
		binary.NativeEndian.PutUint32(b[4*i:], word)
	}
	return netip.AddrFrom16(b).Unmap()
}

// halves are the same in two words.
func halves(a netip.Addr) [2]uint64 {
	b := a.As16()
	return [2]uint64{binary.NativeEndian.Uint64(b[:]), binary.NativeEndian.Uint64(b[8:])}
}

// indices give the programme's index of each name.
type indices struct {
	flows     map[string]uint16 // by flow and director
	directors map[string]uint8
	servers   map[model.ServerRef]uint8 // within the director
}

func flowName(flow, director string) string { return flow + ">" + director }

// compiled is the programme's form of a rule set.
type compiled struct {
	from   model.RuleSet
	ifaces map[string]uint32 // indices of the interfaces that rules name
	at     indices

	layout flow.Layout
	flows  *directorFlowSet
	lists  *directorRuleLists
	six    map[netip.Addr]int // slots of the IPv6 destinations
}

// serviceOfSix is SERVICE_OF_SIX of bpf/maps.h: a service of an IPv6 destination.
const serviceOfSix = 0x80

// nowhere is the index of an interface that does not exist: no packet comes from it.
const nowhere = math.MaxUint32

// ifaceIndices are the indices of the interfaces that rules name. One may come
// and go: whoever attaches says that it is missing.
func ifaceIndices(rs model.RuleSet) map[string]uint32 {
	all := map[string]uint32{}
	for _, r := range rs.Rules {
		name := r.Rule.Iface.Value
		if _, known := all[name]; known || !r.Rule.Iface.Set {
			continue
		}
		all[name] = nowhere
		if i, err := net.InterfaceByName(name); err == nil {
			all[name] = uint32(i.Index)
		}
	}
	return all
}

// compile makes the programme's form of a rule set, unless it is that of before.
func compile(rs model.RuleSet, at indices, before *compiled) (*compiled, error) {
	ifaces := ifaceIndices(rs)
	if before != nil && before.serves(rs, at) && maps.Equal(before.ifaces, ifaces) {
		return before, nil
	}
	c := &compiled{from: rs, ifaces: ifaces, at: at, layout: flow.Lay(rs), flows: new(directorFlowSet), lists: new(directorRuleLists)}
	if n := len(c.layout.Rules); n > maxRules {
		return nil, fmt.Errorf("apply the rules: they take %d places, the data plane has %d", n, maxRules)
	}
	for i, r := range c.layout.Rules {
		c.lists.Rules[i] = c.rule(r)
	}
	c.flows.General = extent(c.layout.General)
	if err := c.placeVIPs(); err != nil {
		return nil, err
	}
	return c, c.placeServices()
}

// serves tells whether it is the form of this rule set with these indices, too.
func (c *compiled) serves(rs model.RuleSet, at indices) bool {
	return sameRules(c.from.Rules, rs.Rules) && slices.Equal(c.from.VIPs, rs.VIPs) && slices.Equal(c.from.Own, rs.Own) &&
		slices.Equal(c.from.Ifaces, rs.Ifaces) && maps.Equal(c.at.flows, at.flows) && maps.Equal(c.at.directors, at.directors)
}

func extent(e flow.Extent) directorExtent {
	if e.N == 0 {
		return directorExtent{}
	}
	return directorExtent{First: uint16(e.First), Number: uint16(e.N)}
}

// emptyFlowSet claims nothing.
func emptyFlowSet() *directorFlowSet {
	c := compiled{flows: new(directorFlowSet), lists: new(directorRuleLists)}
	if err := c.placeVIPs(); err != nil {
		panic(err) // nothing has a place
	}
	return c.flows
}

// broadcast reaches the director like an address of its own: a lease may come so.
var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// placeVIPs puts every destination that rules name into its slot, and the
// director's own addresses.
func (c *compiled) placeVIPs() error {
	own := map[netip.Addr]bool{broadcast: true}
	for _, a := range c.from.Own {
		own[a] = true
	}
	announced := map[netip.Addr]bool{}
	for _, v := range c.from.VIPs {
		announced[v.Addr] = v.Announce
	}
	var four, six []destination
	place := func(d destination) {
		if d.addr.Is4() {
			four = append(four, d)
		} else {
			six = append(six, d)
		}
	}
	for a := range own {
		place(destination{addr: a, vip: directorVip{Flags: uint8(directorVipFlagsVIP_OWN)}})
	}
	for _, a := range c.layout.Addrs {
		if !own[a.Addr] {
			place(destination{a.Addr, c.vip(a, announced[a.Addr]), extent(a.List)})
		}
	}
	if err := c.placeFour(four); err != nil {
		return err
	}
	return c.placeSix(six)
}

// destination is an address that rules name, or one of the director's own.
type destination struct {
	addr netip.Addr
	vip  directorVip
	list directorExtent
}

func (c *compiled) placeFour(all []destination) error {
	keys := make([]uint64, len(all))
	for i, d := range all {
		keys[i] = uint64(be(d.addr))
	}
	multiplier, slots, err := lodge(keys, vipSlots)
	if err != nil {
		return fmt.Errorf("apply the destinations of the rules: %w", err)
	}
	c.flows.VipMultiplier = multiplier
	// The address 0.0.0.0 belongs to slot 0 whatever the multiplier, so that slot
	// must hold another one while it is empty.
	c.flows.Vips[0].Addr = foreign(multiplier, vipSlots)
	for i, slot := range slots {
		c.flows.Vips[slot] = all[i].vip
		c.flows.Vips[slot].Addr = be(all[i].addr)
		c.lists.OfVip[slot] = all[i].list
	}
	return nil
}

// placeSix does the same for IPv6. An empty slot holds the address ::, which is
// nobody's destination.
func (c *compiled) placeSix(all []destination) error {
	keys := make([]uint64, len(all))
	for i, d := range all {
		keys[i] = vip6Key(d.addr)
	}
	multiplier, slots, err := lodge(keys, vip6Slots)
	if err != nil {
		return fmt.Errorf("apply the IPv6 destinations of the rules: %w", err)
	}
	c.flows.Vip6Multiplier = multiplier
	c.six = make(map[netip.Addr]int, len(all))
	for i, slot := range slots {
		d := all[i]
		w := words(d.addr)
		entry := &c.lists.Vips6[slot]
		entry.Upper, entry.Vip.Addr = [3]uint32(w[:3]), w[3]
		entry.Vip.Flow, entry.Vip.Director, entry.Vip.Flags = d.vip.Flow, d.vip.Director, d.vip.Flags
		c.lists.OfVip[vipSlots+slot] = d.list
		c.six[d.addr] = slot
	}
	return nil
}

// vip is the entry of a destination, without its address. Who answers ARP or
// neighbour discovery for it is the director that its first rule leads to.
func (c *compiled) vip(a flow.Addr, announce bool) directorVip {
	v := directorVip{Director: c.at.directors[a.Director]}
	for _, f := range []struct {
		set  bool
		flag directorVipFlags
	}{
		{a.Director != "", directorVipFlagsVIP_CLAIMED},
		{announce, directorVipFlagsVIP_ANNOUNCE},
		{a.Services, directorVipFlagsVIP_SERVICES},
	} {
		if f.set {
			v.Flags |= uint8(f.flag)
		}
	}
	if a.Direct.Is {
		v.Director, v.Flow = c.direct(a.Direct, &v.Flags)
	}
	return v
}

// direct gives a destination or a service the flags of a direct one.
func (c *compiled) direct(d flow.Direct, flags *uint8) (director uint8, flowIndex uint16) {
	flowIndex = c.at.flows[flowName(d.Rule.Flow, d.Rule.Director)]
	*flags |= uint8(directorVipFlagsVIP_DIRECT)
	// Where the programme is attached to one interface, every packet is from there.
	if d.Iface != "" && (len(c.from.Ifaces) != 1 || c.from.Ifaces[0] != d.Iface) {
		*flags |= uint8(directorVipFlagsVIP_ON_IFACE)
		c.flows.Ifaces[flowIndex] = c.ifaces[d.Iface]
	}
	return c.at.directors[d.Rule.Director], flowIndex
}

// placeServices puts every service into its slot.
func (c *compiled) placeServices() error {
	var entries []directorService
	var keys []uint64
	for _, s := range c.layout.Services {
		list := extent(s.List)
		e := directorService{Port: swap16(s.Port), Protocol: s.Proto.Number(), First: list.First, Number: list.Number}
		if slot, six := c.six[s.Addr]; six {
			e.Addr, e.Protocol = uint32(slot), e.Protocol|serviceOfSix
		} else if s.Addr.Is4() {
			e.Addr = be(s.Addr)
		} else {
			continue // an address of the director's own
		}
		if s.Direct.Is {
			e.Director, e.Flow = c.direct(s.Direct, &e.Flags)
		}
		entries, keys = append(entries, e), append(keys, serviceKey(e))
	}
	multiplier, slots, err := lodge(keys, serviceSlots)
	if err != nil {
		return fmt.Errorf("apply the services of the rules: %w", err)
	}
	c.flows.ServiceMultiplier = multiplier
	for i, slot := range slots {
		c.flows.Services[slot] = entries[i]
	}
	return nil
}

func (c *compiled) rule(p flow.Placed) directorRule {
	r := p.Rule
	out := directorRule{
		Order: uint32(p.Order), Next: uint16(p.Next),
		IgnoresFirst: uint16(p.Ignores.First), Ignores: uint16(p.Ignores.N),
		Flow: c.at.flows[flowName(p.Flow, p.Director)], Director: c.at.directors[p.Director], Policy: uint8(policyOf(p.Policy)),
		Iface: c.ifaces[r.Iface.Value], Protocol: r.Proto.Value.Number(), IcmpType: r.ICMPType.Value,
		SourcePortFirst: r.SrcPort.Value.First, SourcePortLast: r.SrcPort.Value.Last,
		PortFirst: r.DstPort.Value.First, PortLast: r.DstPort.Value.Last,
	}
	if r.Ignore {
		out.Ignore = 1
	}
	if p.Service {
		out.Service = 1
	}
	out.Source, out.SourceMask, out.SourceSix = network(r.Src)
	out.Destination, out.DestinationMask, out.DestinationSix = network(r.Dst)
	for _, c := range []struct {
		set, not bool
		bit      directorCondition
	}{
		{r.Iface.Set, r.Iface.Not, directorConditionON_IFACE},
		{r.Proto.Set, r.Proto.Not, directorConditionON_PROTOCOL},
		{r.Src.Set, r.Src.Not, directorConditionON_SOURCE},
		{r.Dst.Set, r.Dst.Not, directorConditionON_DESTINATION},
		{r.SrcPort.Set, r.SrcPort.Not, directorConditionON_SOURCE_PORT},
		{r.DstPort.Set, r.DstPort.Not, directorConditionON_PORT},
		{r.ICMPType.Set, r.ICMPType.Not, directorConditionON_ICMP_TYPE},
	} {
		if c.set {
			out.Conditions |= uint8(c.bit)
		}
		if c.set && c.not {
			out.Negated |= uint8(c.bit)
		}
	}
	return out
}

func policyOf(p model.Policy) directorPolicy {
	switch p {
	case model.PolicyPermit:
		return directorPolicyPOLICY_PERMIT
	case model.PolicyDeny:
		return directorPolicyPOLICY_DENY
	default:
		return directorPolicyPOLICY_DIRECTOR
	}
}

// network is a condition on an address as the programme compares it.
func network(c model.Cond[netip.Prefix]) (addr, mask [2]uint64, six uint8) {
	if !c.Set {
		return addr, mask, six
	}
	prefix := c.Value.Masked()
	bits := prefix.Bits()
	if prefix.Addr().Is4() {
		bits += 96
	} else {
		six = 1
	}
	return halves(prefix.Addr()), halves(netip.AddrFrom16([16]byte(net.CIDRMask(bits, 128)))), six
}

// readVIPs lists the virtual IPs of a set.
func readVIPs(set *directorFlowSet, lists *directorRuleLists) map[netip.Addr]model.AppliedVIP {
	vips := map[netip.Addr]model.AppliedVIP{}
	for addr, v := range vipsOf(set, lists) {
		if v.Flags&uint8(directorVipFlagsVIP_CLAIMED) != 0 {
			vips[addr] = model.AppliedVIP{Announce: v.Flags&uint8(directorVipFlagsVIP_ANNOUNCE) != 0}
		}
	}
	return vips
}

// vipsOf walks the destinations of a set that hold anything, with their places in
// of_vip.
func vipsOf(set *directorFlowSet, lists *directorRuleLists) iter.Seq2[netip.Addr, placedVIP] {
	return func(yield func(netip.Addr, placedVIP) bool) {
		for i, v := range set.Vips {
			used := v.Flags != 0 || lists.OfVip[i].Number != 0
			if used && !yield(unbe(v.Addr), placedVIP{directorVip(v), i}) {
				return
			}
		}
		for i, v := range lists.Vips6 {
			vip := directorVip(v.Vip)
			used := vip.Flags != 0 || lists.OfVip[vipSlots+i].Number != 0
			if used && !yield(unwords([4]uint32{v.Upper[0], v.Upper[1], v.Upper[2], vip.Addr}), placedVIP{vip, vipSlots + i}) {
				return
			}
		}
	}
}

type placedVIP struct {
	directorVip
	place int // in of_vip
}

// readFlows lists the flows that have a rule in a set or its lists.
func readFlows(set *directorFlowSet, lists *directorRuleLists, names map[key]string) map[string]bool {
	const direct = uint8(directorVipFlagsVIP_DIRECT)
	var held [maxFlows]bool
	for _, v := range vipsOf(set, lists) {
		held[v.Flow] = held[v.Flow] || v.Flags&direct != 0
		for _, r := range lists.of(lists.OfVip[v.place]) {
			held[r.Flow] = true
		}
	}
	for i := range set.Services {
		s := &set.Services[i]
		held[s.Flow] = held[s.Flow] || s.Flags&direct != 0
		for _, r := range lists.of(directorExtent{First: s.First, Number: s.Number}) {
			held[r.Flow] = true
		}
	}
	for _, r := range lists.of(set.General) {
		held[r.Flow] = true
	}
	flows := map[string]bool{}
	for k, name := range names {
		if flow, _, _ := strings.Cut(name, ">"); k.kind == kindFlow && held[k.index] {
			flows[flow] = true
		}
	}
	return flows
}

// of are the rules of a list.
func (l *directorRuleLists) of(e directorExtent) []directorRule {
	return l.Rules[min(int(e.First), maxRules):min(int(e.First)+int(e.Number), maxRules)]
}
