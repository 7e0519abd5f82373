package decide

import (
	"strings"
	"testing"
	"time"

	"fairlead/internal/model"
)

// synced is the note's configuration whose standby is checked and may be 30 s behind.
func synced(more ...func(*model.Director)) model.Config {
	return change(note(), func(d *model.Director) {
		d.Servers[1].Check = true
		d.Check.Interval, d.Check.Timeout = 10*time.Second, 2*time.Second
		d.Sync = model.Sync{File: "/srv/nfs/beat", Port: 2049, Interval: 5 * time.Second, MaxLag: 30 * time.Second}
		for _, m := range more {
			m(d)
		}
	})
}

// copied tells of a measurement, a second after what was before.
func (s *story) copied(server string, lag time.Duration) {
	s.t.Helper()
	s.after(time.Second).step(Measured{At{s.now}, model.Measured{Ref: ref(server), Active: s.director("nfs").Desired, At: s.now, OK: true,
		Lag: lag, Upto: s.now.Add(-lag)}})
}

func (s *story) unmeasured(server, why string) {
	s.after(time.Second).step(Measured{At{s.now}, model.Measured{Ref: ref(server), Active: s.director("nfs").Desired, At: s.now, Err: why}})
}

func (s *story) copyOf(server string, want model.Freshness) {
	s.t.Helper()
	got := model.FreshnessNone
	if c := s.server(server).Copy; c != nil {
		got = c.Freshness
	}
	if got != want {
		s.t.Errorf("at %v: the copy of %s is %v, want %v", s.now.Sub(start), server, got, want)
	}
}

// serving is a story in which nfs-01 serves and nfs-02 is up.
func serving(t *testing.T, cfg model.Config) *story {
	s := newStory(t, cfg)
	s.pass("nfs-01")
	s.up("nfs-02")
	s.active("nfs-01", 1, model.ReasonFirst)
	return s
}

const stillAlarm = "\ninterface eth0 of director nfs does not exist"

func TestFreshCopyIsTaken(t *testing.T) {
	s := serving(t, synced())
	s.copyOf("nfs-02", model.FreshnessUnknown)
	s.copyOf("nfs-01", model.FreshnessNone)
	s.copied("nfs-02", 0)
	s.want("told:copy")
	s.copyOf("nfs-02", model.FreshnessFresh)
	if c := s.server("nfs-02").Copy; c.Lag != 0 || c.Measured != s.now || c.Since != s.now {
		t.Errorf("copy = %+v", c)
	}
	s.fail("nfs-01", "no answer")
	s.pass("nfs-02")
	s.fail("nfs-01", "no answer")
	s.active("nfs-02", 2, model.ReasonFailed)
	s.copyOf("nfs-02", model.FreshnessNone)
	s.copyOf("nfs-01", model.FreshnessUnknown)
}

func TestOldCopyIsHeldAndOrdered(t *testing.T) {
	s := serving(t, synced())
	s.copied("nfs-02", 0)
	s.copied("nfs-02", 40*time.Second)
	s.want("told:copy")
	s.copyOf("nfs-02", model.FreshnessTooOld)
	s.alarm("director nfs: nfs-02 is not fresh enough to take over by itself" + stillAlarm)
	s.fail("nfs-01", "no answer")
	s.pass("nfs-02")
	s.fail("nfs-01", "no answer")
	s.want("told:health told:stay")
	s.active("nfs-01", 1, model.ReasonFirst)
	s.note("nfs-02 is not taken by itself: the copy of nfs-02 is too old: it lacks what was written in the last 40s, and maxlag is 30s")
	s.alarm("director nfs: nfs-02 is not taken by itself, as its copy may be too old" + stillAlarm)
	for range 500 { // the lag does not grow any more
		s.pass("nfs-02")
		s.copied("nfs-02", 40*time.Second)
	}
	s.active("nfs-01", 1, model.ReasonFirst)
	if err := s.order("nfs-02"); err != "" {
		t.Errorf("the order was refused: %s", err)
	}
	s.active("nfs-02", 2, model.ReasonOperator)
	if why := s.director("nfs").LastSwitch.Why; !strings.HasSuffix(why, "although the copy of nfs-02 is too old: it lacks what was written in the last 40s, and maxlag is 30s") {
		t.Errorf("why = %q", why)
	}
}

