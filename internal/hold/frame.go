package hold

import "encoding/binary"

const (
	ethernet  = 14 // length of the header
	tcpLength = 20 // least
)

// tuple is a connection's addresses and ports, as they stand in the packet.
type tuple [12]byte

// tcpOf finds the IPv4 header and the TCP segment in a frame.
func tcpOf(frame []byte) (ip, tcp []byte, ok bool) {
	be := binary.BigEndian
	if len(frame) < ethernet+20 || be.Uint16(frame[12:]) != 0x0800 {
		return nil, nil, false
	}
	ip = frame[ethernet:]
	head, total := int(ip[0]&15)*4, int(be.Uint16(ip[2:]))
	const fragment = 0x3fff // more fragments, or an offset
	switch {
	case ip[0]>>4 != 4, head < 20, ip[9] != 6, be.Uint16(ip[6:])&fragment != 0:
		return nil, nil, false
	case total > len(ip), total < head+tcpLength:
		return nil, nil, false
	}
	return ip[:head], ip[head:total], true
}

func tupleOf(frame []byte) (t tuple, ok bool) {
	ip, tcp, ok := tcpOf(frame)
	if ok {
		copy(t[:8], ip[12:20])
		copy(t[8:], tcp[:4])
	}
	return t, ok
}

// complete finishes a TCP checksum that was left to hardware. A frame from a
// neighbour on the same machine, as containers and virtual machines are, may
// come with only its pseudo-header summed, and would be sent so. Any other
// checksum is left as it is: a wrong one stays wrong.
func complete(frame []byte) []byte {
	ip, tcp, ok := tcpOf(frame)
	if !ok {
		return frame
	}
	be := binary.BigEndian
	pseudo := fold(sum(sum(0, ip[12:20]), []byte{0, ip[9], byte(len(tcp) >> 8), byte(len(tcp))}))
	if be.Uint16(tcp[16:]) != pseudo {
		return frame
	}
	be.PutUint16(tcp[16:], ^fold(sum(0, tcp))) // the sum begins with the pseudo-header's
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
