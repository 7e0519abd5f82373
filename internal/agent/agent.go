package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"fairlead/internal/desk"
	"fairlead/internal/model"
)

// Settings are what the command line says.
type Settings struct {
	Version string
	Attach  model.AttachMode
	Sources []string // the configuration's files and directories, as given
}

// Agent is a daemon that can be run once. Its other methods answer while it
// runs.
type Agent struct {
	texts
	parts    Parts
	settings Settings
	first    desk.Loaded
	log      *slog.Logger

	clock    monotonic
	view     atomic.Pointer[view] // what the loop knows; replaced, never changed
	turned   atomic.Int64         // when the loop was last seen to turn, by clock
	observer observer
	orders   chan order
	loads    chan load
	loading  sync.Mutex // held by the one reload under way
	history  history
	examiner examiner
	changed  atomic.Pointer[chan struct{}] // closed at the next change of the view

	sightings chan model.Sighting
	losses    chan tally
}

// New returns an agent that begins with the loaded configuration.
func New(parts Parts, settings Settings, first desk.Loaded, log *slog.Logger) *Agent {
	a := &Agent{
		texts:    parts.Desk,
		parts:    parts,
		settings: settings,
		first:    first,
		log:      log,
		clock:    readMonotonic(),
		observer: observer{plane: parts.Plane},
		orders:   make(chan order),
		loads:    make(chan load),

		sightings: make(chan model.Sighting, sightingsWait),
		losses:    make(chan tally),
		examiner:  examiner{looking: make(chan struct{}, 1)},
	}
	changed := make(chan struct{})
	a.changed.Store(&changed)
	return a
}

// Run adopts what the kernel holds and keeps it as desired until ctx ends. It
// leaves the data plane as it is: that goes on forwarding.
func (a *Agent) Run(ctx context.Context) error {
	// The journal ends last: it is to hold the stop too.
	writing, written := context.WithCancel(context.WithoutCancel(ctx))
	writer := make(chan error, 1)
	go func() { writer <- a.parts.Journal.Run(writing) }()
	err := a.run(ctx)
	stop := model.Event{At: time.Now(), Kind: model.EventStop,
		Text: "the daemon ended; the data plane keeps forwarding, `fairlead detach` takes it out"}
	if err != nil {
		stop.Err = err.Error()
	}
	a.enter(stop)
	written()
	if failed := <-writer; failed != nil && !errors.Is(failed, context.Canceled) {
		err = errors.Join(err, fmt.Errorf("write the journal: %w", failed))
	}
	return err
}

func (a *Agent) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	l := newLoop(ctx, a, group)
	if err := l.begin(); err != nil {
		return errors.Join(err, group.Wait())
	}
	a.keepVersion(a.first, 1, model.Actor{Name: "start of the daemon"})
	a.turn()
	for _, task := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"prober", a.parts.Prober.Run},
		{"meter of the copies", a.parts.Meter.Run},
		{"watcher of the network", a.parts.Watcher.Run},
		{"announcer", a.parts.Announcer.Run},
		{"control socket", func(ctx context.Context) error { return a.parts.Control.Run(ctx, a) }},
		{"web pages", func(ctx context.Context) error { return a.parts.Web.Run(ctx, a) }},
		{"notifications", func(ctx context.Context) error { return a.parts.Notifier.Run(ctx, a.news) }},
		{"reload on a signal", a.hangups},
		{"beat", a.beat},
		{"watch over the clients' traffic", a.watch},
		{"count of losses", a.countLosses},
		{"loop", l.run},
	} {
		group.Go(func() error { return ended(ctx, task.name, task.run(ctx)) })
	}
	return group.Wait()
}

// ended judges the end of a task: before ctx ends it is a failure of the daemon.
func ended(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())) {
		return nil
	}
	if err == nil {
		err = errors.New("it ended by itself")
	}
	return fmt.Errorf("run the %s: %w", name, err)
}

// hangups reloads at each signal. What a reload found goes to the log.
func (a *Agent) hangups(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.parts.Hangups:
			// The loop and Load have logged what there is to know.
			_, _ = a.Reload(ctx, model.Actor{Name: "SIGHUP", Role: model.RoleAdmin})
		}
	}
}