func TestCopyThatCatchesUpIsTaken(t *testing.T) {
	s := serving(t, synced())
	s.copied("nfs-02", time.Hour)
	s.fail("nfs-01", "no answer")
	s.pass("nfs-02")
	s.fail("nfs-01", "no answer")
	s.active("nfs-01", 1, model.ReasonFirst)
	s.pass("nfs-02")
	s.copied("nfs-02", 30*time.Second)
	s.active("nfs-02", 2, model.ReasonFailed)
}

// A measurement is believed while no more than maxlag can have been written since,
// and when the active server dies that stops.
func TestHowLongAMeasurementIsBelieved(t *testing.T) {
	believed := 30*time.Second + 2*5*time.Second + 2*5*time.Second + 12*time.Second
	t.Run("while the active server lives", func(t *testing.T) {
		s := serving(t, synced())
		s.copied("nfs-02", 0)
		at := s.now
		s.now = at.Add(believed - time.Second)
		s.unmeasured("nfs-02", "the heartbeat cannot be written to nfs-01: no space left")
		s.copyOf("nfs-02", model.FreshnessFresh)
		s.after(time.Millisecond).tick()
		s.copyOf("nfs-02", model.FreshnessUnknown)
		s.alarm("director nfs: nfs-02 is not fresh enough to take over by itself" + stillAlarm)
	})
	t.Run("when it has died", func(t *testing.T) {
		s := serving(t, synced())
		s.copied("nfs-02", 0)
		s.down("nfs-02")
		s.fail("nfs-01", "no answer")
		s.fail("nfs-01", "no answer")
		s.after(time.Hour).unmeasured("nfs-02", "no answer")
		s.copyOf("nfs-02", model.FreshnessFresh)
		s.up("nfs-02")
		s.after(time.Minute).pass("nfs-02")
		s.fail("nfs-01", "no answer")
		s.after(time.Minute).pass("nfs-02")
		s.active("nfs-02", 2, model.ReasonFailed)
	})
	t.Run("long before it died", func(t *testing.T) {
		s := serving(t, synced())
		s.copied("nfs-02", 0)
		s.after(time.Hour).pass("nfs-01")
		s.copyOf("nfs-02", model.FreshnessUnknown)
		s.fail("nfs-01", "no answer")
		s.pass("nfs-02")
		s.fail("nfs-01", "no answer")
		s.active("nfs-01", 1, model.ReasonFirst)
	})
}

func TestUnknownCopy(t *testing.T) {
	t.Run("of a standby server at a first start", func(t *testing.T) {
		s := newStory(t, synced())
		s.up("nfs-02")
		s.down("nfs-01")
		s.active("", 0, model.ReasonNoServer)
		s.alarm("director nfs: nfs-02 is not taken by itself, as its copy may be too old" + stillAlarm)
		s.up("nfs-01")
		s.active("nfs-01", 1, model.ReasonFirst)
	})
	t.Run("after a restart", func(t *testing.T) {
		s := serving(t, synced())
		s.copied("nfs-02", 0)
		s = s.restarted(synced(), s.kernel(), s.state.Memory(), "")
		s.up("nfs-02")
		s.down("nfs-01")
		s.active("nfs-01", 1, model.ReasonFirst)
	})
	t.Run("of a server that was active", func(t *testing.T) {
		s := serving(t, synced(func(d *model.Director) { d.Failback = model.FailbackAuto }))
		s.copied("nfs-02", 0)
		s.down("nfs-01")
		s.pass("nfs-02")
		s.tick()
		s.active("nfs-02", 2, model.ReasonFailed)
		s.up("nfs-01")
		s.active("nfs-02", 2, model.ReasonFailed)
		s.note("nfs-01 is up again, but nobody knows how old the copy of nfs-01 is: it was not measured since nfs-02 became active, or the daemon began; to return: fairlead switch nfs/nfs-01")
		s.copied("nfs-01", 0)
		s.active("nfs-01", 3, model.ReasonFailback)
		s.step(Measured{At{s.now.Add(time.Millisecond)}, model.Measured{Ref: ref("nfs-02"), Active: "nfs-02", At: s.now, OK: true, Upto: s.now}})
		s.copyOf("nfs-02", model.FreshnessUnknown)
	})
	t.Run("nothing is asked of a director that does not want it", func(t *testing.T) {
		s := serving(t, synced(func(d *model.Director) { d.Sync.MaxLag = 0 }))
		s.unmeasured("nfs-02", "no answer")
		s.copyOf("nfs-02", model.FreshnessUnknown)
		s.alarm(stillAlarm[1:])
		s.copied("nfs-02", time.Hour)
		s.copyOf("nfs-02", model.FreshnessMeasured)
		s.after(time.Hour).tick()
		s.copyOf("nfs-02", model.FreshnessUnknown)
		s.down("nfs-01")
		s.pass("nfs-02")
		s.tick()
		s.active("nfs-02", 2, model.ReasonFailed)
	})
}

