package probe

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"fairlead/internal/model"
)

// shot is one probe under way.
type shot struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	begin  time.Time
	within atomic.Int64 // a time.Duration: how long it may take
	timer  *time.Timer  // gives it up
}

// timedOut is the outcome of a probe that had its time, which it is.
type timedOut time.Duration

func (t timedOut) Error() string {
	return fmt.Sprintf("no answer within %s", time.Duration(t).Round(time.Millisecond))
}

// newShot begins a probe's time.
func newShot(ctx context.Context, within time.Duration) *shot {
	s := &shot{begin: time.Now()}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.within.Store(int64(within))
	s.timer = time.AfterFunc(within, func() { s.cancel(timedOut(s.within.Load())) })
	return s
}

// shorten leaves the probe no more time than this from now on.
func (s *shot) shorten(timeout time.Duration) {
	if sooner := time.Since(s.begin) + timeout; sooner < time.Duration(s.within.Load()) {
		s.within.Store(int64(sooner))
		s.timer.Reset(timeout)
	}
}

// result is what the probe found, by the results of its tests. It is false when
// the context ended first: then there is none.
func (s *shot) result(ref model.ServerRef, tests []model.TestResult) (model.ProbeResult, bool) {
	at, cause := time.Now(), context.Cause(s.ctx)
	s.timer.Stop()
	s.cancel(nil)
	if cause != nil && !errors.As(cause, new(timedOut)) {
		return model.ProbeResult{}, false
	}
	why := errorOf(tests)
	return model.ProbeResult{Ref: ref, At: at, OK: why == "", Err: why, Latency: at.Sub(s.begin), Tests: tests}, true
}
