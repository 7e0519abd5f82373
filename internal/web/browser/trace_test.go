package browser

import (
	"context"
	"encoding/json"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/tracing"
	"github.com/chromedp/chromedp"
)

// A task is one piece of work of a page's main thread.
type task struct {
	wall time.Duration // from its begin to its end, with what other programmes of the machine took
	own  time.Duration // of a processor
}

// tracedEvent is what is needed of the browser's trace.
type tracedEvent struct {
	Name string  `json:"name"`
	Ph   string  `json:"ph"` // X: with a duration
	PID  int64   `json:"pid"`
	TID  int64   `json:"tid"`
	Dur  float64 `json:"dur"`  // µs
	TDur float64 `json:"tdur"` // µs of a processor
	Args struct {
		Name string `json:"name"` // of a thread
	} `json:"args"`
}

// trace tells the tasks of the pages' main threads while something is done.
func (p *tab) trace(do func()) []task {
	p.t.Helper()
	over := make(chan struct{})
	var seen []tracedEvent
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *tracing.EventDataCollected:
			for _, raw := range e.Value {
				var one tracedEvent
				if json.Unmarshal(raw, &one) == nil {
					seen = append(seen, one)
				}
			}
		case *tracing.EventTracingComplete:
			close(over)
		}
	})
	wanted := &tracing.TraceConfig{IncludedCategories: []string{"toplevel", "__metadata"}, ExcludedCategories: []string{"*"}}
	p.do(call(tracing.Start, tracing.StartParams{TraceConfig: wanted}))
	do()
	p.do(call(tracing.End, cdp.Empty{}))
	select {
	case <-over:
	case <-time.After(pageTime):
		p.t.Fatal("the browser did not hand over its trace")
	}
	return mainTasks(seen)
}

// mainTasks picks the tasks of the threads that run the pages' scripts.
func mainTasks(seen []tracedEvent) []task {
	type thread struct{ pid, tid int64 }
	mains := map[thread]bool{}
	for _, e := range seen {
		if e.Name == "thread_name" && e.Args.Name == "CrRendererMain" {
			mains[thread{e.PID, e.TID}] = true
		}
	}
	var all []task
	for _, e := range seen {
		if e.Ph == "X" && mains[thread{e.PID, e.TID}] {
			all = append(all, task{wall: ms(e.Dur / 1000), own: ms(e.TDur / 1000)})
		}
	}
	return all
}
