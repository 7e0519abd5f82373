package announce

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"fairlead/internal/arp"
	"fairlead/internal/model"
)

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// scene is an Announcer in a namespace of its own, joined to another host's.
type scene struct {
	*Announcer
	seen         chan model.VIPStatus
	ns, peerNS   netns.NsHandle
	handle, peer *netlink.Handle
	mac, rival   model.MAC
	tap          *packet.Conn // what the other host receives and sends
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{seen: make(chan model.VIPStatus)}
	s.ns, s.handle = newNamespace(t)
	s.peerNS, s.peer = newNamespace(t)
	s.wire(t)
	s.Announcer = New(s.seen, slog.New(slog.DiscardHandler))
	return s
}

// wire joins the two hosts, for the first time or again.
func (s *scene) wire(t *testing.T) {
	t.Helper()
	wire(t, s.ns, s.peerNS, s.handle, s.peer, "192.168.10.1/24", "192.168.10.2/24")
	far := s.link(t, s.peer)
	s.mac, s.rival = model.MAC(s.link(t, s.handle).Attrs().HardwareAddr), model.MAC(far.Attrs().HardwareAddr)
	within(t, s.peerNS, func() (err error) {
		s.tap, err = packet.Listen(&net.Interface{Index: far.Attrs().Index}, packet.Raw, unix.ETH_P_ARP, nil)
		return err
	})
	tap := s.tap
	t.Cleanup(func() { tap.Close() })
}

func (s *scene) link(t *testing.T, h *netlink.Handle) netlink.Link {
	t.Helper()
	l, err := h.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// run starts the Announcer; it ends with the test.
func (s *scene) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- inside(s.ns, func() error { return s.Run(ctx) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: got %v, want context.Canceled", err)
		}
	})
}

func (s *scene) want(held, answers bool) []Want {
	return []Want{{Addr: vip, Iface: "eth0", MAC: s.mac, Held: held, Answering: answers}}
}

// expect reads the next state.
func (s *scene) expect(t *testing.T, state, why string) {
	t.Helper()
	select {
	case got := <-s.seen:
		if got.Addr != vip || got.State != state || !strings.Contains(got.Why, why) {
			t.Fatalf("got %+v, want %s with %q", got, state, why)
		}
	case <-time.After(patience):
		t.Fatalf("wait for %s: nothing", state)
	}
}

// hears waits until the other host has received exactly these packets of ours,
// other ARP left aside.
func (s *scene) hears(t *testing.T, want ...arp.Packet) {
	t.Helper()
	if err := s.tap.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1514)
	for i := 0; i < len(want); {
		n, _, err := s.tap.ReadFrom(b)
		if err != nil {
			t.Fatalf("wait for packet %d, %+v: %v", i, want[i], err)
		}
		got, err := arp.Parse(b[arp.HeaderLen:n])
		if err != nil || got.SenderMAC != s.mac || got.Target != vip {
			continue
		}
		if got != want[i] {
			t.Fatalf("packet %d: got %+v, want %+v", i, got, want[i])
		}
		i++
	}
}

