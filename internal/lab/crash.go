package lab

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/outcome"
	"fairlead/internal/lab/site"
	"fairlead/internal/lab/witness"
	"fairlead/internal/model"
)

// crashAfter are the times from an order until the director's programme is
// killed: from before it could read the order until after its resets.
var crashAfter = []time.Duration{0, 500 * time.Microsecond, time.Millisecond, 1500 * time.Microsecond, 2 * time.Millisecond,
	3 * time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond}

// With a fence hook a switch is on hold for as long as the hook takes. Then the
// programme is killed while the hook runs, and right after.
const fenceTakes = 200 * time.Millisecond

var crashHeld = []time.Duration{20 * time.Millisecond, 150 * time.Millisecond, fenceTakes + 5*time.Millisecond}

// starts is how often the programme is started after its death, at most.
const starts = 3

// crashPause is how long the clients work between two of them.
const crashPause = 500 * time.Millisecond

// crashCrowded is the same with a crowd: part of it has got its resets by then.
const crashCrowded = 60 * time.Millisecond

// crash orders switches to and fro, and kills the director's programme meanwhile.
func (r *run) crash(ctx context.Context) error {
	if r.throng != nil {
		return r.crashCrowd(ctx)
	}
	if err := r.crashes(ctx, crashAfter); err != nil {
		return err
	}
	r.line("the director gets a fence hook that takes %v", fenceTakes)
	if err := r.site.Fence(ctx, fenceTakes); err != nil {
		return err
	}
	if err := r.crashes(ctx, crashHeld); err != nil {
		return err
	}
	return r.goOn(ctx, clock.Now())
}

func (r *run) crashes(ctx context.Context, after []time.Duration) error {
	for _, d := range after {
		if err := r.crashOnce(ctx, d); err != nil {
			return err
		}
		if err := pause(ctx, crashPause); err != nil {
			return err
		}
	}
	return nil
}

// crashCrowd does so in the middle of many resets: the next programme must send
// the rest. On a slow machine the order itself may come too late, so it is tried
// again.
func (r *run) crashCrowd(ctx context.Context) error {
	for n := 0; len(r.turns) == 0; n++ {
		if n == 3 {
			return errStuck
		}
		if err := r.crashOnce(ctx, crashCrowded); err != nil {
			return err
		}
	}
	r.used = site.Use{} // of the programme that died
	if err := r.crowdReset(ctx, r.turns[0].From); err != nil {
		return err
	}
	return r.goOn(ctx, clock.Now())
}

func (r *run) crashOnce(ctx context.Context, after time.Duration) error {
	before, err := r.site.Status(ctx)
	if err != nil {
		return err
	}
	to := 1 - site.Index(before.Applied)
	ref := model.ServerRef{Director: site.DirectorName, Server: site.ServerSpecs[to].Name}
	from := r.injected("an operator orders: fairlead switch %s/%s; %v later the programme is killed", ref.Director, ref.Server, after)
	answered := make(chan error, 1)
	go func() {
		_, err := r.site.Control.Switch(ctx, ref) // it may never be answered
		answered <- err
	}()
	if err := pause(ctx, after); err != nil {
		return err
	}
	if err := r.site.Daemon.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-r.site.Daemon.Done()
	acknowledged := <-answered == nil
	if err := r.startAgain(ctx); err != nil {
		return err
	}
	back := clock.Now()
	now, err := r.site.Status(ctx)
	if err != nil {
		return err
	}
	r.crashed(before, now, ref.Server, acknowledged)
	if now.Applied == ref.Server {
		r.turns = append(r.turns, witness.Turn{From: from, By: back, To: to})
	}
	r.epoch = now.Epoch
	return r.resumed(ctx, back)
}

// startAgain starts the director's programme as a service manager does: when it
// ends at once, again. For a moment a hook that was just being started may hold
// the dead programme's control socket open.
func (r *run) startAgain(ctx context.Context) error {
	for n := 1; ; n++ {
		err := r.site.Launch(ctx, settled)
		if err == nil || n == starts {
			return err
		}
		select {
		case <-r.site.Daemon.Done():
			r.lineAt(clock.Now(), outcome.Red, "the programme ended at its start; it is started again")
		default:
			return err
		}
	}
}

// crashed judges what stands after the programme was started again.
func (r *run) crashed(before, now model.DirectorStatus, to string, acknowledged bool) {
	done := now.Applied == to && now.Epoch == before.Epoch+1
	undone := now.Applied == before.Applied && now.Epoch == before.Epoch
	switch {
	case done:
		r.line("the switch to %s was done; the programme is back", to)
	case undone:
		r.line("the switch to %s was not done; the programme is back", to)
	}
	if !done && !undone {
		r.wrong("after %s, epoch %d, and an order to use %s the director came back with %s, epoch %d",
			before.Applied, before.Epoch, to, now.Applied, now.Epoch)
	}
	if acknowledged && !done {
		r.wrong("the switch to %s was acknowledged, and is not remembered", to)
	}
}

// wrong notes what must not be.
func (r *run) wrong(format string, args ...any) {
	r.lineAt(clock.Now(), outcome.Red, format, args...)
	r.m.Wrong = append(r.m.Wrong, fmt.Sprintf(format, args...))
}

// settled objects until a director that came back forwards what it wants to, and
// has done what was left of a switch. When the kernel and its memory on disk do not
// agree, it raises an alarm.
func settled(st model.Status, d model.DirectorStatus) error {
	if d.Applied == "" || d.Applied != d.Desired {
		return fmt.Errorf("the director forwards to %q and wants %q: %s", d.Applied, d.Desired, d.Why)
	}
	if d.Step != model.StepNone {
		return fmt.Errorf("a switch to %s is under way: %v", d.To, d.Step)
	}
	for _, a := range st.Alarms {
		return fmt.Errorf("%s: %s", a.What, a.Why)
	}
	return nil
}
