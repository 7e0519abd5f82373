package agent

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/freshness"
	"fairlead/internal/model"
)

// TestOldCopyHolds: what the meter finds is shown and journaled, and keeps a standby
// server from being taken until somebody orders it.
func TestOldCopyHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.files.text = strings.Replace(note, "2049 sorry", "2049 check sorry", 1)
		b.files.text = strings.Replace(b.files.text, "option tcpcheck", "option tcpcheck\noption synccheck file /srv/nfs/beat maxlag 30", 1)
		b.start(nil)
		defer b.end()
		pass(2 * time.Second)
		if all := b.meter.told(); len(all) != 1 || all[0].Active.Name != "nfs-01" || all[0].Sync.File != "/srv/nfs/beat" || len(all[0].Standbys) != 1 {
			t.Fatalf("the meter was told %+v", all)
		}
		b.measured <- model.Measured{Ref: model.ServerRef{Director: "nfs", Server: "nfs-02"}, Active: "nfs-01", At: time.Now(), OK: true,
			Lag: 12 * time.Minute, Upto: time.Now().Add(-12 * time.Minute)}
		pass(time.Second)
		if c := b.director().Servers[1].Copy; c == nil || c.Freshness != model.FreshnessTooOld || c.Lag != 12*time.Minute || b.director().MaxLag != 30*time.Second {
			t.Errorf("copy = %+v", c)
		}
		b.prober.kill("nfs-01", true)
		pass(10 * time.Second)
		if got := b.plane.active(); got != "nfs-01" {
			t.Errorf("%s was taken by itself", got)
		}
		told := ""
		for _, e := range b.events.Read(0, 100) {
			told += e.Kind.String() + " " + e.Server + " " + e.Text + "\n"
		}
		for _, want := range []string{
			"copy nfs-02 the copy of nfs-02 is too old: it lacks what was written in the last 12m0s, and maxlag is 30s\n",
			"stay nfs-01 nfs-02 is not taken by itself: the copy of nfs-02 is too old",
			"alarm  director nfs: nfs-02 is not taken by itself, as its copy may be too old: nfs-01 is down: no answer; the copy of nfs-02 is too old: it lacks what was written in the last 12m0s, and maxlag is 30s; " +
				"bring nfs-01 back; if its older data are better than none: fairlead switch nfs/nfs-02\n",
		} {
			if !strings.Contains(told, want) {
				t.Errorf("the journal lacks %q:\n%s", want, told)
			}
		}
		if _, err := b.agent.Order(t.Context(), model.Actor{Name: "eva"}, api.Order{Verb: model.VerbSwitch, Director: "nfs", Server: "nfs-02"}); err != nil {
			t.Errorf("the order was refused: %v", err)
		}
		b.until("nfs-02")
		if all := b.meter.told(); len(all) != 1 || all[0].Active.Name != "nfs-02" {
			t.Errorf("after the switch the meter was told %+v", all)
		}
	})
}

// fakeMeter measures nothing by itself.
type fakeMeter struct {
	mu      sync.Mutex // guards the following
	targets []freshness.Target
}

func (m *fakeMeter) Set(targets []freshness.Target) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.targets = targets
}

func (m *fakeMeter) told() []freshness.Target {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.targets
}

func (m *fakeMeter) Run(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}
