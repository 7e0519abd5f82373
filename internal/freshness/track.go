package freshness

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"fairlead/internal/model"
)

// mostKept is how many heartbeats are known by their numbers; older ones by their times.
const mostKept = 4096

// track is the measuring of one director. All but the first block belongs to run.
type track struct {
	meter    *Meter
	sync     model.Sync // without its limit
	director string
	life     string
	ctx      context.Context
	cancel   context.CancelFunc
	next     chan Target // capacity 1: the newest

	target Target
	number uint64               // of the last heartbeat that was begun
	begun  map[uint64]time.Time // when each was, with the reading of the monotonic clock
	newest uint64               // the last one that was surely written; 0: none
	on     netip.Addr           // the server that it was written to
	failed error                // why no newer one is written
	rival  rival
}

// rival is a heartbeat of another director that stands where ours should, and since when.
type rival struct {
	life   string
	number uint64
	since  time.Time
}

// patience is for how many intervals another director's heartbeat must not change until
// that director is believed to be gone.
const patience = 3

// turn hands over the newest target. Only one goroutine calls it.
func (t *track) turn(next Target) {
	select {
	case <-t.next:
	default:
	}
	t.next <- next
}

// run measures in each interval, and at once when the target changes.
func (t *track) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for due := time.Now(); ; {
		select {
		case <-t.ctx.Done():
			return
		case next := <-t.next:
			if next.Equal(t.target) {
				continue
			}
			t.take(next)
			due = time.Now()
		case <-timer.C:
		}
		for len(t.target.Standbys) > 0 {
			next := t.round()
			if next == nil {
				break
			}
			t.take(*next)
			due = time.Now()
		}
		due = due.Add(t.sync.Interval)
		if time.Since(due) > 0 { // what was missed is not caught up
			due = time.Now()
		}
		timer.Reset(time.Until(due))
	}
}

// take takes a target that differs. What was said of another active server's file says
// nothing of this one's.
func (t *track) take(next Target) {
	if next.Active.Addr != t.target.Active.Addr {
		t.failed, t.rival = nil, rival{}
	}
	t.target = next
}

// round makes one measurement. When the target changes meanwhile, it is given up, and
// the new one returned.
func (t *track) round() *Target {
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if t.sync.Command != "" {
			t.ask(ctx)
			return
		}
		// First the look, then the next heartbeat: so the copies had a whole interval to
		// get the last one.
		t.look(ctx)
		t.beat(ctx)
	}()
	for {
		select {
		case <-ended:
			return nil
		case next := <-t.next:
			if next.Equal(t.target) {
				continue
			}
			cancel()
			<-ended
			return &next
		}
	}
}

// each asks of all standby servers at the same time, and hands on the results that came
// before ctx ended.
func (t *track) each(ctx context.Context, of func(context.Context, model.Server) model.Measured) {
	var running sync.WaitGroup
	for _, s := range t.target.Standbys {
		running.Go(func() {
			limited, cancel := context.WithTimeout(ctx, t.sync.Timeout())
			defer cancel()
			r := of(limited, s)
			r.Ref, r.Active = model.ServerRef{Director: t.director, Server: s.Name}, t.target.Active.Name
			r.At = time.Now()
			if ctx.Err() != nil {
				return
			}
			select {
			case t.meter.results <- r:
			case <-ctx.Done():
			}
		})
	}
	running.Wait()
}

// look reads the heartbeat on the standby servers. Until one was written to this active
// server there is nothing to compare with.
func (t *track) look(ctx context.Context) {
	known, unwritten := t.newest > 0 && t.on == t.target.Active.Addr, ""
	if t.failed != nil {
		unwritten = fmt.Sprintf("the heartbeat cannot be written to %s: %v", t.target.Active.Name, t.failed)
	} else if !known {
		return
	}
	t.each(ctx, func(ctx context.Context, s model.Server) model.Measured {
		if !known {
			return model.Measured{Err: unwritten}
		}
		size, held, err := t.meter.files.read(ctx, t.target, s)
		if err != nil {
			return model.Measured{Err: fmt.Sprintf("the heartbeat cannot be read on %s: %v", s.Name, err)}
		}
		r, err := t.compare(size, held)
		if err != nil {
			return model.Measured{Err: fmt.Sprintf("%s on %s: %v", t.sync.File, s.Name, err)}
		}
		r.Err = unwritten
		return r
	})
}

// compare tells how far a heartbeat is behind the newest that was surely written.
func (t *track) compare(size uint64, held []byte) (model.Measured, error) {
	b, err := parse(size, held)
	if err != nil {
		return model.Measured{}, err
	}
	newest := t.begun[t.newest]
	if at, known := t.begun[b.number]; known && b.life == t.life {
		return model.Measured{OK: true, Lag: max(0, newest.Sub(at)), Upto: at}, nil
	}
	switch lag := newest.Round(0).Sub(b.at); { // by the time of day: it is of an earlier life, or of long ago
	case b.host != t.meter.host:
		return model.Measured{}, fmt.Errorf("the director on the host %s wrote it: each director needs a file of its own", b.host)
	case b.life == t.life && b.number > t.number:
		return model.Measured{}, errors.New("it has a number that was not written yet")
	case lag < 0:
		return model.Measured{}, errors.New("it is newer than the last one that was written; was the director's clock set back?")
	default:
		return model.Measured{OK: true, Lag: lag, Upto: newest.Add(-lag)}, nil
	}
}

// beat writes the next heartbeat to the active server. Each try has a number of its own: one that
// was given up may still arrive, and must not pass for a later one.
func (t *track) beat(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, t.sync.Timeout())
	defer cancel()
	active := t.target.Active
	b := t.following(active.Name)
	err := t.meter.files.update(limited, t.target, active, func(size uint64, held []byte) ([]byte, error) {
		if err := t.mayWrite(active.Addr, size, held); err != nil {
			return nil, err
		}
		return b.text(), nil
	})
	if ctx.Err() != nil {
		return
	}
	log := t.meter.log.With("director", t.director, "server", active.Name)
	switch {
	case err != nil && (t.failed == nil || t.failed.Error() != err.Error()):
		log.Warn("the heartbeat cannot be written", "error", err)
	case err == nil && t.failed != nil:
		log.Info("the heartbeat is written again")
	}
	if t.failed = err; err == nil {
		t.newest, t.on, t.rival = b.number, active.Addr, rival{}
	}
}

// following is the next heartbeat. The times of so many are kept, and that of the newest
// that was surely written.
func (t *track) following(server string) beat {
	t.number++
	now := time.Now()
	t.begun[t.number] = now
	if old := t.number - min(t.number, mostKept); old != t.newest {
		delete(t.begun, old)
	}
	return beat{director: t.director, server: server, host: t.meter.host, life: t.life, number: t.number, at: now}
}

// mayWrite tells whether the file of the active server may be written over. When another
// director's heartbeat took the place of ours, two directors write to one file, and neither
// measures anything: the one that wrote last goes on, until it is silent.
func (t *track) mayWrite(server netip.Addr, size uint64, held []byte) error {
	if err := ours(size, held); err != nil {
		return fmt.Errorf("%s is not written over: %w", t.sync.File, err)
	}
	b, err := parse(size, held)
	if err != nil || b.life == t.life || t.on != server {
		return nil
	}
	if t.rival.life != b.life || t.rival.number != b.number {
		t.rival = rival{b.life, b.number, time.Now()}
	} else if time.Since(t.rival.since) >= patience*t.sync.Interval {
		return nil
	}
	return fmt.Errorf("the director %s on the host %s writes to %s too: each director needs a file of its own", b.director, b.host, t.sync.File)
}
