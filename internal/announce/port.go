package announce

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"fairlead/internal/arp"
	"fairlead/internal/nd"
)

// port sends and receives packets of one protocol on one interface.
type port struct {
	door
	index  int
	conn   *packet.Conn
	groups *groups // nil: none is needed
}

// heard is what a port received, or that it received its last.
type heard struct {
	port *port
	arp  arp.Packet
	err  error
}

var (
	errGone = errors.New("does not exist")
	errDown = errors.New("is down")
)

// find finds an interface that can be used.
func find(iface string) (*net.Interface, error) {
	ifi, err := net.InterfaceByName(iface)
	switch {
	case err != nil:
		return nil, fmt.Errorf("interface %s %w", iface, errGone)
	case ifi.Flags&net.FlagUp == 0:
		return nil, fmt.Errorf("interface %s %w", iface, errDown)
	}
	return ifi, nil
}

// openPort opens a packet socket in the network namespace of the calling thread.
func openPort(d door) (*port, error) {
	ifi, err := find(d.iface)
	if err != nil {
		return nil, err
	}
	only, protocol := onlyARP, unix.ETH_P_ARP
	if d.six {
		only, protocol = onlyDiscovery, unix.ETH_P_IPV6
	}
	filter, err := bpf.Assemble(only)
	if err != nil {
		return nil, fmt.Errorf("assemble the filter for %s: %w", d.protocol(), err)
	}
	conn, err := packet.Listen(ifi, packet.Raw, protocol, &packet.Config{Filter: filter})
	if err != nil {
		return nil, fmt.Errorf("open a packet socket on %s: %w", d.iface, err)
	}
	p := &port{door: d, index: ifi.Index, conn: conn}
	if d.six {
		p.groups, err = openGroups(ifi)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return p, nil
}

// join listens where an address is asked for: ARP comes to all, neighbour discovery to
// a group.
func (p *port) join(vip netip.Addr) error {
	if p.groups == nil {
		return nil
	}
	return p.groups.join(vip)
}

func (p *port) leave(vip netip.Addr) error {
	if p.groups == nil {
		return nil
	}
	return p.groups.leave(vip)
}

// onlyARP lets ARP for IPv4 on Ethernet pass, without the frame's padding.
var onlyARP = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 12, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_ARP, SkipTrue: 3},
	bpf.LoadAbsolute{Off: arp.HeaderLen, Size: 4},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 1<<16 | unix.ETH_P_IP, SkipTrue: 1},
	bpf.RetConstant{Val: arp.HeaderLen + arp.Len},
	bpf.RetConstant{Val: 0},
}

// onlyDiscovery lets solicitations and advertisements of neighbour discovery pass that
// no router forwarded.
var onlyDiscovery = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 12, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IPV6, SkipTrue: 6},
	bpf.LoadAbsolute{Off: 20, Size: 2}, // next header, hop limit
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMPV6<<8 | 255, SkipTrue: 4},
	bpf.LoadAbsolute{Off: 54, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpLessThan, Val: 135, SkipTrue: 2},
	bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: 136, SkipTrue: 1},
	bpf.RetConstant{Val: discoveryMost},
	bpf.RetConstant{Val: 0},
}

// discoveryMost is more than any sound message of neighbour discovery is long.
const discoveryMost = 1514

// packetOf reads a frame.
func (p *port) packetOf(frame []byte) (arp.Packet, error) {
	if !p.six {
		return arp.Parse(frame[min(len(frame), arp.HeaderLen):])
	}
	m, err := nd.Parse(frame)
	return meaning(m), err
}

// read hands on what the port receives until it is closed or its interface
// fails.
func (p *port) read(ctx context.Context, out chan<- heard) {
	b := make([]byte, discoveryMost)
	for {
		h := heard{port: p}
		var n int
		if n, _, h.err = p.conn.ReadFrom(b); h.err == nil {
			var err error
			if h.arp, err = p.packetOf(b[:n]); err != nil {
				continue
			}
		}
		select {
		case out <- h:
		case <-ctx.Done():
			return
		}
		if h.err != nil {
			return
		}
	}
}

func (p *port) send(a arp.Packet) error {
	frame := frameOf(a)
	_, err := p.conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]})
	if err != nil {
		return fmt.Errorf("send %s on %s: %w", p.protocol(), p.iface, err)
	}
	return nil
}

func (p *port) close() {
	p.conn.Close()
	if p.groups != nil {
		p.groups.close()
	}
}
