package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/site"
	"fairlead/internal/lab/witness"
	"fairlead/internal/model"
)

// TestHooks switches by order and by a failure. The steps must come in their
// order, and until the last one no server may get anything from a client.
func TestHooks(t *testing.T) {
	const connections = 8
	for _, reason := range []model.Reason{model.ReasonOperator, model.ReasonFailed} {
		t.Run(reason.String(), func(t *testing.T) {
			h := newHooked(t, "sleep 0.3", "timeout 10", "sleep 0.2")
			cables := must[*site.Cables](t)(h.WatchCables(t.Context()))
			defer cables.End()
			h.works(clock.Now())
			ordered := make(chan error, 1)
			if reason == model.ReasonFailed {
				h.cut()
				ordered <- nil
			} else {
				go func() {
					_, err := h.Control.Switch(t.Context(), second)
					ordered <- err
				}()
			}
			h.until("the fence hook begins", func() bool { return len(h.told()) > 0 })
			c := h.call(connections)
			sw := h.switched()
			if err := <-ordered; err != nil {
				t.Error(err)
			}
			c.wantSoon(t, clock.Instant(sw.AppliedMono))
			if sw.Replayed < connections {
				t.Errorf("%d kept SYNs were sent on, want at least %d", sw.Replayed, connections)
			}
			fenced := h.wantOrder(reason, sw)
			packets, drops, err := cables.End()
			if err != nil || drops > 0 {
				t.Fatalf("%d packets were not captured, %v", drops, err)
			}
			wantQuiet(t, packets, fenced, sw)
			h.finish()
		})
	}
}

// wantOrder compares the journal's instants with the hooks' own. It returns when
// the fence hook began.
func (h *hooked) wantOrder(reason model.Reason, sw model.Switch) clock.Instant {
	h.t.Helper()
	lines := h.wantTold(reason, "begins,fence", "ends,fence", "begins,promote", "ends,promote")
	var kinds []model.EventKind
	var at []clock.Instant
	for _, e := range h.events(model.EventHold, model.EventFence, model.EventPromote, model.EventVerify, model.EventFlip, model.EventApplied) {
		if e.Epoch == sw.Epoch {
			kinds, at = append(kinds, e.Kind), append(at, clock.Instant(e.Mono))
		}
	}
	want := []model.EventKind{model.EventHold, model.EventFence, model.EventFence, model.EventPromote, model.EventPromote,
		model.EventVerify, model.EventVerify, model.EventFlip, model.EventApplied}
	if !slices.Equal(kinds, want) {
		h.t.Fatalf("the journal tells %v\nwant %v", kinds, want)
	}
	at = slices.Insert(at, 4, lines[2].At, lines[3].At)
	at = slices.Insert(at, 2, lines[0].At, lines[1].At)
	if !slices.IsSorted(at) {
		h.t.Errorf("instants out of order: %v", at)
	}
	return lines[0].At
}

// wantQuiet wants nothing from a client on a cable from the fence until the
// switch, and then no split.
func wantQuiet(t *testing.T, packets []witness.Packet, fenced clock.Instant, sw model.Switch) {
	t.Helper()
	decided, applied := clock.Instant(sw.DecidedMono), clock.Instant(sw.AppliedMono)
	n := 0
	for _, p := range packets {
		if !p.FromServer && p.At >= fenced && p.At < decided {
			n++
		}
	}
	if n > 0 {
		t.Errorf("%d packets of clients reached a server while the director was on hold", n)
	}
	r := witness.Judge(packets, site.Names(), 0, []witness.Turn{{From: decided, By: applied, To: 1}})
	if r.Split+r.Astray > 0 || r.Data[0] == 0 || r.Data[1] == 0 {
		t.Errorf("on the cables: %+v", r)
	}
	t.Logf("on hold for %v; %v packets with data", decided.Since(fenced), r.Data)
}

