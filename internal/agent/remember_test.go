package agent

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

var errFull = errors.New("no space left on device")

// TestCrashBeforeApply: the daemon dies between the memory and the kernel. The
// next one does what was decided, and resets the old connections.
func TestCrashBeforeApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		b.plane.connect(1001)
		b.plane.set(func(p *fakePlane) { p.refuse = errRefused })
		b.prober.kill("nfs-01", true)
		pass(12 * time.Second)
		b.end()
		if d := b.memory.held.Directors[0]; d.Active != "nfs-02" || d.Epoch != 2 || b.plane.active() != "nfs-01" {
			t.Fatalf("before the restart: memory %+v, kernel %s", d, b.plane.active())
		}
		b.plane.set(func(p *fakePlane) { p.refuse = nil })
		from := b.len()
		b.start(func() { b.prober.down["nfs-01"] = true })
		pass(2 * time.Second)
		d := b.director()
		if d.Applied != "nfs-02" || d.Epoch != 2 || d.LastSwitch.From != "nfs-01" || d.LastSwitch.Reason != model.ReasonFailed {
			t.Errorf("after the restart: got %+v, %+v", d, d.LastSwitch)
		}
		got := b.since(from)
		if flip, reset := slices.Index(got, "apply nfs=nfs-02"), slices.Index(got, "reset 1001"); flip < 0 || reset < flip {
			t.Errorf("effects: got %q", got)
		}
		b.end()
	})
}

// TestMemoryFails: a full disk is an alarm and stops no switch.
func TestMemoryFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		b.memory.set(func(m *fakeMemory) { m.full = errFull; m.saves = 0 })
		if _, err := b.order(t.Context(), ref("nfs-02")); err != nil || b.plane.active() != "nfs-02" {
			t.Errorf("the switch: got %v", err)
		}
		pass(time.Minute)
		if !b.alarm("not remembered") {
			t.Errorf("alarms: got %+v", b.agent.Status().Alarms)
		}
		b.memory.set(func(m *fakeMemory) {
			if m.saves < 10 || m.saves > 14 {
				t.Errorf("tried %d times in a minute", m.saves)
			}
			m.full = nil
		})
		pass(2 * saveAgain)
		if b.alarm("not remembered") || b.memory.held.Directors[0].Active != "nfs-02" {
			t.Errorf("with room again: got %+v, %+v", b.agent.Status().Alarms, b.memory.held)
		}
		if got := b.kinds(0); !strings.Contains(got, "alarm ") || !strings.HasSuffix(got, "alarm-over") {
			t.Errorf("journal: got %s", got)
		}
		b.end()
	})
}

// TestMemoryHangs: a disk that does not answer delays a switch by a second and
// stops nothing; what is newest is saved when it answers again.
func TestMemoryHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		hang := make(chan struct{})
		b.memory.set(func(m *fakeMemory) { m.hang, m.saves = hang, 0 })
		begin := time.Now()
		for i, to := range []string{"nfs-02", "nfs-01", "nfs-02"} {
			_, err := b.order(t.Context(), ref(to))
			if took := time.Since(begin); err != nil || b.plane.active() != to || took > saveWait {
				t.Errorf("switch %d: got %v after %v", i, err, took)
			}
		}
		pass(time.Minute)
		if !b.alarm("not remembered") || b.memory.held.Directors[0].Active != "nfs-01" {
			t.Errorf("alarms: got %+v", b.agent.Status().Alarms)
		}
		b.memory.set(func(m *fakeMemory) { m.hang = nil })
		close(hang)
		pass(0)
		if m := b.memory.held.Directors[0]; m.Active != "nfs-02" || m.Epoch != 4 || b.memory.saves != 2 || b.alarm("not remembered") {
			t.Errorf("with the disk again: got %+v, %d saves, %+v", m, b.memory.saves, b.agent.Status().Alarms)
		}
		b.wantLines(b.only("two"))
		b.end()
	})
}

// TestMemoryHangsAtTheEnd: the daemon ends nevertheless.
func TestMemoryHangsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		hang := make(chan struct{})
		b.memory.set(func(m *fakeMemory) { m.hang = hang })
		_, _ = b.order(t.Context(), ref("nfs-02"))
		begin := time.Now()
		b.end()
		if took := time.Since(begin); took > saveWait {
			t.Errorf("the end took %v", took)
		}
		close(hang)
	})
}

