// Package workload is the client's work in the lab: some applications that
// write, read back, rename and remove files of their own, and a connection on
// which nothing happens. It keeps when each operation was completed, and verifies
// every byte at the end.
//
// It mounts nothing and breaks nothing, and does not judge what it saw.
package workload

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"fairlead/internal/lab/clock"
	"fairlead/internal/nfs"
)

// Workers is the number of applications at work.
const Workers = 4

// Ending is how an idle connection ended.
type Ending struct {
	At   clock.Instant
	Kind nfs.EventKind
}

// Totals are sums over all workers.
type Totals struct {
	Compared, Different int64 // bytes
	Repeated            int   // calls that found their work done
	Rewritten           int   // files written again because a server forgot data
}

// Load is the client's whole work.
type Load struct {
	workers []*worker
	idle    *nfs.Client

	stop    chan struct{}  // closed: the workers end after the file that they are at
	working sync.WaitGroup // the workers
	waiting sync.WaitGroup // the idle connection
	cancel  context.CancelFunc

	mu     sync.Mutex // guards the following
	ended  []Ending
	failed []error
}

// New makes the workers' directories below root and connects everything.
// Connect returns a client that tells its events to the function given, which
// may be nil.
func New(ctx context.Context, root nfs.Handle, connect func(event func(nfs.Event)) *nfs.Client) (*Load, error) {
	l := &Load{stop: make(chan struct{}), idle: connect(nil)}
	for i := range Workers {
		t := &track{}
		w := &worker{id: i + 1, track: t, client: connect(t.event)}
		l.workers = append(l.workers, w)
		if err := w.begin(ctx, root); err != nil {
			return nil, errors.Join(fmt.Errorf("make the directory of %s: %w", w.name(), err), l.Close())
		}
	}
	if err := l.idle.Null(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connect the idle client: %w", err), l.Close())
	}
	return l, nil
}

// Start sets everything to work.
func (l *Load) Start(ctx context.Context) {
	ctx, l.cancel = context.WithCancel(ctx)
	for _, w := range l.workers {
		l.working.Go(func() {
			if err := w.run(ctx, l.stop); err != nil && ctx.Err() == nil {
				l.mu.Lock()
				l.failed = append(l.failed, err)
				l.mu.Unlock()
			}
		})
	}
	l.waiting.Go(func() { l.wait(ctx) })
}

// wait waits for the end of the idle connection, and makes it anew each time.
func (l *Load) wait(ctx context.Context) {
	for {
		e, err := l.idle.Wait(ctx)
		at := clock.Now()
		if err != nil {
			return // ctx ended, the connection did not
		}
		l.mu.Lock()
		l.ended = append(l.ended, Ending{at, e.Kind})
		l.mu.Unlock()
		if err := l.idle.Null(ctx); err != nil {
			return
		}
	}
}

// Finish lets the workers end what they are at, or cuts them off when ctx ends,
// and gives the idle connection up.
func (l *Load) Finish(ctx context.Context) {
	close(l.stop)
	cut := context.AfterFunc(ctx, l.cancel)
	l.working.Wait()
	if !cut() {
		l.mu.Lock()
		l.failed = append(l.failed, fmt.Errorf("the clients did not come to an end: %w", ctx.Err()))
		l.mu.Unlock()
	}
	l.cancel()
	l.waiting.Wait()
}

// IdleEnds tells how the idle connections ended, so far.
func (l *Load) IdleEnds() []Ending {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended[:len(l.ended):len(l.ended)]
}

// Errors are those that the clients' applications saw, so far.
func (l *Load) Errors() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed[:len(l.failed):len(l.failed)]
}

// Between is what all workers completed in a time.
func (l *Load) Between(from, to clock.Instant) Volume {
	var v Volume
	for _, w := range l.workers {
		v = v.Plus(w.track.seen().Between(from, to))
	}
	return v
}

// Seen is what each worker saw, so far.
func (l *Load) Seen() []Seen {
	var all []Seen
	for _, w := range l.workers {
		all = append(all, w.track.seen())
	}
	return all
}

// Resumed is when the last worker completed its first operation after an
// instant; 0 while one has not.
func (l *Load) Resumed(after clock.Instant) (latest clock.Instant) {
	for _, w := range l.workers {
		at := w.track.seen().first(after)
		if at == 0 {
			return 0
		}
		latest = max(latest, at)
	}
	return latest
}

// Stalled tells how long the worker that waits longest has waited, and how much
// longer its own back-off lasts.
func (l *Load) Stalled(at clock.Instant) (wait, backoff time.Duration) {
	for _, w := range l.workers {
		s := w.track.seen()
		wait = max(wait, at.Since(s.last()))
		backoff = max(backoff, s.Backoff(at))
	}
	return wait, backoff
}

// Verify compares everything that the workers left behind.
func (l *Load) Verify(ctx context.Context, share string) error {
	errs := make([]error, len(l.workers))
	var all sync.WaitGroup
	for i, w := range l.workers {
		all.Go(func() {
			if err := w.verify(ctx, share); err != nil {
				errs[i] = fmt.Errorf("verify the files of %s: %w", w.name(), err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// Totals may be asked for once Finish and Verify have returned.
func (l *Load) Totals() Totals {
	var t Totals
	for _, w := range l.workers {
		t.Compared += w.compared
		t.Different += w.different
		t.Repeated += w.client.Repeated()
		t.Rewritten += w.rewritten
	}
	return t
}

// Cut ends the work at once.
func (l *Load) Cut() { l.cancel() }

// Close closes all connections. What is under way is cut off first: a client does
// not close while it calls.
func (l *Load) Close() error {
	if l.cancel != nil {
		l.cancel()
	}
	l.working.Wait()
	l.waiting.Wait()
	errs := []error{l.idle.Close()}
	for _, w := range l.workers {
		errs = append(errs, w.client.Close())
	}
	return errors.Join(errs...)
}
