package rpc

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// accepted answers a call with an accepted reply.
func accepted(call []byte, results ...uint32) []byte {
	b := append(call[:4:4], words(append([]uint32{1, 0, 0, 0, 0}, results...)...)...)
	return append(words(lastFragment|uint32(len(b))), b...)
}

// TestHostileServers holds a call to one clear error in bounded time, whatever
// the server sends.
func TestHostileServers(t *testing.T) {
	drip := func(c net.Conn, first string) {
		c.Write([]byte(first))
		for {
			time.Sleep(130 * time.Millisecond)
			if _, err := c.Write([]byte{0}); err != nil {
				return
			}
		}
	}
	flood := func(c net.Conn, b []byte) {
		for {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}
	for _, tt := range []struct {
		name  string
		serve func(c net.Conn, call []byte)
		want  string
		took  time.Duration
	}{
		{"says nothing", func(c net.Conn, _ []byte) { c.Read(make([]byte, 1)) }, "no answer in time", 3 * time.Second},
		{"a byte at a time", func(c net.Conn, _ []byte) { drip(c, "\x80\x00\x40\x00") }, "no answer in time (only 27 bytes of it came)", 3 * time.Second},
		{"half a marker", func(c net.Conn, _ []byte) { c.Write([]byte("\x80\x00")); c.Read(make([]byte, 1)) }, "no answer in time (only 2 bytes of it came)", 3 * time.Second},
		{"hangs up", func(net.Conn, []byte) {}, "the server closed the connection without an answer", 0},
		{"hangs up in the middle", func(c net.Conn, _ []byte) { c.Write([]byte("\x80\x00\x00\x20abc")) }, "the server closed the connection in the middle of its answer", 0},
		{"garbage", func(c net.Conn, _ []byte) { c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, "malformed reply: it announces 1213486160 bytes, more than the 65536 that an answer may have", 0},
		{"4 GiB", func(c net.Conn, _ []byte) { c.Write([]byte("\xff\xff\xff\xff")) }, "malformed reply: it announces 2147483647 bytes, more than the 65536 that an answer may have", 0},
		{"endless fragments", func(c net.Conn, _ []byte) { flood(c, append(words(1024), make([]byte, 1024)...)) }, "malformed reply: it announces 66560 bytes, more than the 65536 that an answer may have", 0},
		{"empty fragments", func(c net.Conn, _ []byte) { flood(c, make([]byte, 4)) }, "malformed reply: an empty fragment that is not the last one", 0},
		{"answers another call", func(c net.Conn, call []byte) { call[0] ^= 1; c.Write(accepted(call)) }, "malformed reply: it answers a call that was not made", 0},
		{"calls instead", func(c net.Conn, call []byte) {
			c.Write(append(words(lastFragment|uint32(len(call))), call...))
		}, "malformed reply: message type 0 is not a reply", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				done := make(chan struct{})
				go func() {
					defer close(done)
					defer far.Close()
					if call, err := ReadRecord(far, 4096); err == nil {
						tt.serve(far, call)
					}
				}()
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				c := New(near, Credential{}, 64<<10)
				defer func() {
					c.Close()
					<-done
				}()
				start := time.Now()
				_, err := Do(ctx, c, Null(ProgramNFS, 3))
				if err == nil || err.Error() != tt.want {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("it took %v, want %v", took, tt.took)
				}
				if _, again := Do(t.Context(), c, Null(ProgramNFS, 3)); !errors.Is(again, err) {
					t.Errorf("the next call over the broken connection gave %v", again)
				}
			})
		})
	}
}

func TestCallsGoOnAfterARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		go func() {
			call, _ := ReadRecord(far, 4096)
			b := append(call[:4:4], words(1, 0, 0, 0, 1)...)
			far.Write(append(words(lastFragment|uint32(len(b))), b...))
			call, _ = ReadRecord(far, 4096)
			far.Write(accepted(call, 2049))
		}()
		c := New(near, AuthSys("director", 0, 0), 0)
		defer c.Close()
		var refusal *Refusal
		if _, err := Do(t.Context(), c, Null(ProgramNFS, 3)); !errors.As(err, &refusal) {
			t.Fatalf("got %v, want a refusal", err)
		}
		if port, err := Do(t.Context(), c, GetPort(ProgramNFS, 3, TCP)); err != nil || port != 2049 {
			t.Errorf("got port %d, %v", port, err)
		}
	})
}

