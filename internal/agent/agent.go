package agent

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"fairlead/internal/announce"
	"fairlead/internal/control"
	"fairlead/internal/model"
	"fairlead/internal/netstate"
	"fairlead/internal/probe"
)

// DataPlane is what the agent needs of the kernel. Its methods may be called by
// several goroutines at once.
type DataPlane interface {
	Applied() (model.Applied, error)
	Apply(model.Desired) error
	Connections() iter.Seq[model.Connection]
	Traffic() (model.Traffic, error)
	Settle() error
	Sweep(director string) (old int, err error)
	Capture(ctx context.Context, snaplen int, emit func(control.Packet) error) error
}

// Prober probes the servers. Set and Now return at once.
type Prober interface {
	Run(context.Context) error
	Set([]probe.Target)
	Now(ref model.ServerRef, timeout time.Duration)
}

// Watcher watches links and neighbours. Keep returns at once.
type Watcher interface {
	Run(context.Context) error
	Keep([]netip.Addr)
}

// Announcer announces virtual IPs. Set returns at once.
type Announcer interface {
	Run(context.Context) error
	Set([]announce.Want)
}

// Sender sends resets to the clients of connections.
type Sender interface {
	Send([]model.Connection) (sent int, err error)
}

// Control serves the operators' orders.
type Control interface {
	Run(context.Context, control.Daemon) error
}

// Journal keeps what happened. Append never waits for the disk.
type Journal interface {
	Append(model.Event) model.Event // with its number
	Read(since uint64, most int) []model.Event
	Follow(ctx context.Context, since uint64, emit func(model.Event) error) error
}

// Parts are the effects that the agent drives, and the channels by which they
// tell what they saw.
type Parts struct {
	Plane     DataPlane
	Prober    Prober
	Results   <-chan model.ProbeResult
	Watcher   Watcher
	Facts     <-chan netstate.Fact
	Announcer Announcer
	Seen      <-chan model.VIPStatus
	Resets    Sender
	Control   Control
	Journal   Journal
	Loader    Loader
	Hangups   <-chan os.Signal // each one orders a reload
}

// Settings are what the command line says.
type Settings struct {
	Version string
	Attach  model.AttachMode
	Sources []string // the configuration's files and directories, as given
}

// Agent is a daemon that can be run once. Its other methods answer while it
// runs.
type Agent struct {
	parts    Parts
	settings Settings
	first    Loaded
	log      *slog.Logger

	clock    monotonic
	view     atomic.Pointer[view] // what the loop knows; replaced, never changed
	observer observer
	orders   chan order
	loads    chan load
	loading  sync.Mutex // held by the one reload under way
}

// New returns an agent that begins with the loaded configuration.
func New(parts Parts, settings Settings, first Loaded, log *slog.Logger) *Agent {
	return &Agent{
		parts:    parts,
		settings: settings,
		first:    first,
		log:      log,
		clock:    readMonotonic(),
		observer: observer{plane: parts.Plane},
		orders:   make(chan order),
		loads:    make(chan load),
	}
}

// Run adopts what the kernel holds and keeps it as desired until ctx ends. It
// leaves the data plane as it is: that goes on forwarding.
func (a *Agent) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	l := newLoop(ctx, a, group)
	if err := l.begin(); err != nil {
		return errors.Join(err, group.Wait())
	}
	for _, task := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"prober", a.parts.Prober.Run},
		{"watcher of the network", a.parts.Watcher.Run},
		{"announcer", a.parts.Announcer.Run},
		{"control socket", func(ctx context.Context) error { return a.parts.Control.Run(ctx, a) }},
		{"reload on a signal", a.hangups},
		{"loop", l.run},
	} {
		group.Go(func() error { return ended(ctx, task.name, task.run(ctx)) })
	}
	err := group.Wait()
	a.log.Info("stopped; the data plane keeps forwarding, `fairlead detach` takes it out")
	return err
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
			_, _ = a.Reload(ctx)
		}
	}
}
