package agent

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
	"fairlead/internal/netstate"
)

// adopted prepares a kernel in which an earlier daemon chose nfs-02.
func (b *bench) adopted() {
	b.plane.held.Ifaces["eth0"] = model.Attached{Mode: model.AttachGeneric}
	b.plane.held.VIPs[netip.MustParseAddr("192.168.10.50")] = model.AppliedVIP{Announce: true}
	b.plane.held.Directors["nfs"] = model.Adopted{Active: "nfs-02", Epoch: 7, Reason: model.ReasonFailed, Since: time.Unix(1000, 0)}
}

func TestAdoption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.adopted()
		b.start(nil)
		pass(time.Second)
		d := b.director()
		if d.Applied != "nfs-02" || d.Desired != "nfs-02" || d.Epoch != 7 || d.Reason != model.ReasonAdopted || d.Since.Unix() != 1000 {
			t.Errorf("got %+v", d)
		}
		// No packet is lost: what is applied first has the servers' addresses,
		// and ARP is answered all the while.
		b.wantLines(b.only("apply"), "apply nfs=nfs-02")
		b.wantLines(b.only("announce"), "announce 192.168.10.50 on eth0 held=true answering=true")
		b.end()
	})
}

// TestAdoptionEndsWithTheInterface: what an earlier daemon announced is asked
// for anew when its interface was away.
func TestAdoptionEndsWithTheInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.adopted()
		b.start(nil)
		pass(time.Second)
		link := model.Link{Name: "eth0", Index: 2, Up: true, MAC: model.MAC{2, 0, 0, 0, 0, 2}, Addrs: []netip.Prefix{netip.MustParsePrefix("192.168.10.2/24")}}
		b.watcher.facts <- netstate.Fact{Link: &netstate.LinkFact{Link: link, Gone: true}}
		b.watcher.facts <- netstate.Fact{Link: &netstate.LinkFact{Link: link}}
		pass(0)
		told := b.only("announce")
		if last := told[len(told)-1]; !strings.Contains(last, "held=false answering=false") {
			t.Errorf("got %q", told)
		}
		b.end()
	})
}

// TestAdoptionWaitsForAddresses: a desired value without MAC addresses is not
// applied over a data plane that works, but not for ever.
func TestAdoptionWaitsForAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.adopted()
		b.start(func() { b.watcher.mute = true })
		pass(patience - time.Millisecond)
		b.wantLines(b.only("apply"))
		pass(2 * time.Millisecond)
		if len(b.only("apply")) == 0 {
			t.Error("not applied after the wait")
		}
		b.end()
	})
}

// TestAdoptionDecides: a decision does not wait for addresses.
func TestAdoptionDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.adopted()
		b.start(func() { b.watcher.mute = true })
		pass(time.Second)
		if _, err := b.order(t.Context(), ref("nfs-01")); err == nil || !strings.Contains(err.Error(), "nfs-01: its MAC address is not known") {
			t.Errorf("got %v", err)
		}
		if len(b.only("apply")) == 0 {
			t.Error("not applied")
		}
		b.end()
	})
}

// TestAdoptionResumesResets: the earlier daemon died before it had reset all.
func TestAdoptionResumesResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.adopted()
		b.plane.connect(1001, 1002)
		b.plane.conns[0].Old = true
		b.start(nil)
		pass(0)
		if got := b.since(0); !slices.Contains(got, "reset 1001") {
			t.Errorf("effects: got %q", got)
		}
		b.end()
	})
}

// TestAdoptionShowsTheTrueSwitch: a restart forgets neither whence the last
// switch came nor why.
func TestAdoptionShowsTheTrueSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		b.prober.kill("nfs-01", true)
		b.until("nfs-02")
		b.end()
		b.start(nil)
		pass(time.Second)
		d := b.director()
		if s := d.LastSwitch; d.Applied != "nfs-02" || d.Epoch != 2 || s == nil || s.From != "nfs-01" || s.Reason != model.ReasonFailed || !strings.Contains(s.Why, "no answer") {
			t.Errorf("got %+v, %+v", d, s)
		}
		b.end()
	})
}

// TestEmptyTakesNothingAway: a configuration that was cut short while no daemon ran
// does not end what the kernel forwards.
func TestEmptyTakesNothingAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.adopted()
		b.files.set("# nothing\n")
		b.start(nil)
		if err := <-b.ended; err == nil || !strings.Contains(err.Error(), "put the files back") {
			t.Errorf("got %v", err)
		}
		if applied := b.only("apply"); len(applied) > 0 {
			t.Errorf("got %q", applied)
		}
		b.stop()
	})
}
