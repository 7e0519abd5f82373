package model

import (
	"encoding/binary"
	"net/netip"
)

// VIPTest is a test that is also made at a virtual IP on the server, over the path
// that clients' packets take.
type VIPTest struct {
	VIP netip.Addr
	Test
}

// Path is how a check reaches a virtual IP on one server: by that server, as if it
// were a router to it.
type Path struct {
	Server netip.Addr // of the virtual IP's family
	VIP    netip.Addr
	Iface  string
}

// Mark is the mark of the packets that take the paths by a server, and the number of
// its routing table: its address as a number. So nobody has to remember which is whose.
// Of IPv6 it is a hash, among the numbers that no server's IPv4 address has (240.0.0.0
// and above).
func (p Path) Mark() uint32 {
	if p.Server.Is6() {
		const offset, prime = 0x811c9dc5, 0x01000193 // FNV-1a
		h, all := uint32(offset), p.Server.As16()
		for _, b := range all {
			h = (h ^ uint32(b)) * prime
		}
		return 0xf0000000 | (h^h>>28)&0x0fffffff
	}
	a := p.Server.As4()
	return binary.BigEndian.Uint32(a[:])
}
