package netstate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"fairlead/internal/model"
)

// patience bounds every wait of these tests.
const patience = 10 * time.Second

var nfs01 = netip.MustParseAddr("192.168.10.100")

// scene is a Watcher in a namespace of its own, joined to a neighbour's.
type scene struct {
	*Watcher
	facts         chan Fact
	ns, peerNS    netns.NsHandle
	handle, peer  *netlink.Handle
	eth0, farEth0 netlink.Link // of the Watcher and of the neighbour, which is nfs01
}

func newScene(t *testing.T) scene {
	t.Helper()
	s := scene{facts: make(chan Fact)}
	s.ns, s.handle = newNamespace(t)
	s.peerNS, s.peer = newNamespace(t)
	wire(t, s.ns, s.peerNS, s.handle, s.peer, "192.168.10.1/24", "192.168.10.100/24")
	s.eth0, s.farEth0 = link(t, s.handle, "eth0"), link(t, s.peer, "eth0")
	// The kernel waits a second between two ARP requests; these tests do not.
	within(t, s.ns, func() error {
		return os.WriteFile("/proc/sys/net/ipv4/neigh/eth0/retrans_time_ms", []byte("50"), 0)
	})
	s.Watcher = New(s.facts, slog.New(slog.DiscardHandler))
	s.refresh, s.retry = 300*time.Millisecond, 100*time.Millisecond
	return s
}

// run starts the Watcher; it ends with the test.
func (s scene) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- inside(s.ns, func() error { return s.Run(ctx) })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: got %v, want context.Canceled", err)
		}
	})
}

func link(t *testing.T, h *netlink.Handle, name string) netlink.Link {
	t.Helper()
	l, err := h.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// until reads facts until one satisfies want, and returns those before it.
func (s scene) until(t *testing.T, what string, want func(Fact) bool) (before []Fact) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case f := <-s.facts:
			if want(f) {
				return before
			}
			before = append(before, f)
		case <-timeout:
			t.Fatalf("wait for %s: got only %s", what, texts(before))
		}
	}
}

func texts(facts []Fact) (all []string) {
	for _, f := range facts {
		if f.Link != nil {
			all = append(all, fmt.Sprintf("%+v", *f.Link))
		} else {
			all = append(all, fmt.Sprintf("%+v", *f.Neighbour))
		}
	}
	return all
}

func aLink(name string, want func(LinkFact) bool) func(Fact) bool {
	return func(f Fact) bool { return f.Link != nil && f.Link.Name == name && want(*f.Link) }
}

func aNeighbour(n model.Neighbour) func(Fact) bool {
	return func(f Fact) bool {
		if f.Neighbour == nil {
			return false
		}
		got := *f.Neighbour
		if !n.Source.IsValid() { // of no concern
			got.Source, got.MTU = n.Source, n.MTU
		}
		return got == n
	}
}

// untilMAC waits until nfs01 has that MAC.
func (s scene) untilMAC(t *testing.T, mac model.MAC) (before []Fact) {
	t.Helper()
	n := model.Neighbour{Addr: nfs01, Iface: "eth0", MAC: mac}
	return s.until(t, fmt.Sprintf("%+v", n), aNeighbour(n))
}

func (s scene) mac(t *testing.T) model.MAC {
	t.Helper()
	return macOf(link(t, s.peer, "eth0").Attrs().HardwareAddr)
}

