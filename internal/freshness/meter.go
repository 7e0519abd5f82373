package freshness

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"fairlead/internal/model"
)

// Target is a director whose standby servers are to be measured.
type Target struct {
	Director string
	Sync     model.Sync
	Source   netip.Addr   // invalid: the kernel's choice
	Active   model.Server // what the copies are compared with
	Standbys []model.Server
}

// Equal tells whether two targets are measured alike.
func (t Target) Equal(u Target) bool {
	return t.Director == u.Director && t.Sync == u.Sync && t.Source == u.Source && t.Active == u.Active && slices.Equal(t.Standbys, u.Standbys)
}

// Meter measures a set of targets that may change at any time. Its methods may be
// called from any goroutine, also before Run.
type Meter struct {
	results chan<- model.Measured
	log     *slog.Logger
	host    string
	files   files
	wake    chan struct{} // capacity 1: the targets changed

	mu      sync.Mutex // guards the following
	targets []Target
}

// New returns a Meter that sends what it finds to results, for each standby server
// once in an interval. It waits until a result is taken.
func New(results chan<- model.Measured, log *slog.Logger) *Meter {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &Meter{results: results, log: log, host: plain(host), files: network{machine: host}, wake: make(chan struct{}, 1)}
}

// Set replaces the targets. A director that stays, and is measured in the same way, goes on with
// its numbers; when its servers change it is measured at once.
func (m *Meter) Set(targets []Target) {
	m.mu.Lock()
	m.targets = slices.Clone(targets)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default: // Run will look anyway
	}
}

// Run measures until ctx ends, and returns when the last measurement has ended.
func (m *Meter) Run(ctx context.Context) error {
	var done sync.WaitGroup
	defer done.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tracks := make(map[string]*track)
	for {
		m.reconcile(ctx, tracks, &done)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-m.wake:
		}
	}
}

// reconcile makes the tracks match the targets. A director that is not to be measured
// for a while, as during a switch, keeps its track.
func (m *Meter) reconcile(ctx context.Context, tracks map[string]*track, done *sync.WaitGroup) {
	m.mu.Lock()
	targets := m.targets
	m.mu.Unlock()
	want := make(map[string]Target, len(targets))
	for _, t := range targets {
		want[t.Director] = t
	}
	for name, t := range tracks {
		if next, ok := want[name]; !ok {
			t.turn(Target{})
		} else if next.Sync.Measuring() != t.sync {
			t.cancel()
			delete(tracks, name)
		}
	}
	for name, next := range want {
		t := tracks[name]
		if t == nil {
			t = m.track(ctx, next)
			tracks[name] = t
			done.Go(t.run)
		}
		t.turn(next)
	}
}

func (m *Meter) track(ctx context.Context, first Target) *track {
	t := &track{meter: m, sync: first.Sync.Measuring(), director: first.Director, life: rand.Text(), next: make(chan Target, 1),
		begun: make(map[uint64]time.Time)}
	t.ctx, t.cancel = context.WithCancel(ctx)
	return t
}
