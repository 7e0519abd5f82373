package lab

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"syscall"
	"time"

	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/outcome"
	"fairlead/internal/lab/site"
	"fairlead/internal/lab/witness"
	"fairlead/internal/model"
)

// errStuck ends a script early: what it waited for did not happen.
var errStuck = errors.New("the director did not do what the scenario waits for")

// scripts are what happens to the service in each scenario. What must follow
// stands in package outcome.
var scripts = map[outcome.Fault]func(*run, context.Context) error{
	outcome.Kill:      (*run).kill,
	outcome.Link:      (*run).link,
	outcome.BlackHole: (*run).blackHole,
	outcome.NoVIP:     (*run).noVIP,
	outcome.Hang:      (*run).hang,
	outcome.Planned:   (*run).planned,
	outcome.Failback:  (*run).failback,
	outcome.Double:    (*run).double,
	outcome.Flap:      (*run).flap,
	outcome.Crash:     (*run).crash,
	outcome.Gone:      (*run).gone,
}

func (r *run) kill(ctx context.Context) error {
	return r.fails(ctx, "nfs-01: its NFS server is killed", r.limits.refused, func() error { return r.site.Serving[0].Signal(syscall.SIGKILL) })
}

func (r *run) link(ctx context.Context) error {
	return r.fails(ctx, "nfs-01: its cable is cut", r.limits.silent, r.site.Servers[0].Cut)
}

func (r *run) blackHole(ctx context.Context) error {
	return r.fails(ctx, "nfs-01: the switch swallows its frames", r.limits.silent, r.site.Servers[0].Isolate)
}

// noVIP is what only a check at the virtual IP can see.
func (r *run) noVIP(ctx context.Context) error {
	return r.fails(ctx, "nfs-01: the virtual IP is taken off its loopback", r.limits.silent, func() error {
		return r.site.Servers[0].Disown(r.site.VIP())
	})
}

func (r *run) planned(ctx context.Context) error { return r.order(ctx, 1) }

func (r *run) failback(ctx context.Context) error {
	if err := r.order(ctx, 1); err != nil {
		return err
	}
	if r.opts.NFS == outcome.Ganesha {
		// It keeps what it read before, and knows nothing of nfs-02's changes.
		r.line("nfs-01: its NFS server is started anew, as its cache is old")
		if err := r.site.Restart(ctx, 0); err != nil {
			return err
		}
	}
	return r.order(ctx, 0)
}

func (r *run) double(ctx context.Context) error {
	if err := r.kill(ctx); err != nil {
		return err
	}
	r.line("nfs-01: its NFS server is started again")
	if err := r.site.Restart(ctx, 0); err != nil {
		return err
	}
	if err := r.up(ctx, 0); err != nil {
		return err
	}
	if err := r.goOn(ctx, clock.Now()); err != nil { // it must not switch back by itself
		return err
	}
	return r.fails(ctx, "nfs-02: its cable is cut", r.limits.silent, r.site.Servers[1].Cut)
}

// The loose contact of flap.
const (
	flaps    = 5
	flapTime = 700 * time.Millisecond
)

func (r *run) flap(ctx context.Context) error {
	if err := r.link(ctx); err != nil {
		return err
	}
	h := r.site.Servers[0]
	r.lineAt(clock.Now(), outcome.Yellow, "nfs-01: its cable has contact, and loses it, %d times", flaps)
	since := clock.Now()
	for range flaps {
		for _, change := range []func() error{h.Restore, h.Cut} {
			if err := change(); err != nil {
				return err
			}
			if err := pause(ctx, flapTime); err != nil {
				return err
			}
		}
	}
	if err := h.Restore(); err != nil {
		return err
	}
	r.line("nfs-01: its cable holds")
	if err := r.up(ctx, 0); err != nil {
		return err
	}
	return r.goOn(ctx, since)
}

// hang stops the server for as long as a check could take to notice.
func (r *run) hang(ctx context.Context) error {
	r.injected("nfs-01: its NFS server hangs (SIGSTOP)")
	if err := r.site.Serving[0].Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	r.line("a TCP check cannot see that: watching for %s", seconds(r.limits.checked+watchTime))
	if err := r.nothing(ctx, r.limits.checked+watchTime); err != nil {
		return err
	}
	now := clock.Now()
	r.lineAt(now, outcome.Yellow, "nfs-01: its NFS server goes on (SIGCONT)")
	if err := r.site.Serving[0].Signal(syscall.SIGCONT); err != nil {
		return err
	}
	return r.goOn(ctx, now)
}

