package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/workload"
	"fairlead/internal/model"
)

// Time limits of a run's phases.
const (
	workTime  = 2 * time.Minute  // for the work on one side of the switch; a client's back-off included
	orderTime = 10 * time.Second // for a switch that an operator orders
	watchTime = 2 * time.Second  // beyond the detection limit: a hung server is watched so long
)

// Run builds the diagram, works on it, breaks it, and tells what the client saw:
// lines and a table on out, or one JSON object. It takes everything down again,
// also when ctx ends. A run that does not pass is a Result, not an error.
func Run(ctx context.Context, o Options, out io.Writer) (Result, error) {
	if os.Geteuid() != 0 {
		return Result{}, ErrNeedsRoot
	}
	if os.Getenv(insideVar) != "" {
		return Result{}, fmt.Errorf("this process belongs to a lab already (%s is set): start the lab elsewhere", insideVar)
	}
	if o.Program == "" {
		var err error
		if o.Program, err = os.Executable(); err != nil {
			return Result{}, fmt.Errorf("find the own programme: %w", err)
		}
	}
	check, err := checkOf(o.Config)
	if err != nil {
		return Result{}, err
	}
	if o.NFS == Ganesha {
		if _, err := findGanesha(); err != nil {
			return Result{}, err
		}
	}
	r := &run{reporter: newReporter(out, o), opts: o, m: measured{opts: o, limit: detectionLimit(check)}}
	return r.whole(ctx)
}

// run is one run of the lab.
type run struct {
	*reporter
	opts  Options
	site  *site
	load  *workload.Load
	m     measured
	epoch uint64 // of the director before the fault
}

// whole is the run from the first to the last line.
func (r *run) whole(ctx context.Context) (result Result, err error) {
	swept, err := sweep()
	if err != nil {
		return Result{}, err
	}
	if swept > 0 {
		r.line("cleaned up after an earlier run that was killed")
	}
	if r.site, err = build(ctx, r.opts); err != nil {
		return Result{}, fmt.Errorf("build the lab: %w", err)
	}
	defer func() { err = errors.Join(err, r.site.close()) }()
	if err := r.describe(ctx); err != nil {
		return Result{}, err
	}
	if err := r.experiment(ctx); err != nil {
		return Result{}, err
	}
	result = r.m.result()
	if err := r.print(result); err != nil {
		return result, err
	}
	if r.opts.Keep {
		r.hints()
		<-ctx.Done()
	}
	return result, nil
}

// describe tells what stands.
func (r *run) describe(ctx context.Context) error {
	st, err := r.site.control.Status(ctx)
	if err != nil {
		return fmt.Errorf("ask the director: %w", err)
	}
	d, err := directorOf(st)
	if err != nil {
		return err
	}
	r.epoch, r.m.attached = d.Epoch, attached(st)
	r.line("client %v, director %v, virtual IP %v", clientSpec.Addr.Addr(), switchSpec.Addr.Addr(), vip)
	for _, spec := range serverSpecs {
		r.line("%s %v, %v NFS server on one shared directory", spec.Name, spec.Addr.Addr(), r.opts.NFS)
	}
	r.line("the director forwards %v to %s (XDP %s)", vip, d.Applied, r.m.attached)
	return nil
}

// experiment mounts the virtual IP, works, breaks nfs-01, works on, and verifies.
func (r *run) experiment(ctx context.Context) (err error) {
	if r.load, err = r.site.load(ctx, vip); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.load.Close()) }()
	r.line("the client has mounted %v: %d workers and an idle connection", vip, workload.Workers)
	r.m.begun = clock.Now()
	r.load.Start(ctx)
	err = r.phases(ctx)
	if err != nil {
		r.load.Cut()
	}
	end, cancel := context.WithTimeout(ctx, workTime)
	defer cancel()
	r.load.Finish(end)
	if err != nil {
		return err
	}
	return r.conclude(ctx)
}

// phases are what happens while the client works.
func (r *run) phases(ctx context.Context) error {
	if err := r.work(ctx, r.m.begun); err != nil {
		return err
	}
	did := r.load.Between(r.m.begun, clock.Now())
	r.line("%d operations, %s so far", did.Operations, mebibytes(did.Bytes))
	r.m.injected = clock.Now()
	if err := r.inject(ctx); err != nil {
		return err
	}
	if r.opts.Fault == Hang {
		if err := r.watch(ctx); err != nil {
			return err
		}
	} else if err := r.switched(ctx); err != nil {
		return err
	}
	turn := r.m.turn()
	if turn == 0 {
		return nil // no switch: nothing to wait for
	}
	if err := r.resumed(ctx, turn); err != nil {
		return err
	}
	if err := r.work(ctx, turn); err != nil {
		return err
	}
	did = r.load.Between(turn, clock.Now())
	r.line("%d operations, %s since then", did.Operations, mebibytes(did.Bytes))
	return nil
}

// work waits until the required work was done since an instant.
func (r *run) work(ctx context.Context, since clock.Instant) error {
	return r.until(ctx, func() bool { return r.load.Between(since, clock.Now()).Reaches(required) })
}