// TestFenceFails: with policy require the switch waits for a person, with try it
// goes on.
func TestFenceFails(t *testing.T) {
	t.Run("require", func(t *testing.T) {
		h := newHooked(t, "echo no power switch; exit 7", "policy require", "true")
		h.cut()
		h.until("an alarm", func() bool { return h.alarmed("is on hold: the fence hook of nfs-01 failed", "exit code 7") })
		cables := must[*site.Cables](t)(h.WatchCables(t.Context()))
		defer cables.End()
		c := h.call(2)
		select {
		case <-h.Daemon.Done():
			t.Fatal(h.Daemon.Err())
		case <-time.After(700 * time.Millisecond): // two more checks
		}
		packets, drops, err := cables.End()
		if err != nil || drops > 0 || len(packets) > 0 {
			t.Errorf("on hold %d packets came to servers, %d were not captured, %v", len(packets), drops, err)
		}
		if d := directorStatus(t, h.Site); d.Step != model.StepFence || d.Desired == second.Server || d.Held == 0 {
			t.Errorf("step %v, desired %q, %d SYNs kept; want on hold", d.Step, d.Desired, d.Held)
		}
		h.command("switch", "--force", second.String())
		c.wantSoon(t, clock.Instant(h.switched().AppliedMono))
		h.wantTold(model.ReasonFailed, "begins,fence", "begins,promote", "ends,promote")
		if d := directorStatus(t, h.Site); h.alarmed("is on hold", "") || d.Step != model.StepNone {
			t.Errorf("after the switch: step %v, or still an alarm", d.Step)
		}
		h.finish()
	})
	t.Run("try", func(t *testing.T) {
		h := newHooked(t, "echo no power switch; exit 7", "policy try", "true")
		h.cut()
		h.switched()
		h.wantTold(model.ReasonFailed, "begins,fence", "begins,promote", "ends,promote")
		h.wantFailure("exit code 7")
		h.finish()
	})
}

// alarmed tells whether the status has such an alarm.
func (h *hooked) alarmed(what, why string) bool {
	h.t.Helper()
	st := must[model.Status](h.t)(h.Control.Status(h.t.Context()))
	return slices.ContainsFunc(st.Alarms, func(a model.Alarm) bool {
		return strings.Contains(a.What, what) && strings.Contains(a.Why, why)
	})
}

// wantFailure: the journal says why the fence hook failed, and what it printed.
func (h *hooked) wantFailure(why string) {
	h.t.Helper()
	if got := h.events(model.EventFence); len(got) != 2 || !strings.Contains(got[1].Err, why) {
		h.t.Errorf("the journal tells of the fence hook: %+v, want an error with %q", got, why)
	}
}

