package crowd

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/lab/clock"
)

const few = 300

var loopback = netip.MustParseAddr("127.0.0.1")

// watched runs a crowd that meets a service; next waits until it has seen what is
// waited for.
func watched(t *testing.T, service netip.AddrPort, n int) (next func(func(Seen) bool) Seen) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	seen, done := make(chan Seen, 100), make(chan error, 1)
	go func() {
		done <- Run(ctx, service, loopback, n, func(s Seen) error { seen <- s; return nil })
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func(enough func(Seen) bool) Seen {
		t.Helper()
		end := time.After(10 * time.Second)
		for last := (Seen{}); ; {
			select {
			case last = <-seen:
				if enough(last) {
					return last
				}
			case <-end:
				t.Fatalf("after 10 s seen %+v", last)
			}
		}
	}
}

// TestCrowd lets a crowd meet a listener, then takes that away: its kernel resets
// the connections that nobody took out of the queue.
func TestCrowd(t *testing.T) {
	port := freePort(t)
	sink, err := Listen(int(port), few)
	if err != nil {
		t.Fatal(err)
	}
	next := watched(t, netip.AddrPortFrom(loopback, port), few)
	if s := next(func(s Seen) bool { return s.Connected == few }); s.Reset+s.Otherwise != 0 || s.Last != 0 {
		t.Fatalf("seen %+v, want %d connections and no end", s, few)
	}
	before := clock.Now()
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	s := next(func(s Seen) bool { return s.Reset+s.Otherwise == few })
	if s.Reset != few || s.Last < before || s.Last > clock.Now() {
		t.Errorf("seen %+v, want %d that were reset, after %v", s, few, before)
	}
}

// TestClosed: a connection that was closed was not reset.
func TestClosed(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	next := watched(t, l.Addr().(*net.TCPAddr).AddrPort(), 1)
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	next(func(s Seen) bool { return s.Connected == 1 })
	conn.Close()
	if s := next(func(s Seen) bool { return s.Last != 0 }); s.Otherwise != 1 || s.Reset != 0 {
		t.Errorf("seen %+v, want one that was closed", s)
	}
}

func TestACrowdThatIsRefused(t *testing.T) {
	err := Run(t.Context(), netip.AddrPortFrom(loopback, freePort(t)), loopback, 3, func(Seen) error { return nil })
	if err == nil {
		t.Error("nobody listens, and that is no error")
	}
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}