// TestMemoryIsSavedFirst: at no instant is the kernel ahead of the disk.
func TestMemoryIsSavedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.plane.onApply = func(want model.Desired) {
			for _, d := range want.Directors {
				b.memory.mu.Lock()
				if len(b.memory.held.Directors) == 0 || b.memory.held.Directors[0].Epoch < d.Epoch {
					t.Errorf("epoch %d is applied, and the memory holds %+v", d.Epoch, b.memory.held)
				}
				b.memory.mu.Unlock()
			}
		}
		b.start(nil)
		pass(2 * time.Second)
		b.prober.kill("nfs-01", true)
		b.until("nfs-02")
		b.end()
	})
}

// TestLostMemory: with nothing in the kernel either, nobody is chosen before an
// operator says which server holds the truth.
func TestLostMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.memory.broken = errors.New("the memory is torn")
		b.start(nil)
		pass(time.Minute)
		d := b.director()
		if d.Applied != "" || d.Desired != "" || d.Step != model.StepOrder || len(b.agent.Status().Alarms) == 0 {
			t.Errorf("got %+v, %+v", d, b.agent.Status().Alarms)
		}
		if _, err := b.order(t.Context(), ref("nfs-02")); err != nil || b.plane.active() != "nfs-02" {
			t.Errorf("the order: got %v, active %q", err, b.plane.active())
		}
		b.end()
	})
}

func TestJournalOfADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		b.plane.connect(1001)
		if _, err := b.order(t.Context(), ref("nfs-02")); err != nil {
			t.Fatal(err)
		}
		pass(time.Millisecond)
		b.plane.end(1001)
		pass(time.Second)
		b.files.set(strings.Replace(note, "balance", "blance", 1))
		if _, err := b.agent.Reload(t.Context(), operator); err == nil {
			t.Fatal("a bad configuration was taken")
		}
		if _, err := b.order(t.Context(), ref("nfs-09")); err == nil {
			t.Fatal("an unknown server was taken")
		}
		b.end()
		want := "start health flip applied vip vip flip applied order reset done reload alarm order stop"
		if got := b.kinds(0); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		for _, e := range b.events.all {
			if e.Text == "" || e.At.IsZero() || e.Mono == 0 {
				t.Errorf("got %+v", e)
			}
			if e.Kind == model.EventReset && (e.Took < 0 || !strings.Contains(e.Text, "resets are sent for 1 of 1 old connections")) {
				t.Errorf("got %+v", e)
			}
		}
	})
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		b.events.mu.Lock()
		for range 3 * page {
			b.events.all = append(b.events.all, model.Event{Seq: uint64(len(b.events.all)) + 1, At: time.Now()})
		}
		all := uint64(len(b.events.all))
		b.events.mu.Unlock()
		var got []uint64
		note := func(e model.Event) error { got = append(got, e.Seq); return nil }
		if err := b.agent.Events(t.Context(), api.Since{Seq: 1}, false, note); err != nil || uint64(len(got)) != all-1 || got[0] != 2 {
			t.Errorf("got %d entries, %v", len(got), err)
		}
		got = nil
		if err := b.agent.Events(t.Context(), api.Since{At: time.Now()}, false, note); err != nil || len(got) != 3*page {
			t.Errorf("since now: got %d entries, %v", len(got), err)
		}
		enough := errors.New("enough")
		follow := make(chan error, 1)
		go func() {
			follow <- b.agent.Events(t.Context(), api.Since{Seq: all}, true, func(model.Event) error { return enough })
		}()
		pass(time.Second)
		b.end() // is told too
		if err := <-follow; !errors.Is(err, enough) {
			t.Errorf("followed: got %v", err)
		}
	})
}

// TestOwnAlarms: what the daemon cannot keep or take in is shown.
func TestOwnAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.plane.lost, b.plane.refused = 5, 5 // of a daemon before
		b.start(nil)
		pass(time.Minute)
		if b.alarm("more than the daemon") || b.alarm("journal") || b.alarm("table is full") {
			t.Errorf("at the start: got %+v", b.agent.Status().Alarms)
		}
		b.plane.set(func(p *fakePlane) { p.lost, p.refused = 6, 6 })
		b.events.mu.Lock()
		b.events.failed = errFull
		b.events.mu.Unlock()
		pass(countEvery)
		if !b.alarm("more than the daemon") || !b.alarm("journal") || !b.alarm("table is full") {
			t.Errorf("after a loss: got %+v", b.agent.Status().Alarms)
		}
		pass(lossShown + countEvery)
		if b.alarm("more than the daemon") || b.alarm("table is full") {
			t.Errorf("a minute later: got %+v", b.agent.Status().Alarms)
		}
		b.end()
	})
}
