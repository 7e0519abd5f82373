package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead/internal/lab/outcome"
	"fairlead/internal/lab/site"
	"fairlead/internal/model"
)

// copyDirector is a director that measures the copy of nfs-02, which may be 2 s behind.
// Its argument says how.
const copyDirector = `director nfs
  mode gateway
  check interval 300ms port 2049 timeout 300ms
  option tcpcheck
  option synccheck %s interval 300ms maxlag 2s
  server nfs-01 192.168.10.100:2049 check
  server nfs-02 192.168.10.101:2049 check sorry
`

// copied is a site whose servers have a directory each; what is on nfs-01 is copied
// to nfs-02 until stop is called.
type copied struct {
	*hooked
	stop func()
}

func newCopied(t *testing.T, measured string) *copied {
	t.Helper()
	o := realOptions(t, outcome.Planned, outcome.Embedded, model.AttachNative, outcome.Note)
	o.Config = map[string]string{"flow.cfg": note["flow.cfg"], "services.cfg": note["services.cfg"], "l4.cfg": fmt.Sprintf(copyDirector, measured)}
	own := t.TempDir() // removed after the server has ended
	s := built(t, o)
	if err := s.Serving[1].Stop(time.Second); err != nil {
		t.Fatal(err)
	}
	server, err := s.Servers[1].Start(exec.Command(o.Program, "lab-server", "--root", own, "--export", "77", "--listen", ":2049", "--portmap", ":111"))
	if err != nil {
		t.Fatal(err)
	}
	s.Serving[1] = server
	c := &copied{hooked: &hooked{Site: s, t: t}}
	c.replicate(filepath.Join(s.Share(), "heartbeat"), filepath.Join(own, "heartbeat"))
	return c
}

// replicate copies a file all the time.
func (c *copied) replicate(from, to string) {
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ending:
				return
			case <-tick.C:
			}
			b, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(to+".new", b, 0o644)
			}
			if err == nil {
				err = os.Rename(to+".new", to)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				c.t.Errorf("copy the heartbeat: %v", err)
				return
			}
		}
	}()
	c.stop = sync.OnceFunc(func() {
		close(ending)
		<-ended
	})
	c.t.Cleanup(c.stop)
}