// TestHookHangs: a hook that does not end is killed at its timeout, with the
// processes that it started, although all of them ignore SIGTERM.
func TestHookHangs(t *testing.T) {
	h := newHooked(t, "trap '' TERM\nsleep 300 &\necho $$ $! >"+filepath.Join("$(dirname $0)", "pids")+"\nwait", "timeout 500ms policy try", "true")
	ordered := clock.Now()
	if _, err := h.Control.Switch(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	sw := h.switched()
	// A second is left to a hook that was asked to end.
	if d := clock.Instant(sw.DecidedMono).Since(ordered); d < 1500*time.Millisecond || d > 2500*time.Millisecond {
		t.Errorf("the switch took %v, want 1.5 s", d)
	}
	var self, child int
	if _, err := fmt.Sscan(string(must[[]byte](t)(os.ReadFile(h.path("pids")))), &self, &child); err != nil {
		t.Fatal(err)
	}
	h.until("its processes are gone", func() bool { return !runs(self) && !runs(child) })
	h.wantTold(model.ReasonOperator, "begins,fence", "begins,promote", "ends,promote")
	h.wantFailure("did not end within 500ms")
	h.finish()
}

// runs tells whether a process is there that is not a zombie.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// TestKilledWhileFencing kills the director's programme while the fence hook runs.
// The next one must run the hook again, and end the switch.
func TestKilledWhileFencing(t *testing.T) {
	h := newHooked(t, "sleep 0.4", "timeout 10", "true")
	go h.Control.Switch(t.Context(), second) // nobody answers
	h.until("the fence hook begins", func() bool { return len(h.told()) > 0 })
	if err := h.Daemon.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-h.Daemon.Done()
	r := &run{site: h.Site, reporter: newReporter(t.Output(), Options{})}
	if err := r.startAgain(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.switched()
	// The first hook outlives its daemon, and may end before the second begins.
	var begun []clock.Instant
	lines := h.told()
	for _, l := range lines {
		if strings.HasPrefix(l.Text, "begins,fence,") {
			begun = append(begun, l.At)
		}
	}
	slices.SortStableFunc(lines[:min(4, len(lines))], func(a, b hookLine) int { return strings.Compare(a.Text, b.Text) })
	h.wantLines(lines, model.ReasonOperator, "begins,fence", "begins,fence", "ends,fence", "ends,fence", "begins,promote", "ends,promote")
	if d := lines[4].At.Since(begun[1]); d < 400*time.Millisecond {
		t.Errorf("the new server was promoted %v after the second fence hook began", d)
	}
	h.finish()
}

// TestReboot takes the data plane out, as a reboot does, and starts the daemon
// with what it has on disk: whole, then torn.
func TestReboot(t *testing.T) {
	h := newHooked(t, "", "", "")
	if _, err := h.Control.Switch(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	h.switched()
	h.reboot(func() {})
	begun := clock.Now()
	if err := h.Launch(t.Context(), settled); err != nil {
		t.Fatal(err)
	}
	both := func(d model.DirectorStatus) error {
		for _, s := range d.Servers {
			if s.Health != model.HealthUp {
				return fmt.Errorf("%s is %v", s.Name, s.Health)
			}
		}
		return nil
	}
	if err := h.Await(t.Context(), 10*time.Second, both); err != nil {
		t.Fatal(err)
	}
	h.works(begun)
	if d := directorStatus(t, h.Site); d.Applied != second.Server || d.Epoch != h.first+1 {
		t.Errorf("after a reboot %s is active, epoch %d; want nfs-02, %d", d.Applied, d.Epoch, h.first+1)
	}

	h.reboot(func() {
		state := filepath.Join(h.Dir(), "state", "state.json")
		whole := must[[]byte](t)(os.ReadFile(state))
		if err := os.WriteFile(state, whole[:len(whole)/2], 0o600); err != nil {
			t.Fatal(err)
		}
	})
	if err := h.Launch(t.Context(), func(_ model.Status, d model.DirectorStatus) error { return both(d) }); err != nil {
		t.Fatal(err)
	}
	if d := directorStatus(t, h.Site); d.Step != model.StepOrder || d.Applied != "" || !h.alarmed("is on hold", "nobody knows") {
		t.Errorf("with a torn memory: step %v, applied %q; want on hold, with an alarm", d.Step, d.Applied)
	}
	c := h.call(4)
	h.until("the SYNs are kept", func() bool { return directorStatus(t, h.Site).Held >= 4 })
	sw, err := h.Control.Switch(t.Context(), second)
	if err != nil || sw.To != second.Server {
		t.Fatalf("switched to %q: %v", sw.To, err)
	}
	c.wantSoon(t, clock.Instant(sw.AppliedMono))
	h.works(clock.Now())
	h.finish()
}

// reboot stops the daemon and takes the data plane out; between is done then.
func (h *hooked) reboot(between func()) {
	h.t.Helper()
	if err := h.Daemon.Stop(10 * time.Second); err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command(must[string](h.t)(program()), "detach", "--pin-dir", filepath.Join(h.Dir(), "bpf"))
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("fairlead detach: %v: %s", err, out)
	}
	between()
}
