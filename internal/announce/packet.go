package announce

import (
	"net/netip"

	"fairlead/internal/arp"
	"fairlead/internal/model"
)

// probeOf asks whether somebody holds the address, without entering ours into
// anybody's cache: the sender is 0.0.0.0 (RFC 5227 section 2.1.1).
func probeOf(vip netip.Addr, mac model.MAC) arp.Packet {
	return arp.Packet{Op: arp.Request, SenderMAC: mac, Sender: netip.IPv4Unspecified(), Target: vip}
}

// announcementOf tells everybody that the address is ours (RFC 5227 section 2.3).
func announcementOf(vip netip.Addr, mac model.MAC) arp.Packet {
	return arp.Packet{Op: arp.Request, SenderMAC: mac, Sender: vip, Target: vip}
}

// unaskedOf is the same as a reply: some hosts heed only the one, some the other.
func unaskedOf(vip netip.Addr, mac model.MAC) arp.Packet {
	return arp.Packet{Op: arp.Reply, SenderMAC: mac, Sender: vip, TargetMAC: mac, Target: vip}
}
