package rounds

import (
	"context"
	"iter"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"fairlead/internal/model"
	"fairlead/internal/reset"
)

// Plane is what the rounds need of the data plane.
type Plane interface {
	Connections() iter.Seq[model.Connection]
	Settle() error
	Sweep(director string) (old int, err error)
}

// Sender sends resets. It is used by one goroutine at a time.
type Sender interface {
	Send([]reset.Order) (sent int, err error)
	SendServers(iface string, orders []reset.Order) (sent int, err error)
}

const (
	// again is the pause between two rounds. A client answers a second tickle
	// only 500 ms after the first (Linux limits challenge ACKs per socket).
	again     = 600 * time.Millisecond
	mostTimes = 8 // rounds after the first
	// batch connections are reset at once, and two batches begin at least a breath
	// apart: a larger burst overflows the queues on its way (a virtual interface has
	// room for a few hundred packets).
	batch  = 256
	breath = time.Millisecond
	// sweepEvery is how often old connections are counted until none is left.
	sweepEvery = 5 * time.Second
)

// Rounds is the series of rounds of all directors. Each has at most one at work;
// a newer switch supersedes it. Start is called by one goroutine; the series run
// in goroutines of the group.
type Rounds struct {
	ctx     context.Context // of the daemon
	group   *errgroup.Group
	plane   Plane
	resets  Sender
	sending sync.Mutex // held by the one series that sends
	reports chan<- Report
	running map[string]*work // by director
}

// A Job is a switch whose old connections are to be reset.
type Job struct {
	Director string
	Epoch    uint64
	Iface    string // the way to the servers; "": not known, so they are not told
	Silent   bool   // they are met with silence: only swept
}

// A Report is what a series has done so far.
type Report struct {
	Director string
	Epoch    uint64
	SentAt   time.Time // when the first round was sent; zero: not yet
	Known    int       // old connections met that were not seen to end before
	Reset    int       // of these, those for which resets were sent
	Servers  int       // connections for which their server got a RST
	Ended    int       // of the known, those seen to have ended since
	Last     bool      // of this series
	Err      error     // that some could not be sent
}

// New returns rounds that begin nothing until Start. A series waits when nobody
// takes its reports.
func New(ctx context.Context, group *errgroup.Group, plane Plane, resets Sender, reports chan<- Report) *Rounds {
	return &Rounds{ctx: ctx, group: group, plane: plane, resets: resets, reports: reports, running: make(map[string]*work)}
}

// Start begins the series of a switch, after the end of the one before. What
// that one sent counts on: a connection that lived through it is the same.
func (r *Rounds) Start(j Job) {
	before := r.running[j.Director]
	if before != nil {
		before.cancel()
	}
	ctx, cancel := context.WithCancel(r.ctx)
	w := &work{Rounds: r, Job: j, cancel: cancel, over: make(chan struct{})}
	r.running[j.Director] = w
	r.group.Go(func() error {
		defer close(w.over)
		defer cancel()
		if before != nil {
			<-before.over
			w.spent, before.spent = before.spent, nil
			w.left, before.left = before.left, nil
		}
		if w.spent == nil {
			w.spent = make(map[ends]uint8)
			w.left = make(map[party]int)
		}
		w.run(ctx)
		return nil
	})
}
