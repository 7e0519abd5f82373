package agent

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/decide"
	"fairlead/internal/health"
	"fairlead/internal/model"
)

// hooked is the note's configuration with hooks.
const hooked = note + "hook fence /usr/local/bin/fence timeout 20s\nhook promote /usr/local/bin/promote\n"

// syn lets the data plane see and keep a SYN of that port.
func (b *bench) syn(kind model.SightingKind, port uint16) {
	b.plane.sightings <- model.Sighting{Kind: kind, Ref: ref(b.plane.active()), Frame: synFrame(port), Iface: 2,
		Client: netip.AddrPortFrom(netip.MustParseAddr("192.168.10.10"), port), VIP: netip.MustParseAddrPort("192.168.10.50:2049")}
}

// synFrame is a SYN in an Ethernet frame, without checksums.
func synFrame(port uint16) []byte {
	frame := make([]byte, 14+20+20)
	copy(frame[12:], []byte{8, 0, 0x45, 0, 0, 40})
	copy(frame[22:], []byte{64, 6, 0, 0, 192, 168, 10, 10, 192, 168, 10, 50})
	binary.BigEndian.PutUint16(frame[34:], port)
	copy(frame[36:], []byte{8, 1})
	copy(frame[46:], []byte{0x50, 0x02})
	return frame
}

// kinds are the kinds of the journal's entries from that number on.
func (b *bench) kinds(since int) string {
	var all []string
	for _, e := range b.events.Read(uint64(since), 1000) {
		all = append(all, e.Kind.String())
	}
	return strings.Join(all, " ")
}

func (b *bench) alarm(what string) bool {
	return slices.ContainsFunc(b.agent.Status().Alarms, func(a model.Alarm) bool { return strings.Contains(a.What, what) })
}

// TestKeptSYNOfAWorkingServer: a client that reconnects to a server that lives
// is let go as soon as a probe has passed, to that server.
func TestKeptSYNOfAWorkingServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		from, began := b.len(), time.Now()
		b.syn(model.SightingReconnect, 1001)
		pass(health.Settle + 20*time.Millisecond)
		b.wantLines(b.since(from), "sent by 2: SYN of 1001 to nfs-01")
		if d := b.director(); d.Applied != "nfs-01" || d.Held != 0 || d.LastSwitch.Replayed != 0 {
			t.Errorf("after %v: got %+v, %+v", time.Since(began), d, d.LastSwitch)
		}
		b.plane.set(func(p *fakePlane) {
			if left := time.Until(p.trusted["nfs"]); left > 0 {
				t.Errorf("for %v more a SYN would not be kept", left)
			}
		})
		b.end()
	})
}

// TestKeptSYNOfADeadServer: it goes to the new server, and not before the kernel
// was seen to hold that one.
func TestKeptSYNOfADeadServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		b.prober.kill("nfs-01", true)
		b.plane.set(func(p *fakePlane) { p.refuse = errRefused })
		from := b.len()
		b.syn(model.SightingReconnect, 1001)
		pass(500 * time.Millisecond)
		if d := b.director(); d.Desired != "nfs-02" || d.Held != 1 {
			t.Errorf("while Apply fails: got %+v", d)
		}
		if got := b.since(from); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "sent") }) {
			t.Errorf("let go to the old server: %q", got)
		}
		b.plane.set(func(p *fakePlane) { p.refuse = nil })
		from = b.len()
		pass(2 * time.Second)
		b.wantLines(b.only("sent"), "sent by 2: SYN of 1001 to nfs-02")
		if got := b.since(from); got[0] != "apply nfs=nfs-02" {
			t.Errorf("before the flip: %q", got)
		}
		if d := b.director(); d.LastSwitch.Replayed != 1 || d.LastSwitch.Suspected.IsZero() || d.Held != 0 {
			t.Errorf("record: got %+v", d.LastSwitch)
		}
		b.end()
	})
}

// TestStaleSYNIsDropped: its client has sent it again.
func TestStaleSYNIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		b.prober.kill("nfs-01", true)
		b.plane.set(func(p *fakePlane) { p.refuse = errRefused })
		b.syn(model.SightingReconnect, 1001)
		pass(stale)
		b.syn(model.SightingReconnect, 1002)
		pass(200 * time.Millisecond)
		b.plane.set(func(p *fakePlane) { p.refuse = nil })
		pass(6 * time.Second)
		for _, line := range b.only("sent") {
			if strings.Contains(line, "1001") {
				t.Errorf("got %q", line)
			}
		}
		b.end()
	})
}