// resumed waits until every worker goes on, and tells when that was.
func (r *run) resumed(ctx context.Context, turn clock.Instant) error {
	err := r.until(ctx, func() bool { return r.load.Resumed(turn) != 0 })
	if at := r.load.Resumed(turn); at != 0 {
		r.lineAt(at, plain, "all %d workers go on, %s later", workload.Workers, show(measuredMillis(at.Since(turn))))
	}
	return err
}

// until waits for a condition, an error of a client, or the end of the time for
// it: the verdict finds out which.
func (r *run) until(ctx context.Context, done func() bool) error {
	limit, tick, slow := time.NewTimer(workTime), time.NewTicker(pollTime), time.NewTicker(tellTime)
	defer limit.Stop()
	defer tick.Stop()
	defer slow.Stop()
	for !done() && len(r.load.Errors()) == 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return nil
		case <-slow.C:
			r.waiting()
		case <-tick.C:
		}
	}
	return nil
}

// waiting tells that a client waits, if one does.
func (r *run) waiting() {
	wait, backoff := r.load.Stalled(clock.Now())
	switch {
	case wait < tellTime/2:
	case backoff > 0:
		r.line("the client has waited for %s; its own back-off lasts %s more", seconds(wait), seconds(backoff))
	default:
		r.line("the client has waited for %s", seconds(wait))
	}
}

// inject does to nfs-01 what the fault says. The instant is taken right before.
func (r *run) inject(ctx context.Context) error {
	first := r.site.servers[0]
	switch r.opts.Fault {
	case Kill:
		r.lineAt(r.m.injected, yellow, "%s: its NFS server is killed", first.Name)
		return r.site.serving[0].Signal(syscall.SIGKILL)
	case Link:
		r.lineAt(r.m.injected, yellow, "%s: its cable is cut", first.Name)
		return first.Cut()
	case Hang:
		r.lineAt(r.m.injected, yellow, "%s: its NFS server hangs (SIGSTOP)", first.Name)
		return r.site.serving[0].Signal(syscall.SIGSTOP)
	default:
		r.lineAt(r.m.injected, yellow, "an operator orders: fairlead switch %s/%s", director, serverSpecs[1].Name)
		_, err := r.site.control.Switch(ctx, model.ServerRef{Director: director, Server: serverSpecs[1].Name})
		return err
	}
}

// switched waits for the switch and tells about it.
func (r *run) switched(ctx context.Context) error {
	limit := orderTime
	if r.opts.Fault != Planned {
		limit += r.m.limit
		r.line("its check notices after at most %s", seconds(r.m.limit))
	}
	sw, err := r.site.awaitSwitch(ctx, r.epoch, limit, r.waiting, r.decided)
	r.m.sw = sw
	switch {
	case err != nil:
		return err
	case sw == nil:
		r.lineAt(clock.Now(), red, "the director has not switched after %s", seconds(limit))
	case sw.ResetMono != 0:
		r.lineAt(clock.Instant(sw.ResetMono), plain, "resets sent for %d of %d known connections", sw.Reset, sw.Known)
	}
	return nil
}

// decided tells about a switch.
func (r *run) decided(s model.Switch) {
	r.lineAt(clock.Instant(s.DecidedMono), yellow, "the director switches from %s to %s: %s", s.From, s.To, s.Reason)
}

// watch waits as long as a check could take to notice, and lets the server go on.
func (r *run) watch(ctx context.Context) error {
	limit := r.m.limit + watchTime
	r.line("a TCP check cannot see that: watching for %s", seconds(limit))
	sw, err := r.site.awaitSwitch(ctx, r.epoch, limit, r.waiting, r.decided)
	r.m.sw = sw
	if err != nil {
		return err
	}
	r.m.resumed = clock.Now()
	r.lineAt(r.m.resumed, yellow, "%s: its NFS server goes on (SIGCONT)", r.site.servers[0].Name)
	return r.site.serving[0].Signal(syscall.SIGCONT)
}

// conclude verifies every file and collects what was seen.
func (r *run) conclude(ctx context.Context) error {
	r.m.ended = clock.Now() // what the verification does is no longer measured
	r.m.errors = r.load.Errors()
	r.m.idle = r.load.IdleEnd()
	r.m.clients = r.load.Seen()
	if len(r.m.errors) == 0 {
		r.line("verifying every file, over NFS and in the shared directory")
		ctx, cancel := context.WithTimeout(ctx, workTime)
		defer cancel()
		if err := r.load.Verify(ctx, r.site.share()); err != nil {
			r.m.errors = append(r.m.errors, err)
		}
	}
	r.m.totals = r.load.Totals()
	return ctx.Err()
}

// print prints the result.
func (r *run) print(x Result) error {
	if !r.quiet {
		r.table(x)
		return nil
	}
	e := json.NewEncoder(r.out)
	e.SetIndent("", "  ")
	if err := e.Encode(x); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

// hints tells how to look around while the lab stays up.
func (r *run) hints() {
	if r.quiet {
		return
	}
	fmt.Fprintf(r.out, "\n  The lab stays up until Ctrl-C. To look around, in another terminal:\n\n")
	fmt.Fprintf(r.out, "    %s status --socket %s\n", r.opts.Program, r.site.socket())
	fmt.Fprintf(r.out, "    nsenter --net=%s\n", r.site.client.Path())
	fmt.Fprintf(r.out, "    nsenter --net=%s\n", r.site.director.Path())
	fmt.Fprintf(r.out, "    ls %s\n", r.site.dir)
}
