package witness

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"fairlead/internal/lab/clock"
	"fairlead/internal/model"
	"fairlead/internal/topology"
)

func instant(ns int64) clock.Instant { return clock.Instant(ns) }

var (
	client = topology.Spec{Name: "client", Addr: netip.MustParsePrefix("192.168.10.10/24")}
	server = topology.Spec{Name: "server", Addr: netip.MustParsePrefix("192.168.10.100/24")}
)

// segment is a client and a server on one switch.
func segment(t *testing.T) (c, s *topology.Host) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces: run it as root")
	}
	seg := must[*topology.Segment](t)(topology.Build("fairlead-witness"))
	t.Cleanup(func() {
		if err := seg.Close(); err != nil {
			t.Error(err)
		}
	})
	return must[*topology.Host](t)(seg.Add(client)), must[*topology.Host](t)(seg.Add(server))
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestTap taps a server that serves a connection, is cut off, and serves another
// one: every byte of both must be seen, at the right time.
func TestTap(t *testing.T) {
	c, s := segment(t)
	var tap *Tap
	err := s.Port(func(ifindex int) (err error) {
		tap, err = OpenTap(ifindex, 1, s.MAC, server.Addr.Addr(), netip.MustParseAddr("192.0.2.2"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	ctx, stop := context.WithCancel(t.Context())
	var seen []Packet
	done := make(chan error, 1)
	go func() { done <- tap.Run(ctx, func(p Packet) { seen = append(seen, p) }) }()

	begun := clock.Now()
	exchange(t, c, s)
	if err := s.Cut(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(); err != nil {
		t.Fatal(err)
	}
	exchange(t, c, s)
	ended := clock.Now()
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if tap.Drops() != 0 {
		t.Errorf("%d packets dropped", tap.Drops())
	}
	wantExchanges(t, seen, begun, ended)
}

// sent is what a client sends in an exchange: more than one frame holds.
const sent = 5000

// exchange opens a connection, sends, and waits for as much.
func exchange(t *testing.T, c, s *topology.Host) {
	t.Helper()
	var l net.Listener
	if err := s.Do(func() (err error) { l, err = net.Listen("tcp4", "192.168.10.100:2049"); return err }); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.CopyN(conn, conn, sent)
	}()
	var conn net.Conn
	err := c.Do(func() (err error) {
		conn, err = net.DialTimeout("tcp4", "192.168.10.100:2049", 10*time.Second)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(make([]byte, sent)); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, conn); n != sent || err != nil {
		t.Fatalf("%d bytes back, %v", n, err)
	}
}

// wantExchanges wants two connections with all their bytes.
func wantExchanges(t *testing.T, seen []Packet, begun, ended clock.Instant) {
	t.Helper()
	var up, down, opened int
	for _, p := range seen {
		if p.At < begun || p.At > ended || p.Server != 1 || p.Tuple.Port != 2049 || p.Tuple.Client != netip.MustParseAddr("192.168.10.10") {
			t.Errorf("packet %+v, not of %v to %v", p, begun, ended)
		}
		switch {
		case p.FromServer:
			down += int(p.Payload)
		default:
			up += int(p.Payload)
		}
		if p.opens() {
			opened++
		}
	}
	if up != 2*sent || down != 2*sent || opened != 2 {
		t.Errorf("%d bytes to the server, %d from it, %d connections; want %d, %d, 2", up, down, opened, 2*sent, 2*sent)
	}
	if !slices.IsSortedFunc(seen, func(a, b Packet) int { return int(a.At - b.At) }) {
		t.Error("the packets are not in order")
	}
	if r := Judge(seen, []string{"", "server"}, 1, nil); r.Connections != 2 || r.Split+r.Astray != 0 {
		t.Errorf("judged %+v", r)
	}
}

// frame is a client's frame with 10 bytes of data and 12 bytes of TCP options.
func frame() []byte {
	f := make([]byte, 14+20+32+10)
	copy(f, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0})
	f[14], f[23] = 0x45, 6
	binary.BigEndian.PutUint16(f[16:], 20+32+10)
	copy(f[26:], []byte{192, 168, 10, 10})
	copy(f[30:], []byte{192, 168, 10, 50})
	binary.BigEndian.PutUint16(f[34:], 700)
	binary.BigEndian.PutUint16(f[36:], 2049)
	binary.BigEndian.PutUint32(f[38:], 12345)
	f[46], f[47] = 8<<4, PSH|ACK
	return f
}

func TestRead(t *testing.T) {
	own := owned{vip: netip.MustParseAddr("192.168.10.50"), director: netip.MustParseAddr("192.168.10.2")}
	mac := model.MAC{2, 0, 0, 0, 0, 1}
	want := Packet{Tuple: tuple, Seq: 12345, Payload: 10, Flags: PSH | ACK}
	for _, tt := range []struct {
		name   string
		change func([]byte)
		want   *Packet
	}{
		{"a client's", func([]byte) {}, &want},
		{"a large one", func(f []byte) { f[16], f[17] = 0, 0 }, &want},
		{"flooded", func(f []byte) { f[5] = 2 }, nil},
		{"to another address", func(f []byte) { f[33] = 51 }, nil},
		{"the director's check", func(f []byte) { f[29] = 2 }, nil},
		{"UDP", func(f []byte) { f[23] = 17 }, nil},
		{"ARP", func(f []byte) { f[13] = 6 }, nil},
		{"a later fragment", func(f []byte) { f[21] = 1 }, nil},
		{"the server's", func(f []byte) {
			copy(f[6:], mac[:])
			copy(f[26:], []byte{192, 168, 10, 50, 192, 168, 10, 10, 2049 >> 8, 2049 & 255, 700 >> 8, 700 & 255})
		}, &Packet{Tuple: tuple, Seq: 12345, Payload: 10, Flags: PSH | ACK, FromServer: true}},
	} {
		f := frame()
		tt.change(f)
		p, ok := read(f, len(f), mac, own)
		if ok != (tt.want != nil) || ok && p != *tt.want {
			t.Errorf("%s: %+v, %v; want %+v", tt.name, p, ok, tt.want)
		}
	}
	f := frame()
	outer := []byte{0x45, 0, 0, 82, 0, 0, 0, 0, 64, 4, 0, 0, 192, 168, 10, 2, 10, 9, 0, 100}
	wrapped := slices.Concat(f[:14], outer, f[14:])
	if p, ok := read(wrapped, len(wrapped), mac, own); !ok || p != want {
		t.Errorf("in a tunnel: %+v, %v; want %+v", p, ok, want)
	}
	for n := range wrapped[:74] {
		if _, ok := read(wrapped[:n], n, mac, own); ok {
			t.Errorf("%d bytes in a tunnel are read as a packet", n)
		}
	}
	for n := range frame()[:54] {
		if _, ok := read(frame()[:n], n, mac, own); ok {
			t.Errorf("%d bytes are read as a packet", n)
		}
	}
}
