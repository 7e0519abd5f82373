package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// open opens a data plane of the site's directory.
func (s *site) open(t testing.TB, mode model.AttachMode) *Plane {
	t.Helper()
	p, err := Open(Options{Dir: s.dir, Attach: mode, Connections: 1000, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func closePlane(t testing.TB, p *Plane) {
	t.Helper()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// detach is a cleanup: it runs while the directory is still mounted.
func (s *site) detachAfter(t testing.TB) {
	t.Cleanup(func() {
		s.within(t, func() error { return Detach(s.dir) })
	})
}

// onSite is the note's configuration on eth0.
func onSite() model.Desired {
	d := note()
	d.Rules.Ifaces = []string{"eth0"}
	return d
}

func applied(t testing.TB, p *Plane) model.Applied {
	t.Helper()
	a, err := p.Applied()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// inject sends a frame out of eth1, so that it arrives on eth0. That may be
// soon after.
func inject(t testing.TB, frame []byte) {
	t.Helper()
	injectMany(t, frame, 1)
}

func injectMany(t testing.TB, frame []byte, times int) {
	t.Helper()
	eth1, err := net.InterfaceByName("eth1")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for range times {
		if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: eth1.Index}); err != nil {
			t.Fatal(err)
		}
	}
}

// forwarded waits until that many packets were forwarded.
func forwarded(t testing.TB, p *Plane, want uint64) {
	t.Helper()
	end := time.Now().Add(5 * time.Second)
	for {
		traffic, err := p.Traffic()
		if err != nil {
			t.Fatal(err)
		}
		got := traffic.Verdicts["forward"].Packets
		if got == want {
			return
		}
		if got > want || time.Now().After(end) {
			t.Fatalf("%d packets were forwarded, want %d", got, want)
		}
		unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil) // softirqs give no event to wait for
	}
}

// A second daemon finds everything as the first left it; between them the
// programme goes on.
func TestAdopt(t *testing.T) {
	site := newSite(t)
	site.detachAfter(t)
	site.within(t, func() error {
		p := site.open(t, model.AttachAuto)
		apply(t, p, onSite())
		apply(t, p, func() model.Desired {
			d := switched()
			d.Rules.Ifaces, d.Directors[0].Reason, d.Directors[0].Since = []string{"eth0"}, model.ReasonFailed, 123456789
			d.Directors[0].Addr = netip.MustParseAddr("192.168.10.101")
			return d
		}())
		inject(t, frameSpec{flags: synFlag}.bytes(t))
		forwarded(t, p, 1)
		before, known := applied(t, p), table(p)
		wantAdopted := model.Adopted{Active: "nfs-02", Addr: netip.MustParseAddr("192.168.10.101"), Epoch: 2, Reason: model.ReasonFailed, Since: time.Unix(0, 123456789)}
		if got := before.Directors["nfs"]; !reflect.DeepEqual(got, wantAdopted) {
			t.Errorf("applied %+v, want %+v", got, wantAdopted)
		}
		if got := before.Ifaces["eth0"]; got.Mode != model.AttachTCX || got.Why != "a veth interface: keeps large GSO frames whole" {
			t.Errorf("auto on a veth attached as %+v", got)
		}
		closePlane(t, p)

		inject(t, frameSpec{flags: synFlag, sport: 701}.bytes(t)) // nobody is at home

		p = site.open(t, model.AttachAuto)
		defer closePlane(t, p)
		forwarded(t, p, 2)
		after := applied(t, p)
		if got := after.Ifaces["eth0"]; got.Mode != model.AttachTCX || got.Why != "adopted from an earlier run" {
			t.Errorf("adopted %+v", got)
		}
		after.Ifaces, before.Ifaces = nil, nil
		if !reflect.DeepEqual(after, before) {
			t.Errorf("adopted %+v, want %+v", after, before)
		}
		if got := table(p); known != "nfs-02" || got != "nfs-02, nfs-02" {
			t.Errorf("the table held %q and holds %q", known, got)
		}
		inject(t, frameSpec{flags: synFlag, sport: 702}.bytes(t))
		forwarded(t, p, 3)
		return nil
	})
}

// What is attached is replaced behind the link, not attached anew: the link
// stays, its programme is another.
func TestAdoptReplacesProgramme(t *testing.T) {
	for _, mode := range []model.AttachMode{model.AttachTCX, model.AttachGeneric, model.AttachNative} {
		t.Run(mode.String(), func(t *testing.T) {
			site := newSite(t)
			site.detachAfter(t)
			site.within(t, func() error {
				p := site.open(t, mode)
				apply(t, p, onSite())
				before := linkOf(t, p)
				if got := applied(t, p).Ifaces["eth0"]; got != (model.Attached{Mode: mode, Why: "asked for"}) {
					t.Errorf("attached as %+v", got)
				}
				closePlane(t, p)
				p = site.open(t, mode)
				defer closePlane(t, p)
				after := linkOf(t, p)
				if after.ID != before.ID || after.Program == before.Program {
					t.Errorf("link %d with programme %d became link %d with programme %d", before.ID, before.Program, after.ID, after.Program)
				}
				apply(t, p, onSite())
				if got := linkOf(t, p); got.ID != before.ID {
					t.Errorf("Apply made link %d of link %d", got.ID, before.ID)
				}
				return nil
			})
		})
	}
}

// No packet is missed while one daemon after the other takes over.
func TestAdoptUnderTraffic(t *testing.T) {
	const batch, daemons = 500, 5
	site := newSite(t)
	site.detachAfter(t)
	site.within(t, func() error {
		p := site.open(t, model.AttachAuto)
		apply(t, p, onSite())
		enough, n := make(chan struct{}), uint64(0)
		ended := site.begin(func() error {
			frame := frameSpec{flags: ackFlag}.bytes(t)
			for {
				select {
				case <-enough:
					return nil
				default:
					injectMany(t, frame, batch)
					n += batch
				}
			}
		})
		for range daemons {
			closePlane(t, p)
			p = site.open(t, model.AttachAuto)
			apply(t, p, onSite())
		}
		defer closePlane(t, p)
		close(enough)
		if err := <-ended; err != nil {
			return err
		}
		t.Logf("%d packets while %d daemons took over", n, daemons)
		forwarded(t, p, n)
		return nil
	})
}

// linkOf is the one link of a data plane.
func linkOf(t testing.TB, p *Plane) *link.Info {
	t.Helper()
	if len(p.links) != 1 {
		t.Fatalf("%d interfaces are attached, want 1", len(p.links))
	}
	for _, a := range p.links {
		info, err := a.link.Info()
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	return nil
}

// Another mode that is asked for replaces the attachment.
func TestOtherModeAttachesAnew(t *testing.T) {
	site := newSite(t)
	site.detachAfter(t)
	site.within(t, func() error {
		p := site.open(t, model.AttachAuto)
		apply(t, p, onSite())
		closePlane(t, p)
		p = site.open(t, model.AttachGeneric)
		defer closePlane(t, p)
		apply(t, p, onSite())
		if got := applied(t, p).Ifaces["eth0"]; got.Mode != model.AttachGeneric {
			t.Errorf("attached as %+v, want generic", got)
		}
		pins, err := filepath.Glob(filepath.Join(site.dir, "v*", "link-*"))
		if err != nil || len(pins) != 1 || !strings.HasPrefix(filepath.Base(pins[0]), "link-generic-") {
			t.Errorf("pinned links %v, %v", pins, err)
		}
		inject(t, frameSpec{flags: synFlag}.bytes(t))
		forwarded(t, p, 1)
		return nil
	})
}

// The interfaces follow the desired value; one that is not there is named.
func TestInterfacesFollow(t *testing.T) {
	site := newSite(t)
	site.detachAfter(t)
	site.within(t, func() error {
		p := site.open(t, model.AttachAuto)
		defer closePlane(t, p)
		d := onSite()
		d.Rules.Ifaces = []string{"eth0", "eth1", "eth7"}
		if err := p.Apply(d); err == nil || err.Error() != "attach to eth7: no such interface" {
			t.Errorf("Apply = %v", err)
		}
		if got := applied(t, p).Ifaces; len(got) != 2 {
			t.Errorf("attached to %v, want eth0 and eth1", got)
		}
		d.Rules.Ifaces = []string{"eth1"}
		apply(t, p, d)
		if got := applied(t, p).Ifaces; len(got) != 1 || got["eth1"].Mode != model.AttachTCX {
			t.Errorf("attached to %v, want eth1", got)
		}
		return nil
	})
}

// An interface that vanished while nobody looked is forgotten.
func TestVanishedInterface(t *testing.T) {
	site := newSite(t)
	site.detachAfter(t)
	site.within(t, func() error {
		p := site.open(t, model.AttachAuto)
		apply(t, p, onSite())
		closePlane(t, p)
		eth0, err := site.handle.LinkByName("eth0")
		if err != nil {
			return err
		}
		if err := site.handle.LinkDel(eth0); err != nil {
			return err
		}
		site.addPair(t, "eth0", "eth1")
		p = site.open(t, model.AttachAuto)
		defer closePlane(t, p)
		if got := applied(t, p).Ifaces; len(got) != 0 {
			t.Errorf("adopted %v of an interface that is gone", got)
		}
		apply(t, p, onSite())
		inject(t, frameSpec{flags: synFlag}.bytes(t))
		forwarded(t, p, 1)
		return nil
	})
}

func TestLocked(t *testing.T) {
	site := newSite(t)
	site.detachAfter(t)
	site.within(t, func() error {
		p := site.open(t, model.AttachAuto)
		want := "the pin directory " + site.dir + " is in use by another fairlead: stop it first, or use another --pin-dir"
		if other, err := Open(Options{Dir: site.dir, Connections: 10}); err == nil || err.Error() != want {
			t.Errorf("a second Open = %v, %v; want %q", other, err, want)
		}
		if err := Detach(site.dir); err == nil || err.Error() != want {
			t.Errorf("Detach of a directory in use = %v; want %q", err, want)
		}
		closePlane(t, p)
		closePlane(t, site.open(t, model.AttachAuto))
		return nil
	})
}

func TestDetach(t *testing.T) {
	site := newSite(t)
	site.within(t, func() error {
		p := site.open(t, model.AttachAuto)
		apply(t, p, onSite())
		id := linkOf(t, p).ID
		closePlane(t, p)
		for range 2 { // the second time there is nothing to do
			if err := Detach(site.dir); err != nil {
				t.Errorf("Detach = %v", err)
			}
			if _, err := os.Stat(site.dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the pin directory is still there: %v", err)
			}
		}
		mounts, err := os.ReadFile("/proc/self/mounts")
		if err != nil || strings.Contains(string(mounts), site.dir) {
			t.Errorf("the pin directory is still mounted: %v", err)
		}
		// what a lazy unmount leaves goes with the last packet
		end := time.Now().Add(5 * time.Second)
		for {
			l, err := link.NewFromID(id)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil {
				err = l.Close()
			}
			if err != nil || time.Now().After(end) {
				return fmt.Errorf("link %d is still attached: %w", id, err)
			}
			unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil) // the kernel frees it in its own time
		}
	})
}

// An unfinished start does not stand in the way of the next.
func TestUnfinishedStart(t *testing.T) {
	site := newSite(t)
	site.detachAfter(t)
	site.within(t, func() error {
		closePlane(t, site.open(t, model.AttachAuto))
		if err := os.Rename(layoutDir(site.dir), layoutDir(site.dir)+"-building"); err != nil {
			return err
		}
		p := site.open(t, model.AttachAuto)
		defer closePlane(t, p)
		if _, err := os.Stat(layoutDir(site.dir) + "-building"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the unfinished directory is still there: %v", err)
		}
		return nil
	})
}

// A maimed directory is refused with the way out.
func TestMissingPin(t *testing.T) {
	site := newSite(t)
	site.detachAfter(t)
	site.within(t, func() error {
		closePlane(t, site.open(t, model.AttachAuto))
		if err := os.Remove(filepath.Join(layoutDir(site.dir), "tuples")); err != nil {
			return err
		}
		_, err := Open(Options{Dir: site.dir, Connections: 10})
		if err == nil || !strings.Contains(err.Error(), "adopt the pinned map tuples") || !strings.Contains(err.Error(), "fairlead detach") {
			t.Errorf("Open = %v", err)
		}
		return nil
	})
}

func TestSuitableModes(t *testing.T) {
	for _, tt := range []struct {
		want model.AttachMode
		kind string
		try  []model.AttachMode
	}{
		{model.AttachAuto, "device", []model.AttachMode{model.AttachNative, model.AttachGeneric}},
		{model.AttachAuto, "veth", []model.AttachMode{model.AttachTCX, model.AttachGeneric}},
		{model.AttachAuto, "bridge", []model.AttachMode{model.AttachTCX, model.AttachGeneric}},
		{model.AttachNative, "veth", []model.AttachMode{model.AttachNative}},
		{model.AttachTCX, "device", []model.AttachMode{model.AttachTCX}},
	} {
		var try []model.AttachMode
		for _, s := range suitableModes(tt.want, tt.kind) {
			try = append(try, s.mode)
			if s.why == "" {
				t.Errorf("%v on a %s: no reason for %v", tt.want, tt.kind, s.mode)
			}
		}
		if !slices.Equal(try, tt.try) {
			t.Errorf("%v on a %s tries %v, want %v", tt.want, tt.kind, try, tt.try)
		}
	}
}

func TestLinkPin(t *testing.T) {
	for _, mode := range []model.AttachMode{model.AttachNative, model.AttachGeneric, model.AttachTCX} {
		got, index, err := parseLinkPin(linkPin("/sys/fs/bpf/fairlead/v1", mode, 42))
		if err != nil || got != mode || index != 42 {
			t.Errorf("the pin of %v names %v, %d, %v", mode, got, index, err)
		}
	}
	for _, bad := range []string{"link-tcx", "link-nothing-4", "link-tcx-4-5", "link-tcx-x"} {
		if _, _, err := parseLinkPin(bad); err == nil {
			t.Errorf("the pin %s was taken for one of ours", bad)
		}
	}
}

// TestDetachLeavesOthers: pins of other programmes in the directory, and the
// machine's own mount, are nobody's to remove.
func TestDetachLeavesOthers(t *testing.T) {
	if err := Detach(bpffsMount); err == nil {
		t.Error("the machine's bpffs was detached")
	}
	dir := filepath.Join(t.TempDir(), "pins")
	p, err := Open(Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	defer removeDir(dir)
	theirs := filepath.Join(dir, "v2-of-others")
	if err := os.Mkdir(theirs, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Detach(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Errorf("what others pinned: %v", err)
	}
	if _, err := os.Stat(layoutDir(dir)); err == nil {
		t.Error("the pins are still there")
	}
	if err := os.Remove(theirs); err != nil {
		t.Error(err)
	}
}
