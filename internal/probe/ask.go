package probe

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"fairlead/internal/model"
)

// put puts one question to a server. It is nil when the answer is as it should be,
// and it returns when ctx ends.
func put(ctx context.Context, q question) error {
	switch q.Kind {
	case model.CheckTCP:
		return askTCP(ctx, q)
	case model.CheckHTTP:
		return askHTTP(ctx, q)
	case model.CheckTLS:
		return askTLS(ctx, q)
	case model.CheckICMP:
		return askICMP(ctx, q)
	case model.CheckARP:
		return askARP(ctx, q)
	case model.CheckExec:
		return askExec(ctx, q)
	case model.CheckRPC:
		return askRPC(ctx, q)
	case model.CheckNFS:
		return askNFS(ctx, q)
	case model.CheckNone:
	}
	return errors.New("this version cannot make this check")
}

// errEnough ends the other tests of a probe when one has failed: the answer is
// known.
var errEnough = errors.New("another test has failed")

// ask puts all questions of a probe at once, and returns the results of those
// that ended by themselves, in their order.
func ask(ctx context.Context, all []question, put func(context.Context, question) error) []model.TestResult {
	if len(all) == 1 {
		return []model.TestResult{one(ctx, all[0], put)}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	results := make([]model.TestResult, len(all))
	ended := make([]bool, len(all))
	var running sync.WaitGroup
	for i, q := range all {
		running.Go(func() {
			results[i] = one(ctx, q, put)
			ended[i] = results[i].OK || !errors.Is(context.Cause(ctx), errEnough)
			if !results[i].OK {
				cancel(errEnough)
			}
		})
	}
	running.Wait()
	kept := results[:0]
	for i, r := range results {
		if ended[i] {
			kept = append(kept, r)
		}
	}
	return kept
}

// one puts one question.
func one(ctx context.Context, q question, put func(context.Context, question) error) model.TestResult {
	begin := time.Now()
	err := put(ctx, q)
	r := model.TestResult{Check: q.label, At: q.at, OK: err == nil, Latency: time.Since(begin)}
	if err == nil {
		return r
	}
	within := r.Latency
	var late timedOut
	if errors.As(context.Cause(ctx), &late) {
		err, within = errors.Join(late, err), time.Duration(late)
	}
	r.Error = explain(err, q, within)
	return r
}

// errorOf is why a probe failed: what its tests found.
func errorOf(results []model.TestResult) string {
	var all []string
	for _, r := range results {
		if !r.OK {
			all = append(all, r.Error)
		}
	}
	return strings.Join(all, "; ")
}
