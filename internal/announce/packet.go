package announce

import (
	"net/netip"

	"fairlead/internal/arp"
	"fairlead/internal/model"
	"fairlead/internal/nd"
)

// probeOf asks whether somebody holds the address, without entering ours into
// anybody's cache: the sender is 0.0.0.0 (RFC 5227 section 2.1.1).
func probeOf(vip netip.Addr, mac model.MAC) arp.Packet {
	unspecified := netip.IPv4Unspecified()
	if vip.Is6() {
		unspecified = netip.IPv6Unspecified()
	}
	return arp.Packet{Op: arp.Request, SenderMAC: mac, Sender: unspecified, Target: vip}
}

// announcementOf tells everybody that the address is ours (RFC 5227 section 2.3).
func announcementOf(vip netip.Addr, mac model.MAC) arp.Packet {
	return arp.Packet{Op: arp.Request, SenderMAC: mac, Sender: vip, Target: vip}
}

// unaskedOf is the same as a reply: some hosts heed only the one, some the other.
func unaskedOf(vip netip.Addr, mac model.MAC) arp.Packet {
	return arp.Packet{Op: arp.Reply, SenderMAC: mac, Sender: vip, TargetMAC: mac, Target: vip}
}

// announcementsOf are all that is sent to tell everybody.
func announcementsOf(vip netip.Addr, mac model.MAC) []arp.Packet {
	if vip.Is6() {
		return []arp.Packet{announcementOf(vip, mac)} // it has one form
	}
	return []arp.Packet{announcementOf(vip, mac), unaskedOf(vip, mac)}
}

// frameOf is a packet on its way, in the protocol of its address.
func frameOf(p arp.Packet) []byte {
	switch {
	case p.Target.Is4():
		return p.Frame()
	case p.Sender.IsUnspecified():
		return nd.Probe(p.Target, p.SenderMAC)
	}
	return nd.Announcement(p.Target, p.SenderMAC)
}

// meaning is a message of neighbour discovery in the words of ARP.
func meaning(m nd.Message) arp.Packet {
	p := arp.Packet{Op: arp.Request, SenderMAC: m.MAC, Sender: m.Source, Target: m.Target}
	if m.Advertisement {
		p.Op, p.Sender = arp.Reply, m.Target
	}
	return p
}