func do(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestLinks(t *testing.T) {
	s := newScene(t)
	s.run(t)
	own := netip.MustParsePrefix("192.168.10.1/24")
	s.until(t, "eth0", aLink("eth0", func(l LinkFact) bool {
		return l.Up && !l.Gone && l.Kind == "veth" && l.Index == s.eth0.Attrs().Index &&
			l.MAC == macOf(s.eth0.Attrs().HardwareAddr) && slices.Contains(l.Addrs, own)
	}))

	do(t, s.handle.AddrAdd(s.eth0, address(t, "192.168.20.1/24")))
	more := netip.MustParsePrefix("192.168.20.1/24")
	s.until(t, "a second address", aLink("eth0", func(l LinkFact) bool { return slices.Contains(l.Addrs, more) }))
	do(t, s.handle.AddrDel(s.eth0, address(t, "192.168.20.1/24")))
	s.until(t, "one address", aLink("eth0", func(l LinkFact) bool { return !slices.Contains(l.Addrs, more) }))

	do(t, s.peer.LinkSetDown(s.farEth0))
	s.until(t, "no carrier", aLink("eth0", func(l LinkFact) bool { return !l.Up }))
	do(t, s.peer.LinkSetUp(s.farEth0))
	s.until(t, "carrier", aLink("eth0", func(l LinkFact) bool { return l.Up }))
	do(t, s.handle.LinkSetDown(s.eth0))
	s.until(t, "down", aLink("eth0", func(l LinkFact) bool { return !l.Up }))

	do(t, s.handle.LinkSetName(s.eth0, "lan0"))
	s.until(t, "the old name gone", aLink("eth0", func(l LinkFact) bool { return l.Gone }))
	s.until(t, "the new name", aLink("lan0", func(l LinkFact) bool { return !l.Gone && l.Index == s.eth0.Attrs().Index }))
	do(t, s.handle.LinkDel(s.eth0))
	s.until(t, "lan0 gone", aLink("lan0", func(l LinkFact) bool { return l.Gone }))
}

func TestLinkKinds(t *testing.T) {
	s := newScene(t)
	do(t, s.handle.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}))
	s.run(t)
	s.until(t, "lo", aLink("lo", func(l LinkFact) bool { return l.Kind == "" && l.MAC == model.MAC{} }))
	s.until(t, "br0", aLink("br0", func(l LinkFact) bool { return l.Kind == "bridge" && l.MAC.Known() }))
}

func TestNeighbourIsResolvedAtOnce(t *testing.T) {
	s := newScene(t)
	s.Keep([]netip.Addr{nfs01, netip.MustParseAddr("2001:db8::1")}, nil)
	s.run(t)
	s.untilMAC(t, s.mac(t))
}

func TestNeighbourThatTheKernelKnows(t *testing.T) {
	s := newScene(t)
	hand := model.MAC{2, 0, 0, 0, 0, 9}
	entry := netlink.Neigh{LinkIndex: s.eth0.Attrs().Index, IP: nfs01.AsSlice(), State: netlink.NUD_PERMANENT, HardwareAddr: hand[:]}
	do(t, s.handle.NeighAdd(&entry))
	s.Keep([]netip.Addr{nfs01}, nil)
	s.run(t)
	s.untilMAC(t, hand)
	// An entry made by hand stays as it is, past several refreshes.
	for timeout, over := time.After(4*s.refresh), false; !over; {
		over = s.silentUntil(t, timeout)
	}
	if got := kernelState(t, s); got&netlink.NUD_PERMANENT == 0 {
		t.Errorf("the kernel's entry is in state %#x, want permanent", got)
	}
}

func kernelState(t *testing.T, s scene) int {
	t.Helper()
	table, err := s.handle.NeighList(s.eth0.Attrs().Index, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range table {
		if n.IP.Equal(nfs01.AsSlice()) {
			return n.State
		}
	}
	return 0
}

func TestNeighbourReturnsAfterItsEntryVanished(t *testing.T) {
	s := newScene(t)
	s.refresh = time.Hour
	s.Keep([]netip.Addr{nfs01}, nil)
	s.run(t)
	s.untilMAC(t, s.mac(t))
	do(t, s.handle.NeighDel(&netlink.Neigh{LinkIndex: s.eth0.Attrs().Index, IP: nfs01.AsSlice()}))
	for deadline := time.Now().Add(patience); kernelState(t, s)&netlink.NUD_REACHABLE == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the entry did not come back")
		}
		s.silentUntil(t, time.After(5*time.Millisecond))
	}
}

// silentUntil takes one fact, which must be of no neighbour, unless the timeout
// comes first: then it is true.
func (s scene) silentUntil(t *testing.T, timeout <-chan time.Time) bool {
	t.Helper()
	select {
	case f := <-s.facts:
		if f.Neighbour != nil {
			t.Errorf("got %s, want nothing new", texts([]Fact{f}))
		}
		return false
	case <-timeout:
		return true
	}
}

