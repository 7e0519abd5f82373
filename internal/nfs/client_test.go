package nfs

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/rpc"
)

// script is a server behind net.Pipe: each connection is served by the next
// function, or refused where there is none.
type script struct {
	t      *testing.T
	dials  int
	serve  []func(net.Conn) // nil: refuse
	events []EventKind
}

func (s *script) dial(context.Context, netip.AddrPort, netip.AddrPort) (net.Conn, error) {
	n := s.dials
	s.dials++
	if n >= len(s.serve) || s.serve[n] == nil {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	near, far := net.Pipe()
	go func() {
		s.serve[n](far)
		far.Close()
	}()
	return near, nil
}

func (s *script) client() *Client {
	return New(Options{Dial: s.dial, Event: func(e Event) { s.events = append(s.events, e.Kind) }})
}

// reply answers a call record with an accepted reply that holds results.
func reply(call []byte, results ...uint32) []byte {
	var e rpc.Encoder
	e.Uint32(1<<31 | uint32(4*(6+len(results)))) // the only fragment
	e.Uint32(binary.BigEndian.Uint32(call))
	for _, v := range append([]uint32{1, 0, 0, 0, 0}, results...) {
		e.Uint32(v)
	}
	return e.Bytes()
}

// answer reads one call and answers it.
func answer(results ...uint32) func(net.Conn) {
	return func(c net.Conn) {
		call, err := rpc.ReadRecord(c, maxRecord)
		if err == nil {
			c.Write(reply(call, results...))
		}
	}
}

func TestBackoffDoublesAfterRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{t: t, serve: []func(net.Conn){answer(), nil, nil, nil, answer()}}
		c := s.client()
		defer c.Close()
		if err := c.Null(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		if err := c.Null(t.Context()); err != nil {
			t.Fatal(err)
		}
		// At once: refused. Then after 3, 6 and 12 s.
		if got, want := time.Since(start), 21*time.Second; got != want {
			t.Errorf("second call took %v, want %v", got, want)
		}
		want := []EventKind{Connected, Lost, Refused, Waiting, Refused, Waiting, Refused, Waiting, Reconnected, Resent}
		if !slices.Equal(s.events, want) {
			t.Errorf("events %v, want %v", s.events, want)
		}
	})
}

func TestBackoffStopsAtOneMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{t: t}
		c := s.client()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := c.Null(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want a deadline", err)
		}
		// 0, 3, 9, 21, 45, 93, then every 60 s: 153, 213 … 573.
		if got, want := s.dials, 6+8; got != want {
			t.Errorf("%d attempts in ten minutes, want %d", got, want)
		}
	})
}

func TestReplyEndsTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{t: t, serve: []func(net.Conn){answer(), answer(), answer()}}
		c := s.client()
		defer c.Close()
		start := time.Now()
		for range 3 {
			if err := c.Null(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("reconnects after a reply waited %v", d)
		}
	})
}

func TestResendIsTheSameRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls [][]byte
		keep := func(answers bool) func(net.Conn) {
			return func(c net.Conn) {
				call, _ := rpc.ReadRecord(c, maxRecord)
				calls = append(calls, call)
				if answers {
					c.Write(reply(call))
				}
			}
		}
		s := &script{t: t, serve: []func(net.Conn){keep(false), keep(true)}}
		c := s.client()
		defer c.Close()
		if err := c.Null(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(calls) != 2 || !slices.Equal(calls[0], calls[1]) {
			t.Errorf("calls %x: want the same record twice", calls)
		}
		if want := []EventKind{Connected, Closed, Reconnected, Resent}; !slices.Equal(s.events, want) {
			t.Errorf("events %v, want %v", s.events, want)
		}
	})
}

func TestRemoveThatWorkedTwice(t *testing.T) {
	hangUp := func(c net.Conn) { rpc.ReadRecord(c, maxRecord) }
	for _, tt := range []struct {
		name     string
		serve    []func(net.Conn)
		ok       bool
		repeated int
	}{
		{"the first answer was lost", []func(net.Conn){hangUp, answer(uint32(StatusNoEntry), 0, 0)}, true, 1},
		{"there never was a file", []func(net.Conn){answer(uint32(StatusNoEntry), 0, 0)}, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := (&script{t: t, serve: tt.serve}).client()
				defer c.Close()
				err := c.Remove(t.Context(), "dir", "name")
				if (err == nil) != tt.ok {
					t.Errorf("error %v", err)
				}
				if got := c.Repeated(); got != tt.repeated {
					t.Errorf("repeated %d, want %d", got, tt.repeated)
				}
			})
		})
	}
}

func TestLateReplyIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := (&script{t: t, serve: []func(net.Conn){func(c net.Conn) {
			call, _ := rpc.ReadRecord(c, maxRecord)
			late := slices.Clone(call)
			binary.BigEndian.PutUint32(late, binary.BigEndian.Uint32(call)-1)
			c.Write(reply(late, uint32(StatusStale)))
			c.Write(reply(call, 0, 0, 0))
		}}}).client()
		defer c.Close()
		if err := c.Remove(t.Context(), "dir", "name"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCancelEndsACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		c := (&script{t: t, serve: []func(net.Conn){func(c net.Conn) {
			rpc.ReadRecord(c, maxRecord)
			rpc.ReadRecord(c, maxRecord) // until the client hangs up
		}}}).client()
		start := time.Now()
		if err := c.Null(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a deadline", err)
		}
		if got := time.Since(start); got != time.Hour {
			t.Errorf("the call ended after %v: it has a timeout of its own", got)
		}
	})
}

// resetter is a loopback server that answers one call a connection, waits for
// the word, and resets it.
func resetter(t *testing.T) (addr netip.AddrPort, reset chan<- struct{}, peers <-chan netip.AddrPort) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	word, seen := make(chan struct{}), make(chan netip.AddrPort, 8)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			seen <- c.RemoteAddr().(*net.TCPAddr).AddrPort()
			answer()(c)
			<-word
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort(), word, seen
}

func TestResetReconnectsFromTheSamePort(t *testing.T) {
	addr, reset, peers := resetter(t)
	c := New(Options{Server: addr})
	defer c.Close()
	if err := c.Null(t.Context()); err != nil {
		t.Fatal(err)
	}
	go func() { reset <- struct{}{} }()
	e, err := c.Wait(t.Context())
	if err != nil || e.Kind != Reset {
		t.Fatalf("waiting ended with %v, %v; want a reset", e.Kind, err)
	}
	if err := c.Null(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, second := <-peers, <-peers
	if first != second {
		t.Errorf("reconnected from %v after %v", second, first)
	}
	close(reset)
}

func TestHangingUpFreesTheSourcePort(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peers := make(chan netip.AddrPort, 2)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			peers <- c.RemoteAddr().(*net.TCPAddr).AddrPort()
			rpc.ReadRecord(c, maxRecord)
			c.Write([]byte("\x00\x00\x00\x00")) // an empty fragment
			rpc.ReadRecord(c, maxRecord)
			c.Close()
		}
	}()
	c := New(Options{Server: l.Addr().(*net.TCPAddr).AddrPort()})
	for range 2 {
		if err := c.Null(t.Context()); !errors.Is(err, ErrMalformed) {
			t.Fatalf("got %v, want a malformed reply", err)
		}
	}
	if first, second := <-peers, <-peers; first != second {
		t.Errorf("connected from %v after %v", second, first)
	}
}
