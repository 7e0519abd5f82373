// Package arp reads and writes ARP packets for IPv4 on Ethernet. It opens no socket,
// and does not know why somebody sends one.
package arp

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"fairlead/internal/model"
)

// Len is the length of an ARP packet for IPv4 on Ethernet (RFC 826);
// HeaderLen is that of the Ethernet header before it.
const (
	Len       = 28
	HeaderLen = 14
)

// The operations.
const (
	Request uint16 = 1
	Reply   uint16 = 2
)

// Packet is an ARP packet for IPv4 on Ethernet.
type Packet struct {
	Op        uint16
	SenderMAC model.MAC
	Sender    netip.Addr
	TargetMAC model.MAC
	Target    netip.Addr
}

// fixed are the fields that never differ: Ethernet, IPv4, and the lengths of
// their addresses.
var fixed = [6]byte{0, 1, 8, 0, 6, 4}

var errNotARP = errors.New("not an ARP packet for IPv4 on Ethernet")

// Parse reads a packet; what follows its 28 bytes is the frame's padding.
func Parse(b []byte) (Packet, error) {
	if len(b) < Len || [6]byte(b) != fixed {
		return Packet{}, errNotARP
	}
	return Packet{
		Op:        binary.BigEndian.Uint16(b[6:]),
		SenderMAC: model.MAC(b[8:14]),
		Sender:    netip.AddrFrom4([4]byte(b[14:18])),
		TargetMAC: model.MAC(b[18:24]),
		Target:    netip.AddrFrom4([4]byte(b[24:28])),
	}, nil
}

// Append appends the packet; both addresses must be IPv4.
func (p Packet) Append(b []byte) []byte {
	sender, target := p.Sender.As4(), p.Target.As4()
	b = append(b, fixed[:]...)
	b = binary.BigEndian.AppendUint16(b, p.Op)
	b = append(b, p.SenderMAC[:]...)
	b = append(b, sender[:]...)
	b = append(b, p.TargetMAC[:]...)
	return append(b, target[:]...)
}

// Broadcast is everybody's MAC.
var Broadcast = model.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Frame is the packet in a broadcast Ethernet frame.
func (p Packet) Frame() []byte {
	b := make([]byte, 0, HeaderLen+Len)
	b = append(b, Broadcast[:]...)
	b = append(b, p.SenderMAC[:]...)
	b = append(b, 0x08, 0x06)
	return p.Append(b)
}
