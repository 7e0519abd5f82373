package netstate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"fairlead/internal/model"
)

// Fact is one thing that became known; exactly one field is set.
type Fact struct {
	Link      *LinkFact
	Neighbour *model.Neighbour
}

// LinkFact is an interface as it is now, or that it is gone.
type LinkFact struct {
	model.Link
	Gone bool
}

// Watcher tells facts. Its methods may be called from any goroutine, also before
// Run.
type Watcher struct {
	facts   chan<- Fact
	log     *slog.Logger
	refresh time.Duration // after which a known neighbour is asked again
	retry   time.Duration // after which an unknown one is
	buffer  int           // of the subscription's socket, in bytes
	wake    chan struct{} // capacity 1: Keep was called

	mu   sync.Mutex          // guards the following
	keep map[netip.Addr]bool // true: a router may lead there
}

// New returns a Watcher that sends its facts to that channel. A fact is never
// dropped: the Watcher waits until it is taken, and should it miss changes
// meanwhile it reads everything anew.
func New(facts chan<- Fact, log *slog.Logger) *Watcher {
	return &Watcher{
		facts: facts, log: log,
		refresh: 15 * time.Second, retry: time.Second, buffer: 4 << 20,
		wake: make(chan struct{}, 1),
	}
}

// Keep replaces the set of neighbours whose MACs are told and kept fresh. Of
// those that are routed and behind a router, that is the router's MAC.
func (w *Watcher) Keep(near, routed []netip.Addr) {
	keep := make(map[netip.Addr]bool, len(near)+len(routed))
	for _, addr := range near {
		keep[addr] = false
	}
	for _, addr := range routed {
		keep[addr] = true
	}
	w.mu.Lock()
	w.keep = keep
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default: // Run will look anyway
	}
}

// Run tells all interfaces first, then every change, until ctx ends. It works in
// the network namespace of the calling thread.
func (w *Watcher) Run(ctx context.Context) error {
	k, err := openKernel(w.buffer)
	if err != nil {
		return fmt.Errorf("watch the network: %w", err)
	}
	defer k.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	notices := make(chan notice, 256)
	go k.read(ctx, notices)

	l := &loop{Watcher: w, kernel: k, notices: notices, links: map[string]model.Link{}, entries: map[netip.Addr]entry{}}
	// The subscription stands already: a change during this is told after it.
	if err := l.readLinks(ctx); err != nil {
		return err
	}
	for {
		if err := l.step(ctx); err != nil {
			return err
		}
	}
}

// loop is one Run.
type loop struct {
	*Watcher
	kernel  *kernel
	notices <-chan notice
	links   map[string]model.Link // as last told
	dirty   bool                  // the links are to be read
	entries map[netip.Addr]entry
}

// step waits for one thing to happen and deals with it.
func (l *loop) step(ctx context.Context) error {
	// A burst of changes is read once, at its end.
	if l.dirty && len(l.notices) == 0 {
		return l.readLinks(ctx)
	}
	timer := time.NewTimer(l.pause(time.Now()))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-l.wake:
		return l.adopt(ctx)
	case n := <-l.notices:
		return l.noticed(ctx, n)
	case <-timer.C:
		return l.ask(ctx)
	}
}

// pause is the time until the first neighbour is due.
func (l *loop) pause(now time.Time) time.Duration {
	pause := time.Hour
	for _, e := range l.entries {
		pause = min(pause, e.due.Sub(now))
	}
	return pause
}

func (l *loop) noticed(ctx context.Context, n notice) error {
	switch {
	case n.lost:
		l.log.Warn("the kernel's notices overran the socket: everything is read anew")
		return errors.Join(l.readLinks(ctx), l.readNeighbours(ctx))
	case n.err != nil:
		return fmt.Errorf("read the kernel's notices: %w", n.err)
	case n.links:
		l.dirty = true
		return nil
	}
	return l.see(ctx, n.sighting)
}

// tell sends one fact.
func (l *loop) tell(ctx context.Context, f Fact) error {
	select {
	case l.facts <- f:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
