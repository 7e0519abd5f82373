// Package knock asks hosts of the same Ethernet segment with single frames: who
// answers ARP for an address, whether one host accepts connections at an address
// that several have, how long a frame may be on the way to it, and what its clock
// says. Of IPv6 it asks only who answers neighbour discovery.
//
// The frames are addressed to the host's MAC, past the kernel's routes, so nothing
// has to be changed for them and nothing stays behind: no route, no rule, no
// connection. What the answers mean is for others to say.
package knock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// Each question is asked up to tries times, and each time an answer is awaited
// for so long.
const (
	tries = 3
	wait  = 400 * time.Millisecond
)

// From is the interface that the frames leave by.
type From struct {
	Index int
	MAC   model.MAC
	Addr  netip.Addr // of the interface and the family that is asked: the answers go there
}

// filter lets ARP pass, and IPv4 to the address; or else neighbour advertisements,
// which go to all nodes when nobody is told who asks.
func (f From) filter() []bpf.Instruction {
	if f.Addr.Is6() {
		return []bpf.Instruction{
			bpf.LoadAbsolute{Off: 12, Size: 2},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IPV6, SkipTrue: 3},
			bpf.LoadAbsolute{Off: 20, Size: 1},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMPV6, SkipTrue: 1},
			bpf.RetConstant{Val: 256},
			bpf.RetConstant{Val: 0},
		}
	}
	addr := f.Addr.As4()
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_ARP, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IP, SkipTrue: 3},
		bpf.LoadAbsolute{Off: 30, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(addr[0])<<24 | uint32(addr[1])<<16 | uint32(addr[2])<<8 | uint32(addr[3]), SkipTrue: 1},
		bpf.RetConstant{Val: 256},
		bpf.RetConstant{Val: 0},
	}
}

func (f From) open() (*packet.Conn, error) {
	filter, err := bpf.Assemble(f.filter())
	if err != nil {
		return nil, fmt.Errorf("assemble a packet filter: %w", err)
	}
	conn, err := packet.Listen(&net.Interface{Index: f.Index}, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: filter})
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	return conn, nil
}

// ask sends frames and hands what comes back to heard until that returns true, or
// until the last try's wait is over. Each try is numbered from 0. Last is sent in
// the end, if it is not nil then.
func (f From) ask(ctx context.Context, frame func(try int) []byte, heard func([]byte) bool, last func() []byte) error {
	conn, err := f.open()
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	done := false
	for try := 0; try < tries && !done; try++ {
		if err := f.send(conn, frame(try)); err != nil {
			return err
		}
		if done, err = listen(ctx, conn, heard); err != nil {
			return err
		}
	}
	if b := last(); b != nil {
		return f.send(conn, b)
	}
	return nil
}

func (f From) send(conn *packet.Conn, frame []byte) error {
	if _, err := conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]}); err != nil {
		return fmt.Errorf("send a frame: %w", err)
	}
	return nil
}

// listen reads frames for one wait.
func listen(ctx context.Context, conn *packet.Conn, heard func([]byte) bool) (done bool, err error) {
	if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return false, fmt.Errorf("listen for frames: %w", err)
	}
	for b := make([]byte, 256); ; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n, _, err := conn.ReadFrom(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false, ctx.Err()
		}
		if err != nil {
			return false, fmt.Errorf("listen for frames: %w", err)
		}
		if n >= headerLen && heard(b[:n]) {
			return true, nil
		}
	}
}

// nothing is what is sent in the end when nothing needs to be.
func nothing() []byte { return nil }
