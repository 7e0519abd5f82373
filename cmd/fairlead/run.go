package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"

	"fairlead/internal/access"
	"fairlead/internal/agent"
	"fairlead/internal/announce"
	"fairlead/internal/api"
	"fairlead/internal/dataplane"
	"fairlead/internal/desk"
	"fairlead/internal/doctor"
	"fairlead/internal/freshness"
	"fairlead/internal/hold"
	"fairlead/internal/hook"
	"fairlead/internal/journal"
	"fairlead/internal/metrics"
	"fairlead/internal/model"
	"fairlead/internal/netstate"
	"fairlead/internal/notify"
	"fairlead/internal/probe"
	"fairlead/internal/reset"
	"fairlead/internal/store"
	"fairlead/internal/viproute"
	"fairlead/internal/web"
)

// queue is the capacity of the channels of facts: a burst of the network does
// not hold up their senders, who wait beyond it.
const queue = 64

type runCommand struct {
	sourceFlags
	socketFlag
	pinFlag
	stateFlag
	Attach      string `enum:"auto,native,generic,tcx" default:"auto" help:"How to attach to interfaces: auto (the best that works), native (XDP in the driver), generic (XDP on socket buffers) or tcx (tc; keeps large GSO frames)."`
	Connections int    `default:"100000" placeholder:"N" help:"Connections that the table has room for (default ${default})."`
	LogFormat   string `enum:"text,json" default:"text" help:"Form of the log on the error output: text or json."`
}

func (c *runCommand) Run(ctx context.Context, env *surroundings) error {
	if err := c.check(env); err != nil {
		return err
	}
	files, err := store.Open(c.File, c.StateDir)
	if err != nil {
		return err
	}
	workplace := desk.New(files, desk.Machine{Links: hostLinks, Hooks: hookTrouble, Authorities: authoritiesTrouble})
	first, err := workplace.Load()
	if err != nil {
		return err
	}
	listener, err := api.Listen(c.Socket)
	if err != nil {
		return err
	}
	err = c.serve(ctx, env, listener, workplace, first)
	if closed := listener.Close(); closed != nil && !errors.Is(closed, net.ErrClosed) {
		err = errors.Join(err, closed)
	}
	return err
}

// check refuses what cannot work here, the first obstacle first.
func (c *runCommand) check(env *surroundings) error {
	if err := env.needRoot("run"); err != nil {
		return err
	}
	if slices.Contains(c.File, "-") {
		return unable{errors.New("run cannot take the configuration from standard input: a reload reads it again")}
	}
	if c.Connections < 1 {
		return unable{errors.New("--connections must be at least 1")}
	}
	return env.needKernel()
}

// stateFlag says where the daemon remembers.
type stateFlag struct {
	StateDir string `placeholder:"DIR" default:"${state}" help:"Directory for what must survive a reboot, and the journal (default ${default})."`
}

// defaultState is the state directory.
const defaultState = "/var/lib/fairlead"

// serve opens what the agent works with, and runs it. The data plane goes on
// forwarding when it is closed.
func (c *runCommand) serve(ctx context.Context, env *surroundings, listener net.Listener, workplace *desk.Desk, first desk.Loaded) (err error) {
	log := newLog(env.err, c.LogFormat)
	var attach model.AttachMode
	if err := attach.UnmarshalText([]byte(c.Attach)); err != nil {
		return unable{err}
	}
	var open closers
	defer func() { err = errors.Join(err, open.close()) }()
	plane, err := dataplane.Open(dataplane.Options{Dir: c.PinDir, Attach: attach, Connections: c.Connections, Log: log})
	if err != nil {
		return fmt.Errorf("open the data plane: %w", err)
	}
	open.add(plane)
	resets, err := reset.Open()
	if err != nil {
		return err
	}
	open.add(resets)
	frames, err := hold.Open()
	if err != nil {
		return err
	}
	open.add(frames)
	remembered, err := openMemory(c.StateDir)
	if err != nil {
		return err
	}
	open.add(remembered)
	events := journal.Open(c.StateDir, log)
	open.add(events)
	routes, err := viproute.Open(c.owner())
	if err != nil {
		return err
	}
	open.add(routes)
	parts := newParts(routes, log)
	parts.Plane = capturer{plane}
	parts.Resets = resets
	parts.Frames = frames
	parts.Hooks = hook.New(log)
	parts.Memory = remembered
	parts.Journal = events
	parts.Control = api.New(listener, log)
	parts.Desk = workplace
	if err := c.addViews(&parts, log); err != nil {
		return err
	}
	parts.Hangups = env.hangups
	parts.Doctor = func(ctx context.Context, cfg model.Config) model.Diagnosis { return doctor.Examine(ctx, cfg, nil) }
	settings := agent.Settings{Version: version, Attach: attach, Sources: c.File}
	return agent.New(parts, settings, first, log).Run(ctx)
}

// addViews adds the parts that show what happens: pages, metrics, notifications.
func (c *runCommand) addViews(parts *agent.Parts, log *slog.Logger) error {
	people, err := access.Open(c.StateDir)
	if err != nil {
		return err
	}
	figures := metrics.New(version)
	parts.Metrics = figures
	parts.Notifier = notify.New(log, version, figures.Notified)
	parts.Web = web.New(web.Options{Access: people, Metrics: figures.Handler, StateDir: c.StateDir, Log: log})
	return nil
}

// closers are what is open, to be closed in the opposite order.
type closers []io.Closer

func (c *closers) add(one io.Closer) { *c = append(*c, one) }

func (c *closers) close() error {
	var failed error
	for _, one := range slices.Backward(*c) {
		failed = errors.Join(failed, one.Close())
	}
	return failed
}

// newParts makes the parts that tell what they see, with their channels.
func newParts(routes *viproute.Routes, log *slog.Logger) agent.Parts {
	results := make(chan model.ProbeResult, queue)
	measured := make(chan model.Measured, queue)
	facts := make(chan netstate.Fact, queue)
	seen := make(chan model.VIPStatus, queue)
	return agent.Parts{
		Prober: probe.New(results, routes.Check, log), Results: results, Paths: routes,
		Meter: freshness.New(measured, log), Measured: measured,
		Watcher: netstate.New(facts, log), Facts: facts,
		Announcer: announce.New(seen, log), Seen: seen,
	}
}

func newLog(w io.Writer, format string) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// capturer is a data plane whose packets are in the control socket's form.
type capturer struct{ *dataplane.Plane }

func (c capturer) Capture(ctx context.Context, snaplen int, emit func(api.Packet) error) error {
	return c.Plane.Capture(ctx, snaplen, func(p dataplane.Captured) error {
		return emit(api.Packet{At: p.At, Iface: p.Iface, Verdict: p.Verdict, Length: p.Length, Data: p.Data})
	})
}
