package knock

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"fairlead/internal/arp"
	"fairlead/internal/model"
	"fairlead/internal/nd"
)

// The lengths of headers, in bytes, without options.
const (
	headerLen = arp.HeaderLen // Ethernet
	ipLen     = 20
	tcpLen    = 20
	icmpLen   = 8
	stampLen  = 20 // an ICMP timestamp message, RFC 792
)

// ethernet begins a frame.
func ethernet(to, from model.MAC, kind uint16, room int) []byte {
	b := make([]byte, 0, headerLen+room)
	b = append(append(b, to[:]...), from[:]...)
	return binary.BigEndian.AppendUint16(b, kind)
}

// whoHas asks who holds an address: by ARP in the name of the interface's own, by
// neighbour discovery in nobody's.
func (f From) whoHas(addr netip.Addr) []byte {
	if addr.Is6() {
		return nd.Probe(addr, f.MAC)
	}
	return f.arpRequest(addr)
}

// holder reads who answered that it holds an address.
func holder(b []byte, addr netip.Addr) (model.MAC, bool) {
	if !addr.Is6() {
		return arpReply(b, addr)
	}
	m, err := nd.Parse(b)
	if err != nil || !m.Advertisement || m.Target != addr {
		return model.MAC{}, false
	}
	return m.MAC, true
}

// arpRequest asks who holds an address, in the name of the interface's own.
func (f From) arpRequest(addr netip.Addr) []byte {
	return arp.Packet{Op: arp.Request, SenderMAC: f.MAC, Sender: f.Addr, Target: addr}.Frame()
}

// arpReply reads who answered that it holds an address.
func arpReply(b []byte, addr netip.Addr) (model.MAC, bool) {
	if binary.BigEndian.Uint16(b[12:]) != unix.ETH_P_ARP {
		return model.MAC{}, false
	}
	p, err := arp.Parse(b[headerLen:])
	if err != nil || p.Op != arp.Reply || p.Sender != addr {
		return model.MAC{}, false
	}
	return p.SenderMAC, true
}

// ip begins a frame with an IPv4 packet that must not be broken up.
func (f From) ip(to model.MAC, dst netip.Addr, protocol, ttl uint8, payload int) []byte {
	b := ethernet(to, f.MAC, unix.ETH_P_IP, ipLen+payload)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(ipLen+payload))
	b = append(b, 0, 0, 0x40, 0, ttl, protocol, 0, 0) // no identification; DF; the checksum follows
	b = append(append(b, f.Addr.AsSlice()...), dst.AsSlice()...)
	binary.BigEndian.PutUint16(b[headerLen+10:], checksum(0, b[headerLen:]))
	return b
}

// checksum is the Internet checksum (RFC 1071) of b, begun with sum.
func checksum(sum uint32, b []byte) uint16 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// The flags of TCP.
const (
	flagSYN = 2
	flagRST = 4
	flagACK = 16
)

// segment is a TCP segment without data. It must not be forwarded (TTL 1): a host
// that lacks the address could hand it to one that has it.
func (f From) segment(to model.MAC, dst netip.AddrPort, port uint16, seq uint32, flags uint8) []byte {
	const options = 4
	b := f.ip(to, dst.Addr(), unix.IPPROTO_TCP, 1, tcpLen+options)
	at := len(b)
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint32(b, seq)
	b = append(b, 0, 0, 0, 0, (tcpLen+options)/4<<4, flags, 0x40, 0, 0, 0, 0, 0)
	b = append(b, 2, 4, 0x05, 0xb4) // maximum segment size 1460
	pseudo := uint32(unix.IPPROTO_TCP) + uint32(len(b)-at)
	for _, a := range [][4]byte{f.Addr.As4(), dst.Addr().As4()} {
		pseudo += uint32(binary.BigEndian.Uint16(a[:])) + uint32(binary.BigEndian.Uint16(a[2:]))
	}
	binary.BigEndian.PutUint16(b[at+16:], checksum(pseudo, b[at:]))
	return b
}

// icmp is an ICMP message: kind and code 0, then an identifier, a sequence number
// and more.
func (f From) icmp(to model.MAC, dst netip.Addr, kind uint8, id, seq uint16, more []byte) []byte {
	b := f.ip(to, dst, unix.IPPROTO_ICMP, 64, icmpLen+len(more))
	at := len(b)
	b = append(b, kind, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, id)
	b = binary.BigEndian.AppendUint16(b, seq)
	b = append(b, more...)
	binary.BigEndian.PutUint16(b[at+2:], checksum(0, b[at:]))
	return b
}

// packetOf reads an IPv4 packet's source, protocol and payload, which may be cut.
func packetOf(b []byte) (src netip.Addr, protocol uint8, payload []byte) {
	if len(b) < ipLen || b[0]>>4 != 4 {
		return src, 0, nil
	}
	n := int(b[0]&15) * 4
	if n < ipLen || len(b) < n {
		return src, 0, nil
	}
	return netip.AddrFrom4([4]byte(b[12:])), b[9], b[n:]
}

// inside reads the packet in a frame.
func inside(frame []byte) (src netip.Addr, protocol uint8, payload []byte) {
	if binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_IP {
		return src, 0, nil
	}
	return packetOf(frame[headerLen:])
}

// mss reads the maximum segment size of a TCP header; 0: it does not say.
func mss(tcp []byte) int {
	if len(tcp) < tcpLen {
		return 0
	}
	end := min(int(tcp[12]>>4)*4, len(tcp))
	for i := tcpLen; i < end; {
		switch {
		case tcp[i] == 0:
			return 0
		case tcp[i] == 1:
			i++
		case i+1 >= end || tcp[i+1] < 2:
			return 0
		case tcp[i] == 2 && tcp[i+1] == 4 && i+4 <= end:
			return int(binary.BigEndian.Uint16(tcp[i+2:]))
		default:
			i += int(tcp[i+1])
		}
	}
	return 0
}
