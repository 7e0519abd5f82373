package announce

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"fairlead/internal/model"
	"fairlead/internal/nd"
)

var vip6 = netip.MustParseAddr("2001:db8::1:50")

func (s *scene) wantSix(answers bool) []Want {
	return []Want{{Addr: vip6, Iface: "eth0", MAC: s.mac, Answering: answers}}
}

// tapSix makes the other host receive and send IPv6.
func (s *scene) tapSix(t *testing.T) {
	t.Helper()
	index := s.link(t, s.peer).Attrs().Index
	within(t, s.peerNS, func() (err error) {
		s.tap, err = packet.Listen(&net.Interface{Index: index}, packet.Raw, unix.ETH_P_IPV6, nil)
		return err
	})
	tap := s.tap
	t.Cleanup(func() { tap.Close() })
}

// hearsSix waits until the other host has received exactly these messages about the
// virtual IP.
func (s *scene) hearsSix(t *testing.T, want ...nd.Message) {
	t.Helper()
	do(t, s.tap.SetReadDeadline(time.Now().Add(patience)))
	b := make([]byte, 1514)
	for i := 0; i < len(want); {
		n, _, err := s.tap.ReadFrom(b)
		if err != nil {
			t.Fatalf("wait for message %d, %+v: %v", i, want[i], err)
		}
		got, err := nd.Parse(b[:n])
		if err != nil || got.Target != vip6 || got.MAC != s.mac {
			continue
		}
		if got != want[i] {
			t.Fatalf("message %d: got %+v, want %+v", i, got, want[i])
		}
		i++
	}
}

func (s *scene) shoutSix(t *testing.T, frame []byte) {
	t.Helper()
	_, err := s.tap.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]})
	do(t, err)
}

func (s *scene) expectSix(t *testing.T, state, why string) {
	t.Helper()
	select {
	case got := <-s.seen:
		if got.Addr != vip6 || got.State != state || !strings.Contains(got.Why, why) {
			t.Fatalf("got %+v, want %s with %q", got, state, why)
		}
	case <-time.After(patience):
		t.Fatalf("wait for %s: nothing", state)
	}
}

// listens tells whether an interface of the namespace passes frames to the group of
// the virtual IP.
func (s *scene) listens(t *testing.T) bool {
	t.Helper()
	_, mac := nd.Group(vip6)
	var found bool
	within(t, s.ns, func() error {
		all, err := os.ReadFile("/proc/thread-self/net/dev_mcast")
		found = strings.Contains(string(all), fmt.Sprintf("%x", mac[:]))
		return err
	})
	return found
}

func TestTakeAFreeAddressOfSix(t *testing.T) {
	s := newScene(t)
	s.tapSix(t)
	s.Set(s.wantSix(false))
	s.run(t)
	s.expectSix(t, model.VIPProbing, "")
	s.expectSix(t, model.VIPAnnounced, "")
	probe := nd.Message{MAC: s.mac, Source: netip.IPv6Unspecified(), Target: vip6}
	s.hearsSix(t, probe, probe, probe)
	s.Set(s.wantSix(true))
	told := nd.Message{Advertisement: true, MAC: s.mac, Source: vip6, Target: vip6}
	s.hearsSix(t, told, told, told)
	if !s.listens(t) {
		t.Error("the interface does not pass what asks for the address")
	}
	// another one tells that it has the address: an alarm, and it is told otherwise
	s.shoutSix(t, nd.Announcement(vip6, s.rival))
	s.expectSix(t, model.VIPConflict, "2001:db8::1:50 is answered by "+s.rival.String())
	s.hearsSix(t, told)
	s.Set(nil)
	for end := time.Now().Add(patience); s.listens(t); {
		if time.Now().After(end) {
			t.Fatal("the interface still passes what asks for an address that is gone")
		}
	}
}

// A host that has the address, or is about to take it, keeps it from being taken.
func TestConflictOfSix(t *testing.T) {
	s := newScene(t)
	addr := address(t, vip6.String()+"/64")
	addr.Flags = unix.IFA_F_NODAD
	do(t, s.peer.AddrAdd(s.link(t, s.peer), addr))
	s.Set(s.wantSix(false))
	s.run(t)
	s.expectSix(t, model.VIPProbing, "")
	s.expectSix(t, model.VIPConflict, "is answered by "+s.rival.String())

	s = newScene(t)
	s.tapSix(t)
	s.Set(s.wantSix(false))
	s.run(t)
	s.expectSix(t, model.VIPProbing, "")
	s.shoutSix(t, nd.Probe(vip6, s.rival))
	s.expectSix(t, model.VIPConflict, "which is about to take it")
}

// What the daemon leaves when it ends is taken away by Forget.
func TestForget(t *testing.T) {
	s := newScene(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.Set([]Want{{Addr: vip6, Iface: "eth0", MAC: s.mac, Held: true, Answering: true}})
	ended := make(chan error, 1)
	go func() { ended <- inside(s.ns, func() error { return s.Run(ctx) }) }()
	s.expectSix(t, model.VIPAnnounced, "")
	cancel()
	<-ended
	if !s.listens(t) {
		t.Fatal("the interface passes nothing once the daemon is gone, though the data plane answers")
	}
	within(t, s.ns, func() error { return Forget("eth0", []netip.Addr{vip6}) })
	if s.listens(t) {
		t.Error("the interface still passes what nobody answers")
	}
}
