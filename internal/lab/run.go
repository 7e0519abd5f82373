package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"fairlead/internal/ganesha"
	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/outcome"
	"fairlead/internal/lab/site"
	"fairlead/internal/lab/visitor"
	"fairlead/internal/lab/witness"
	"fairlead/internal/lab/workload"
)

// Time limits of a run's phases.
const (
	workTime  = 2 * time.Minute  // for the work on one side of the switch; a client's back-off included
	orderTime = 10 * time.Second // for a switch that an operator orders, and beyond the limit of another
	pollTime  = 50 * time.Millisecond
	tellTime  = 2 * time.Second // between lines while nothing else happens
	watchTime = 2 * time.Second // beyond the detection limit: what must not happen is watched for so long
)

// Run builds the diagram, works on it, breaks it, and tells what the client saw:
// lines and a table on out, or one JSON object. It takes everything down again,
// also when ctx ends. A run that does not pass is a Result, not an error.
func Run(ctx context.Context, o Options, out io.Writer) (outcome.Result, error) {
	if err := o.prepare(); err != nil {
		return outcome.Result{}, err
	}
	check, err := checkOf(o.Config)
	if err != nil {
		return outcome.Result{}, err
	}
	r := &run{reporter: newReporter(out, o), opts: o, limits: limitsOf(check)}
	r.m = outcome.Measured{Fault: o.Fault, NFS: o.NFS, Check: o.Check, Limit: r.limits.checked}
	return r.whole(ctx)
}

// prepare refuses what cannot work here, and completes the options.
func (o *Options) prepare() (err error) {
	if os.Geteuid() != 0 {
		return ErrNeedsRoot
	}
	if os.Getenv(site.InsideVar) != "" {
		return fmt.Errorf("this process belongs to a lab already (%s is set): start the lab elsewhere", site.InsideVar)
	}
	if o.Six && (o.Crowd > 0 || o.Split || o.Screenshots != "") {
		return errors.New("with IPv6 the lab holds no crowd, takes no pictures and splits nothing: leave that out, or IPv6")
	}
	if o.Program == "" {
		if o.Program, err = os.Executable(); err != nil {
			return fmt.Errorf("find the own programme: %w", err)
		}
	}
	if o.NFS == outcome.Ganesha {
		if _, err := ganesha.Find(); err != nil {
			return err
		}
	}
	if o.Screenshots != "" {
		if !visited(o.Fault) {
			return fmt.Errorf("take pictures while the scenario is %v: choose one in which nfs-02 takes over once, such as kill or link", o.Fault)
		}
		if _, err := visitor.Find(); err != nil {
			return err
		}
	}
	if err := o.check(); err != nil {
		return err
	}
	o.Config, err = o.configured()
	return err
}

// run is one run of the lab.
type run struct {
	*reporter
	opts   Options
	limits limits
	site   *site.Site
	load   *workload.Load
	cables *site.Cables
	mirror *site.Mirror
	throng *site.Throng // nil: there is none
	used   site.Use     // by the director before the fault
	m      outcome.Measured
	turns  []witness.Turn
	first  uint64 // epoch of the director before the first fault
	epoch  uint64 // of the director, as far as the run has followed it
}

// whole is the run from the first to the last line.
func (r *run) whole(ctx context.Context) (result outcome.Result, err error) {
	swept, err := site.Sweep()
	if err != nil {
		return result, err
	}
	if swept > 0 {
		r.line("cleaned up after an earlier run that was killed")
	}
	if r.site, err = site.Build(ctx, r.opts.site()); err != nil {
		return result, fmt.Errorf("build the lab: %w", err)
	}
	defer func() { err = errors.Join(err, r.site.Close()) }()
	if err := r.describe(ctx); err != nil {
		return result, err
	}
	if err := r.experiment(ctx); err != nil {
		return result, err
	}
	result = r.m.Result()
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
	st, err := r.site.Control.Status(ctx)
	if err != nil {
		return fmt.Errorf("ask the director: %w", err)
	}
	d, err := site.DirectorOf(st)
	if err != nil {
		return err
	}
	r.first, r.epoch, r.m.Attached = d.Epoch, d.Epoch, site.Attached(st)
	r.line("client %v, director %v, virtual IP %v", r.site.At(site.ClientSpec.Addr.Addr()), r.site.At(site.DirectorSpec.Addr.Addr()), r.site.VIP())
	for _, h := range r.site.Servers {
		r.line("%s %v, %v NFS server on one shared directory", h.Name, h.Addr.Addr(), r.opts.NFS)
	}
	if r.site.Visitor != nil {
		r.line("the note's walk-through was followed in a browser, from an empty configuration, in %s", seconds(r.site.WalkTime))
	}
	r.line("the director forwards %v to %s (XDP %s)", r.site.VIP(), d.Applied, r.m.Attached)
	for _, e := range r.opts.edits() {
		r.line("%s: %s", e.why, e.to)
	}
	return nil
}