// TestSwitchBySteps: the hooks run, SYNs are kept all the while, and the one who
// ordered the switch waits for its end.
func TestSwitchBySteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.files.set(hooked)
		b.start(nil)
		pass(2 * time.Second)
		told := len(b.events.all)
		from := b.len()
		ordered := make(chan error, 1)
		go func() {
			done, err := b.command(t.Context(), model.VerbSwitch, ref("nfs-02"), false)
			if err == nil && (done.Switch == nil || done.Switch.Fenced.IsZero() || done.Switch.Promoted.IsZero() || done.Switch.Held.IsZero()) {
				err = errors.New("the record lacks an instant")
			}
			ordered <- err
		}()
		pass(10 * time.Second)
		if d := b.director(); d.Step != model.StepFence || d.To != "nfs-02" || d.Applied != "nfs-01" {
			t.Errorf("during the fence hook: got %+v", d)
		}
		b.syn(model.SightingHeld, 1001)
		pass(5 * time.Second)
		if d := b.director(); d.Held != 1 {
			t.Errorf("kept: got %d", d.Held)
		}
		b.hooks.ends <- nil
		pass(time.Second)
		select {
		case err := <-ordered:
			t.Fatalf("answered before the end: %v", err)
		default:
		}
		b.hooks.ends <- nil
		pass(2 * time.Second)
		if err := <-ordered; err != nil {
			t.Errorf("the order: got %v", err)
		}
		b.wantLines(b.since(from)[:5], "apply nfs=nfs-01 on hold", "hook fence of nfs begins: nfs-01 to nfs-02, epoch 2",
			"apply nfs=nfs-01 on hold", "hook promote of nfs begins: nfs-01 to nfs-02, epoch 2", "apply nfs=nfs-02")
		b.wantLines(b.only("sent"), "sent by 2: SYN of 1001 to nfs-02")
		if got, want := b.kinds(told), "hold fence fence promote promote verify verify flip applied order reset done"; got != want {
			t.Errorf("journal:\n got  %s\n want %s", got, want)
		}
		if s := b.director().LastSwitch; s.Replayed != 1 {
			t.Errorf("record: got %+v", s)
		}
		b.end()
	})
}

// TestHookTimesOut: the switch stays on hold with an alarm, until an operator
// goes on by force.
func TestHookTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.files.set(strings.ReplaceAll(hooked, "hook promote", "# hook promote"))
		b.start(nil)
		pass(2 * time.Second)
		b.prober.kill("nfs-01", true)
		pass(time.Minute)
		d := b.director()
		if d.Applied != "nfs-01" || d.Step != model.StepFence || !b.alarm("fence") {
			t.Errorf("after the timeout: got %+v, %+v", d, b.agent.Status().Alarms)
		}
		if got := b.only("hook"); len(got) != 2 {
			t.Errorf("hooks: got %q", got)
		}
		// A second try is ended by the third order, which needs no hook.
		tried := make(chan error, 1)
		go func() {
			_, err := b.command(t.Context(), model.VerbSwitch, ref("nfs-02"), false)
			tried <- err
		}()
		pass(time.Second)
		b.hooks.ends <- errors.New("exit status 7")
		if err := <-tried; err == nil || !strings.Contains(err.Error(), "exit status 7") {
			t.Errorf("a second try: got %v", err)
		}
		done, err := b.command(t.Context(), model.VerbSwitch, ref("nfs-02"), true)
		if err != nil || done.Switch == nil || b.plane.active() != "nfs-02" {
			t.Errorf("by force: got %+v, %v", done, err)
		}
		b.end()
	})
}

