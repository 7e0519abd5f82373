package dataplane

import (
	"os"
	"path/filepath"
	"testing"

	"fairlead/internal/model"
)

// The attachments of an older layout are taken over by the first Apply: the old
// programme does not go on beside the new one.
func TestUpgrade(t *testing.T) {
	for _, mode := range []model.AttachMode{model.AttachTCX, model.AttachNative} {
		site := newSite(t)
		site.detachAfter(t)
		site.within(t, func() error {
			p := site.open(t, mode)
			apply(t, p, onSite())
			closePlane(t, p)
			older := filepath.Join(site.dir, "v1")
			if err := os.Rename(layoutDir(site.dir), older); err != nil {
				t.Fatal(err)
			}
			p = site.open(t, mode)
			defer closePlane(t, p)
			apply(t, p, onSite())
			if exists(older) {
				t.Error("the older layout is still there")
			}
			if got := applied(t, p).Ifaces["eth0"]; got.Mode != mode || got.Why != "adopted from an earlier run" {
				t.Errorf("%v: attached as %+v", mode, got)
			}
			inject(t, frameSpec{flags: synFlag}.bytes(t))
			forwarded(t, p, 1)
			return nil
		})
	}
}

// Detach takes out what an older version left, too.
func TestDetachOlderLayout(t *testing.T) {
	site := newSite(t)
	site.detachAfter(t)
	site.within(t, func() error {
		p := site.open(t, model.AttachTCX)
		apply(t, p, onSite())
		closePlane(t, p)
		if err := os.Rename(layoutDir(site.dir), filepath.Join(site.dir, "v1")); err != nil {
			t.Fatal(err)
		}
		if err := Detach(site.dir); err != nil {
			t.Fatal(err)
		}
		if exists(filepath.Join(site.dir, "v1")) {
			t.Error("the older layout is still there")
		}
		return nil
	})
}

// A hold is applied although the server's MAC was lost: it may be gone, and hooks
// are about to run.
func TestHoldWithoutMAC(t *testing.T) {
	for _, h := range hooks {
		p := newPlane(t, 1000)
		known.build(t, p, h)
		d := note()
		d.Directors[0].Hold, d.Directors[0].MAC, d.Directors[0].Servers[0].MAC = true, model.MAC{}, model.MAC{}
		apply(t, p, d)
		if got := applied(t, p).Directors["nfs"]; !got.Hold || got.Active != "nfs-01" {
			t.Errorf("%s: applied %+v", h.name, got)
		}
		data := frameSpec{flags: ackFlag, ack: 1000, payload: 9}
		if got, _ := h.run(t, p, data.bytes(t)); got != h.returns("drop-hold") {
			t.Errorf("%s: data returned %d", h.name, int32(got))
		}
		d.Directors[0].Hold = false
		if err := p.Apply(d); err == nil {
			t.Errorf("%s: a server without a MAC was applied", h.name)
		}
	}
}