// gone takes both servers away for longer than the detection of both takes.
func (r *run) gone(ctx context.Context) error {
	r.injected("both servers: their cables are cut")
	for _, h := range r.site.Servers {
		if err := h.Cut(); err != nil {
			return err
		}
	}
	if err := r.nothing(ctx, r.limits.checked+watchTime); err != nil {
		return err
	}
	now := clock.Now()
	r.lineAt(now, outcome.Yellow, "both servers: their cables are plugged in again, that of nfs-02 first")
	for _, h := range slices.Backward(r.site.Servers) {
		if err := h.Restore(); err != nil {
			return err
		}
	}
	return r.goOn(ctx, now)
}

// fails breaks something, and waits for the switch that must follow.
func (r *run) fails(ctx context.Context, what string, limit time.Duration, do func() error) error {
	t := outcome.Turn{Done: r.injected("%s", what), Limit: limit}
	if err := do(); err != nil {
		return err
	}
	r.line("the director notices after at most %s", seconds(limit))
	return r.switched(ctx, t, r.limits.checked+orderTime)
}

// order gives an operator's order to use a server, and waits for the switch.
func (r *run) order(ctx context.Context, to int) error {
	ref := model.ServerRef{Director: site.DirectorName, Server: site.ServerSpecs[to].Name}
	t := outcome.Turn{Done: r.injected("an operator orders: fairlead switch %s/%s", ref.Director, ref.Server)}
	if _, err := r.site.Control.Switch(ctx, ref); err != nil {
		return err
	}
	return r.switched(ctx, t, orderTime)
}

// injected tells what is done now. The instant is taken right before.
func (r *run) injected(format string, args ...any) clock.Instant {
	now := clock.Now()
	if r.m.Injected == 0 {
		r.m.Injected = now
	}
	r.lineAt(now, outcome.Yellow, format, args...)
	return now
}

// switched waits for a switch and until the clients go on, and tells about it.
func (r *run) switched(ctx context.Context, t outcome.Turn, limit time.Duration) error {
	sw, err := r.site.AwaitSwitch(ctx, r.epoch, limit, r.waiting, r.decided)
	if err != nil {
		return err
	}
	if sw == nil {
		r.lineAt(clock.Now(), outcome.Red, "the director has not switched after %s", seconds(limit))
		return errStuck
	}
	r.follow(t, sw)
	if sw.ResetMono != 0 {
		r.lineAt(clock.Instant(sw.ResetMono), outcome.Plain, "resets sent for %d of %d known connections", sw.Reset, sw.Known)
	}
	if sw.AppliedMono == 0 {
		return errStuck
	}
	if len(r.m.Turns) == 1 && r.throng != nil {
		if err := r.crowdReset(ctx, clock.Instant(sw.DecidedMono)); err != nil {
			return err
		}
	}
	return r.goOn(ctx, clock.Instant(sw.AppliedMono))
}

// follow keeps a switch for the figures and for the witness's judgement.
func (r *run) follow(t outcome.Turn, sw *model.Switch) {
	t.Switch, r.epoch = sw, sw.Epoch
	r.m.Turns = append(r.m.Turns, t)
	turn := witness.Turn{From: clock.Instant(sw.DecidedMono), By: clock.Instant(sw.AppliedMono), To: site.Index(sw.To)}
	if turn.By == 0 {
		turn.By = math.MaxInt64
	}
	r.turns = append(r.turns, turn)
}

// decided tells about a switch.
func (r *run) decided(s model.Switch) {
	r.lineAt(clock.Instant(s.DecidedMono), outcome.Yellow, "the director switches from %s to %s: %s", s.From, s.To, s.Reason)
}

// nothing watches for switches that must not come.
func (r *run) nothing(ctx context.Context, limit time.Duration) error {
	for end := time.Now().Add(limit); ; {
		sw, err := r.site.AwaitSwitch(ctx, r.epoch, time.Until(end), r.waiting, r.decided)
		if err != nil {
			return err
		}
		if sw == nil {
			return ctx.Err()
		}
		r.follow(outcome.Turn{Done: r.m.Injected, Limit: r.limits.checked}, sw)
	}
}

// up waits until the director's check says that a server is up.
func (r *run) up(ctx context.Context, i int) error {
	name := site.ServerSpecs[i].Name
	err := r.site.Await(ctx, r.limits.checked+orderTime, func(d model.DirectorStatus) error {
		for _, s := range d.Servers {
			if s.Name == name && s.Health != model.HealthUp {
				return fmt.Errorf("%s is %s: %s", name, s.Health, s.Why)
			}
		}
		return nil
	})
	if err == nil {
		r.line("the director sees that %s is up", name)
	}
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
