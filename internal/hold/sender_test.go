package hold

import (
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// inNamespace runs f on a thread of its own, in a network namespace of its own.
// Both vanish with the thread.
func inNamespace(t *testing.T, f func() error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces and must run as root")
	}
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		ns, err := netns.New()
		if err == nil {
			defer ns.Close()
			err = f()
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

// pair makes the two ends of a cable, and listens on the far one.
func pair() (near netlink.Link, far *packet.Conn, err error) {
	err = netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "near"}, PeerName: "far"})
	if err != nil {
		return nil, nil, err
	}
	near, err = netlink.LinkByName("near")
	if err != nil {
		return nil, nil, err
	}
	end, err := netlink.LinkByName("far")
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(netlink.LinkSetUp(near), netlink.LinkSetUp(end)); err != nil {
		return nil, nil, err
	}
	far, err = packet.Listen(&net.Interface{Index: end.Attrs().Index}, packet.Raw, unix.ETH_P_IP, nil)
	return near, far, err
}

// arrives sends a frame until it arrives: a cable that was just made drops what
// comes before the kernel has noticed that it is up.
func arrives(s *Sender, index int, far *packet.Conn, want []byte) error {
	b := make([]byte, 2000)
	for limit := time.Now().Add(5 * time.Second); ; {
		err := errors.Join(s.Send(index, want), far.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
		if err != nil {
			return err
		}
		n, _, err := far.ReadFrom(b)
		if slices.Equal(b[:n], want) || time.Now().After(limit) {
			return err
		}
	}
}

func TestSend(t *testing.T) {
	frame := syn(t, 873, 1)
	inNamespace(t, func() error {
		s, err := Open()
		if err != nil {
			return err
		}
		defer s.Close()
		for round := range 2 { // the second: the interface went and came back
			near, far, err := pair()
			if err != nil {
				return err
			}
			index := near.Attrs().Index
			if err := arrives(s, index, far, frame); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
			if err := netlink.LinkSetDown(near); err != nil {
				return err
			}
			if err := s.Send(index, frame); !errors.Is(err, unix.ENETDOWN) {
				t.Errorf("interface down: got %v, want ENETDOWN", err)
			}
			if err := errors.Join(netlink.LinkDel(near), far.Close()); err != nil {
				return err
			}
			if err := s.Send(index, frame); err == nil || !strings.Contains(err.Error(), "does not exist") {
				t.Errorf("interface gone: got %v", err)
			}
		}
		return nil
	})
}