func TestNeighbourChangesItsMAC(t *testing.T) {
	s := newScene(t)
	s.Keep([]netip.Addr{nfs01}, nil)
	s.run(t)
	old := s.mac(t)
	s.untilMAC(t, old)
	// It says nothing: only asking it again can find out.
	mac := model.MAC{2, 0, 0, 0, 0, 7}
	do(t, s.peer.LinkSetHardwareAddr(s.farEth0, net.HardwareAddr(mac[:])))
	begin := time.Now()
	s.untilMAC(t, mac)
	t.Logf("noticed after %v with a refresh of %v", time.Since(begin), s.refresh)
}

func TestNeighbourDiesAndReturns(t *testing.T) {
	s := newScene(t)
	home := address(t, "192.168.10.100/24")
	do(t, s.peer.AddrDel(s.farEth0, home))
	s.Keep([]netip.Addr{nfs01}, nil)
	s.run(t)
	s.untilFailed(t, model.MAC{}) // nobody answers, and that is told
	do(t, s.peer.AddrAdd(s.farEth0, home))
	mac := s.mac(t)
	s.untilMAC(t, mac)
	do(t, s.peer.AddrDel(s.farEth0, home))
	begin := time.Now()
	s.untilFailed(t, mac) // the first sign comes while the MAC is still in use
	t.Logf("noticed after %v with a refresh of %v", time.Since(begin), s.refresh)
	s.untilFailed(t, model.MAC{})
	// It is asked for again and again, and fails each time: told once.
	for timeout, over := time.After(5*s.retry), false; !over; {
		over = s.silentUntil(t, timeout)
	}
	do(t, s.peer.AddrAdd(s.farEth0, home))
	s.untilMAC(t, mac)
}

// untilFailed waits until nobody answers for nfs01, while it has that MAC.
func (s scene) untilFailed(t *testing.T, mac model.MAC) {
	t.Helper()
	n := model.Neighbour{Addr: nfs01, Iface: "eth0", MAC: mac, Failed: true}
	for _, f := range s.until(t, fmt.Sprintf("%+v", n), aNeighbour(n)) {
		if f.Neighbour != nil {
			t.Errorf("got %s before it", texts([]Fact{f}))
		}
	}
}

// TestFailedMeansThatSomebodyWasAsked plays the states of one entry: only after
// its holder was asked does a failure say that nobody answered.
func TestFailedMeansThatSomebodyWasAsked(t *testing.T) {
	for _, tt := range []struct {
		states []state
		want   bool
	}{
		{[]state{valid, tried, failed}, true},
		{[]state{valid, tried, failed, gone, asking}, true}, // and that holds
		{[]state{valid, tried, failed, failed}, true},
		{[]state{valid, tried, failed, valid}, false},
		{[]state{valid, tried, failed, fixed}, false},
		{[]state{valid, failed}, false}, // deleted by hand
		{[]state{valid, tried, valid, failed}, false},
		{[]state{valid, gone}, false},
		{[]state{valid, gone, failed}, true}, // then everybody was asked
		{[]state{asking}, false},
		{[]state{asking, failed}, true},
	} {
		e := entry{way: way{link: 2, hop: nfs01}, iface: "eth0"}
		for _, st := range tt.states {
			s := sighting{addr: nfs01, link: 2, state: st}
			if st.usable() {
				s.mac = model.MAC{2, 0, 0, 0, 0, 1}
			}
			e = e.see(s, time.Now(), time.Hour, time.Second)
		}
		if e.mute != tt.want {
			t.Errorf("states %v: failed is %v, want %v", tt.states, e.mute, tt.want)
		}
	}
}