func do(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// shout sends a packet of the other host.
func (s *scene) shout(t *testing.T, a arp.Packet) {
	t.Helper()
	_, err := s.tap.WriteTo(a.Frame(), &packet.Addr{HardwareAddr: arp.Broadcast[:]})
	do(t, err)
}

func TestTakeAFreeAddress(t *testing.T) {
	s := newScene(t)
	s.Set(s.want(false, false))
	s.run(t)
	s.expect(t, model.VIPProbing, "")
	begin := time.Now()
	s.expect(t, model.VIPAnnounced, "")
	if took := time.Since(begin); took < probes*spacing-50*time.Millisecond {
		t.Errorf("taken after %v, want all rounds first", took)
	}
	p, a, r := probeOf(vip, s.mac), announcementOf(vip, s.mac), unaskedOf(vip, s.mac)
	s.hears(t, p, p, p)
	s.Set(s.want(false, true))
	s.hears(t, a, r, a, r, a, r)
	s.Burst(vip)
	s.hears(t, a, r)
}

// TestWantedAgainAtOnce: a virtual IP that was not wanted for an instant begins
// anew, and says so: who ordered it has forgotten what it was told.
func TestWantedAgainAtOnce(t *testing.T) {
	s := newScene(t)
	s.Set(s.want(true, true))
	s.run(t)
	s.expect(t, model.VIPAnnounced, "")
	s.Set(nil)
	s.Set(s.want(false, false))
	s.expect(t, model.VIPProbing, "")
	s.expect(t, model.VIPAnnounced, "")
}

func TestConflictWithAHostThatHasTheAddress(t *testing.T) {
	s := newScene(t)
	do(t, s.peer.AddrAdd(s.link(t, s.peer), address(t, "192.168.10.50/32")))
	s.Set(s.want(false, false))
	s.run(t)
	s.expect(t, model.VIPProbing, "")
	s.expect(t, model.VIPConflict, "192.168.10.50 is answered by "+s.rival.String())
}

func TestRivalIsNoticedAndMet(t *testing.T) {
	s := newScene(t)
	s.Set(s.want(true, false))
	s.run(t)
	s.expect(t, model.VIPAnnounced, "")
	s.Set(s.want(true, true))
	a, r := announcementOf(vip, s.mac), unaskedOf(vip, s.mac)
	s.hears(t, a, r)
	s.shout(t, announcementOf(vip, s.rival))
	s.expect(t, model.VIPConflict, "192.168.10.50 is claimed by "+s.rival.String())
	s.hears(t, a)
	s.shout(t, unaskedOf(vip, s.rival))
	s.expect(t, model.VIPConflict, "192.168.10.50 is answered by "+s.rival.String())
}

func TestInterfaceDownAndUp(t *testing.T) {
	s := newScene(t)
	s.Set(s.want(true, true))
	s.run(t)
	s.expect(t, model.VIPAnnounced, "")
	a, r := announcementOf(vip, s.mac), unaskedOf(vip, s.mac)
	s.hears(t, a, r, a, r, a, r)
	eth0 := s.link(t, s.handle)
	do(t, s.handle.LinkSetDown(eth0), s.handle.LinkSetUp(eth0))
	s.hears(t, a, r) // the neighbours may have forgotten, or be new
}

func TestInterfaceIsNotThereYet(t *testing.T) {
	s := newScene(t)
	eth0 := s.link(t, s.handle)
	do(t, s.handle.LinkSetDown(eth0))
	s.Set(s.want(false, false))
	s.run(t)
	s.expect(t, model.VIPProbing, "interface eth0 is down")
	do(t, s.handle.LinkSetUp(eth0))
	s.expect(t, model.VIPProbing, "")
	s.expect(t, model.VIPAnnounced, "")
}

func TestInterfaceGoneAndBack(t *testing.T) {
	s := newScene(t)
	s.Set(s.want(false, false))
	s.run(t)
	s.expect(t, model.VIPProbing, "")
	s.expect(t, model.VIPAnnounced, "")
	do(t, s.handle.LinkDel(s.link(t, s.handle)))
	s.expect(t, model.VIPProbing, "interface eth0 does not exist")
	s.wire(t)
	s.Set(s.want(false, false)) // another MAC
	s.expect(t, model.VIPProbing, "")
	s.expect(t, model.VIPAnnounced, "")
	p := probeOf(vip, s.mac)
	s.hears(t, p, p, p)
}

// TestInterfaceReplacedUnseen replaces the interface while the Announcer waits
// for its states to be taken: it never meets the moment without one.
func TestInterfaceReplacedUnseen(t *testing.T) {
	s := newScene(t)
	both := func() []Want {
		second := s.want(true, false)[0]
		second.Addr = vip.Next()
		return append(s.want(true, false), second)
	}
	s.Set(both())
	s.run(t)
	if got := <-s.seen; got.State != model.VIPAnnounced {
		t.Fatalf("got %+v, want it announced", got)
	}
	do(t, s.handle.LinkDel(s.link(t, s.handle)))
	s.wire(t)
	s.Set(both())
	states := make(map[netip.Addr][]string)
	timeout := time.After(patience)
	for len(states[vip]) < 2 || len(states[vip.Next()]) < 2 {
		select {
		case got := <-s.seen:
			if all := states[got.Addr]; len(all) > 0 || got.State == model.VIPProbing {
				states[got.Addr] = append(all, got.State)
			}
		case <-timeout:
			t.Fatalf("got %v, want both asked for and announced anew", states)
		}
	}
	for addr, all := range states {
		if all[len(all)-1] != model.VIPAnnounced {
			t.Errorf("%v went through %v, want it announced in the end", addr, all)
		}
	}
}

// TestUnsentQuestionDoesNotCount lets a question fail at the socket.
func TestUnsentQuestionDoesNotCount(t *testing.T) {
	s := newScene(t)
	within(t, s.ns, func() error {
		p, err := openPort(door{iface: "eth0"})
		if err != nil {
			return err
		}
		p.close()
		c := begin(s.want(false, false)[0], time.Now())
		l := &loop{
			Announcer: s.Announcer,
			claims:    map[netip.Addr]claim{vip: c},
			ports:     map[door]*port{{iface: "eth0"}: p},
			broken:    map[door]time.Time{},
		}
		l.act(c.tick(time.Now()))
		if got := l.claims[vip]; !got.cut || got.asked != 0 || l.ports[door{iface: "eth0"}] != nil {
			t.Errorf("after a failed question: got %+v, want the claim cut and the port closed", got)
		}
		return nil
	})
}
