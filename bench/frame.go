package main

import (
	"encoding/binary"
	"net/netip"

	"fairlead/internal/model"
)

// The scene: one virtual IP, two servers, clients of one network, one segment.
var (
	vip          = netip.MustParseAddr("192.168.10.50")
	vip6         = netip.MustParseAddr("2001:db8::50")
	firstClient6 = netip.MustParseAddr("2001:db8:1::")
	firstClient  = netip.MustParseAddr("10.0.0.0")
	clientMAC    = model.MAC{2, 0, 0, 0, 0, 2}
	directorMAC  = model.MAC{2, 0, 0, 0, 0, 1}
	serverMACs   = []model.MAC{{2, 0, 0, 1, 0, 1}, {2, 0, 0, 1, 0, 2}}
)

const (
	protocolTCP = 6
	protocolUDP = 17
	flagSYN     = 0x02
	flagACK     = 0x10
)

// packet is a kind of packet from a client to the virtual IP.
type packet struct {
	protocol byte
	flags    byte // of TCP
	length   int  // of the frame
	six      bool
}

// The lengths are those of Linux: a SYN with five options, an ACK with a
// timestamp, an ACK without options, a datagram of a full frame.
var (
	syn      = packet{protocolTCP, flagSYN, 74, false}
	ack      = packet{protocolTCP, flagACK, 66, false}
	shortACK = packet{protocolTCP, flagACK, 54, false}
	datagram = packet{protocol: protocolUDP, length: 1442}
	syn6     = packet{protocolTCP, flagSYN, 94, true}
	ack6     = packet{protocolTCP, flagACK, 86, true}
)

const (
	ethernetLength = 14
	ipv4Length     = 20
	ipv6Length     = 40
)

// frame builds the packet of the first client's first port.
func (p packet) frame() []byte {
	f := make([]byte, 0, p.length)
	f = append(f, directorMAC[:]...)
	f = append(f, clientMAC[:]...)
	if p.six {
		return p.appendSix(f)
	}
	f = append(f, 0x08, 0x00)
	f = append(f, 0x45, 0)
	f = binary.BigEndian.AppendUint16(f, uint16(p.length-ethernetLength))
	f = append(f, 0, 0, 0x40, 0) // do not fragment
	f = append(f, 64, p.protocol)
	f = append(f, 0, 0) // checksum: nobody on the way reads it
	f = append(f, firstClient.AsSlice()...)
	f = append(f, vip.AsSlice()...)
	return p.appendTransport(f, p.length-ethernetLength-ipv4Length)
}

func (p packet) appendSix(f []byte) []byte {
	f = append(f, 0x86, 0xdd, 0x60, 0, 0, 0)
	f = binary.BigEndian.AppendUint16(f, uint16(p.length-ethernetLength-ipv6Length))
	f = append(f, p.protocol, 64)
	f = append(append(f, firstClient6.AsSlice()...), vip6.AsSlice()...)
	return p.appendTransport(f, p.length-ethernetLength-ipv6Length)
}

// appendTransport appends what follows the IP header: so many bytes.
func (p packet) appendTransport(f []byte, length int) []byte {
	f = binary.BigEndian.AppendUint16(f, 512)
	f = binary.BigEndian.AppendUint16(f, model.NFSPort)
	if p.protocol == protocolUDP {
		f = binary.BigEndian.AppendUint16(f, uint16(length))
		return f[:p.length]
	}
	f = binary.BigEndian.AppendUint32(f, 1000) // sequence number
	f = binary.BigEndian.AppendUint32(f, 2000) // acknowledgment number
	f = append(f, byte(length)/4<<4, p.flags)
	f = binary.BigEndian.AppendUint16(f, 64240) // window
	return f[:p.length]
}

// macs are the first twelve bytes of a frame as two words of the machine.
func macs(destination, source model.MAC) (mac0 uint64, mac1 uint32) {
	f := append(destination[:], source[:]...)
	return binary.NativeEndian.Uint64(f), binary.NativeEndian.Uint32(f[8:])
}