// awaits waits until the copy of nfs-02 is as said.
func (c *copied) awaits(what string, is func(model.CopyStatus) bool) (got model.CopyStatus) {
	c.t.Helper()
	end := time.Now().Add(20 * time.Second)
	for {
		for _, s := range directorStatus(c.t, c.Site).Servers {
			if s.Copy != nil && s.Name == "nfs-02" {
				got = *s.Copy
			}
		}
		switch {
		case is(got):
			return got
		case time.Now().After(end):
			c.t.Fatalf("%s: not within 20 s; the copy is %+v, the log:\n%s", what, got, c.command("events", "--since", "0"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// alarmed tells whether an alarm stands.
func (c *copied) alarmed(what string) bool {
	c.t.Helper()
	st := must[model.Status](c.t)(c.Control.Status(c.t.Context()))
	return slices.ContainsFunc(st.Alarms, func(a model.Alarm) bool { return strings.HasPrefix(a.What, what) })
}

// holds waits until an alarm says that nfs-02 is not taken.
func (c *copied) holds() {
	c.t.Helper()
	for end := time.Now().Add(20 * time.Second); !c.alarmed("director nfs: nfs-02 is not taken by itself, as its copy may be too old"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("no alarm says that the director holds; the events:\n%s", c.command("events", "--since", "0"))
		}
	}
}

// TestOldCopyIsHeld: while the copy follows, its lag is nearly nothing. It grows when the
// copying stops. When the active server dies then, the other one is not taken until an
// order names it.
func TestOldCopyIsHeld(t *testing.T) {
	c := newCopied(t, "file /export/heartbeat")
	c.awaits("the copy follows", func(s model.CopyStatus) bool { return s.Freshness == model.FreshnessFresh })
	for range 10 {
		time.Sleep(100 * time.Millisecond)
		if s := c.awaits("it is measured", func(s model.CopyStatus) bool { return !s.Measured.IsZero() }); s.Lag > 300*time.Millisecond+200*time.Millisecond {
			t.Errorf("while the copy follows the lag is %v", s.Lag)
		}
	}
	c.stop()
	stopped := time.Now()
	old := c.awaits("the copy is too old", func(s model.CopyStatus) bool { return s.Freshness == model.FreshnessTooOld })
	t.Logf("the copying stopped; after %v the copy is %v behind, and too old", time.Since(stopped).Round(time.Millisecond), old.Lag)
	if real := time.Since(stopped) + 20*time.Millisecond; old.Lag > real+300*time.Millisecond || old.Lag < real-900*time.Millisecond {
		t.Errorf("the lag is %v, the copying stopped %v ago", old.Lag, real)
	}
	if !c.alarmed("director nfs: nfs-02 is not fresh enough to take over by itself") {
		t.Error("no alarm while nfs-01 serves")
	}
	if err := c.Serving[0].Stop(time.Second); err != nil {
		t.Fatal(err)
	}
	c.holds()
	last := c.awaits("the lag of the dead server", func(s model.CopyStatus) bool { return s.Why != "" })
	time.Sleep(3 * time.Second)
	still := c.awaits("the lag of the dead server", func(s model.CopyStatus) bool { return s.Why != "" })
	if d := directorStatus(t, c.Site); d.Desired != "nfs-01" || d.Epoch != 1 || still.Lag != last.Lag || still.Freshness != model.FreshnessTooOld {
		t.Errorf("3 s later %s is active in epoch %d, and the lag of %v became %v (%v)", d.Desired, d.Epoch, last.Lag, still.Lag, still.Freshness)
	}
	status := c.command("status")
	t.Logf("the status:\n%s", status)
	if status = strings.Join(strings.Fields(status), " "); !strings.Contains(status, "fairlead switch nfs/nfs-02") || !strings.Contains(status, "copy: too-old, ") {
		t.Error("the status does not say what to do, or how old the copy is")
	}
	c.command("switch", "nfs/nfs-02")
	if d := directorStatus(t, c.Site); d.Applied != "nfs-02" || d.Epoch != 2 || !strings.Contains(d.LastSwitch.Why, "although the copy of nfs-02 is too old") {
		t.Errorf("after the order %s is active in epoch %d: %+v", d.Applied, d.Epoch, d.LastSwitch)
	}
	kinds := ""
	for _, e := range c.events(model.EventCopy, model.EventStay, model.EventFlip) {
		kinds += fmt.Sprintf("%v %s: %s\n", e.Kind, e.Server, e.Text)
	}
	for _, want := range []string{"copy nfs-02: the copy of nfs-02 is 0s behind nfs-01, which maxlag 2s allows", "copy nfs-02: the copy of nfs-02 is too old",
		"stay nfs-01: nfs-02 is not taken by itself", "flip nfs-02: nfs-02 is active instead of nfs-01: ordered by an operator, although"} {
		if !strings.Contains(kinds, want) {
			t.Errorf("the journal lacks %q:\n%s", want, kinds)
		}
	}
}

// TestFreshCopyTakesOver: the same with a copy that follows.
func TestFreshCopyTakesOver(t *testing.T) {
	c := newCopied(t, "file /export/heartbeat")
	c.awaits("the copy follows", func(s model.CopyStatus) bool { return s.Freshness == model.FreshnessFresh })
	first := directorStatus(t, c.Site).Epoch
	if err := c.Serving[0].Stop(time.Second); err != nil {
		t.Fatal(err)
	}
	sw, err := c.AwaitSwitch(t.Context(), first, 20*time.Second, func() {}, func(model.Switch) {})
	if err != nil || sw == nil || sw.To != site.ServerSpecs[1].Name || sw.Reason != model.ReasonFailed {
		t.Errorf("got %+v, %v", sw, err)
	}
}

// TestProgrammeHolds: a programme says that the copy is fresh, then that it is too old, and,
// when the active server is dead, that it cannot know. What it said last holds.
func TestProgrammeHolds(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	says := func(text string) {
		t.Helper()
		next := filepath.Join(dir, "check.new")
		if err := os.WriteFile(next, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "check")); err != nil {
			t.Fatal(err)
		}
	}
	says("echo 0.5")
	c := newCopied(t, "exec "+filepath.Join(dir, "check"))
	c.awaits("it is fresh", func(s model.CopyStatus) bool {
		return s.Freshness == model.FreshnessFresh && s.Lag == 500*time.Millisecond
	})
	says(`echo "$FAIRLEAD_ACTIVE says: Connecting, disks UpToDate/DUnknown"; exit 1`)
	old := c.awaits("it is too old", func(s model.CopyStatus) bool { return s.Freshness == model.FreshnessTooOld })
	if old.Why != "nfs-01 says: Connecting, disks UpToDate/DUnknown" {
		t.Errorf("the copy is too old because %q", old.Why)
	}
	says("echo nobody can be asked; exit 2")
	if err := c.Serving[0].Stop(time.Second); err != nil {
		t.Fatal(err)
	}
	c.holds()
	c.awaits("the last word holds", func(s model.CopyStatus) bool {
		return s.Freshness == model.FreshnessTooOld && strings.HasSuffix(s.Why, "It printed: nobody can be asked")
	})
	says("echo 0")
	sw, err := c.AwaitSwitch(t.Context(), 1, 20*time.Second, func() {}, func(model.Switch) {})
	if err != nil || sw == nil || sw.To != site.ServerSpecs[1].Name || sw.Reason != model.ReasonFailed {
		t.Errorf("when it is fresh: got %+v, %v", sw, err)
	}
}
