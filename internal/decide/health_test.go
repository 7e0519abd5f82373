package decide

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"fairlead/internal/model"
)

// TestHealth is the table of transitions: results as letters (p passes, f
// fails), one a second, with rise 2 and fall 3.
func TestHealth(t *testing.T) {
	tests := []struct {
		results string
		want    model.Health
		why     string
	}{
		{"", model.HealthUnknown, ""},
		{"p", model.HealthUp, ""},
		{"f", model.HealthUnknown, "refused 1"},
		{"ff", model.HealthUnknown, "refused 2"},
		{"fff", model.HealthDown, "refused 3"},
		{"pf", model.HealthUp, "refused 2"},
		{"pff", model.HealthUp, "refused 3"},
		{"pfff", model.HealthDown, "refused 4"},
		{"pffpff", model.HealthUp, "refused 6"},
		{"pffpfff", model.HealthDown, "refused 7"},
		{"fffp", model.HealthDown, "refused 3"},
		{"fffpp", model.HealthUp, ""},
		{"fffpfp", model.HealthDown, "refused 5"},
		{"fffpfpp", model.HealthUp, ""},
	}
	for _, tt := range tests {
		t.Run(tt.results, func(t *testing.T) {
			s := newStory(t, change(web(a, b), func(d *model.Director) { d.Check.Fall = 3 }))
			for i, r := range tt.results {
				if r == 'p' {
					s.pass("a")
				} else {
					s.fail("a", "refused "+string(rune('1'+i)))
				}
			}
			s.health("a", tt.want)
			if got := s.server("a").Why; got != tt.why {
				t.Errorf("why = %q, want %q", got, tt.why)
			}
		})
	}
}

func TestHealthKeepsSince(t *testing.T) {
	s := newStory(t, web(a))
	s.pass("a")
	since := s.now
	s.pass("a")
	s.fail("a", "connection refused")
	if got := s.server("a").Since; got != since {
		t.Errorf("since = %v, want the first pass %v", got, since)
	}
	s.fail("a", "connection refused")
	if got := s.server("a").Since; got != s.now {
		t.Errorf("since = %v, want the confirmed failure %v", got, s.now)
	}
}

// TestConfirmation: a failure is confirmed 50 ms later with a short timeout,
// again and again until there are enough.
func TestConfirmation(t *testing.T) {
	s := newStory(t, change(note(), func(d *model.Director) { d.Check.Fall = 3 }))
	s.pass("nfs-01")
	for range 2 {
		s.fail("nfs-01", "connection refused")
		if len(s.actions) != 0 {
			t.Errorf("actions at the failure = %v, want none yet", s.actions)
		}
		if want := s.now.Add(50 * time.Millisecond); s.state.Deadline() != want {
			t.Fatalf("deadline = %v, want %v", s.state.Deadline(), want)
		}
		s.after(49 * time.Millisecond).tick()
		if len(s.actions) != 0 {
			t.Errorf("actions before the deadline = %v, want none", s.actions)
		}
		s.after(time.Millisecond).tick()
		want := []Action{ProbeNow{ref("nfs-01"), time.Second}}
		if !reflect.DeepEqual(s.actions, want) {
			t.Errorf("actions at the deadline = %v, want %v", s.actions, want)
		}
		if !s.state.Deadline().IsZero() {
			t.Errorf("deadline = %v, want none until the next result", s.state.Deadline())
		}
	}
	s.fail("nfs-01", "connection refused")
	s.health("nfs-01", model.HealthDown)
	if !s.state.Deadline().IsZero() {
		t.Errorf("deadline of a server that is down = %v, want none", s.state.Deadline())
	}
}

func TestConfirmationTimeoutIsAtMostTheChecks(t *testing.T) {
	s := newStory(t, change(note(), func(d *model.Director) { d.Check.Timeout = 300 * time.Millisecond }))
	s.fail("nfs-01", "connection refused")
	s.after(time.Second).tick()
	if got := only[ProbeNow](s.actions); len(got) != 1 || got[0].Timeout != 300*time.Millisecond {
		t.Errorf("confirmations = %v, want one with 300ms", got)
	}
}