func TestNeighbourBehindARouter(t *testing.T) {
	s := newScene(t)
	s.run(t)
	far := netip.MustParseAddr("203.0.113.5")
	s.Keep([]netip.Addr{far, nfs01}, nil)
	s.until(t, "no MAC without a route", aNeighbour(model.Neighbour{Addr: far}))
	do(t, s.handle.RouteAdd(&netlink.Route{LinkIndex: s.eth0.Attrs().Index, Gw: nfs01.AsSlice()}))
	s.untilMAC(t, s.mac(t))
	if _, err := (&kernel{handle: s.handle}).lead(far, false); err == nil {
		t.Error("a router's address passed for the server's own")
	}
	// A new route makes no notice: asking again finds it.
	do(t, s.peer.AddrAdd(s.farEth0, address(t, "203.0.113.5/32")))
	_, direct, _ := net.ParseCIDR("203.0.113.0/24")
	do(t, s.handle.RouteAdd(&netlink.Route{LinkIndex: s.eth0.Attrs().Index, Dst: direct, Scope: netlink.SCOPE_LINK}))
	s.until(t, "the MAC", aNeighbour(model.Neighbour{Addr: far, Iface: "eth0", MAC: s.mac(t)}))
}

// Who may be behind a router is told with that one's MAC, the address that packets to it
// come from, and the MTU of the way there, also when one of them changes.
func TestRoutedNeighbour(t *testing.T) {
	s := newScene(t)
	far, router := netip.MustParseAddr("203.0.113.5"), nfs01
	_, network, _ := net.ParseCIDR("203.0.113.0/24")
	route := &netlink.Route{LinkIndex: s.eth0.Attrs().Index, Dst: network, Gw: router.AsSlice()}
	do(t, s.handle.RouteAdd(route))
	s.Keep([]netip.Addr{router}, []netip.Addr{far})
	s.run(t)
	want := model.Neighbour{Addr: far, Iface: "eth0", MAC: s.mac(t), Via: router, Source: netip.MustParseAddr("192.168.10.1"), MTU: 1500}
	s.until(t, "the router's MAC", aNeighbour(want))
	route.MTU, want.MTU = 1400, 1400
	do(t, s.handle.RouteReplace(route))
	s.until(t, "another MTU", aNeighbour(want))
	other := model.MAC{2, 0, 0, 0, 0, 9}
	do(t, s.peer.LinkSetHardwareAddr(s.farEth0, other[:]))
	want.MAC = other
	s.until(t, "another router's MAC", aNeighbour(want))
	do(t, s.handle.RouteDel(route))
	s.until(t, "no way", aNeighbour(model.Neighbour{Addr: far, Iface: "eth0", Via: router}))
}

func TestNeighbourIsAskedForWhenAnInterfaceChanges(t *testing.T) {
	s := newScene(t)
	do(t, s.handle.LinkSetDown(s.eth0))
	s.retry = time.Hour
	s.Keep([]netip.Addr{nfs01}, nil)
	s.run(t)
	s.until(t, "no MAC", aNeighbour(model.Neighbour{Addr: nfs01}))
	do(t, s.handle.LinkSetUp(s.eth0))
	s.untilMAC(t, s.mac(t))
}

func TestNeighbourOfARenamedInterface(t *testing.T) {
	s := newScene(t)
	s.Keep([]netip.Addr{nfs01}, nil)
	s.run(t)
	mac := s.mac(t)
	s.untilMAC(t, mac)
	do(t, s.handle.LinkSetName(s.eth0, "lan0"))
	s.untilMAC(t, model.MAC{})
	s.until(t, "the MAC on lan0", aNeighbour(model.Neighbour{Addr: nfs01, Iface: "lan0", MAC: mac}))
}

func TestLeftoverOfAnotherInterfaceIsIgnored(t *testing.T) {
	mac, other := model.MAC{2, 0, 0, 0, 0, 1}, model.MAC{2, 0, 0, 0, 0, 2}
	e := entry{way: way{link: 2, hop: nfs01}, iface: "eth0", mac: mac, told: true}
	for _, st := range []state{gone, asking, failed, valid, tried, fixed} {
		got := e.see(sighting{addr: nfs01, link: 3, state: st, mac: other}, time.Now(), time.Hour, time.Second)
		if got != e {
			t.Errorf("state %d on another interface made %+v of %+v", st, got, e)
		}
	}
}

