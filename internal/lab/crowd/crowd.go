package crowd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab/clock"
)

const (
	inFlight = 512  // connections that are being made at a time
	events   = 1024 // that are asked for at a time
	pollTime = 50   // ms between looks at the context
)

// Seen is what happened to the connections so far.
type Seen struct {
	Connected int           `json:"connected"`
	Reset     int           `json:"reset"`
	Otherwise int           `json:"otherwise"` // ended, but not by a reset
	Last      clock.Instant `json:"last"`      // when the last one ended
}

// crowd is a crowd of clients.
type crowd struct {
	service netip.AddrPort
	local   netip.Addr

	epoll   int
	open    map[int]bool // descriptors; true: connected
	pending int          // being made
	seen    Seen
}

// Run makes so many connections to a service, over IPv4, from a local address
// and in the network namespace of the process, and watches them until ctx ends. It
// tells what it has seen whenever nothing new happens for a moment.
func Run(ctx context.Context, service netip.AddrPort, local netip.Addr, connections int, tell func(Seen) error) (err error) {
	c := &crowd{service: service, local: local, open: map[int]bool{}}
	if c.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("watch connections: %w", err)
	}
	defer func() { err = errors.Join(err, c.close()) }()
	var told Seen
	for made := 0; ctx.Err() == nil; {
		for ; made < connections && c.pending < inFlight; made++ {
			if err := c.connect(); err != nil {
				return err
			}
		}
		n, err := c.poll()
		if err != nil {
			return err
		}
		if n == 0 && told != c.seen {
			told = c.seen
			if err := tell(told); err != nil {
				return err
			}
		}
	}
	return nil
}

// connect begins one connection.
func (c *crowd) connect() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open connection %d: %w", len(c.open), err)
	}
	c.open[fd] = false
	// The port is chosen with the connection: another service's may be used again.
	err = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: c.local.As4()})
	}
	if err == nil {
		err = unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLOUT, Fd: int32(fd)})
	}
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Addr: c.service.Addr().As4(), Port: int(c.service.Port())})
	}
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fmt.Errorf("connect %v to %v, the %d. time: %w", c.local, c.service, len(c.open), err)
	}
	c.pending++
	return nil
}

// poll waits for what happens next, notes it, and tells how much that was.
func (c *crowd) poll() (int, error) {
	var ready [events]unix.EpollEvent
	n, err := unix.EpollWait(c.epoll, ready[:], pollTime)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return 0, fmt.Errorf("watch connections: %w", err)
	}
	at := clock.Now()
	for _, e := range ready[:max(n, 0)] {
		fd := int(e.Fd)
		if e.Events&(unix.EPOLLERR|unix.EPOLLHUP|unix.EPOLLRDHUP) != 0 {
			err = c.ended(fd, at)
		} else if !c.open[fd] {
			err = c.connected(fd)
		}
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (c *crowd) connected(fd int) error {
	c.open[fd] = true
	c.pending--
	c.seen.Connected++
	// Errors are always told.
	if err := unix.EpollCtl(c.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: unix.EPOLLRDHUP, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("watch a connection: %w", err)
	}
	return nil
}

// ended notes how a connection ended. One that could not be made is an error.
func (c *crowd) ended(fd int, at clock.Instant) error {
	was := c.open[fd]
	delete(c.open, fd)
	cause, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err := errors.Join(err, unix.Close(fd)); err != nil {
		return fmt.Errorf("end a connection: %w", err)
	}
	if !was {
		return fmt.Errorf("connect to %v: %w", c.service, unix.Errno(cause))
	}
	c.seen.Last = at
	if unix.Errno(cause) == unix.ECONNRESET {
		c.seen.Reset++
	} else {
		c.seen.Otherwise++
	}
	return nil
}

func (c *crowd) close() error {
	errs := []error{unix.Close(c.epoll)}
	for fd := range c.open {
		errs = append(errs, unix.Close(fd))
	}
	return errors.Join(errs...)
}
