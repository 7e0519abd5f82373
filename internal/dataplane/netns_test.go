package dataplane

import (
	"path/filepath"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// A site is a network namespace with a veth pair, eth0 and eth1, both up. It
// vanishes with the test.
type site struct {
	ns     netns.NsHandle
	handle *netlink.Handle
	dir    string // for pins
}

func newSite(t testing.TB) *site {
	t.Helper()
	made := make(chan netns.NsHandle, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		ns, err := netns.New()
		if err != nil {
			ns = netns.None()
		}
		made <- ns
	}()
	s := &site{ns: <-made, dir: filepath.Join(t.TempDir(), "pins")}
	if !s.ns.IsOpen() {
		t.Fatal("make a network namespace: failed")
	}
	t.Cleanup(func() { s.ns.Close() })
	var err error
	if s.handle, err = netlink.NewHandleAt(s.ns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.handle.Close)
	s.addPair(t, "eth0", "eth1")
	return s
}

func (s *site) addPair(t testing.TB, names ...string) {
	t.Helper()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: names[0]}, PeerName: names[1]}
	if err := s.handle.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		l, err := s.handle.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.handle.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
	}
}

// begin runs f on a thread of its own in the namespace; the thread is thrown
// away afterwards. f may end its goroutine.
func (s *site) begin(f func() error) <-chan error {
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := netns.Set(s.ns)
		defer func() { ended <- err }()
		if err == nil {
			err = f()
		}
	}()
	return ended
}

// within is begin for what must not fail; f may end the test.
func (s *site) within(t testing.TB, f func() error) {
	t.Helper()
	if err := <-s.begin(f); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
}
