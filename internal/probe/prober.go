package probe

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"fairlead/internal/model"
)

// Prober probes a set of targets that may change at any time. Its methods may
// be called from any goroutine, also before Run.
type Prober struct {
	results chan<- model.ProbeResult
	log     *slog.Logger
	put     func(context.Context, question) error
	lost    func(model.Path) error
	wake    chan struct{} // capacity 1: something below changed

	mu      sync.Mutex // guards the following
	targets []Target
	orders  []order
}

// order is a call of Now that Run has not seen yet.
type order struct {
	ref     model.ServerRef
	timeout time.Duration
}

// New returns a Prober that sends the outcome of every probe to results. A
// probe's outcome is never dropped: a loop waits until it is taken, and its
// next probe is late by as much. Lost says why the way to a virtual IP on a server,
// which an interface need not be named for, is not there: then what is asked
// at it says nothing; nil: it always is.
func New(results chan<- model.ProbeResult, lost func(model.Path) error, log *slog.Logger) *Prober {
	return &Prober{results: results, lost: lost, log: log, put: put, wake: make(chan struct{}, 1)}
}

// Set replaces the targets. The loop of an unchanged target is undisturbed; a
// handful of changed or new ones begin at once with a probe, many within a
// second or their interval; what a target that is gone had under way is given up
// without a result. The first target of a server counts, should there be several.
func (p *Prober) Set(targets []Target) {
	p.mu.Lock()
	p.targets = append([]Target(nil), targets...)
	p.mu.Unlock()
	p.stir()
}

// Now orders one extra probe of a server, at once and with this timeout: what is
// under way may have begun before whatever the caller fears, so it does not
// serve. Only when two are under way does the order wait for the first of them to
// end, and the newer one ends within the timeout too. The regular schedule
// goes on as if nothing had been ordered.
func (p *Prober) Now(ref model.ServerRef, timeout time.Duration) {
	p.mu.Lock()
	p.orders = append(p.orders, order{ref, timeout})
	p.mu.Unlock()
	p.stir()
}

func (p *Prober) stir() {
	select {
	case p.wake <- struct{}{}:
	default: // Run will look anyway
	}
}

// Run probes until ctx ends, and returns when the last probe has ended.
func (p *Prober) Run(ctx context.Context) error {
	var done sync.WaitGroup
	defer done.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	loops := make(map[model.ServerRef]*loop)
	for {
		p.reconcile(ctx, loops, &done)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.wake:
		}
	}
}

// reconcile makes the loops match the targets, then hands out the orders.
func (p *Prober) reconcile(ctx context.Context, loops map[model.ServerRef]*loop, done *sync.WaitGroup) {
	p.mu.Lock()
	targets, orders := p.targets, p.orders
	p.orders = nil
	p.mu.Unlock()

	want := make(map[model.ServerRef]Target, len(targets))
	var fresh []Target
	for _, t := range targets {
		if _, twice := want[t.Ref]; twice {
			continue
		}
		want[t.Ref] = t
		if l := loops[t.Ref]; l == nil || !l.target.Equal(t) {
			fresh = append(fresh, t)
		}
	}
	for ref, l := range loops {
		if t, ok := want[ref]; !ok || !t.Equal(l.target) {
			l.cancel()
			delete(loops, ref)
		}
	}
	now, questions := time.Now(), 0
	for _, t := range fresh {
		questions += len(t.Tests) + len(t.Via)
	}
	for i, t := range fresh {
		loops[t.Ref] = p.start(ctx, t, entryOf(t, i, len(fresh), questions, now), done)
	}
	for _, o := range orders {
		l := loops[o.ref]
		if l == nil {
			p.log.Debug("no extra probe: the server is not probed", "server", o.ref.String())
			continue
		}
		select {
		case l.now <- o.timeout:
		default: // one is ordered already
		}
	}
}

func (p *Prober) start(ctx context.Context, t Target, e entry, done *sync.WaitGroup) *loop {
	ctx, cancel := context.WithCancel(ctx)
	l := &loop{
		target: t, entry: e, results: p.results, cancel: cancel,
		now: make(chan time.Duration, 1), ended: make(chan *shot, most),
	}
	own, via := t.questions()
	l.asker = asker{own: own, via: newTurns(via, t.Interval), interval: t.Interval, put: p.put, lost: p.lost}
	done.Go(func() {
		defer cancel()
		l.run(ctx)
	})
	return l
}
