package reset

import (
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// within runs f on a thread of its own in that network namespace. The thread is
// thrown away afterwards.
func within(t testing.TB, ns netns.NsHandle, f func() error) {
	t.Helper()
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(ns); err != nil {
			failed <- err
			return
		}
		failed <- f()
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

// newNamespace makes a network namespace without a name: it vanishes with the
// last thing that holds it.
func newNamespace(t testing.TB) (netns.NsHandle, *netlink.Handle) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces and must run as root")
	}
	made := make(chan netns.NsHandle, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		ns, err := netns.New()
		if err != nil {
			ns = netns.None()
		}
		made <- ns
	}()
	ns := <-made
	if !ns.IsOpen() {
		t.Fatal("make a network namespace: failed")
	}
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(); ns.Close() })
	return ns, h
}

// wire joins two namespaces by a veth pair, eth0 on both ends, with these
// addresses.
func wire(t testing.TB, a, b netns.NsHandle, ha, hb *netlink.Handle, addrA, addrB string) {
	t.Helper()
	pair := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: "eth0", Namespace: netlink.NsFd(a)},
		PeerName:      "eth0",
		PeerNamespace: netlink.NsFd(b),
	}
	if err := ha.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	raise(t, ha, addrA)
	raise(t, hb, addrB)
}

// raise gives eth0 an address and brings it up.
func raise(t testing.TB, h *netlink.Handle, addr string) {
	t.Helper()
	eth0, err := h.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.AddrAdd(eth0, address(t, addr)); err != nil {
		t.Fatal(err)
	}
	if err := h.LinkSetUp(eth0); err != nil {
		t.Fatal(err)
	}
}

func address(t testing.TB, prefix string) *netlink.Addr {
	t.Helper()
	if _, err := netip.ParsePrefix(prefix); err != nil {
		t.Fatal(err)
	}
	a, err := netlink.ParseAddr(prefix)
	if err != nil {
		t.Fatal(err)
	}
	if a.IP.To4() == nil {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}
