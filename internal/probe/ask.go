package probe

import (
	"context"
	"errors"
	"slices"
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

// asker puts the questions of a probe.
type asker struct {
	own      []question
	via      *turns        // at virtual IPs
	interval time.Duration // of the target
	put      func(context.Context, question) error
	// lost says why the way to a virtual IP on a server is not there; nil: it is.
	lost func(model.Path) error
}

// ask puts the questions of one probe, and returns the results of those that ended by
// themselves, in their order. Those at virtual IPs come after the others: a server that
// fails at its own address has no other fault that would be worth telling.
func (a asker) ask(ctx context.Context, ordered bool) []model.TestResult {
	share := a.via.share(ordered, a.interval, time.Now())
	results := a.all(ctx, a.own)
	parts := slices.Collect(slices.Chunk(share.first, abreast))
	before := len(parts) // of those that failed before
	parts = append(parts, slices.Collect(slices.Chunk(share.then, abreast))...)
	for i, part := range parts {
		if errorOf(results) != "" {
			break
		}
		results = append(results, a.all(ctx, part)...)
		if i+1 == before && errorOf(results) == "" {
			share.trust()
		}
	}
	share.ended(errorOf(results) == "")
	return results
}

// all puts questions at the same time.
func (a asker) all(ctx context.Context, all []question) []model.TestResult {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	results := make([]model.TestResult, len(all))
	ended := make([]bool, len(all))
	answer := func(i int) {
		results[i], ended[i] = a.one(ctx, all[i])
		if ended[i] && !results[i].OK {
			cancel(errEnough)
		}
	}
	var running sync.WaitGroup
	for i := 1; i < len(all); i++ {
		running.Go(func() { answer(i) })
	}
	if len(all) > 0 {
		answer(0)
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

// one puts one question. It is false when the answer says nothing of the server:
// another question has failed before, or the way to it was lost.
func (a asker) one(ctx context.Context, q question) (model.TestResult, bool) {
	if q.by.IsValid() {
		q.met = new(bool)
	}
	begin := time.Now()
	err := a.put(ctx, q)
	r := model.TestResult{Check: q.label, At: q.at, OK: err == nil, Latency: time.Since(begin)}
	if q.by.IsValid() {
		r.At = model.AtVIP(q.at, q.by)
	}
	switch {
	case err == nil:
		return r, true
	case errors.Is(context.Cause(ctx), errEnough):
		return r, false
	case q.by.IsValid() && a.lost != nil && a.lost(model.Path{Server: q.by, VIP: q.addr}) != nil:
		return r, false
	}
	within := r.Latency
	var late timedOut
	if errors.As(context.Cause(ctx), &late) {
		err, within = errors.Join(late, err), time.Duration(late)
	}
	r.Error = explain(err, q, within)
	if q.by.IsValid() {
		r.Error = explainVIP(r.Error, err, q)
		a.via.doubt(q.addr)
	}
	return r, true
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
