package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"fairlead/internal/model"
)

const (
	// settle is how long the last events are waited for when the daemon ends: that
	// it ends is one of them.
	settle = 200 * time.Millisecond

	// farewell is how long their delivery may take then.
	farewell = 2 * time.Second
)

// deliverer delivers events to a target, once. It returns at the end of ctx.
type deliverer func(ctx context.Context, t model.Target, from sender, batch []model.Event) error

// sender is who notifies.
type sender struct{ host, version string }

// Notifier delivers events. Its methods may be called by several goroutines.
type Notifier struct {
	version string // of the daemon, for the messages
	log     *slog.Logger
	told    func(kind string, err error)
	deliver deliverer
	began   time.Time
	change  chan struct{} // capacity 1: lanes changed

	mu    sync.Mutex // guards the following
	lanes []*lane    // in the order of the configuration
	seen  uint64     // the last entry of the journal that was taken
	fresh bool       // an entry of after the start was seen
}

// New returns a Notifier without targets, of a daemon of that version. told is called after each try with
// the kind of the target and the outcome; with a *LostError when events were given
// up. It must not wait, and is called at most once for each pause between tries.
func New(log *slog.Logger, version string, told func(kind string, err error)) *Notifier {
	m := newMailer()
	w := newWebhooks(nil)
	return &Notifier{
		version: version, log: log, told: told, began: time.Now(), change: make(chan struct{}, 1),
		deliver: func(ctx context.Context, t model.Target, from sender, batch []model.Event) error {
			switch t.Kind {
			case model.TargetWebhook:
				return w.post(ctx, t, from, batch[0])
			case model.TargetEmail:
				return m.send(ctx, t, from, batch)
			case model.TargetCommand:
				return runCommand(ctx, t, from, batch[0])
			}
			return fmt.Errorf("no way to notify a target of kind %s is known", t.Kind)
		},
	}
}

// Set says who is notified from now on. What waits for a target that stays, by
// its kind and address, goes on waiting.
func (n *Notifier) Set(targets []model.Target) {
	n.mu.Lock()
	defer n.mu.Unlock()
	old := n.lanes
	n.lanes = nil
	for _, t := range targets {
		at := slices.IndexFunc(old, func(l *lane) bool { return l.serves(t) })
		if at < 0 {
			n.lanes = append(n.lanes, newLane(t))
			continue
		}
		old[at].set(t)
		n.lanes = append(n.lanes, old[at])
		old = slices.Delete(slices.Clone(old), at, at+1)
	}
	select {
	case n.change <- struct{}{}:
	default: // Run has not seen the change before yet
	}
}

// Status says how notifying goes.
func (n *Notifier) Status() model.ServiceStatus {
	s := model.ServiceStatus{Name: "notify", Title: "Notifications", State: model.ServiceRunning}
	lanes := n.current()
	var troubles []string
	for _, l := range lanes {
		if why := l.trouble(); why != "" {
			troubles = append(troubles, why)
		}
	}
	switch {
	case len(lanes) == 0:
		s.State, s.Why = model.ServiceOff, "nobody is to be notified"
	case len(troubles) > 0:
		s.State, s.Why = model.ServiceFailed, strings.Join(troubles, "; ")
	case len(lanes) == 1:
		s.Why = "to " + place(lanes[0].current())
	default:
		s.Why = fmt.Sprintf("to %d targets", len(lanes))
	}
	return s
}

func (n *Notifier) current() []*lane {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lanes
}

// Run follows the journal and delivers until ctx ends, then what is left, if that
// takes no longer than 2 s. follow hands on the entries that follow a number, those
// to come too.
func (n *Notifier) Run(ctx context.Context, follow func(ctx context.Context, since uint64, emit func(model.Event) error) error) error {
	// The last events come when ctx has ended.
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- follow(following, n.position(), n.take) }()
	c := n.newCrew(context.WithoutCancel(ctx))
	defer c.dismiss()
	for {
		c.staff(n.current())
		select {
		case <-n.change:
		case err := <-ended:
			return fmt.Errorf("follow the journal to notify of it: %w", cmp.Or(err, errEnded))
		case <-ctx.Done():
			if len(n.current()) > 0 {
				wait(settle, ended)
			}
			return nil
		}
	}
}

var errEnded = errors.New("it ended")

// wait waits for so long, or until something failed.
func wait(d time.Duration, failed <-chan error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-failed:
	}
}

func (n *Notifier) position() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seen
}

// take puts an entry of the journal into the queues. Entries of before the
// daemon's start were an earlier daemon's to tell.
func (n *Notifier) take(e model.Event) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = max(n.seen, e.Seq)
	// One suffices: a clock that is set back later must not silence the rest.
	n.fresh = n.fresh || !e.At.Before(n.began)
	if !n.fresh {
		return nil
	}
	now := time.Now()
	for _, l := range n.lanes {
		l.add(e, now)
	}
	return nil
}

// crew are the goroutines of the lanes. They belong to Run.
type crew struct {
	n       *Notifier
	ctx     context.Context
	from    sender
	closing chan struct{} // closed when nothing more comes
	done    sync.WaitGroup
	ends    map[*lane]context.CancelFunc
}

func (n *Notifier) newCrew(ctx context.Context) *crew {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &crew{n: n, ctx: ctx, from: sender{host, n.version}, closing: make(chan struct{}), ends: make(map[*lane]context.CancelFunc)}
}

// staff begins the work of new lanes and ends that of those that are gone.
func (c *crew) staff(lanes []*lane) {
	for l, end := range c.ends {
		if !slices.Contains(lanes, l) {
			end()
			delete(c.ends, l)
		}
	}
	for _, l := range lanes {
		if c.ends[l] != nil {
			continue
		}
		ctx, end := context.WithCancel(c.ctx)
		c.ends[l] = end
		c.done.Go(func() { c.work(ctx, l) })
	}
}

// dismiss lets the lanes try once more, and ends them.
func (c *crew) dismiss() {
	close(c.closing)
	timer := time.AfterFunc(farewell, func() {
		for _, end := range c.ends {
			end()
		}
	})
	c.done.Wait()
	timer.Stop()
	for _, end := range c.ends {
		end()
	}
}

// work delivers what comes for one target.
func (c *crew) work(ctx context.Context, l *lane) {
	for {
		var due <-chan time.Time
		at, ok := l.due()
		if ok {
			due = time.After(time.Until(at))
		}
		last := false
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
			continue
		case <-due:
		case <-c.closing:
			if !ok {
				return
			}
			last = true
		}
		if failed := c.n.try(ctx, l, c.from); failed && last {
			return
		}
	}
}

// try delivers once, and tells how it went.
func (n *Notifier) try(ctx context.Context, l *lane, from sender) (failed bool) {
	t, batch := l.batch()
	if len(batch) == 0 {
		return false
	}
	events := make([]model.Event, len(batch))
	for i, w := range batch {
		events[i] = w.event
	}
	err := n.deliver(ctx, t, from, events)
	if err != nil && ctx.Err() != nil {
		return true // nobody wants it any more
	}
	err = conceal(err, t)
	turned, lost := l.finish(batch, err, time.Now())
	log := n.log.With("target", place(t))
	switch {
	case turned && err != nil:
		log.Warn("notifying fails; it is tried again", "error", err)
	case turned:
		log.Info("notifying works again")
	}
	n.told(t.Kind.String(), err)
	if lost > 0 {
		gone := &LostError{Events: lost, Target: place(t), Cause: err}
		log.Warn(gone.Error())
		n.told(t.Kind.String(), gone)
	}
	return err != nil
}