// datagram is a pipe that passes for a UDP socket: each Write is one datagram.
type datagram struct{ net.Conn }

func (datagram) ReadFrom([]byte) (int, net.Addr, error) { panic("not used") }
func (datagram) WriteTo([]byte, net.Addr) (int, error)  { panic("not used") }

func TestDatagrams(t *testing.T) {
	for _, tt := range []struct {
		name  string
		serve func(n int, call []byte) []byte // answers the nth sending; nil: nothing
		want  string                          // "": no error
		took  time.Duration
	}{
		{"an answer", func(_ int, call []byte) []byte { return accepted(call) }, "", 0},
		{"the third sending is answered", func(n int, call []byte) []byte {
			if n < 3 {
				return nil
			}
			return accepted(call)
		}, "", 750 * time.Millisecond},
		{"never", func(int, []byte) []byte { return nil }, "no answer in time", 3 * time.Second},
		{"garbage", func(_ int, call []byte) []byte { return append([]byte("mark"), append(call[:4:4], "garbage!"...)...) }, "malformed reply: message type 1734439522 is not a reply", 0},
		{"longer than the limit", func(int, []byte) []byte { return make([]byte, datagramLimit+4) }, "malformed reply: a datagram of more than 16383 bytes", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				go func() {
					b := make([]byte, 2048)
					for i := 1; ; i++ {
						n, err := far.Read(b)
						if err != nil {
							return
						}
						if answer := tt.serve(i, b[:n]); answer != nil {
							far.Write(answer[4:])
						}
					}
				}()
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				c := New(datagram{near}, Credential{}, 0)
				defer c.Close()
				start := time.Now()
				_, err := Do(ctx, c, Null(ProgramNFS, 3))
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("it took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

// TestStrangeDatagrams floods a call with answers to other ones.
func TestStrangeDatagrams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		var sent atomic.Int32
		go func() {
			b := make([]byte, 2048)
			n, _ := far.Read(b)
			b[0] ^= 1
			for {
				if _, err := far.Write(accepted(b[:n])[4:]); err != nil {
					return
				}
				sent.Add(1)
			}
		}()
		c := New(datagram{near}, Credential{}, 0)
		_, err := Do(t.Context(), c, Null(ProgramNFS, 3))
		c.Close()
		if err == nil || !strings.Contains(err.Error(), "datagrams that answer no call") {
			t.Errorf("got %v", err)
		}
	})
}

func TestCancel(t *testing.T) {
	for _, udp := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			go func() {
				for b := make([]byte, 2048); ; {
					if _, err := far.Read(b); err != nil {
						return
					}
				}
			}()
			var conn net.Conn = near
			if udp {
				conn = datagram{near}
			}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			c := New(conn, Credential{}, 0)
			defer c.Close()
			start := time.Now()
			_, err := Do(ctx, c, Null(ProgramNFS, 3))
			if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
				t.Errorf("udp %v: got %v after %v", udp, err, time.Since(start))
			}
		})
	}
}

func TestPrivilegedPorts(t *testing.T) {
	tried := map[uint16]bool{}
	conn, err := Privileged(func(port uint16) (net.Conn, error) {
		if port >= 1024 || port < 512 || tried[port] {
			t.Fatalf("tried port %d", port)
		}
		tried[port] = true
		if len(tried) < 5 {
			return nil, &net.OpError{Op: "dial", Err: syscall.EADDRINUSE}
		}
		return nil, syscall.ECONNREFUSED
	})
	if conn != nil || !errors.Is(err, syscall.ECONNREFUSED) || len(tried) != 5 {
		t.Errorf("got %v, %v after %d ports", conn, err, len(tried))
	}
	if _, err := Privileged(func(uint16) (net.Conn, error) { return nil, syscall.EADDRINUSE }); err == nil {
		t.Error("no error although all ports are in use")
	}
}
