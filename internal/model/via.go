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
	Server netip.Addr // IPv4
	VIP    netip.Addr
	Iface  string
}

// Mark is the mark of the packets that take the paths by a server, and the number of
// its routing table: its address as a number. So nobody has to remember which is whose.
func (p Path) Mark() uint32 {
	a := p.Server.As4()
	return binary.BigEndian.Uint32(a[:])
}
