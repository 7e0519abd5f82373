package crowd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab/clock"
)

const (
	inFlight = 512  // connections that are being made at a time
	events   = 1024 // that are asked for at a time
	pollTime = 50   // ms between looks at the context

	// breath lies between two looks while connections end. To be woken for each
	// would cost the machine as much as their resets do.
	breath = 2 * time.Millisecond
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
	over    []int        // descriptors that ended, and are still to be asked why
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
		if n > 0 {
			continue
		}
		if err := c.settle(); err != nil {
			return err
		}
		if told != c.seen {
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
	at, before := clock.Now(), len(c.over)
	for _, e := range ready[:max(n, 0)] {
		fd := int(e.Fd)
		was, open := c.open[fd]
		switch ends := e.Events&(unix.EPOLLERR|unix.EPOLLHUP|unix.EPOLLRDHUP) != 0; {
		case !open: // it was told before
		case ends && !was:
			return 0, c.refused(fd)
		case ends:
			delete(c.open, fd)
			c.over = append(c.over, fd)
			c.seen.Last = at
		case !was:
			if err := c.connected(fd); err != nil {
				return 0, err
			}
		}
	}
	if len(c.over) > before {
		time.Sleep(breath)
	}
	return n, nil
}

func (c *crowd) connected(fd int) error {
	c.open[fd] = true
	c.pending--
	c.seen.Connected++
	// Errors are always told. An end is told once.
	if err := unix.EpollCtl(c.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("watch a connection: %w", err)
	}
	return nil
}

// refused says why a connection could not be made.
func (c *crowd) refused(fd int) error {
	cause, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil {
		err = unix.Errno(cause)
	}
	return fmt.Errorf("connect to %v: %w", c.service, err)
}

// settle asks the connections that ended why they did. It is done when nothing
// happens any more, so that the asking holds up nothing.
func (c *crowd) settle() error {
	for ; len(c.over) > 0; c.over = c.over[1:] {
		fd := c.over[0]
		cause, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err := errors.Join(err, unix.Close(fd)); err != nil {
			return fmt.Errorf("end a connection: %w", err)
		}
		if unix.Errno(cause) == unix.ECONNRESET {
			c.seen.Reset++
		} else {
			c.seen.Otherwise++
		}
	}
	return nil
}

func (c *crowd) close() error {
	errs := []error{unix.Close(c.epoll)}
	for _, fd := range c.over {
		errs = append(errs, unix.Close(fd))
	}
	for fd := range c.open {
		errs = append(errs, unix.Close(fd))
	}
	return errors.Join(errs...)
}
