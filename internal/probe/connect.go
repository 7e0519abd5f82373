package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// connect opens a TCP connection to the target and gives it up at once. The
// close is a reset (linger 0): the server sees no half-closed connection, and
// no local port waits in TIME_WAIT.
func connect(ctx context.Context, t Target) error {
	d := net.Dialer{KeepAlive: -1}
	if t.Source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(t.Source, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", t.Addr.String())
	if err != nil {
		return err
	}
	tcp := conn.(*net.TCPConn)
	err = confirm(tcp, t.Addr)
	return errors.Join(err, tcp.SetLinger(0), tcp.Close())
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

// explain puts the outcome of a failed probe into plain words.
func explain(err error, t Target, within time.Duration) string {
	switch {
	case errors.As(err, new(timedOut)), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, unix.ETIMEDOUT):
		return fmt.Sprintf("no answer from %s within %s", t.Addr, within.Round(time.Millisecond))
	case errors.Is(err, unix.ECONNREFUSED):
		return fmt.Sprintf("connection refused by %s", t.Addr)
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.ENOTCONN):
		return fmt.Sprintf("connection reset by %s", t.Addr)
	case errors.Is(err, unix.EHOSTUNREACH):
		return fmt.Sprintf("no route to %s: nobody answers ARP for it, or a router reports it unreachable", t.Addr)
	case errors.Is(err, unix.ENETUNREACH):
		return fmt.Sprintf("no route to %s: this machine has none to its network", t.Addr)
	case errors.Is(err, unix.EADDRNOTAVAIL) && t.Source.IsValid():
		return fmt.Sprintf("cannot probe %s from %s: this machine does not have that address", t.Addr, t.Source)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Sprintf("cannot probe %s: no local port is free", t.Addr)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Sprintf("cannot probe %s: this machine's own firewall forbids it", t.Addr)
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return fmt.Sprintf("cannot probe %s: too many open files on this machine", t.Addr)
	}
	return fmt.Sprintf("cannot connect to %s: %v", t.Addr, err)
}
