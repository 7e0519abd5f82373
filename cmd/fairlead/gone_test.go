package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"fairlead/internal/api"
	"fairlead/internal/dataplane"
	"fairlead/internal/model"
)

// left is what a daemon left in the kernel when it died.
func left(now time.Time) dataplane.Seen {
	vip, other := netip.MustParseAddr("192.168.10.50"), netip.MustParseAddr("192.168.10.51")
	return dataplane.Seen{
		Beaten: true, Silence: 12 * time.Minute,
		Targets: map[netip.Addr][]string{vip: {"nfs"}, other: {"web", "home"}},
		Applied: model.Applied{
			Ifaces: map[string]model.Attached{"eth0": {Mode: model.AttachNative}},
			VIPs:   map[netip.Addr]model.AppliedVIP{vip: {Announce: true}, other: {}},
			Directors: map[string]model.Adopted{
				"nfs":  {Active: "nfs-02", Addr: netip.MustParseAddr("192.168.10.101"), Epoch: 2, Reason: model.ReasonFailed, Since: now.Add(-76 * time.Hour)},
				"home": {Active: "home-01", Epoch: 1, Reason: model.ReasonFirst, Since: now.Add(-time.Hour), Hold: true},
				"none": {Epoch: 3, Reason: model.ReasonNoServer, Since: now.Add(-time.Minute)},
				"web":  {Servers: map[string]uint64{"web-02": 1, "web-01": 1}, Epoch: 1, Reason: model.ReasonFirst, Since: now.Add(-time.Hour)},
			},
		},
	}
}

func TestOrphanPage(t *testing.T) {
	now := time.Date(2026, 11, 23, 3, 14, 15, 0, time.UTC)
	o := orphanOf(left(now), fmt.Errorf("%w on /run/fairlead/control.sock; start it with `fairlead run`, or name its socket with --socket", api.ErrNotRunning), now)
	var b strings.Builder
	if err := printOrphan(&b, o, false); err != nil {
		t.Fatal(err)
	}
	golden(t, "status-gone.txt", b.String())
	for line := range strings.Lines(b.String()) {
		if utf8.RuneCountInString(line) > pageWidth+1 {
			t.Errorf("too long: %q", line)
		}
	}
}

// TestOrphanWords: what is said follows from what was seen.
func TestOrphanWords(t *testing.T) {
	now := time.Date(2026, 11, 23, 3, 14, 15, 0, time.UTC)
	for _, tt := range []struct {
		what        string
		asking      error
		change      func(*dataplane.Seen)
		want, never string
	}{
		{"as it was left", api.ErrNotRunning, func(*dataplane.Seen) {}, "GONE since about 2026-11-23 03:02:15 UTC (12m00s)", "forwards nothing"},
		{"another socket", api.ErrNotRunning, func(s *dataplane.Seen) { s.Silence = 300 * time.Millisecond }, "THE DAEMON LIVES, BUT DOES NOT ANSWER HERE", "GONE"},
		{"no sign ever", api.ErrNotRunning, func(s *dataplane.Seen) { s.Beaten, s.Silence = false, 0 }, "since when is not known", "LIVES"},
		{"no answer", context.DeadlineExceeded, func(s *dataplane.Seen) {}, "THE DAEMON DOES NOT ANSWER since about 2026-11-23 03:02:15 UTC", "GONE"},
		{"no answer, yet alive", context.DeadlineExceeded, func(s *dataplane.Seen) { s.Silence = time.Second }, "THE DAEMON DOES NOT ANSWER, but gives signs of life", "nobody switches"},
		{"not attached", api.ErrNotRunning, func(s *dataplane.Seen) { s.Applied.Ifaces = nil }, "It is attached to no interface.", "goes on forwarding"},
		{"no virtual IP", api.ErrNotRunning, func(s *dataplane.Seen) { s.Targets = nil }, "forwards nothing", "goes on forwarding"},
	} {
		s := left(now)
		tt.change(&s)
		p := &page{}
		p.orphan(orphanOf(s, tt.asking, now))
		got := strings.Join(strings.Fields(p.text.String()), " ")
		if !strings.Contains(got, tt.want) || strings.Contains(got, tt.never) {
			t.Errorf("%s: got %s", tt.what, p.text.String())
		}
	}
}

func TestUnseen(t *testing.T) {
	for want, err := range map[string]error{
		"nothing is forwarded":  fmt.Errorf("look: %w", fs.ErrNotExist),
		"run this as root":      fmt.Errorf("look: %w", os.ErrPermission),
		"this one cannot read":  fmt.Errorf("look: %w", dataplane.ErrOtherLayout),
		"is not known: strange": errors.New("strange"),
	} {
		if got := unseen(err, "/pins"); !strings.Contains(got, want) {
			t.Errorf("%v: got %q", err, got)
		}
	}
}