// TestNewerHookEndsTheOlder: an order that calls the switch off does not wait
// for the hook that runs.
func TestNewerHookEndsTheOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.files.set(hooked)
		b.start(nil)
		pass(2 * time.Second)
		go func() { _, _ = b.command(t.Context(), model.VerbSwitch, ref("nfs-02"), false) }()
		pass(time.Second)
		back := make(chan error, 1)
		go func() {
			_, err := b.command(t.Context(), model.VerbSwitch, ref("nfs-01"), false)
			back <- err
		}()
		pass(time.Second)
		hooks := b.only("hook")
		slices.Sort(hooks)
		b.wantLines(hooks, "hook fence is ended", "hook fence of nfs begins: nfs-01 to nfs-02, epoch 2", "hook promote of nfs begins:  to nfs-01, epoch 2")
		b.hooks.ends <- nil
		pass(2 * time.Second)
		if err := <-back; err != nil || b.plane.active() != "nfs-01" || b.director().Step != model.StepNone {
			t.Errorf("called off: got %v, %+v", err, b.director())
		}
		b.end()
	})
}

// TestOrderThatNobodyWaitsFor: who ordered may leave; the hooks go on.
func TestOrderThatNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.files.set(strings.ReplaceAll(hooked, "hook fence /usr/local/bin/fence timeout 20s", "hook fence /usr/local/bin/fence timeout 1h"))
		b.start(nil)
		pass(2 * time.Second)
		asked := make(chan error, 1)
		go func() {
			_, err := b.command(t.Context(), model.VerbSwitch, ref("nfs-02"), false)
			asked <- err
		}()
		pass(time.Second)
		b.end() // with the hook under way: it is ended
		if got := b.only("hook"); got[len(got)-1] != "hook fence is ended" {
			t.Errorf("hooks: got %q", got)
		}
		pass(2 * time.Hour)
		if err := <-asked; err == nil {
			t.Error("an order to a daemon that ended was answered")
		}
	})
}

func TestComplaints(t *testing.T) {
	at := time.Now()
	told := complaint{at: at}
	holding := complaint{at: at, held: true}
	for _, tt := range []struct {
		last  complaint
		after time.Duration
		held  bool
		want  bool
	}{
		{complaint{}, 0, false, false}, {told, quiet - 1, false, true}, {told, quiet, false, false},
		{told, 0, true, false}, {holding, 0, true, true}, {holding, quiet, true, false},
	} {
		e := decide.Suspected{At: decide.At{At: at.Add(tt.after)}, Held: tt.held}
		if got := tt.last.covers(e); got != tt.want {
			t.Errorf("%+v: got %t", tt, got)
		}
	}
}

// TestSightingsDoNotDrownTheLoop: a thousand clients complain at once.
func TestSightingsDoNotDrownTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		told := len(b.events.all)
		b.prober.kill("nfs-01", true)
		for range 1000 {
			b.plane.sightings <- model.Sighting{Kind: model.SightingRepeatedData, Ref: ref("nfs-01"), Client: netip.MustParseAddrPort("192.168.10.10:1001")}
		}
		pass(time.Second)
		got := b.events.Read(uint64(told), 1000)
		if b.plane.active() != "nfs-02" || got[0].Kind != model.EventSuspect || !strings.Contains(got[0].Text, "192.168.10.10:1001 sends the same data again") {
			t.Errorf("got %+v", got)
		}
		b.end()
	})
}

func TestBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(10 * time.Second)
		b.plane.mu.Lock()
		if b.plane.beats != 51 {
			t.Errorf("got %d beats in 10 s", b.plane.beats)
		}
		b.plane.mu.Unlock()
		b.end()
	})
}

// TestStuckLoopDoesNotBeat: nobody is there for the SYNs that would be kept.
func TestStuckLoopDoesNotBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(time.Minute) // nothing happens, and it beats
		b.plane.set(func(p *fakePlane) {
			if p.beats != 301 {
				t.Errorf("got %d beats in a minute", p.beats)
			}
			p.beats = 0
		})
		b.plane.slow.Store(int64(5 * time.Second))
		go func() { _, _ = b.command(t.Context(), model.VerbSwitch, ref("nfs-02"), false) }()
		pass(5*time.Second - time.Millisecond)
		b.plane.slow.Store(0)
		b.plane.set(func(p *fakePlane) {
			if p.beats > 3 {
				t.Errorf("got %d beats while the loop was stuck for 5 s", p.beats)
			}
		})
		pass(time.Second)
		b.end()
	})
}
