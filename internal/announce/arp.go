package announce

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"fairlead/internal/model"
)

// arpLen is the length of an ARP packet for IPv4 on Ethernet (RFC 826);
// headerLen is that of the Ethernet header before it.
const (
	arpLen    = 28
	headerLen = 14
)

// The operations.
const (
	request uint16 = 1
	reply   uint16 = 2
)

// arp is an ARP packet for IPv4 on Ethernet.
type arp struct {
	op        uint16
	senderMAC model.MAC
	sender    netip.Addr
	targetMAC model.MAC
	target    netip.Addr
}

// fixed are the fields that never differ: Ethernet, IPv4, and the lengths of
// their addresses.
var fixed = [6]byte{0, 1, 8, 0, 6, 4}

var errNotARP = errors.New("not an ARP packet for IPv4 on Ethernet")

// parseARP reads a packet; what follows its 28 bytes is the frame's padding.
func parseARP(b []byte) (arp, error) {
	if len(b) < arpLen || [6]byte(b) != fixed {
		return arp{}, errNotARP
	}
	return arp{
		op:        binary.BigEndian.Uint16(b[6:]),
		senderMAC: model.MAC(b[8:14]),
		sender:    netip.AddrFrom4([4]byte(b[14:18])),
		targetMAC: model.MAC(b[18:24]),
		target:    netip.AddrFrom4([4]byte(b[24:28])),
	}, nil
}

// append appends the packet; both addresses must be IPv4.
func (p arp) append(b []byte) []byte {
	sender, target := p.sender.As4(), p.target.As4()
	b = append(b, fixed[:]...)
	b = binary.BigEndian.AppendUint16(b, p.op)
	b = append(b, p.senderMAC[:]...)
	b = append(b, sender[:]...)
	b = append(b, p.targetMAC[:]...)
	return append(b, target[:]...)
}

var broadcast = model.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// frame is the packet in a broadcast Ethernet frame.
func (p arp) frame() []byte {
	b := make([]byte, 0, headerLen+arpLen)
	b = append(b, broadcast[:]...)
	b = append(b, p.senderMAC[:]...)
	b = append(b, 0x08, 0x06)
	return p.append(b)
}

// probeOf asks whether somebody holds the address, without entering ours into
// anybody's cache: the sender is 0.0.0.0 (RFC 5227 section 2.1.1).
func probeOf(vip netip.Addr, mac model.MAC) arp {
	return arp{op: request, senderMAC: mac, sender: netip.IPv4Unspecified(), target: vip}
}

// announcementOf tells everybody that the address is ours (RFC 5227 section 2.3).
func announcementOf(vip netip.Addr, mac model.MAC) arp {
	return arp{op: request, senderMAC: mac, sender: vip, target: vip}
}

// unaskedOf is the same as a reply: some hosts heed only the one, some the other.
func unaskedOf(vip netip.Addr, mac model.MAC) arp {
	return arp{op: reply, senderMAC: mac, sender: vip, targetMAC: mac, target: vip}
}
