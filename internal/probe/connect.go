package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// askTCP opens a connection and gives it up at once.
func askTCP(ctx context.Context, q question) error {
	conn, err := q.tcp(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// tcp opens a TCP connection to the port that is asked.
func (q question) tcp(ctx context.Context) (*net.TCPConn, error) {
	conn, err := q.dial(ctx, "tcp", q.Port, 0)
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// dial opens a connection to a port of the server, from a port of its own or any.
func (q question) dial(ctx context.Context, network string, port, local uint16) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1, Control: q.prepare}
	if q.source.IsValid() || local != 0 {
		d.LocalAddr = q.local(network, local)
	}
	to := netip.AddrPortFrom(q.addr, port)
	conn, err := d.DialContext(ctx, network, to.String())
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		if err := confirm(tcp, to); err != nil {
			return nil, errors.Join(err, tcp.Close())
		}
		if q.met != nil {
			*q.met = true
		}
	}
	return conn, nil
}

// prepare sets the options of a socket before it connects.
func (q question) prepare(network, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) { failed = q.options(int(fd), strings.HasPrefix(network, "tcp")) })
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("prepare a socket: %w", err)
	}
	return nil
}

// options are those of a socket. A TCP connection is closed by a reset (linger 0), also
// when it is given up while it comes about: the server sees no half-closed connection,
// and no local port waits in TIME_WAIT. What is meant for a virtual IP on a server
// is sent by that server. If that lacks it and forwards, it must not send it on: the packet
// may go to the server, and no further.
func (q question) options(fd int, tcp bool) error {
	var err error
	if tcp {
		err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	if !q.by.IsValid() {
		return err
	}
	mark := model.Path{Server: q.by}.Mark()
	err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(mark)))
	if q.by.Is6() {
		return errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_UNICAST_HOPS, 1), unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVERR, 1))
	}
	return errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TTL, 1), unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVERR, 1))
}

// local is the address that a connection leaves from.
func (q question) local(network string, port uint16) net.Addr {
	from := netip.AddrPortFrom(netip.IPv4Unspecified(), port)
	if q.addr.Is6() {
		from = netip.AddrPortFrom(netip.IPv6Unspecified(), port)
	}
	if q.source.IsValid() {
		from = netip.AddrPortFrom(q.source, port)
	}
	if network == "udp" {
		return net.UDPAddrFromAddrPort(from)
	}
	return net.TCPAddrFromAddrPort(from)
}

// unixEpoch is a deadline that is over.
var unixEpoch = time.Unix(1, 0)

// bind ends the reads and writes of a connection when ctx ends. The function that
// it returns undoes that.
func bind(ctx context.Context, conn net.Conn) (unbind func() bool) {
	return context.AfterFunc(ctx, func() { conn.SetDeadline(unixEpoch) }) // fails only if it is closed
}

// confirm asks the kernel whether the socket has an error, and who the peer is. A
// connect that merely became writable has none: without these questions a dead
// host can pass for a live one.
func confirm(conn *net.TCPConn, want netip.AddrPort) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("reach the socket: %w", err)
	}
	var pending int
	var peer unix.Sockaddr
	var failed, nobody error
	err = raw.Control(func(fd uintptr) {
		pending, failed = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		peer, nobody = unix.Getpeername(int(fd))
	})
	switch {
	case err != nil || failed != nil:
		return fmt.Errorf("read the socket's error: %w", errors.Join(err, failed))
	case pending != 0:
		return fmt.Errorf("connect: %w", unix.Errno(pending))
	case nobody != nil:
		return fmt.Errorf("read the peer's address: %w", nobody)
	}
	if got := addrPort(peer); got != want {
		return fmt.Errorf("connected to %s instead of %s", got, want)
	}
	return nil
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}
