package dataplane

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"fairlead/internal/model"
)

// Whoever looks sees what the daemon's own reading tells, while it runs and after.
func TestLook(t *testing.T) {
	site := newSite(t)
	site.detachAfter(t)
	site.within(t, func() error {
		p := site.open(t, model.AttachGeneric)
		if s := look(t, site.dir); s.Beaten || len(s.Applied.Directors)+len(s.Applied.VIPs)+len(s.Applied.Ifaces) > 0 {
			t.Errorf("of an empty data plane: got %+v", s)
		}
		d := onSite()
		other := netip.MustParseAddr("192.168.10.51")
		ping, tcp, ssh, all := to(other), to(other), to(other), to(other)
		ping.Proto, tcp.Proto = is(model.ProtoICMP), is(model.ProtoTCP)
		ssh.DstPort = is(model.Ports{First: 22, Last: 22})
		d.Rules.VIPs = append(d.Rules.VIPs, model.VIP{Addr: other})
		d.Rules.Rules = slices.Concat(d.Rules.Rules, leads("b", "web", tcp), leads("s", "ssh", ssh), leads("a", "nfs", ping, all))
		d.Directors = append(d.Directors, model.DesiredDirector{Name: "ssh", Source: directorMAC, Epoch: 4})
		d.Directors = append(d.Directors, model.DesiredDirector{Name: "web", Source: directorMAC, Epoch: 4})
		apply(t, p, d)
		p.Beat()
		for range 2 { // while the daemon runs, and after
			s := look(t, site.dir)
			want := applied(t, p)
			if got := s.Applied.Ifaces["eth0"]; got.Mode != model.AttachGeneric || len(s.Applied.Ifaces) != 1 {
				t.Errorf("attached: got %+v", s.Applied.Ifaces)
			}
			s.Applied.Ifaces, want.Ifaces = nil, nil
			if !reflect.DeepEqual(s.Applied, want) {
				t.Errorf("got %+v\nwant %+v", s.Applied, want)
			}
			if got := s.Targets; !slices.Equal(got[vipAddr], []string{"nfs"}) || !slices.Equal(got[other], []string{"ssh", "web", "nfs"}) || len(got) != 2 {
				t.Errorf("targets: got %v", got)
			}
			if !s.Beaten || s.Silence < 0 || s.Silence > time.Minute {
				t.Errorf("the daemon's last sign: got %t, %v", s.Beaten, s.Silence)
			}
		}
		closePlane(t, p)
		before := content(t, site.dir)
		if s := look(t, site.dir); s.Applied.Directors["nfs"].Active != "nfs-01" {
			t.Errorf("without a daemon: got %+v", s)
		}
		if after := content(t, site.dir); !slices.Equal(after, before) {
			t.Errorf("looking changed the directory: %v became %v", before, after)
		}
		return nil
	})
}

// A link whose interface is gone forwards nothing, though it is still pinned.
func TestLookWithoutInterface(t *testing.T) {
	for _, mode := range []model.AttachMode{model.AttachTCX, model.AttachNative} {
		site := newSite(t)
		site.detachAfter(t)
		site.within(t, func() error {
			p := site.open(t, mode)
			apply(t, p, onSite())
			closePlane(t, p)
			if s := look(t, site.dir); s.Applied.Ifaces["eth0"].Mode != mode {
				t.Errorf("%s: attached: got %+v", mode, s.Applied.Ifaces)
			}
			eth0, err := site.handle.LinkByName("eth0")
			if err == nil {
				err = site.handle.LinkDel(eth0)
			}
			if err != nil {
				return err
			}
			site.addPair(t, "eth0", "eth1")
			if s := look(t, site.dir); len(s.Applied.Ifaces) != 0 {
				t.Errorf("%s: attached to what is gone: got %+v", mode, s.Applied.Ifaces)
			}
			return nil
		})
	}
}

// TestLookAtNothing: what cannot be read is told apart from what is not there.
func TestLookAtNothing(t *testing.T) {
	dir := t.TempDir()
	if _, err := Look(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: got %v", err)
	}
	if _, err := Look(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory: got %v", err)
	}
	old := filepath.Join(dir, "v1")
	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(old, "link-tcx-1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Look(dir); !errors.Is(err, ErrOtherLayout) {
		t.Errorf("an older layout: got %v", err)
	}
	if err := os.Mkdir(layoutDir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Look(dir); err == nil || errors.Is(err, ErrOtherLayout) {
		t.Errorf("half a data plane: got %v", err)
	}
}

func look(t *testing.T, dir string) Seen {
	t.Helper()
	s, err := Look(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// content are the names below a directory.
func content(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
