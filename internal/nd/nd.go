// Package nd reads and writes the two messages of neighbour discovery that say who
// has an IPv6 address (RFC 4861). It opens no socket, and does not know why somebody
// sends one.
package nd

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"fairlead/internal/model"
)

// Lengths, in bytes.
const (
	headersLen = 14 + 40 // Ethernet, IPv6
	bareLen    = 24      // a message without options
	optionLen  = 8       // one that tells a MAC
)

// FrameLen is the length of the longest frame that this package makes.
const FrameLen = headersLen + bareLen + optionLen

const (
	icmpv6        = 58
	solicitation  = 135
	advertisement = 136
	override      = 0x20 // of an advertisement's flags
	sourceMAC     = 1    // options
	targetMAC     = 2
)

// Message is one of both.
type Message struct {
	Advertisement bool
	MAC           model.MAC  // of who sent it
	Source        netip.Addr // :: of a probe (RFC 4862 section 5.4.2)
	Target        netip.Addr
}

var (
	allNodes = netip.MustParseAddr("ff02::1")

	errNot = errors.New("not a neighbour solicitation or advertisement")
)

// AllNodesMAC is where frames to all nodes of a segment go.
var AllNodesMAC = model.MAC{0x33, 0x33, 0, 0, 0, 1}

// Group is the solicited-node multicast address of an address (RFC 4291 section
// 2.7.1), and the MAC that it has on Ethernet (RFC 2464 section 7): who may have
// the address listens there.
func Group(a netip.Addr) (netip.Addr, model.MAC) {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]}),
		model.MAC{0x33, 0x33, 0xff, b[13], b[14], b[15]}
}

// Probe is the frame that asks whether somebody has an address, without a word of
// who asks.
func Probe(target netip.Addr, mac model.MAC) []byte {
	group, to := Group(target)
	m := make([]byte, bareLen)
	m[0] = solicitation
	return frame(m, target, netip.IPv6Unspecified(), group, mac, to)
}

// Announcement is the frame that tells all nodes that an address is at this MAC
// (RFC 4861 section 7.2.6).
func Announcement(target netip.Addr, mac model.MAC) []byte {
	m := make([]byte, bareLen, bareLen+optionLen)
	m[0], m[4] = advertisement, override
	m = append(append(m, targetMAC, 1), mac[:]...)
	return frame(m, target, target, allNodes, mac, AllNodesMAC)
}

func frame(message []byte, target, src, dst netip.Addr, from, to model.MAC) []byte {
	be := binary.BigEndian
	a, s, d := target.As16(), src.As16(), dst.As16()
	copy(message[8:], a[:])
	b := make([]byte, 0, FrameLen)
	b = append(append(b, to[:]...), from[:]...)
	b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0)
	b = be.AppendUint16(b, uint16(len(message)))
	b = append(b, icmpv6, 255) // a router would lower the hop limit
	b = append(append(append(b, s[:]...), d[:]...), message...)
	be.PutUint16(b[headersLen+2:], ^sum(b))
	return b
}

// Parse reads a frame. What RFC 4861 sections 7.1.1 and 7.1.2 call invalid is an error.
func Parse(b []byte) (Message, error) {
	be := binary.BigEndian
	if len(b) < headersLen+bareLen || be.Uint16(b[12:]) != 0x86dd || b[14]>>4 != 6 || b[20] != icmpv6 || b[21] != 255 {
		return Message{}, errNot
	}
	length := int(be.Uint16(b[18:]))
	if length < bareLen || headersLen+length > len(b) {
		return Message{}, errNot
	}
	b = b[:headersLen+length]
	kind, code := b[headersLen], b[headersLen+1]
	if kind != solicitation && kind != advertisement || code != 0 || sum(b) != 0xffff {
		return Message{}, errNot
	}
	m := Message{
		Advertisement: kind == advertisement,
		MAC:           model.MAC(b[6:12]),
		Source:        netip.AddrFrom16([16]byte(b[22:38])),
		Target:        netip.AddrFrom16([16]byte(b[headersLen+8:])),
	}
	want := byte(sourceMAC)
	if m.Advertisement {
		want = targetMAC
	}
	for options := b[headersLen+bareLen:]; len(options) > 0; {
		if len(options) < optionLen || options[1] == 0 || int(options[1])*optionLen > len(options) {
			return Message{}, errNot
		}
		if options[0] == want && options[1] == 1 {
			m.MAC = model.MAC(options[2:8])
		}
		options = options[int(options[1])*optionLen:]
	}
	return m, nil
}

// sum is the Internet checksum's sum of a whole frame's message with its pseudo
// header (RFC 8200 section 8.1): 0xffff when the checksum in it is right.
func sum(b []byte) uint16 {
	total := uint32(icmpv6) + uint32(len(b)-headersLen)
	for words := b[22:]; len(words) > 0; {
		if len(words) == 1 {
			total += uint32(words[0]) << 8
			break
		}
		total += uint32(binary.BigEndian.Uint16(words))
		words = words[2:]
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}
