package web

import (
	"context"
	"sync"
)

// running are the requests under way. A stream may last for days: it must end
// with the login that it was let in by.
type running struct {
	mu  sync.Mutex // guards the following
	all map[*visit]struct{}
}

// A visit is a request under way.
type visit struct {
	end   context.CancelFunc
	still func() bool // it may go on
	safe  bool        // it changes nothing
}

func newRunning() *running { return &running{all: map[*visit]struct{}{}} }

// begin notes a request, until leave is called.
func (r *running) begin(ctx context.Context, still func() bool, safe bool) (_ context.Context, leave func()) {
	ctx, cancel := context.WithCancel(ctx)
	v := &visit{cancel, still, safe}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[v] = struct{}{}
	return ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.all, v)
		cancel()
	}
}

// check ends the requests whose login has ended.
func (r *running) check() {
	r.endIf(func(v *visit) bool { return !v.still() })
}

// endReading ends the requests that change nothing: the server is about to stop,
// and streams would hold it up.
func (r *running) endReading() {
	r.endIf(func(v *visit) bool { return v.safe })
}

func (r *running) endIf(over func(*visit) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for v := range r.all {
		if over(v) {
			v.end()
		}
	}
}
