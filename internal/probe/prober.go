package probe

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"fairlead/internal/model"
)

// Target is one server to probe.
type Target struct {
	Ref      model.ServerRef
	Addr     netip.AddrPort
	Source   netip.Addr    // the probes' source address; invalid: the kernel's choice
	Interval time.Duration // from the start of one probe to the start of the next
	Timeout  time.Duration // of one probe
	Advisory bool          // the result is shown but decides nothing; probed all the same
}

// Prober probes a set of targets that may change at any time. Its methods may
// be called from any goroutine, also before Run.
type Prober struct {
	results chan<- model.ProbeResult
	log     *slog.Logger
	dial    func(context.Context, Target) error
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
// next probe is late by as much.
func New(results chan<- model.ProbeResult, log *slog.Logger) *Prober {
	return &Prober{results: results, log: log, dial: connect, wake: make(chan struct{}, 1)}
}

// Set replaces the targets. The loop of an unchanged target is undisturbed; a
// changed or new one begins at once with a probe; what a target that is gone
// had under way is given up without a result. The first target of a server
// counts, should there be several.
func (p *Prober) Set(targets []Target) {
	p.mu.Lock()
	p.targets = append([]Target(nil), targets...)
	p.mu.Unlock()
	p.stir()
}

// Now orders one extra probe of a server, at once and with this timeout. Is a
// probe under way, then that one serves, and it ends within the timeout too.
// The regular schedule goes on from the extra probe.
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
	for _, t := range targets {
		if _, twice := want[t.Ref]; !twice {
			want[t.Ref] = t
		}
	}
	for ref, l := range loops {
		if t, ok := want[ref]; !ok || t != l.target {
			l.cancel()
			delete(loops, ref)
		}
	}
	for ref, t := range want {
		if loops[ref] == nil {
			loops[ref] = p.start(ctx, t, done)
		}
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

func (p *Prober) start(ctx context.Context, t Target, done *sync.WaitGroup) *loop {
	ctx, cancel := context.WithCancel(ctx)
	l := &loop{target: t, dial: p.dial, results: p.results, now: make(chan time.Duration, 1), cancel: cancel}
	done.Go(func() {
		defer cancel()
		l.run(ctx)
	})
	return l
}
