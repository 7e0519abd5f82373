package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"fairlead/internal/arp"
	"fairlead/internal/model"
)

// askARP asks who has the server's address, and waits for an answer. It does not
// touch the kernel's neighbour table.
func askARP(ctx context.Context, q question) (err error) {
	ifi, source, err := lead(q)
	if err != nil {
		return err
	}
	filter, err := bpf.Assemble(answers(q.addr))
	if err != nil {
		return fmt.Errorf("assemble the filter: %w", err)
	}
	conn, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ARP, &packet.Config{Filter: filter})
	if err != nil {
		return fmt.Errorf("open a packet socket on %s: %w", ifi.Name, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(unixEpoch) })()
	ask := arp.Packet{Op: arp.Request, SenderMAC: model.MAC(ifi.HardwareAddr), Sender: source, Target: q.addr}.Frame()
	frame := make([]byte, arp.HeaderLen+arp.Len)
	return repeat(ctx, conn, func() error {
		if _, err := conn.WriteTo(ask, &packet.Addr{HardwareAddr: arp.Broadcast[:]}); err != nil {
			return fmt.Errorf("send ARP on %s: %w", ifi.Name, err)
		}
		return nil
	}, func() (bool, error) {
		n, _, err := conn.ReadFrom(frame)
		if err != nil {
			return false, err
		}
		got, err := arp.Parse(frame[min(n, arp.HeaderLen):n])
		return err == nil && got.Op == arp.Reply && got.Sender == q.addr, nil
	})
}

// lead finds the interface to ask on, and the address to ask from.
func lead(q question) (*net.Interface, netip.Addr, error) {
	routes, err := netlink.RouteGet(q.addr.AsSlice())
	if err != nil {
		return nil, netip.Addr{}, err
	}
	source, _ := netip.AddrFromSlice(routes[0].Src.To4())
	if q.source.IsValid() {
		source = q.source
	}
	var ifi *net.Interface
	if q.Iface != "" {
		ifi, err = net.InterfaceByName(q.Iface)
	} else {
		ifi, err = net.InterfaceByIndex(routes[0].LinkIndex)
	}
	switch {
	case err != nil && q.Iface != "":
		return nil, source, wrong{said: "cannot be asked: this machine has no interface " + q.Iface}
	case err != nil:
		return nil, source, err
	case len(ifi.HardwareAddr) != len(model.MAC{}):
		return nil, source, wrong{said: fmt.Sprintf("cannot be asked by ARP: interface %s is no Ethernet", ifi.Name)}
	case !source.IsValid():
		return nil, source, wrong{said: fmt.Sprintf("cannot be asked by ARP: this machine has no IPv4 address towards it on %s", ifi.Name)}
	}
	return ifi, source, nil
}

// answers lets the replies of one address pass, and nothing else: every ARP packet
// of the segment comes to every packet socket.
func answers(of netip.Addr) []bpf.Instruction {
	const opAt, senderAt = arp.HeaderLen + 6, arp.HeaderLen + 14
	addr := of.As4()
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: opAt, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(arp.Reply), SkipTrue: 3},
		bpf.LoadAbsolute{Off: senderAt, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(addr[:]), SkipTrue: 1},
		bpf.RetConstant{Val: arp.HeaderLen + arp.Len},
		bpf.RetConstant{Val: 0},
	}
}