func TestNeighbourFollowsItsInterface(t *testing.T) {
	s := newScene(t)
	s.Keep([]netip.Addr{nfs01}, nil)
	s.run(t)
	mac := s.mac(t)
	s.untilMAC(t, mac)
	do(t, s.handle.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}))
	br0 := link(t, s.handle, "br0")
	do(t,
		s.handle.LinkSetMaster(s.eth0, br0),
		s.handle.AddrDel(s.eth0, address(t, "192.168.10.1/24")),
		s.handle.AddrAdd(br0, address(t, "192.168.10.1/24")),
		s.handle.LinkSetUp(br0))
	s.untilMAC(t, model.MAC{})
	s.until(t, "the MAC on br0", aNeighbour(model.Neighbour{Addr: nfs01, Iface: "br0", MAC: mac}))
}

func TestOnlyKeptNeighboursAreTold(t *testing.T) {
	s := newScene(t)
	s.run(t)
	s.Keep([]netip.Addr{nfs01}, nil)
	s.untilMAC(t, s.mac(t))
	s.Keep(nil, nil)
	for len(s.wake) > 0 { // until it is being followed
		runtime.Gosched()
	}
	for _, ip := range []net.IP{nfs01.AsSlice(), net.IPv4(192, 168, 10, 77)} {
		n := netlink.Neigh{LinkIndex: s.eth0.Attrs().Index, IP: ip, State: netlink.NUD_PERMANENT, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 8}}
		do(t, s.handle.NeighSet(&n))
	}
	do(t, s.handle.AddrAdd(s.eth0, address(t, "192.168.30.1/24")))
	mark := netip.MustParsePrefix("192.168.30.1/24")
	before := s.until(t, "the mark", aLink("eth0", func(l LinkFact) bool { return slices.Contains(l.Addrs, mark) }))
	for _, f := range before {
		if f.Neighbour != nil {
			t.Errorf("got %s of a neighbour that is not kept", texts([]Fact{f}))
		}
	}
}

// TestOverrunIsMadeGood loses notices: a small buffer, and nobody reads the
// facts while hundreds of changes happen.
func TestOverrunIsMadeGood(t *testing.T) {
	s := newScene(t)
	s.buffer = 4096
	s.refresh = time.Hour
	s.Keep([]netip.Addr{nfs01}, nil)
	lost := make(chan struct{}, 1000)
	s.log = slog.New(warnings{Handler: slog.DiscardHandler, seen: lost})
	s.run(t)
	s.untilMAC(t, s.mac(t))
	do(t, s.handle.AddrAdd(s.eth0, address(t, "192.168.30.1/24"))) // its fact blocks the Watcher
	for i := range 2000 {
		a := address(t, fmt.Sprintf("10.%d.%d.1/24", i/256, i%256))
		do(t, s.handle.AddrAdd(s.eth0, a), s.handle.AddrDel(s.eth0, a))
	}
	hand := model.MAC{2, 0, 0, 0, 0, 9}
	entry := netlink.Neigh{LinkIndex: s.eth0.Attrs().Index, IP: nfs01.AsSlice(), State: netlink.NUD_PERMANENT, HardwareAddr: hand[:]}
	do(t, s.handle.NeighSet(&entry))
	do(t, s.handle.AddrAdd(s.eth0, address(t, "192.168.40.1/24")))
	last := netip.MustParsePrefix("192.168.40.1/24")
	// What was lost is told in any order.
	address, neighbour := false, false
	s.until(t, "the last address and the MAC", func(f Fact) bool {
		address = address || aLink("eth0", func(l LinkFact) bool { return slices.Contains(l.Addrs, last) })(f)
		neighbour = neighbour || aNeighbour(model.Neighbour{Addr: nfs01, Iface: "eth0", MAC: hand})(f)
		return address && neighbour
	})
	if len(lost) == 0 {
		t.Error("no notice was lost: the test shows nothing")
	}
}

// warnings tells of each warning.
type warnings struct {
	slog.Handler
	seen chan<- struct{}
}

func (warnings) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (w warnings) Handle(context.Context, slog.Record) error {
	select {
	case w.seen <- struct{}{}:
	default:
	}
	return nil
}
