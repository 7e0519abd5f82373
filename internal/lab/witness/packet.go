package witness

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"fairlead/internal/lab/clock"
	"fairlead/internal/model"
)

// Flags of a TCP header (RFC 9293, section 3.1).
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// Tuple is one side of all connections that a client's port has with the
// service. The service's address is always the virtual IP.
type Tuple struct {
	Client     netip.Addr
	ClientPort uint16
	Port       uint16 // of the service
}

func (t Tuple) String() string {
	return fmt.Sprintf("%v to port %d", netip.AddrPortFrom(t.Client, t.ClientPort), t.Port)
}

// Packet is what is kept of a packet: small, since a run has some hundred
// thousand of them.
type Packet struct {
	At         clock.Instant
	Tuple      Tuple
	Seq        uint32
	Payload    uint32 // bytes
	Server     uint8  // on whose cable it was: an index
	FromServer bool
	Flags      uint8
}

// data tells whether a client's bytes are in the packet.
func (p Packet) data() bool { return !p.FromServer && p.Payload > 0 }

// bareEnd tells whether the packet only says that a connection ends. Such a one
// may follow an old connection to its server.
func (p Packet) bareEnd() bool {
	return p.Flags&(RST|FIN) != 0 && p.Flags&SYN == 0 && p.Payload == 0
}

// what says in words what the packet is.
func (p Packet) what() string {
	from := "a client's"
	if p.FromServer {
		from = "a server's"
	}
	flags := ""
	for i, name := range []string{"FIN", "SYN", "RST", "PSH", "ACK"} {
		if p.Flags&(1<<i) != 0 {
			flags += " " + name
		}
	}
	return fmt.Sprintf("%s%s with %d bytes, number %d", from, flags, p.Payload, p.Seq)
}

// opens tells whether the packet is a client's first of a connection.
func (p Packet) opens() bool { return !p.FromServer && p.Flags&(SYN|ACK) == SYN }

// Offsets in a frame.
const (
	ethernetLen  = 14
	offProtocol  = ethernetLen + 9
	offSource    = ethernetLen + 12
	offDest      = ethernetLen + 16
	sixLen       = 40 // of an IPv6 header
	offProtocol6 = ethernetLen + 6
	offSource6   = ethernetLen + 8
	offDest6     = ethernetLen + 24
	// headLen is what is kept of a frame: the longest headers, and some more.
	headLen = ethernetLen + outerLen + 60 + 20 + 2
	// outerLen is that of the header of a tunnel (IP in IP).
	outerLen = 20
)

// owned are the addresses that are no client's.
type owned struct{ vip, director netip.Addr }

// read reads a frame that was on the cable of a server. A bridge sends frames
// for an address that it does not know to all its ports; those for another
// server are not the server's. False: not a packet of the service.
func read(frame []byte, length int, mac model.MAC, own owned) (p Packet, ok bool) {
	if len(frame) > ethernetLen+outerLen && frame[offProtocol] == unix.IPPROTO_IPIP && frame[ethernetLen] == 0x45 && frame[12] == 8 {
		frame, length = append(frame[:ethernetLen:ethernetLen], frame[ethernetLen+outerLen:]...), length-outerLen
	}
	source, dest, header, total, ok := readIP(frame)
	if !ok {
		return p, false
	}
	tcp := frame[ethernetLen+header:]
	ports := [2]uint16{binary.BigEndian.Uint16(tcp), binary.BigEndian.Uint16(tcp[2:])}
	switch {
	case source == own.director || dest == own.director:
		return p, false // a check at the virtual IP
	case dest == own.vip && model.MAC(frame[:6]) == mac:
		p.Tuple = Tuple{source, ports[0], ports[1]}
	case source == own.vip && model.MAC(frame[6:12]) == mac:
		p.Tuple, p.FromServer = Tuple{dest, ports[1], ports[0]}, true
	default:
		return p, false
	}
	if total == 0 { // a large frame that the kernel has still to cut up
		total = length - ethernetLen
	}
	p.Payload = uint32(max(0, total-header-int(tcp[12]>>4)*4))
	p.Seq, p.Flags = binary.BigEndian.Uint32(tcp[4:]), tcp[13]&(FIN|SYN|RST|PSH|ACK)
	return p, true
}

// readIP reads the header before a TCP segment; total is the packet's length, and 0
// when it does not say. A later fragment is none: none of the lab's packets is one.
func readIP(frame []byte) (source, dest netip.Addr, header, total int, ok bool) {
	be := binary.BigEndian
	if len(frame) < ethernetLen+20 {
		return source, dest, 0, 0, false
	}
	switch be.Uint16(frame[12:]) {
	case unix.ETH_P_IP:
		header, total = int(frame[ethernetLen]&0xf)*4, int(be.Uint16(frame[ethernetLen+2:]))
		if frame[offProtocol] != unix.IPPROTO_TCP || len(frame) < ethernetLen+header+20 || be.Uint16(frame[ethernetLen+6:])&0x1fff != 0 {
			return source, dest, 0, 0, false
		}
		return netip.AddrFrom4([4]byte(frame[offSource:])), netip.AddrFrom4([4]byte(frame[offDest:])), header, total, true
	case unix.ETH_P_IPV6:
		if len(frame) < ethernetLen+sixLen+20 || frame[offProtocol6] != unix.IPPROTO_TCP {
			return source, dest, 0, 0, false
		}
		if total = int(be.Uint16(frame[ethernetLen+4:])); total > 0 {
			total += sixLen
		}
		return netip.AddrFrom16([16]byte(frame[offSource6:])), netip.AddrFrom16([16]byte(frame[offDest6:])), sixLen, total, true
	}
	return source, dest, 0, 0, false
}

// filter lets the kernel keep the heads of the service's TCP packets only.
func filter(vip netip.Addr) ([]unix.SockFilter, error) {
	// Of an address its last word is enough: read looks at the rest.
	all := vip.AsSlice()
	ip := binary.BigEndian.Uint32(all[len(all)-4:])
	kind, protocol, source, dest := uint32(unix.ETH_P_IP), uint32(offProtocol), uint32(offSource), uint32(offDest)
	if vip.Is6() {
		kind, protocol, source, dest = unix.ETH_P_IPV6, offProtocol6, offSource6+12, offDest6+12
	}
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: kind, SkipTrue: 8},
		bpf.LoadAbsolute{Off: protocol, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_IPIP, SkipTrue: 5}, // a tunnel's
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_TCP, SkipTrue: 5},
		bpf.LoadAbsolute{Off: source, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: ip, SkipTrue: 2},
		bpf.LoadAbsolute{Off: dest, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: ip, SkipTrue: 1},
		bpf.RetConstant{Val: headLen},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return nil, fmt.Errorf("assemble the capture's filter: %w", err)
	}
	out := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		out[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return out, nil
}
