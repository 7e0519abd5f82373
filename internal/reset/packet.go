package reset

import (
	"encoding/binary"
	"net/netip"

	"fairlead/internal/model"
)

// Lengths of headers without options. Timestamps cannot be forged, as nobody here
// saw the server's. A host may drop a tickle for want of them, but not a RST (RFC 7323
// section 3.2); Linux drops neither.
const (
	tcpLen  = 20
	fourLen = 20
	sixLen  = 40
	mostLen = sixLen + tcpLen // of a packet
)

const (
	flagRST = 0x04
	flagACK = 0x10
)

// segment is what differs between the packets that are sent.
type segment struct {
	from, to netip.AddrPort // both of one family
	seq, ack uint32
	flags    uint8
}

// resetOf is the RST for a connection whose client was seen to acknowledge. It
// has no ACK flag: a client that is already connecting anew from the same port
// ignores it (RFC 9293 section 3.10.7.3).
func resetOf(c model.Connection) segment {
	return segment{from: c.VIP, to: c.Client, seq: c.LastAck, flags: flagRST}
}

// tickleOf is the ACK that the client answers with its exact number. One below
// an acknowledged byte is below the window for certain; a number chosen blindly
// may fall into it, and is then not answered.
func tickleOf(c model.Connection) segment {
	s := segment{from: c.VIP, to: c.Client, flags: flagACK}
	if c.HasAck {
		s.seq = c.LastAck - 1
	}
	return s
}

const (
	protocolIPIP = 4
	protocolTCP  = 6
)

// putIPv4 writes a header of 20 bytes, which are 0 before.
func putIPv4(ip []byte, from, to netip.Addr, protocol byte, length uint16) {
	src, dst := from.As4(), to.As4()
	ip[0] = 4<<4 | 5 // version, header length in words
	binary.BigEndian.PutUint16(ip[2:], length)
	ip[6] = 0x40 // do not fragment; then no identification is needed (RFC 6864)
	ip[8] = 64   // time to live
	ip[9] = protocol
	copy(ip[12:], src[:])
	copy(ip[16:], dst[:])
	binary.BigEndian.PutUint16(ip[10:], checksum(0, ip[:20]))
}

// putIPv6 writes a header of 40 bytes, which are 0 before.
func putIPv6(ip []byte, from, to netip.Addr, protocol byte, payload uint16) {
	src, dst := from.As16(), to.As16()
	ip[0] = 6 << 4 // version
	binary.BigEndian.PutUint16(ip[4:], payload)
	ip[6] = protocol
	ip[7] = 64 // hop limit
	copy(ip[8:], src[:])
	copy(ip[24:], dst[:])
}

// put writes the packet with all its checksums, and returns it.
func (s segment) put(b *[mostLen]byte) []byte {
	*b = [mostLen]byte{}
	packet, addresses := b[:fourLen+tcpLen], b[12:fourLen]
	if s.from.Addr().Is4() {
		putIPv4(b[:], s.from.Addr(), s.to.Addr(), protocolTCP, fourLen+tcpLen)
	} else {
		packet, addresses = b[:sixLen+tcpLen], b[8:sixLen]
		putIPv6(b[:], s.from.Addr(), s.to.Addr(), protocolTCP, tcpLen)
	}
	tcp := packet[len(packet)-tcpLen:]
	be := binary.BigEndian
	be.PutUint16(tcp[0:], s.from.Port())
	be.PutUint16(tcp[2:], s.to.Port())
	be.PutUint32(tcp[4:], s.seq)
	be.PutUint32(tcp[8:], s.ack)
	tcp[12] = 5 << 4 // header length in words
	tcp[13] = s.flags
	// The pseudo-header: both addresses, the protocol and the TCP length.
	be.PutUint16(tcp[16:], checksum(sum(protocolTCP+tcpLen, addresses), tcp))
	return packet
}

// sum adds the 16-bit words of b, whose length is even, to a running sum.
func sum(total uint32, b []byte) uint32 {
	for i := 0; i < len(b); i += 2 {
		total += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return total
}

// checksum is the Internet checksum (RFC 1071) of b and what was summed before.
func checksum(total uint32, b []byte) uint16 {
	total = sum(total, b)
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return ^uint16(total)
}
