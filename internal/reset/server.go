package reset

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// The lengths of the parts of a frame.
const (
	etherLen = 14
	outerLen = 20 // of what a tunnel puts before a packet
)

// serverReset is the RST for the old server's end: it accepts the sequence
// number that it expects of the client next.
func serverReset(c model.Connection) segment {
	return segment{from: c.Client, to: c.VIP, seq: c.Next, flags: flagRST}
}

// serverTickle makes the old server answer the client with its exact numbers,
// past the director. The client, which has no such connection any more, answers
// with the exact RST, and the data plane still takes that to its server.
func serverTickle(c model.Connection) segment {
	return segment{from: c.Client, to: c.VIP, seq: c.Next - 1, ack: c.LastAck, flags: flagACK}
}

// SendServers sends the servers of connections their packets, on the interface
// that leads to them, and returns for how many connections the kernel took them
// all. The virtual IP is routed to nobody from here, so frames are sent; a
// connection whose server's MAC is not known is left out.
func (s *Sender) SendServers(iface string, orders []Order) (sent int, err error) {
	link, err := net.InterfaceByName(iface)
	if err != nil {
		return 0, fmt.Errorf("send resets to servers on %s: %w", iface, err)
	}
	to := &unix.SockaddrLinklayer{Ifindex: link.Index}
	var bad failures
	for i, o := range orders {
		c := o.Connection
		if !ofOneFamily(c) {
			bad.add(i, c.VIP, errMixed)
			continue
		}
		if !c.ServerMAC.Known() {
			bad.add(i, c.VIP, errNoServer)
			continue
		}
		if o.RST {
			bad.note(i, c.VIP, s.sendFrame(to, c, serverReset(c)))
		}
		if o.Tickle {
			bad.note(i, c.VIP, s.sendFrame(to, c, serverTickle(c)))
		}
	}
	return bad.survivors(len(orders)), bad.err("servers", 0)
}

var errNoServer = errors.New("the server's MAC address is not known")

// note adds an error, if there is one.
func (f *failures) note(index int, to netip.AddrPort, err error) {
	if err != nil {
		f.add(index, to, err)
	}
}

// frameTo is a packet in a frame to the server of a connection, perhaps by its tunnel.
func frameTo(room *[etherLen + outerLen + mostLen]byte, c model.Connection, seg segment) []byte {
	frame := room[:etherLen]
	copy(frame[0:], c.ServerMAC[:])
	copy(frame[6:], c.SourceMAC[:])
	if frame[12], frame[13] = 0x08, 0x00; seg.to.Addr().Is6() {
		frame[12], frame[13] = 0x86, 0xdd
	}
	if c.Tunnel != (model.Tunnel{}) { // of IPv4
		frame = room[:etherLen+outerLen]
		putIPv4(frame[etherLen:], c.Tunnel.Source, c.Tunnel.Server, protocolIPIP, outerLen+fourLen+tcpLen)
	}
	inner := len(frame)
	packet := seg.put((*[mostLen]byte)(room[inner:]))
	return room[:inner+len(packet)]
}

// sendFrame sends one packet in a frame to the server of a connection.
func (s *Sender) sendFrame(to *unix.SockaddrLinklayer, c model.Connection, seg segment) error {
	var room [etherLen + outerLen + mostLen]byte
	return transmit(s.frames, frameTo(&room, c, seg), to)
}
