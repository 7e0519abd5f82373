package hold

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Sender sends whole frames. Its socket belongs to no interface: one that went
// and came back needs nothing but its new index. Its methods may be called from
// several goroutines, Close after all others.
type Sender struct{ fd int }

// Open opens the socket, which needs CAP_NET_RAW, in the network namespace of
// the calling thread. It receives nothing.
func Open() (*Sender, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket for kept frames: %w", err)
	}
	return &Sender{fd: fd}, nil
}

// Close closes the socket.
func (s *Sender) Close() error { return unix.Close(s.fd) }

// Send sends a frame on an interface. It does not wait for room: a full queue is
// an error.
func (s *Sender) Send(iface int, frame []byte) error {
	to := &unix.SockaddrLinklayer{Ifindex: iface}
	for {
		err := unix.Sendto(s.fd, frame, 0, to)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
			return fmt.Errorf("send a kept frame: interface %d does not exist: %w", iface, err)
		}
		return fmt.Errorf("send a kept frame on interface %d: %w", iface, err)
	}
}
