package probe

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// probeOnce lets a real Prober probe addr and returns its first result.
func probeOnce(t *testing.T, target Target) model.ProbeResult {
	t.Helper()
	results := make(chan model.ProbeResult)
	p := New(results, nil, slog.New(slog.DiscardHandler))
	target.Ref = model.ServerRef{Director: "nfs", Server: "nfs-01"}
	if target.Timeout == 0 {
		target.Timeout = 5 * time.Second
	}
	target.Interval = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	p.Set([]Target{target})
	r := <-results
	cancel()
	<-ended
	return r
}

// tcp is the test that opens a connection to a port.
func tcp(addr netip.AddrPort) []model.Test {
	return []model.Test{{Kind: model.CheckTCP, Port: addr.Port()}}
}

func listen(t *testing.T) (net.Listener, netip.AddrPort) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln, netip.MustParseAddrPort(ln.Addr().String())
}

func TestConnectAccepted(t *testing.T) {
	ln, addr := listen(t)
	source := netip.MustParseAddr("127.0.0.9")
	r := probeOnce(t, Target{Addr: addr.Addr(), Tests: tcp(addr), Source: source})
	if !r.OK || r.Err != "" {
		t.Fatalf("got %+v, want it to pass", r)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := netip.MustParseAddrPort(conn.RemoteAddr().String()).Addr(); got != source {
		t.Errorf("the probe came from %v, want %v", got, source)
	}
	// Linger 0 ends the connection by a reset, not by an end of file.
	if _, err := io.ReadAll(conn); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the server read %v, want ECONNRESET", err)
	}
}

func TestConnectRefused(t *testing.T) {
	ln, addr := listen(t)
	ln.Close()
	r := probeOnce(t, Target{Addr: addr.Addr(), Tests: tcp(addr)})
	if want := "connection refused by " + addr.String(); r.OK || r.Err != want {
		t.Errorf("got %+v, want %q", r, want)
	}
}

func TestConnectForeignSource(t *testing.T) {
	_, addr := listen(t)
	r := probeOnce(t, Target{Addr: addr.Addr(), Tests: tcp(addr), Source: netip.MustParseAddr("203.0.113.7")})
	want := "cannot probe " + addr.String() + " from 203.0.113.7: this machine does not have that address"
	if r.OK || r.Err != want {
		t.Errorf("got %+v, want %q", r, want)
	}
}

// TestConnectBlackHole fills the queue of a listener that never accepts: the
// kernel then drops every further SYN, as a dead host does.
func TestConnectBlackHole(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := addrPort(sa)
	for full := false; !full; {
		conn, err := net.DialTimeout("tcp4", addr.String(), 100*time.Millisecond)
		if full = err != nil; !full {
			defer conn.Close()
		}
	}
	r := probeOnce(t, Target{Addr: addr.Addr(), Tests: tcp(addr), Timeout: 150 * time.Millisecond})
	if want := "no answer from " + addr.String() + " within 150ms"; r.OK || r.Err != want {
		t.Errorf("got %+v, want %q", r, want)
	}
	if r.Latency < 150*time.Millisecond || r.Latency > 2*time.Second {
		t.Errorf("gave up after %v, want about 150ms", r.Latency)
	}
}

func TestConfirmNamesAnotherPeer(t *testing.T) {
	_, addr := listen(t)
	conn, err := net.Dial("tcp4", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = confirm(conn.(*net.TCPConn), netip.MustParseAddrPort("192.0.2.1:2049"))
	if err == nil || !strings.Contains(err.Error(), "instead of 192.0.2.1:2049") {
		t.Errorf("got %v, want another peer to be noticed", err)
	}
}

// TestConfirmReadsTheSocketsError: a connection that came about and was reset at
// once is no answer.
func TestConfirmReadsTheSocketsError(t *testing.T) {
	ln, addr := listen(t)
	conn, err := net.Dial("tcp4", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	near := conn.(*net.TCPConn)
	if err := confirm(near, addr); err != nil {
		t.Fatalf("before the reset: %v", err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(far.(*net.TCPConn).SetLinger(0), far.Close()); err != nil {
		t.Fatal(err)
	}
	raw, err := near.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	hangup := func(fd uintptr) { _, err = unix.Poll([]unix.PollFd{{Fd: int32(fd)}}, 5000) }
	if failed := errors.Join(raw.Control(hangup), err); failed != nil {
		t.Fatal(failed)
	}
	if err := confirm(near, addr); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("after the reset: got %v, want ECONNRESET", err)
	}
}

func TestConfirmNeedsAPeer(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.Getpeername(fd); !errors.Is(err, unix.ENOTCONN) {
		t.Fatalf("a socket without a peer: got %v, want ENOTCONN", err)
	}
	if got, want := explain(unix.ENOTCONN, nfs01.question(nfs01.Tests[0], nfs01.Addr), 0), "connection reset by 192.168.10.100:2049"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{timedOut(2 * time.Second), "no answer from 192.168.10.100:2049 within 2s"},
		{unix.ETIMEDOUT, "no answer from 192.168.10.100:2049 within 2s"},
		{unix.ECONNREFUSED, "connection refused by 192.168.10.100:2049"},
		{unix.ECONNRESET, "connection reset by 192.168.10.100:2049"},
		{unix.EHOSTUNREACH, "no route to 192.168.10.100:2049: nobody answers ARP for it, or a router reports it unreachable"},
		{unix.ENETUNREACH, "no route to 192.168.10.100:2049: this machine has none to its network"},
		{unix.EADDRNOTAVAIL, "cannot probe 192.168.10.100:2049: no local port is free"},
		{unix.EPERM, "cannot probe 192.168.10.100:2049: this machine's own firewall forbids it"},
		{unix.EMFILE, "cannot probe 192.168.10.100:2049: too many open files on this machine"},
	} {
		if got := explain(&net.OpError{Op: "dial", Err: tt.err}, nfs01.question(nfs01.Tests[0], nfs01.Addr), 2*time.Second); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.err, got, tt.want)
		}
	}
}