// TestStatusOfAnOrphan asks for the status of a data plane in the kernel whose
// daemon has ended.
func TestStatusOfAnOrphan(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root")
	}
	dir := filepath.Join(t.TempDir(), "pins")
	socket := filepath.Join(t.TempDir(), "none.sock")
	status := func(args ...string) result {
		return shell{}.run(t.Context(), append([]string{"status", "--socket", socket, "--pin-dir", dir}, args...)...)
	}
	if got := status(); got.code != exitUnable || got.out != "" || !strings.Contains(got.err, "no data plane is found in "+dir+" either") {
		t.Errorf("nothing pinned: got %+v", got)
	}
	plane, err := dataplane.Open(dataplane.Options{Dir: dir, Connections: 100, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dataplane.Detach(dir); err != nil {
			t.Error(err)
		}
	})
	mac := model.MAC{2, 0, 0, 0, 0, 1}
	vip := netip.MustParseAddr("192.0.2.1")
	err = plane.Apply(model.Desired{
		Rules: model.RuleSet{VIPs: []model.VIP{{Addr: vip}}, Rules: []model.FlowRule{{Flow: "nfs", Policy: model.PolicyDirector, Director: "nfs",
			Rule: model.Rule{Dst: model.Cond[netip.Prefix]{Set: true, Value: netip.PrefixFrom(vip, 32)}}}}},
		Directors: []model.DesiredDirector{{Name: "nfs", Active: "nfs-02", MAC: mac, Source: mac, Epoch: 7, Reason: model.ReasonOperator,
			Servers: []model.DesiredServer{{Name: "nfs-02", MAC: mac}}}},
	})
	plane.Beat()
	if err := errors.Join(err, plane.Close()); err != nil {
		t.Fatal(err)
	}
	got := status()
	for _, want := range []string{"does not answer here", "192.0.2.1", "director nfs: nfs-02 is active; epoch 7", "attached to no interface"} {
		if !strings.Contains(strings.ToLower(got.out), want) || got.code != exitUnable || got.err != "" {
			t.Errorf("got %+v, want %q", got, want)
		}
	}
	got = status("--json")
	var o orphan
	if err := json.Unmarshal([]byte(got.out), &o); err != nil || got.code != exitUnable || o.Forwarding ||
		len(o.Directors) != 1 || o.Directors[0].Epoch != 7 || len(o.VIPs) != 1 || !strings.Contains(o.Error, "no daemon answers") || time.Since(o.LastSign) > time.Minute {
		t.Errorf("JSON: got %+v, %v", got, err)
	}
}

// stuckDaemon takes questions and never answers.
type stuckDaemon struct {
	*fakeDaemon
	until chan struct{}
}

func (d stuckDaemon) Status() model.Status {
	<-d.until
	return model.Status{}
}

// TestUnanswered: what nobody answered in time is said in plain words.
func TestUnanswered(t *testing.T) {
	d := stuckDaemon{&fakeDaemon{}, make(chan struct{})}
	socket := serve(t, d)
	defer close(d.until)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := api.NewClient(socket).Status(ctx)
	if got := unanswered(err, socket, time.Second); got == nil || got.Error() != "the daemon on "+socket+" took the question and did not answer within 1s" {
		t.Errorf("got %v", got)
	}
	if other := errors.New("other"); unanswered(other, socket, time.Second) != other || unanswered(nil, socket, time.Second) != nil {
		t.Error("another error was changed")
	}
}

// TestStatusOfAHangingDaemon: whoever only asks for the exit code is told, too.
func TestStatusOfAHangingDaemon(t *testing.T) {
	d := &fakeDaemon{status: quietStatus()}
	d.status.Turned = d.status.At.Add(-stuckAfter + time.Second)
	socket := serve(t, d)
	if got := (shell{}).run(t.Context(), "status", "--socket", socket); got.code != exitDone || strings.Contains(got.out, "HANGS") {
		t.Errorf("a daemon at work: got %+v", got)
	}
	d.status.Turned = d.status.At.Add(-42 * time.Second)
	got := shell{}.run(t.Context(), "status", "--socket", socket)
	if got.code != exitUnable || !strings.HasPrefix(got.out, "THE DAEMON HANGS: its last sign of life is 42s old\n") || got.err != "" {
		t.Errorf("a daemon that hangs: got %+v", got)
	}
	if got := (shell{}).run(t.Context(), "status", "--json", "--socket", socket); got.code != exitUnable || !strings.Contains(got.out, `"heartbeat"`) {
		t.Errorf("as JSON: got %+v", got)
	}
}