func TestPassEndsConfirmation(t *testing.T) {
	s := newStory(t, note())
	s.fail("nfs-01", "connection refused")
	s.pass("nfs-01")
	if !s.state.Deadline().IsZero() {
		t.Errorf("deadline = %v, want none", s.state.Deadline())
	}
	s.after(time.Minute).tick()
	if len(s.actions) != 0 {
		t.Errorf("actions = %v, want none", s.actions)
	}
	s.health("nfs-01", model.HealthUp)
}

// TestLateEventAsksAtOnce: the result waited longer than the confirmation should.
func TestLateEventAsksAtOnce(t *testing.T) {
	s := newStory(t, note())
	known := s.now.Add(time.Second)
	s.after(2 * time.Second).step(Probed{At{s.now}, model.ProbeResult{Ref: ref("nfs-01"), At: known, Err: "connection refused"}})
	if got := only[ProbeNow](s.actions); len(got) != 1 {
		t.Errorf("confirmations = %v, want one", got)
	}
}

// TestRecovery: the passes of a server that is down wait for their regular times.
func TestRecovery(t *testing.T) {
	s := newStory(t, note())
	s.down("nfs-01")
	s.pass("nfs-01")
	if len(s.actions) != 0 || !s.state.Deadline().IsZero() {
		t.Errorf("actions %v, deadline %v after a first pass, want none", s.actions, s.state.Deadline())
	}
}

// TestOldResults: a result that came twice, is older than the last, or was of
// the check before a reload is not counted.
func TestOldResults(t *testing.T) {
	s := newStory(t, note())
	s.pass("nfs-01")
	s.fail("nfs-01", "connection refused")
	s.result("nfs-01", "connection refused")
	s.health("nfs-01", model.HealthUp)
	s.after(-500*time.Millisecond).result("nfs-01", "connection refused")
	s.health("nfs-01", model.HealthUp)

	s.after(time.Second)
	old := s.now
	s.reload(change(note(), func(d *model.Director) { d.Servers[0].Addr = addr("192.168.10.110") }))
	s.health("nfs-01", model.HealthUnknown)
	s.step(Probed{At{s.now}, model.ProbeResult{Ref: ref("nfs-01"), At: old, OK: true}})
	s.health("nfs-01", model.HealthUnknown)
	s.pass("nfs-01")
	s.health("nfs-01", model.HealthUp)
}

func TestResultOfNobody(t *testing.T) {
	s := newStory(t, note())
	before := s.state.Status()
	for _, name := range []string{"nfs/nfs-09", "web/nfs-01"} {
		s.pass(name)
		if !reflect.DeepEqual(s.state.Status(), before) || len(s.actions) != 0 {
			t.Errorf("a result of %s changed something", name)
		}
	}
}

// TestReloadKeepsHealth: while the same is asked of the same server.
func TestReloadKeepsHealth(t *testing.T) {
	tests := []struct {
		name   string
		change func(*model.Director)
		want   model.Health
	}{
		{"nothing", func(d *model.Director) {}, model.HealthUp},
		{"the interval", func(d *model.Director) { d.Check.Interval = time.Second }, model.HealthUp},
		{"the weight", func(d *model.Director) { d.Servers[0].Weight = 3 }, model.HealthUp},
		{"the address", func(d *model.Director) { d.Servers[0].Addr = addr("192.168.10.110") }, model.HealthUnknown},
		{"the check's port", func(d *model.Director) { d.Check.Port = 111 }, model.HealthUnknown},
		{"the check's source", func(d *model.Director) { d.Check.Source = addr("192.168.10.2") }, model.HealthUnknown},
		{"the kind of check", func(d *model.Director) { d.Check.Tests = []model.Test{{Kind: model.CheckICMP}} }, model.HealthUnknown},
		{"no check", func(d *model.Director) { d.Servers[0].Check = false }, model.HealthUnchecked},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t, web(a, b))
			s.up("a")
			s.reload(change(web(a, b), tt.change))
			s.health("a", tt.want)
		})
	}
}

