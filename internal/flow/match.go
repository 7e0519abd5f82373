package flow

import (
	"net/netip"
	"slices"

	"fairlead/internal/model"
)

// Packet is what the rules look at.
type Packet struct {
	Iface            string // where it arrived
	Proto            uint8  // IP protocol number
	HidesProto       bool   // malformed IPv6: its extension headers do not lead to the protocol
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
	HasPorts         bool // false in a TCP or UDP fragment that is not the first
	ICMPType         uint8
	HasICMPType      bool // false in an ICMP fragment that is not the first
	// Later: ports and ICMP type are not to be seen, since the packet is a fragment
	// that is not the first, or malformed. Implied where TCP, UDP and ICMP lack theirs.
	Later bool
}

// proto is the protocol as rules name it: `icmp` is that of the packet's family, so
// ICMPv6 of IPv6, and what is not of its family is nothing that a rule can name.
func (p Packet) proto() uint8 {
	const icmp, icmpv6 = 1, 58
	switch {
	case !p.Dst.Is6():
	case p.Proto == icmpv6:
		return icmp
	case p.Proto == icmp:
		return icmpv6
	}
	return p.Proto
}

// later tells whether the packet hides its ports and its ICMP type.
func (p Packet) later() bool {
	if p.HidesProto {
		return true
	}
	switch p.proto() {
	case model.ProtoTCP.Number(), model.ProtoUDP.Number():
		return p.Later || !p.HasPorts
	case model.ProtoICMP.Number():
		return p.Later || !p.HasICMPType
	}
	return p.Later
}

// Match returns the rule that claims the packet: it is the specification of the
// flow manager. Within a flow the first rule that holds decides, and an ignore rule
// ends that flow only: the rules of later flows are still tried. Packets to the
// director's own addresses are nobody's, so that no rule locks its owner out.
func Match(set model.RuleSet, p Packet) (model.FlowRule, bool) {
	if slices.Contains(set.Own, p.Dst) {
		return model.FlowRule{}, false
	}
	exempt := "" // the flow that an ignore rule ended
	for _, r := range set.Rules {
		if r.Flow == exempt || !holds(r.Rule, p) {
			continue
		}
		if !r.Rule.Ignore {
			return r, true
		}
		exempt = r.Flow
	}
	return model.FlowRule{}, false
}

// holds tells whether all conditions of a rule hold.
func holds(r model.Rule, p Packet) bool {
	return (!r.Iface.Set || (r.Iface.Value == p.Iface) != r.Iface.Not) &&
		holdsProto(r, p) &&
		holdsAddr(r.Src, p.Src) &&
		holdsAddr(r.Dst, p.Dst) &&
		holdsTransport(r, p)
}

// holdsProto tells whether the condition on the protocol holds. One that is hidden is
// taken as ports are: see holdsTransport.
func holdsProto(r model.Rule, p Packet) bool {
	switch {
	case !r.Proto.Set || r.Proto.Value == model.ProtoAny:
		return true
	case p.HidesProto:
		return !r.Ignore
	}
	return (r.Proto.Value.Number() == p.proto()) != r.Proto.Not
}

func holdsAddr(c model.Cond[netip.Prefix], a netip.Addr) bool {
	return !c.Set || c.Value.Contains(a) != c.Not
}

// holdsTransport tells whether the conditions on ports and ICMP types hold. What
// a packet does not have is not equal to anything: a whole GRE packet fails
// `dstport 22` and meets `not dstport 22`.
//
// A fragment that is not the first (RFC 791 section 3.2) shows neither. All
// fragments of a claimed datagram must reach the same server, so a match rule
// takes it as if these conditions held, and an ignore rule lets it go as if they
// did not. The price: later fragments of a datagram that was ignored by its port
// can be claimed too; without the first one nobody can use them. The same holds of a
// malformed packet, so that nobody gets past a deny rule with a header that is cut
// short (RFC 1858).
func holdsTransport(r model.Rule, p Packet) bool {
	if p.later() && (r.SrcPort.Set || r.DstPort.Set || r.ICMPType.Set) {
		return !r.Ignore
	}
	return holdsPort(r.SrcPort, p.SrcPort, p.HasPorts) &&
		holdsPort(r.DstPort, p.DstPort, p.HasPorts) &&
		(!r.ICMPType.Set || (p.HasICMPType && r.ICMPType.Value == p.ICMPType) != r.ICMPType.Not)
}

func holdsPort(c model.Cond[model.Ports], port uint16, has bool) bool {
	return !c.Set || (has && c.Value.First <= port && port <= c.Value.Last) != c.Not
}
