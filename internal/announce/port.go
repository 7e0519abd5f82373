package announce

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"fairlead/internal/arp"
)

// port sends and receives ARP packets on one interface.
type port struct {
	iface string
	index int
	conn  *packet.Conn
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
func openPort(iface string) (*port, error) {
	ifi, err := find(iface)
	if err != nil {
		return nil, err
	}
	filter, err := bpf.Assemble(onlyARP)
	if err != nil {
		return nil, fmt.Errorf("assemble the ARP filter: %w", err)
	}
	conn, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ARP, &packet.Config{Filter: filter})
	if err != nil {
		return nil, fmt.Errorf("open a packet socket on %s: %w", iface, err)
	}
	return &port{iface: iface, index: ifi.Index, conn: conn}, nil
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

// read hands on what the port receives until it is closed or its interface
// fails.
func (p *port) read(ctx context.Context, out chan<- heard) {
	b := make([]byte, arp.HeaderLen+arp.Len)
	for {
		h := heard{port: p}
		var n int
		if n, _, h.err = p.conn.ReadFrom(b); h.err == nil {
			var err error
			if h.arp, err = arp.Parse(b[min(n, arp.HeaderLen):n]); err != nil {
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
	_, err := p.conn.WriteTo(a.Frame(), &packet.Addr{HardwareAddr: arp.Broadcast[:]})
	if err != nil {
		return fmt.Errorf("send ARP on %s: %w", p.iface, err)
	}
	return nil
}

func (p *port) close() { p.conn.Close() }
