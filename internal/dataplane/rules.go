package dataplane

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"fairlead/internal/model"
)

const (
	vipSlots      = len(directorRuleSet{}.Vips)
	vipSlotBits   = 14
	rulesInSet    = len(directorRuleSet{}.Rules)
	rulesPerVIP   = 16
	maxFlows      = 256 // index 0 is "no flow"
	maxDirectors  = len(directorSettings{}.Choices)
	maxServers    = 16 // of a director
	counterColumn = 16 // of the first server; the verdicts stand before
	columns       = counterColumn + maxServers
)

// be is an address as the programme loads it from a packet.
func be(a netip.Addr) uint32 {
	b := a.As4()
	return binary.NativeEndian.Uint32(b[:])
}

func unbe(v uint32) netip.Addr {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], v)
	return netip.AddrFrom4(b)
}

func vipSlot(multiplier, addr uint32) int { return int(addr * multiplier >> (32 - vipSlotBits)) }

// emptyRuleSet claims nothing. The address 0.0.0.0 belongs to slot 0 whatever
// the multiplier, so that slot must hold another one.
func emptyRuleSet() directorRuleSet {
	set := directorRuleSet{Multiplier: 1}
	set.Vips[0].Addr = ^uint32(0)
	return set
}

// indices give the programme's index of each name.
type indices struct {
	flows     map[string]uint8 // by flow and director
	directors map[string]uint8
	servers   map[model.ServerRef]uint8 // within the director
}

func flowName(flow, director string) string { return flow + ">" + director }

// compileRules makes the programme's form of a rule set.
func compileRules(rs model.RuleSet, at indices) (directorRuleSet, error) {
	set := emptyRuleSet()
	set.Multiplier = multiplierFor(rs.VIPs)
	set.Vips[0].Addr = foreignAddr(set.Multiplier)
	next := 0
	for _, v := range rs.VIPs {
		slot := vipSlot(set.Multiplier, be(v.Addr))
		entry := directorVip{Addr: be(v.Addr)}
		if v.Announce {
			entry.Announce = 1
		}
		if v.Plain(rs.Ifaces) {
			entry.Director = at.directors[v.Rules[0].Director]
			entry.Flow = at.flows[flowName(v.Rules[0].Flow, v.Rules[0].Director)]
			set.Vips[slot] = entry
			continue
		}
		if len(v.Rules) > rulesPerVIP || next+len(v.Rules) > rulesInSet {
			return set, fmt.Errorf("apply the rules of %s: %d rules are more than the data plane holds", v.Addr, len(v.Rules))
		}
		entry.Rules = uint8(len(v.Rules))
		set.Vips[slot] = entry
		set.First[slot] = uint16(next)
		for _, r := range v.Rules {
			rule, err := compileRule(r, at)
			if err != nil {
				return set, err
			}
			set.Rules[next] = rule
			next++
		}
	}
	return set, nil
}

// multiplierFor finds a multiplier that gives every address a slot of its own.
func multiplierFor(vips []model.VIP) uint32 {
	for x := uint64(1); ; x++ {
		// splitmix64: any well-mixed odd number will do
		z := x * 0x9E3779B97F4A7C15
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		multiplier := uint32(z>>32) | 1
		used := map[int]bool{}
		for _, v := range vips {
			used[vipSlot(multiplier, be(v.Addr))] = true
		}
		if len(used) == len(vips) {
			return multiplier
		}
	}
}

// foreignAddr is an address that does not belong to slot 0.
func foreignAddr(multiplier uint32) uint32 {
	a := ^uint32(0)
	for vipSlot(multiplier, a) == 0 {
		a--
	}
	return a
}

func compileRule(v model.VIPRule, at indices) (directorRule, error) {
	r := v.Rule
	out := directorRule{
		Director: at.directors[v.Director],
		Flow:     at.flows[flowName(v.Flow, v.Director)],
		Protocol: r.Proto.Value.Number(),
		IcmpType: r.ICMPType.Value,
	}
	if r.Ignore {
		out.Ignore = 1
	}
	out.SourcePortFirst, out.SourcePortLast = r.SrcPort.Value.First, r.SrcPort.Value.Last
	out.PortFirst, out.PortLast = r.DstPort.Value.First, r.DstPort.Value.Last
	if r.Src.Set {
		prefix := r.Src.Value.Masked()
		out.Source = be(prefix.Addr())
		out.SourceMask = binary.NativeEndian.Uint32(net.CIDRMask(prefix.Bits(), 32))
	}
	if r.Iface.Set {
		i, err := net.InterfaceByName(r.Iface.Value)
		if err != nil {
			return out, fmt.Errorf("apply a rule of flow %s: interface %s: %w", v.Flow, r.Iface.Value, err)
		}
		out.Iface = uint32(i.Index)
	}
	for _, c := range []struct {
		set, not bool
		bit      directorCondition
	}{
		{r.Iface.Set, r.Iface.Not, directorConditionON_IFACE},
		{r.Proto.Set, r.Proto.Not, directorConditionON_PROTOCOL},
		{r.Src.Set, r.Src.Not, directorConditionON_SOURCE},
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
	return out, nil
}

// readVIPs lists the virtual IPs of a set.
func readVIPs(set *directorRuleSet) map[netip.Addr]model.AppliedVIP {
	vips := map[netip.Addr]model.AppliedVIP{}
	for slot := range set.Vips {
		if v := &set.Vips[slot]; (v.Addr != 0 || slot == 0) && vipSlot(set.Multiplier, v.Addr) == slot {
			vips[unbe(v.Addr)] = model.AppliedVIP{Announce: v.Announce != 0}
		}
	}
	return vips
}