func TestOldCopyAndOrders(t *testing.T) {
	s := serving(t, synced())
	s.copied("nfs-02", time.Hour)
	s.say(model.VerbDrain, "nfs-01", false)
	s.want("reply:no other server of nfs can be used: the copy of nfs-02 is too old: it lacks what was written in the last 1h0m0s, and maxlag is 30s; to take it all the same: fairlead switch nfs/nfs-02; nfs-01 is not draining")
	s.say(model.VerbDrain, "nfs-01", true)
	s.active("nfs-01", 1, model.ReasonFirst)
	s.alarm("director nfs: nfs-02 is not taken by itself, as its copy may be too old" + stillAlarm)
	s.copied("nfs-02", 0)
	s.active("nfs-02", 2, model.ReasonOperator)
}

func TestProgrammeSaysTooOld(t *testing.T) {
	s := serving(t, synced())
	s.copied("nfs-02", 0)
	s.after(time.Second).step(Measured{At{s.now}, model.Measured{Ref: ref("nfs-02"), Active: "nfs-01", At: s.now, OK: true, Stale: true, Err: "disk is Outdated"}})
	s.copyOf("nfs-02", model.FreshnessTooOld)
	for range 2 {
		s.unmeasured("nfs-02", "cannot connect")
		s.copyOf("nfs-02", model.FreshnessTooOld)
	}
}

func TestReloadKeepsWhatWasMeasured(t *testing.T) {
	s := serving(t, synced())
	s.copied("nfs-02", 20*time.Second)
	s.reload(synced(func(d *model.Director) { d.Sync.MaxLag = 10 * time.Second }))
	s.copyOf("nfs-02", model.FreshnessTooOld)
	s.reload(synced(func(d *model.Director) { d.Sync.MaxLag = time.Minute }))
	s.copyOf("nfs-02", model.FreshnessFresh)
	s.reload(synced(func(d *model.Director) { d.Sync.File = "/srv/nfs/other" }))
	s.copyOf("nfs-02", model.FreshnessUnknown)
	s.reload(synced(func(d *model.Director) { d.Sync = model.Sync{} }))
	s.copyOf("nfs-02", model.FreshnessNone)
}

func TestRemovedServerLeavesAFreshCopy(t *testing.T) {
	two := synced(func(d *model.Director) {
		d.Servers = append(d.Servers, model.Server{Name: "nfs-03", Addr: addr("192.168.10.102"), Port: 2049, Weight: 1, Sorry: true, Check: true})
	})
	without := change(two, func(d *model.Director) { d.Servers = d.Servers[1:] })
	s := serving(t, two)
	s.up("nfs-03")
	s.copied("nfs-03", 0)
	s.reload(without) // nfs-02 is preferred, and nobody knows how old its copy is
	s.active("nfs-03", 2, model.ReasonRemoved)
}

func TestSyncTargets(t *testing.T) {
	s := serving(t, synced())
	all := s.state.SyncTargets()
	if len(all) != 1 || all[0].Director != "nfs" || all[0].Active.Name != "nfs-01" || len(all[0].Standbys) != 1 || all[0].Standbys[0].Name != "nfs-02" {
		t.Errorf("targets = %+v", all)
	}
	if all := newStory(t, note()).state.SyncTargets(); len(all) != 0 {
		t.Errorf("without the option: %+v", all)
	}
}
