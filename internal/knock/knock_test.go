package knock

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead/internal/model"
	"fairlead/internal/topology"
)

var vip = netip.MustParseAddr("192.0.2.50")

// scene is a host that asks and one that is asked.
type scene struct{ near, far *topology.Host }

func newScene(t *testing.T, farVIP netip.Addr) scene {
	t.Helper()
	return between(t, netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("192.0.2.2/24"), farVIP)
}

// between is a scene whose hosts have these addresses.
func between(t *testing.T, nearAddr, farAddr netip.Prefix, farVIP netip.Addr) scene {
	t.Helper()
	segment, err := topology.Build("fairlead-knock-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := segment.Close(); err != nil {
			t.Error(err)
		}
	})
	near, err := segment.Add(topology.Spec{Name: "near", Addr: nearAddr})
	if err != nil {
		t.Fatal(err)
	}
	far, err := segment.Add(topology.Spec{Name: "far", Addr: farAddr, VIP: farVIP})
	if err != nil {
		t.Fatal(err)
	}
	return scene{near, far}
}

// from runs f where the near host's interface is.
func (s scene) from(t *testing.T, f func(From) error) {
	t.Helper()
	err := s.near.Do(func() error {
		link, err := netlink.LinkByName(topology.HostIface)
		if err != nil {
			return err
		}
		return f(From{link.Attrs().Index, s.near.MAC, s.near.Addr.Addr()})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// listen accepts connections on the far host, and counts them.
func (s scene) listen(t *testing.T, addr string) {
	t.Helper()
	err := s.far.Do(func() error {
		l, err := net.Listen("tcp4", addr)
		if err == nil {
			t.Cleanup(func() { l.Close() })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s scene) port(t *testing.T, addr netip.Addr, port uint16) (r Reaction, mss int) {
	t.Helper()
	s.from(t, func(f From) (err error) {
		r, mss, err = f.Port(t.Context(), s.far.MAC, netip.AddrPortFrom(addr, port))
		return err
	})
	return r, mss
}

func TestWho(t *testing.T) {
	s := newScene(t, vip)
	s.from(t, func(f From) error {
		if mac, ok, err := f.Find(t.Context(), s.far.Addr.Addr()); !ok || mac != s.far.MAC || err != nil {
			t.Errorf("found %v, %v, %v", mac, ok, err)
		}
		if all, err := f.Who(t.Context(), vip); len(all) != 0 || err != nil {
			t.Errorf("a host that keeps quiet: got %v, %v", all, err)
		}
		return nil
	})
	if err := s.far.Address(netip.PrefixFrom(vip, 32)); err != nil {
		t.Fatal(err)
	}
	s.from(t, func(f From) error {
		if all, err := f.Who(t.Context(), vip); !slices.Equal(all, []model.MAC{s.far.MAC}) || err != nil {
			t.Errorf("a host that answers: got %v, %v", all, err)
		}
		return nil
	})
}

// TestWhoOfSix is the same by neighbour discovery.
func TestWhoOfSix(t *testing.T) {
	vip := netip.MustParseAddr("2001:db8::50")
	s := between(t, netip.MustParsePrefix("2001:db8::1/64"), netip.MustParsePrefix("2001:db8::2/64"), vip)
	s.from(t, func(f From) error {
		if mac, ok, err := f.Find(t.Context(), s.far.Addr.Addr()); !ok || mac != s.far.MAC || err != nil {
			t.Errorf("found %v, %v, %v", mac, ok, err)
		}
		if all, err := f.Who(t.Context(), vip.Next()); len(all) != 0 || err != nil {
			t.Errorf("an address that nobody has: got %v, %v", all, err)
		}
		return nil
	})
	if err := s.far.Address(netip.PrefixFrom(vip.Next(), 128)); err != nil {
		t.Fatal(err)
	}
	s.from(t, func(f From) error {
		if all, err := f.Who(t.Context(), vip.Next()); !slices.Equal(all, []model.MAC{s.far.MAC}) || err != nil {
			t.Errorf("a host that answers: got %v, %v", all, err)
		}
		return nil
	})
}

func TestPort(t *testing.T) {
	s := newScene(t, vip)
	s.listen(t, ":2049")
	if r, mss := s.port(t, vip, 2049); r != Accepted || mss != 1460 {
		t.Errorf("open: got %v, segments of %d", r, mss)
	}
	if r, _ := s.port(t, vip, 2050); r != Refused {
		t.Errorf("closed: got %v", r)
	}
	if r, _ := s.port(t, vip.Next(), 2049); r != Silent {
		t.Errorf("no such address: got %v", r)
	}
}

// TestNothingStays looks for connections that a knock left half open.
func TestNothingStays(t *testing.T) {
	s := newScene(t, vip)
	s.listen(t, ":2049")
	if r, _ := s.port(t, vip, 2049); r != Accepted {
		t.Fatalf("got %v", r)
	}
	err := s.far.Do(func() error {
		sockets, err := netlink.SocketDiagTCP(unix.AF_INET)
		for _, d := range sockets {
			if d.State != 10 { // LISTEN
				t.Errorf("a connection stayed behind: %+v", d)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestForwards(t *testing.T) {
	s := newScene(t, netip.Addr{})
	if err := s.far.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) }); err != nil {
		t.Fatal(err)
	}
	if r, _ := s.port(t, vip, 2049); r != Forwards {
		t.Errorf("got %v", r)
	}
}

func TestEcho(t *testing.T) {
	s := newScene(t, netip.Addr{})
	for _, tt := range []struct {
		size int
		want bool
	}{{64, true}, {1500, true}} {
		s.from(t, func(f From) error {
			got, err := f.Echo(t.Context(), s.far.MAC, s.far.Addr.Addr(), tt.size)
			if got != tt.want {
				t.Errorf("%d bytes: got %v, want %v", tt.size, got, tt.want)
			}
			return err
		})
	}
	if err := s.far.Do(func() error {
		link, err := netlink.LinkByName(topology.HostIface)
		if err != nil {
			return err
		}
		return netlink.LinkSetMTU(link, 1400)
	}); err != nil {
		t.Fatal(err)
	}
	s.from(t, func(f From) error {
		got, err := f.Echo(t.Context(), s.far.MAC, s.far.Addr.Addr(), 1500)
		if got {
			t.Error("1500 bytes went to an interface that takes 1400")
		}
		return err
	})
}

func TestClock(t *testing.T) {
	s := newScene(t, netip.Addr{})
	s.from(t, func(f From) error {
		ahead, within, known, err := f.Clock(t.Context(), s.far.MAC, s.far.Addr.Addr())
		if !known || ahead.Abs() > within+time.Millisecond || within > time.Second {
			t.Errorf("one machine's clock is %v ahead of itself (within %v, known %v)", ahead, within, known)
		}
		return err
	})
}

func TestEndsWithItsContext(t *testing.T) {
	s := newScene(t, netip.Addr{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.from(t, func(f From) error {
		if _, err := f.Who(ctx, vip); err != context.Canceled {
			t.Errorf("got %v", err)
		}
		return nil
	})
}

func TestApart(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, "2026-01-01T"+s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, tt := range []struct {
		stamp uint32
		at    time.Time
		want  time.Duration
	}{
		{1000, at("00:00:00Z"), time.Second},
		{0, at("00:00:01Z"), -time.Second},
		{0, at("23:59:59Z"), time.Second},
		{day - 1000, at("00:00:01Z"), -2 * time.Second},
		{0, at("02:00:05+02:00"), -5 * time.Second},
	} {
		if got := apart(tt.stamp, tt.at); got != tt.want {
			t.Errorf("stamp %d at %v: got %v, want %v", tt.stamp, tt.at, got, tt.want)
		}
	}
}

// FuzzAnswers feeds frames to everything that reads one.
func FuzzAnswers(f *testing.F) {
	from := From{1, model.MAC{2, 1}, netip.MustParseAddr("192.0.2.1")}
	dst := netip.AddrPortFrom(vip, 2049)
	syn := from.segment(model.MAC{2, 2}, dst, 20000, 1, flagSYN)
	f.Add(syn)
	f.Add(from.arpRequest(vip))
	f.Add(append(from.icmp(model.MAC{2, 2}, vip, 11, 0, 0, nil), syn[headerLen:]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headerLen { // listen lets none of these pass
			return
		}
		arpReply(b, vip)
		reaction(b, from.Addr, dst, 20000)
		if _, _, p := inside(b); mss(p) > 65535 {
			t.Error("a segment longer than a packet")
		}
	})
}

func TestNobodyAnswers(t *testing.T) {
	s := newScene(t, vip)
	s.from(t, func(f From) error {
		for name, mac := range map[string]model.MAC{"nobody's MAC": {2, 9, 9, 9, 9, 9}, "the own MAC": f.MAC} {
			if answered, err := f.Echo(t.Context(), mac, s.far.Addr.Addr().Next(), 64); answered || err != nil {
				t.Errorf("%s: a ping was answered (%v)", name, err)
			}
			if _, _, known, err := f.Clock(t.Context(), mac, s.far.Addr.Addr().Next()); known || err != nil {
				t.Errorf("%s: a clock answered (%v)", name, err)
			}
			if r, _, err := f.Port(t.Context(), mac, netip.AddrPortFrom(vip, 2049)); r != Silent || err != nil {
				t.Errorf("%s: the port %v (%v)", name, r, err)
			}
		}
		if mac, ok, err := f.Find(t.Context(), s.far.Addr.Addr().Next()); ok || mac.Known() || err != nil {
			t.Errorf("found %v, %v, %v", mac, ok, err)
		}
		return nil
	})
}