// experiment mounts the virtual IP, works, breaks the service, works on, and
// verifies. All the while the servers' cables are watched.
func (r *run) experiment(ctx context.Context) (err error) {
	if r.cables, err = r.site.WatchCables(ctx); err != nil {
		return err
	}
	defer r.cables.End() // of a run that failed
	if r.opts.Crowd > 0 {
		if err := r.gatherCrowd(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.throng.Close()) }()
	}
	if r.load, err = r.site.Load(ctx, r.site.VIP()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.load.Close()) }()
	if r.opts.Split {
		if r.mirror, err = r.site.StartMirror(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.mirror.Close()) }()
		r.line("some of the clients' data goes to both servers, on purpose")
	}
	r.line("the client has mounted %v: %d workers and an idle connection", r.site.VIP(), workload.Workers)
	r.m.Begun = clock.Now()
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
	if err := r.work(ctx, r.m.Begun); err != nil {
		return err
	}
	did := r.load.Between(r.m.Begun, clock.Now())
	r.line("%d operations, %s so far", did.Operations, outcome.Mebibytes(did.Bytes))
	var err error
	if r.used, err = site.UsedBy(r.site.Daemon.PID()); err != nil {
		return err
	}
	end := func() error { return nil }
	if r.site.Visitor != nil {
		end = r.beginVisit(ctx)
	}
	err = scripts[r.opts.Fault](r, ctx)
	if errors.Is(err, errStuck) {
		err = nil // the verdict finds out what is missing
	}
	return errors.Join(err, end())
}

// work waits until the required work was done since an instant.
func (r *run) work(ctx context.Context, since clock.Instant) error {
	return r.until(ctx, func() bool { return r.load.Between(since, clock.Now()).Reaches(outcome.Required) })
}

// goOn waits until every worker goes on since an instant and has done the
// required work, and tells about it.
func (r *run) goOn(ctx context.Context, since clock.Instant) error {
	if err := r.resumed(ctx, since); err != nil {
		return err
	}
	if err := r.work(ctx, since); err != nil {
		return err
	}
	did := r.load.Between(since, clock.Now())
	r.line("%d operations, %s since then", did.Operations, outcome.Mebibytes(did.Bytes))
	return nil
}

// resumed waits until every worker goes on since an instant, and tells about it.
func (r *run) resumed(ctx context.Context, since clock.Instant) error {
	r.m.Resumed = since
	if err := r.until(ctx, func() bool { return r.load.Resumed(since) != 0 }); err != nil {
		return err
	}
	if at := r.load.Resumed(since); at != 0 {
		r.lineAt(at, outcome.Plain, "all %d workers go on, %s later", workload.Workers, outcome.Show(outcome.InMillis(at.Since(since))))
	}
	return nil
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

// conclude verifies every file and collects what was seen.
func (r *run) conclude(ctx context.Context) error {
	r.m.Ended = clock.Now() // what the verification does is no longer measured
	packets, drops, err := r.cables.End()
	if err != nil {
		return err
	}
	st, err := r.site.Status(ctx)
	if err != nil {
		return err
	}
	r.m.Switches = int(st.Epoch - r.first)
	if sw := st.LastSwitch; sw != nil && sw.Epoch == r.epoch+1 { // one that nobody waited for
		r.follow(outcome.Turn{Done: r.m.Injected, Limit: r.limits.checked}, sw)
	}
	r.m.Witness, r.m.Drops = witness.Judge(packets, site.Names(), 0, r.turns), drops
	r.m.Errors = r.load.Errors()
	r.m.Idle = r.load.IdleEnds()
	r.m.Clients = r.load.Seen()
	if len(r.m.Errors) == 0 {
		r.line("verifying every file, over NFS and in the shared directory")
		ctx, cancel := context.WithTimeout(ctx, workTime)
		defer cancel()
		if err := r.load.Verify(ctx, r.site.Share()); err != nil {
			r.m.Errors = append(r.m.Errors, err)
		}
	}
	r.m.Totals = r.load.Totals()
	return ctx.Err()
}

// print prints the result.
func (r *run) print(x outcome.Result) error {
	if !r.quiet {
		x.Print(r.out, r.paint)
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
	fmt.Fprintf(r.out, "    %s status --socket %s\n", r.opts.Program, r.site.Socket())
	fmt.Fprintf(r.out, "    nsenter --net=%s\n", r.site.Client.Path())
	fmt.Fprintf(r.out, "    nsenter --net=%s\n", r.site.Director.Path())
	fmt.Fprintf(r.out, "    ls %s\n", r.site.Dir())
}