func TestTargets(t *testing.T) {
	s := newStory(t, note())
	atVIP := []model.VIPTest{{VIP: netip.MustParseAddr("192.168.10.50"), Test: model.Test{Kind: model.CheckTCP, Port: model.NFSPort}}}
	checked := Target{Ref: ref("nfs-01"), Addr: netip.MustParseAddr("192.168.10.100"), Tests: []model.Test{{Kind: model.CheckTCP, Port: model.NFSPort}}, Via: atVIP,
		Interval: 10 * time.Second, Timeout: 2 * time.Second}
	if got, want := s.state.Targets(), []Target{checked}; !reflect.DeepEqual(got, want) {
		t.Errorf("targets = %v, want the checked server %v", got, want)
	}
	s.down("nfs-01")
	active := Target{Ref: ref("nfs-02"), Addr: netip.MustParseAddr("192.168.10.101"), Tests: []model.Test{{Kind: model.CheckTCP, Port: model.NFSPort}}, Via: atVIP,
		Interval: 10 * time.Second, Timeout: 2 * time.Second, Advisory: true}
	if got, want := s.state.Targets(), []Target{checked, active}; !reflect.DeepEqual(got, want) {
		t.Errorf("targets = %v, want the unchecked active one too %v", got, want)
	}
}

func TestTargetDefaults(t *testing.T) {
	cfg := change(web(unchecked(a), unchecked(b)), func(d *model.Director) { d.Check = model.Check{} })
	s := newStory(t, cfg)
	want := []Target{{Ref: ref("a"), Addr: netip.MustParseAddr("192.168.10.100"), Tests: []model.Test{{Kind: model.CheckTCP, Port: 80}},
		Via:      []model.VIPTest{{VIP: netip.MustParseAddr("192.168.10.50"), Test: model.Test{Kind: model.CheckTCP, Port: 80}}},
		Interval: 10 * time.Second, Timeout: 3 * time.Second, Advisory: true}}
	if got := s.state.Targets(); !reflect.DeepEqual(got, want) {
		t.Errorf("targets = %v, want %v", got, want)
	}
}

// TestAdvisory: probes of an unchecked server are shown and decide nothing.
func TestAdvisory(t *testing.T) {
	s := newStory(t, web(unchecked(a), unchecked(b)))
	s.active("a", 1, model.ReasonFirst)
	s.pass("a")
	if got := s.server("a").Advisory; got != "passes" {
		t.Errorf("advisory = %q, want passes", got)
	}
	s.alarm("interface eth0 of director nfs does not exist")
	for range 5 {
		s.fail("a", "connection refused")
	}
	s.active("a", 1, model.ReasonFirst)
	s.health("a", model.HealthUnchecked)
	if got := s.server("a").Advisory; got != "connection refused" {
		t.Errorf("advisory = %q, want the error", got)
	}
	s.alarm("a, the active server of nfs, does not answer probes\ninterface eth0 of director nfs does not exist")
	s.fail("b", "a late result of the time when it was active")
	if got := s.server("b").Advisory; got != "" {
		t.Errorf("advisory of a server that is not active = %q, want none", got)
	}
	if err := s.order("b"); err != "" {
		t.Fatal(err)
	}
	if got := s.server("a").Advisory; got != "" {
		t.Errorf("advisory of the former active server = %q, want none", got)
	}
}

// TestDetection plays the worst case: the server dies right after a probe that
// passed, and every later one gets no answer.
func TestDetection(t *testing.T) {
	tests := []struct {
		interval, timeout time.Duration
		fall              int
		want              time.Duration // from the last pass
	}{
		{10 * time.Second, 2 * time.Second, 1, 12 * time.Second},
		{10 * time.Second, 2 * time.Second, 2, 13050 * time.Millisecond},
		{10 * time.Second, 2 * time.Second, 3, 14100 * time.Millisecond},
		{time.Second, 200 * time.Millisecond, 3, 1700 * time.Millisecond},
	}
	for _, tt := range tests {
		s := newStory(t, change(note(), func(d *model.Director) {
			d.Check.Interval, d.Check.Timeout, d.Check.Fall = tt.interval, tt.timeout, tt.fall
		}))
		s.pass("nfs-01")
		passed := s.now
		s.after(s.state.Targets()[0].Interval + s.state.Targets()[0].Timeout)
		for s.result("nfs-01", "no answer"); s.switched() == nil; s.result("nfs-01", "no answer") {
			s.after(s.state.Deadline().Sub(s.now)).tick()
			s.after(only[ProbeNow](s.actions)[0].Timeout)
		}
		if got := s.now.Sub(passed); got != tt.want {
			t.Errorf("interval %v, timeout %v, fall %d: the switch came after %v, want %v", tt.interval, tt.timeout, tt.fall, got, tt.want)
		}
	}
}
