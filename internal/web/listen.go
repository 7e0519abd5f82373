package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

const (
	mostOpen     = 512 // connections
	mostOpenEach = 64  // of one address; an IPv6 one counts with its /64
)

// listenOn opens the address, with words for what may be in the way.
func listenOn(addr netip.AddrPort) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr.String())
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		err = fmt.Errorf("another programme uses the port %d: end it, or take another port with the line listen of `service web`", addr.Port())
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		err = fmt.Errorf("this machine does not have the address %s: correct the line listen of `service web`, or add the address", addr.Addr())
	case errors.Is(err, syscall.EACCES):
		err = fmt.Errorf("the daemon may not use the port %d: take one above 1023", addr.Port())
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return l, nil
}

// A bounded listener closes the connections beyond its bounds at once: if they
// waited, a few idle ones would keep everybody out.
type bounded struct {
	net.Listener

	mu   sync.Mutex // guards the following
	open int
	each map[netip.Prefix]int
}

func bound(l net.Listener) *bounded {
	return &bounded{Listener: l, each: map[netip.Prefix]int{}}
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := peer(c)
		if b.take(from) {
			return &counted{Conn: c, gone: sync.OnceFunc(func() { b.give(from) })}, nil
		}
		_ = c.Close() // nothing was said yet
	}
}

// peer is what counts as one address. Those of this machine count for nothing:
// all who come through an SSH tunnel have the same.
func peer(c net.Conn) netip.Prefix {
	from, err := netip.ParseAddrPort(c.RemoteAddr().String())
	addr := from.Addr().Unmap().WithZone("")
	if err != nil || addr.IsLoopback() {
		return netip.Prefix{}
	}
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	prefix, _ := addr.Prefix(bits) // always fits
	return prefix
}

func (b *bounded) take(from netip.Prefix) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open >= mostOpen || from.IsValid() && b.each[from] >= mostOpenEach {
		return false
	}
	b.open++
	b.each[from]++
	return true
}

func (b *bounded) give(from netip.Prefix) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open--
	if b.each[from]--; b.each[from] == 0 {
		delete(b.each, from)
	}
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	gone func()
}

func (c *counted) Close() error {
	c.gone()
	return c.Conn.Close()
}
