package agent

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"fairlead/internal/model"
)

const (
	// again is the pause between two rounds. A client answers a second tickle
	// only 500 ms after the first (Linux limits challenge ACKs per socket).
	again     = 600 * time.Millisecond
	mostTimes = 8 // rounds after the first
	// batch connections are reset at once, and from the second round on breath
	// lies between two batches, so that repeats do not crowd the network.
	batch  = 4096
	breath = 5 * time.Millisecond
	// sweepEvery is how often old connections are counted until none is left.
	sweepEvery = 5 * time.Second
)

// rounds reset the connections that a switch has made old. Each director has at
// most one series at work; a newer switch supersedes it. Only the loop calls
// start; the series run in goroutines of the agent's group.
type rounds struct {
	ctx     context.Context // of the daemon
	group   *errgroup.Group
	plane   DataPlane
	resets  Sender
	sending sync.Mutex // held by the one series that sends
	reports chan<- report
	running map[string]series // by director
}

type series struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

// A job is a switch whose old connections are to be reset.
type job struct {
	director string
	epoch    uint64
	silent   bool // they are met with silence: only swept
}

// A report is what a series has done so far.
type report struct {
	director string
	epoch    uint64
	sentAt   time.Time // when the first round was sent; zero: not yet
	known    int       // old connections met
	reset    int       // of these, those for which resets were sent
	ended    int       // of these, those seen to have ended since
	last     bool      // of this series
	err      error     // that some could not be sent
}

func newRounds(ctx context.Context, group *errgroup.Group, plane DataPlane, resets Sender, reports chan<- report) *rounds {
	return &rounds{ctx: ctx, group: group, plane: plane, resets: resets, reports: reports, running: make(map[string]series)}
}

// start begins the series of a switch, after the end of the one before.
func (r *rounds) start(j job) {
	before := r.running[j.director]
	if before.cancel != nil {
		before.cancel()
	}
	ctx, cancel := context.WithCancel(r.ctx)
	mine := series{cancel: cancel, ended: make(chan struct{})}
	r.running[j.director] = mine
	r.group.Go(func() error {
		defer close(mine.ended)
		defer cancel()
		if before.ended != nil {
			<-before.ended
		}
		w := work{rounds: r, job: j, known: make(map[ends]bool)}
		w.run(ctx)
		return nil
	})
}

// ends name a connection.
type ends struct{ client, vip netip.AddrPort }

// work is one series under way.
type work struct {
	*rounds
	job
	known  map[ends]bool
	reset  int
	sentAt time.Time
	err    error // of the last round
	told   string
}

// run resets the old connections, and then sweeps until none is left.
func (w *work) run(ctx context.Context) {
	if !w.silent && !w.resetAll(ctx) {
		return
	}
	for {
		if left, err := w.plane.Sweep(w.director); err == nil && left == 0 {
			return
		}
		if !sleep(ctx, sweepEvery) {
			return
		}
	}
}

// resetAll sends the first round at once. A second one follows when no packet in
// flight can see the old choice any more: connections may have slipped in
// meanwhile. Then it repeats, until all have ended. It reports whether it came
// to its end.
func (w *work) resetAll(ctx context.Context) bool {
	w.round(ctx, false)
	w.sentAt = time.Now()
	if !w.tell(ctx, 0, false) {
		return false
	}
	if err := w.plane.Settle(); err != nil {
		w.err = fmt.Errorf("wait for packets in flight: %w", err)
	}
	left := w.round(ctx, false)
	for range mostTimes {
		if left == 0 {
			break
		}
		if !w.tell(ctx, len(w.known)-left, false) || !sleep(ctx, again) {
			return false
		}
		left = w.round(ctx, true)
	}
	return w.tell(ctx, len(w.known)-left, true)
}

// round walks the table and resets the old connections: those not met before,
// and when repeat is set all of them. It returns how many have not ended.
func (w *work) round(ctx context.Context, repeat bool) (left int) {
	var send []model.Connection
	fresh := 0
	flush := func() {
		w.send(send, fresh)
		send, fresh = send[:0], 0
	}
	for c := range w.plane.Connections() {
		if ctx.Err() != nil {
			return left
		}
		if c.Director != w.director || !c.Old || c.Ended {
			continue
		}
		left++
		e := ends{c.Client, c.VIP}
		if !w.known[e] {
			w.known[e] = true
			fresh++
		} else if !repeat {
			continue
		}
		if send = append(send, c); len(send) == batch {
			flush()
			if repeat && !sleep(ctx, breath) {
				return left
			}
		}
	}
	flush()
	return left
}

// send sends a batch, of which so many connections are met for the first time.
func (w *work) send(batch []model.Connection, fresh int) {
	if len(batch) == 0 {
		return
	}
	w.sending.Lock()
	defer w.sending.Unlock()
	sent, err := w.resets.Send(batch)
	w.reset += min(sent, fresh)
	if err != nil {
		w.err = fmt.Errorf("send resets: %w", err)
	}
}

// tell reports to the loop, and waits until it can. The same error is told once.
func (w *work) tell(ctx context.Context, gone int, last bool) bool {
	r := report{
		director: w.director, epoch: w.epoch, sentAt: w.sentAt,
		known: len(w.known), reset: w.reset, ended: gone, last: last,
	}
	if w.err != nil && w.err.Error() != w.told {
		r.err, w.told = w.err, w.err.Error()
	}
	w.err = nil
	select {
	case <-ctx.Done():
		return false
	case w.reports <- r:
		return true
	}
}

// sleep reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
