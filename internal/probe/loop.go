package probe

import (
	"context"
	"errors"
	"hash/fnv"
	"time"

	"fairlead/internal/model"
)

// loop probes one target until its context ends.
type loop struct {
	target  Target
	dial    func(context.Context, Target) error
	results chan<- model.ProbeResult
	now     chan time.Duration // orders of an extra probe: its timeout
	cancel  context.CancelFunc
}

// run keeps the schedule. The first probe and an extra one begin it anew: the
// next comes an interval later, less the target's phase, and from then on they
// follow at exact intervals, however long each takes.
func (l *loop) run(ctx context.Context) {
	timeout := l.target.Timeout
	next := time.Now()
	anew := true
	for {
		if !l.probe(ctx, timeout) {
			return
		}
		next = next.Add(l.target.Interval)
		if anew {
			next = next.Add(-phase(l.target))
		}
		if late := time.Until(next); late < 0 {
			next = next.Add(-late)
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			timeout, anew = l.target.Timeout, false
		case timeout = <-l.now:
			timer.Stop()
			next, anew = time.Now(), true
		}
	}
}

// phase is by how much a target's second probe comes early: up to a tenth of
// the interval, so that thousands of targets that were set at once spread. It
// depends on the target alone: the schedule of a run can be repeated.
func phase(t Target) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(t.Ref.String()))
	h.Write([]byte(t.Addr.String()))
	return t.Interval / 10 * time.Duration(h.Sum32()%1024) / 1024
}

// errTimeout is the outcome of a probe that had its time.
var errTimeout = errors.New("no answer in time")

// probe makes one probe and hands on its outcome. It is false when the context
// ended first: then there is no outcome.
func (l *loop) probe(ctx context.Context, timeout time.Duration) bool {
	begin := time.Now()
	within, err := l.attempt(ctx, begin, timeout)
	if ctx.Err() != nil {
		return false
	}
	r := model.ProbeResult{Ref: l.target.Ref, At: time.Now(), OK: err == nil, Latency: time.Since(begin)}
	if err != nil {
		r.Err = explain(err, l.target, within)
	}
	select {
	case l.results <- r:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt dials once and returns how long that was allowed to take. An order
// that comes meanwhile may shorten the time but never prolongs it.
func (l *loop) attempt(ctx context.Context, begin time.Time, within time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan error, 1)
	go func() { ended <- l.dial(ctx, l.target) }()
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil && errors.Is(context.Cause(ctx), errTimeout) {
				err = errTimeout
			}
			return within, err
		case <-timer.C:
			cancel(errTimeout)
		case timeout := <-l.now:
			if sooner := time.Since(begin) + timeout; sooner < within {
				within = sooner
				timer.Reset(timeout)
			}
		}
	}
}
