package hold

import "encoding/binary"

const (
	ethernet  = 14 // length of the header
	tcpLength = 20 // least
	protocol  = 6  // TCP
)

// tuple is a connection's addresses and ports, as they stand in the packet.
type tuple [36]byte

// segment is a TCP segment, with what of the IP header goes into its checksum.
type segment struct {
	addresses, tcp []byte
}

// segmentOf finds the TCP segment in a frame of either family. A SYN of IPv6 with
// extension headers is none that is kept.
func segmentOf(frame []byte) (segment, bool) {
	if len(frame) < ethernet {
		return segment{}, false
	}
	switch binary.BigEndian.Uint16(frame[12:]) {
	case 0x0800:
		return segmentOfFour(frame[ethernet:])
	case 0x86dd:
		return segmentOfSix(frame[ethernet:])
	}
	return segment{}, false
}

func segmentOfFour(ip []byte) (segment, bool) {
	be := binary.BigEndian
	if len(ip) < 20 {
		return segment{}, false
	}
	head, total := int(ip[0]&15)*4, int(be.Uint16(ip[2:]))
	const fragment = 0x3fff // more fragments, or an offset
	switch {
	case ip[0]>>4 != 4, head < 20, ip[9] != protocol, be.Uint16(ip[6:])&fragment != 0:
		return segment{}, false
	case total > len(ip), total < head+tcpLength:
		return segment{}, false
	}
	return segment{ip[12:20], ip[head:total]}, true
}

func segmentOfSix(ip []byte) (segment, bool) {
	const head = 40
	if len(ip) < head {
		return segment{}, false
	}
	total := head + int(binary.BigEndian.Uint16(ip[4:]))
	if ip[0]>>4 != 6 || ip[6] != protocol || total > len(ip) || total < head+tcpLength {
		return segment{}, false
	}
	return segment{ip[8:head], ip[head:total]}, true
}

func tupleOf(frame []byte) (t tuple, ok bool) {
	s, ok := segmentOf(frame)
	if ok {
		copy(t[copy(t[:], s.addresses):], s.tcp[:4])
	}
	return t, ok
}

// complete finishes a TCP checksum that was left to hardware. A frame from a
// neighbour on the same machine, as containers and virtual machines are, may
// come with only its pseudo-header summed, and would be sent so. Any other
// checksum is left as it is: a wrong one stays wrong.
func complete(frame []byte) []byte {
	s, ok := segmentOf(frame)
	if !ok {
		return frame
	}
	be := binary.BigEndian
	pseudo := fold(sum(sum(0, s.addresses), []byte{0, protocol, byte(len(s.tcp) >> 8), byte(len(s.tcp))}))
	if be.Uint16(s.tcp[16:]) != pseudo {
		return frame
	}
	be.PutUint16(s.tcp[16:], ^fold(sum(0, s.tcp))) // the sum begins with the pseudo-header's
	return frame
}

// sum adds the 16-bit words of b to a running sum (RFC 1071).
func sum(total uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		total += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		total += uint32(b[0]) << 8
	}
	return total
}

func fold(total uint32) uint16 {
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}
