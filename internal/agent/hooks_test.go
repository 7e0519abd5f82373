package agent

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
)

// TestHookWaitsForTheHold: while the kernel may still forward to the old server,
// that is not fenced and no other promoted.
func TestHookWaitsForTheHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.files.set(hooked)
		b.start(nil)
		pass(2 * time.Second)
		b.plane.set(func(p *fakePlane) { p.refuse = errRefused })
		go func() { _, _ = b.command(t.Context(), model.VerbSwitch, ref("nfs-02"), false) }()
		pass(time.Second)
		b.wantLines(b.only("hook"))
		from := b.len()
		b.plane.set(func(p *fakePlane) { p.refuse = nil })
		pass(2 * time.Second)
		b.wantLines(b.since(from), "apply nfs=nfs-01 on hold", "hook fence of nfs begins: nfs-01 to nfs-02, epoch 2")
		b.end()
	})
}

// TestKeptHookIsReplaced: of two hooks that the kernel keeps waiting only the
// newer one runs.
func TestKeptHookIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.files.set(hooked)
		b.start(nil)
		pass(2 * time.Second)
		b.plane.set(func(p *fakePlane) { p.refuse = errRefused })
		for _, to := range []string{"nfs-02", "nfs-01"} {
			go func() { _, _ = b.command(t.Context(), model.VerbSwitch, ref(to), false) }()
			pass(time.Second)
		}
		b.plane.set(func(p *fakePlane) { p.refuse = nil })
		pass(4 * time.Second)
		b.wantLines(b.only("hook"), "hook promote of nfs begins:  to nfs-01, epoch 2")
		b.end()
	})
}

// TestHookOfTheFirstChoice: the kernel has nothing of such a director to read back.
func TestHookOfTheFirstChoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.files.set(hooked)
		b.memory.broken = errFull
		b.start(nil)
		pass(4 * time.Second)
		go func() { _, _ = b.command(t.Context(), model.VerbSwitch, ref("nfs-02"), false) }()
		pass(time.Second)
		b.wantLines(b.only("hook"), "hook promote of nfs begins:  to nfs-02, epoch 1")
		b.end()
	})
}

// TestHoldAfterTheStart: a switch that goes on after a restart does not wait for
// MAC addresses, and its hook does not run ahead of the hold.
func TestHoldAfterTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.files.set(hooked)
		b.start(nil)
		pass(2 * time.Second)
		b.plane.set(func(p *fakePlane) { p.refuse = errRefused })
		go func() { _, _ = b.command(t.Context(), model.VerbSwitch, ref("nfs-02"), false) }()
		pass(time.Second)
		b.end()
		b.plane.set(func(p *fakePlane) { p.refuse = nil })
		from := b.len()
		b.start(func() { b.watcher.mute = true })
		pass(10 * time.Millisecond)
		got := b.since(from)
		if len(got) > 1 && got[0] != "apply nfs=nfs-01 on hold" || len(b.only("hook")) != 1 {
			t.Errorf("effects: got %q", got)
		}
		b.end()
	})
}

// TestHooksDoNotOverlap: a hook that takes its time to end is waited for.
func TestHooksDoNotOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.files.set(hooked)
		b.start(nil)
		b.hooks.linger = 3 * time.Second
		pass(2 * time.Second)
		for _, to := range []string{"nfs-02", "nfs-01"} {
			go func() { _, _ = b.command(t.Context(), model.VerbSwitch, ref(to), false) }()
			pass(time.Second)
		}
		b.wantLines(b.only("hook"), "hook fence of nfs begins: nfs-01 to nfs-02, epoch 2")
		pass(3 * time.Second)
		b.wantLines(b.only("hook"), "hook fence of nfs begins: nfs-01 to nfs-02, epoch 2",
			"hook fence is ended", "hook promote of nfs begins:  to nfs-01, epoch 2")
		b.hooks.ends <- nil
		pass(2 * time.Second)
		if d := b.director(); d.Step != model.StepNone || d.Applied != "nfs-01" {
			t.Errorf("got %+v", d)
		}
		b.end()
	})
}

// TestHookOfASwitchThatWasGivenUp: it is ended with its switch.
func TestHookOfASwitchThatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.files.set(hooked)
		b.start(nil)
		pass(2 * time.Second)
		go func() { _, _ = b.command(t.Context(), model.VerbSwitch, ref("nfs-02"), false) }()
		pass(time.Second)
		b.files.set(strings.Replace(hooked, "server nfs-02 192.168.10.101:2049 sorry\n", "", 1))
		if _, err := b.agent.Reload(t.Context(), operator); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		b.wantLines(b.only("hook"), "hook fence of nfs begins: nfs-01 to nfs-02, epoch 2", "hook fence is ended")
		if d := b.director(); d.Step != model.StepNone || d.Applied != "nfs-01" {
			t.Errorf("got %+v", d)
		}
		b.end()
	})
}

// TestHookForAServerThatWasNeverSeen: after a reboot the old server is dead and
// its MAC address unknown, so the kernel never gets its choice. It forwards
// nothing, and the hook runs.
func TestHookForAServerThatWasNeverSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.files.set(hooked)
		b.start(nil)
		pass(2 * time.Second)
		b.end()
		for _, held := range []model.Adopted{{}, {Active: "nfs-02", Epoch: 1, Addr: netip.MustParseAddr("192.168.10.101")}} {
			clear(b.plane.held.Directors)
			b.memory.held.Directors[0].Epoch = 5
			if held.Epoch != 0 {
				b.plane.held.Directors["nfs"] = held // of before the memory's last switch
			}
			before := len(b.only("hook"))
			b.start(func() { b.watcher.mute = true })
			pass(4 * time.Second)
			go func() { _, _ = b.command(t.Context(), model.VerbSwitch, ref("nfs-02"), false) }()
			pass(time.Second)
			if got := b.only("hook")[before:]; len(got) != 1 || !strings.HasPrefix(got[0], "hook fence of nfs begins: nfs-01 to nfs-02") {
				t.Errorf("kernel %+v: got %q", held, got)
			}
			b.end()
			b.memory.held.Directors[0].Pending = nil
		}
	})
}
