package probe

import (
	"context"
	"time"

	"fairlead/internal/model"
)

// most is how many probes of one target may be under way at a time.
const most = 2

// loop probes one target until its context ends.
type loop struct {
	target  Target
	asker   asker
	entry   entry
	results chan<- model.ProbeResult
	now     chan time.Duration // orders of an extra probe: its timeout
	cancel  context.CancelFunc

	// The following belong to run.
	shots []*shot       // under way, the oldest first
	ended chan *shot    // capacity most
	order time.Duration // the timeout of an order that waits for room; zero: none
}

// run keeps the schedule. Once the target has its phase, its slots lie at exact
// intervals, whatever is ordered and however long probes take. A slot that finds
// a probe under way is used as soon as none is; those missed are not caught up.
func (l *loop) run(ctx context.Context) {
	defer l.finish()
	slot := l.entry.first
	timer := time.NewTimer(time.Until(slot))
	defer timer.Stop()
	early, due := l.entry.early, false
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-l.ended:
			l.end(s)
		case l.order = <-l.now:
			l.hurry()
		case <-timer.C:
			slot = following(slot.Add(-early), l.target.Interval, time.Now())
			early, due = 0, true
			timer.Reset(time.Until(slot))
		}
		if l.order > 0 && len(l.shots) < most {
			l.fire(ctx, l.order, true)
			l.order = 0
		}
		if due && len(l.shots) == 0 {
			l.fire(ctx, l.target.Timeout, false)
			due = false
		}
	}
}

// following is the next slot that is still to come.
func following(slot time.Time, interval time.Duration, now time.Time) time.Time {
	slot = slot.Add(interval)
	if late := now.Sub(slot); late > 0 {
		slot = slot.Add((late/interval + 1) * interval)
	}
	return slot
}

// hurry gives the newest probe no more time than the order that waits for its
// end allows.
func (l *loop) hurry() {
	if len(l.shots) == most {
		l.shots[most-1].shorten(l.order)
	}
}

// finish waits for what is under way.
func (l *loop) finish() {
	for len(l.shots) > 0 {
		l.end(<-l.ended)
	}
	for _, q := range l.asker.own {
		q.drained()
	}
}

func (l *loop) end(s *shot) {
	for i := range l.shots {
		if l.shots[i] == s {
			l.shots = append(l.shots[:i], l.shots[i+1:]...)
			return
		}
	}
}

// fire begins a probe, by the schedule or ordered. It hands on its outcome itself, so
// that the loop never waits for the reader.
func (l *loop) fire(ctx context.Context, timeout time.Duration, ordered bool) {
	s := newShot(ctx, timeout)
	l.shots = append(l.shots, s)
	go func() {
		if r, ok := s.result(l.target.Ref, l.asker.ask(s.ctx, ordered)); ok {
			select {
			case l.results <- r:
			case <-ctx.Done():
			}
		}
		l.ended <- s
	}()
}
