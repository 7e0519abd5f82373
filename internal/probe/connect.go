package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// askTCP opens a connection and gives it up at once.
func askTCP(ctx context.Context, q question) error {
	conn, err := dial(ctx, q)
	if err != nil {
		return err
	}
	return abandon(conn)
}

// dial opens a TCP connection.
func dial(ctx context.Context, q question) (*net.TCPConn, error) {
	d := net.Dialer{KeepAlive: -1}
	if q.source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(q.source, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", q.to().String())
	if err != nil {
		return nil, err
	}
	tcp := conn.(*net.TCPConn)
	if err := confirm(tcp, q.to()); err != nil {
		return nil, errors.Join(err, abandon(tcp))
	}
	return tcp, nil
}

// abandon closes a connection by a reset (linger 0): the server sees no half-closed
// connection, and no local port waits in TIME_WAIT.
func abandon(conn *net.TCPConn) error { return errors.Join(conn.SetLinger(0), conn.Close()) }

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
