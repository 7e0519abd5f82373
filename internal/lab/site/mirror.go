package site

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/mdlayher/packet"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// Mirror breaks the promise on purpose: it sends copies of a few frames with
// clients' data that go to nfs-01 to nfs-02, too.
type Mirror struct {
	from, to *packet.Conn
	mac      model.MAC // of nfs-02
	closing  atomic.Bool
	group    errgroup.Group
}

const (
	mirrorEvery = 500  // of the frames with much data, one is copied
	mirrorMost  = 3    // copies: nfs-02 answers each with a RST that a client takes
	mirrorLeast = 1000 // bytes of a frame with much data
)

// StartMirror begins to copy.
func (s *Site) StartMirror() (*Mirror, error) {
	m := &Mirror{mac: s.Servers[1].MAC}
	open := func(conn **packet.Conn) func(int) error {
		return func(ifindex int) error {
			port, err := net.InterfaceByIndex(ifindex)
			if err == nil {
				*conn, err = packet.Listen(port, packet.Raw, unix.ETH_P_ALL, nil)
			}
			return err
		}
	}
	err := s.Servers[0].Port(open(&m.from))
	if err == nil {
		err = s.Servers[1].Port(open(&m.to))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("split the clients' data: %w", err), m.Close())
	}
	first := s.Servers[0].MAC
	m.group.Go(func() error { return m.copy(first) })
	return m, nil
}

// copy copies frames until the mirror is closed.
func (m *Mirror) copy(first model.MAC) error {
	frame := make([]byte, 1<<16)
	for n := 0; ; {
		length, _, err := m.from.ReadFrom(frame)
		if m.closing.Load() {
			return nil
		}
		if err != nil {
			return fmt.Errorf("split the clients' data: %w", err)
		}
		if length < mirrorLeast || length > 1514 || model.MAC(frame[:6]) != first {
			continue
		}
		if n++; n%mirrorEvery != 0 || n > mirrorMost*mirrorEvery {
			continue
		}
		copy(frame, m.mac[:])
		if _, err := m.to.WriteTo(frame[:length], &packet.Addr{HardwareAddr: net.HardwareAddr(m.mac[:])}); err != nil {
			return fmt.Errorf("split the clients' data: %w", err)
		}
	}
}

// Close ends the copying.
func (m *Mirror) Close() error {
	m.closing.Store(true)
	var errs []error
	for _, c := range []*packet.Conn{m.from, m.to} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(append(errs, m.group.Wait())...)
}
