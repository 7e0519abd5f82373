package decide

import (
	"fmt"
	"slices"
	"time"

	"fairlead/internal/model"
)

// A witness sees the events and what came of them, keeps its own slow record,
// and says which promise was broken.
type witness struct {
	config  model.Config
	links   map[string]model.Link // what the machine has
	servers map[model.ServerRef]*record
	views   map[string]view   // what was chosen, by director
	epochs  map[string]uint64 // the highest of each director that is not in the configuration
	absent  map[string]view   // what was chosen in those
	holds   map[string]*hold  // switches under way
	calls   map[uint64]RunHook
	waiting map[uint64]bool // orders that were not answered
	clients map[string]client
	gone    map[string]bool // all servers are gone
	started bool
	kernel  map[string]model.Adopted // what the data plane holds
	memory  model.Memory             // what is on disk
	marks   map[model.ServerRef]model.Mark
	ended   map[string]*hold // the last switch of each director that ended
	copies  map[model.ServerRef]*copied
	former  map[string]model.Server // active now, or last
	reached
}

// view is the choice of a director.
type view struct {
	active string
	server model.Server // the active one, as the configuration had it
	epoch  uint64
	reason model.Reason
	since  time.Time
	auto   time.Time    // its last switch by itself
	forced bool         // ordered to a server whose check did not pass
	former model.Server // active, or the last one that was
	step   model.Step
	to     string // of a switch under way
	force  bool   // of it

	balanced bool
	why      model.Reason
}

// client waits for an answer or for a switch.
type client struct {
	server string
	since  time.Time
}

// record is what a server's results say, worked out anew from all of them.
type record struct {
	asked   [4]any // address, port, source, whether it is checked
	results []result
	heard   time.Time
	ask     time.Time // when the next confirmation is due
	extra   time.Time // the last probe that a hint asked for
	silent  time.Time // the first probe out of turn since the last result
	mark    model.Mark
	since   time.Time // of its check
	latest  opinion   // of so many results:
	read    int
}

// result is a probe's outcome, or a hint that the server is gone.
type result struct {
	at, began  time.Time
	ok, hint   bool
	rise, fall int // in force then
}

func newWitness() *witness {
	return &witness{links: map[string]model.Link{}, servers: map[model.ServerRef]*record{}, views: map[string]view{},
		epochs: map[string]uint64{}, absent: map[string]view{}, holds: map[string]*hold{}, calls: map[uint64]RunHook{}, waiting: map[uint64]bool{},
		clients: map[string]client{}, gone: map[string]bool{}, kernel: map[string]model.Adopted{},
		marks: map[model.ServerRef]model.Mark{}, ended: map[string]*hold{}, copies: map[model.ServerRef]*copied{}, reached: nothing()}
}

// opinion is what the results say of a server.
type opinion struct {
	health    model.Health
	failures  int       // in a row
	passes    int       // in a row
	passing   time.Time // first of them
	failing   time.Time // first of the failures
	changed   time.Time // when the health changed
	suspected time.Time
	began     time.Time // of the last probe
	at        time.Time // its result
}

// opinion goes through all results anew when there is a new one.
func (r *record) opinion() opinion {
	if r.read != len(r.results) || r.read == 0 {
		r.read, r.latest = len(r.results), r.review()
	}
	return r.latest
}

func (r *record) review() opinion {
	o := opinion{changed: r.since}
	if r.asked[3] == false {
		o.health = model.HealthUnchecked
		return o
	}
	var hinted, counted time.Time // the last hint, the last failure that counts
	for _, x := range r.results {
		was := o.health
		switch {
		case x.hint:
			hinted = x.began
			if o.suspected.IsZero() {
				o.suspected = x.at
			}
			continue
		case x.ok:
			if o.passes == 0 {
				o.passing = x.at
			}
			o.passes, o.failures, o.failing = o.passes+1, 0, time.Time{}
			if !x.began.Before(hinted) {
				o.suspected = time.Time{}
			}
			if o.health != model.HealthDown || o.passes >= x.rise {
				o.health = model.HealthUp
			}
		case o.failures > 0 && x.began.Before(counted):
			o.passes, o.passing = 0, time.Time{}
		default:
			if o.failures == 0 {
				o.failing = x.at
			}
			counted = x.at
			o.passes, o.failures, o.passing = 0, o.failures+1, time.Time{}
			signs := o.failures
			if !o.suspected.IsZero() {
				signs++
			}
			if signs >= x.fall {
				o.health = model.HealthDown
			}
		}
		o.at, o.began = x.at, x.began
		if o.health != was {
			o.changed = x.at
		}
	}
	return o
}

// failed: down and not on its way back.
func (o opinion) failed() bool { return o.health == model.HealthDown && o.passes == 0 }

func (o opinion) usable() bool {
	return o.health == model.HealthUp || o.health == model.HealthUnchecked
}

// soundSince is when the server began to be usable without a failure.
func (o opinion) soundSince() time.Time { return later(o.changed, o.passing) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (w *witness) record(director, server string) *record {
	return w.servers[model.ServerRef{Director: director, Server: server}]
}

func (w *witness) opinion(director, server string) opinion {
	return w.record(director, server).opinion()
}

// allowed: the server may be chosen, were it well.
func (w *witness) allowed(d model.Director, s model.Server) bool {
	return s.Weight > 0 && w.record(d.Name, s.Name).mark == model.MarkNone
}

func (w *witness) usable(d model.Director, s model.Server) bool {
	return w.allowed(d, s) && w.opinion(d.Name, s.Name).usable()
}

func (w *witness) sound(d model.Director, s model.Server) bool {
	return w.usable(d, s) && w.opinion(d.Name, s.Name).failures == 0
}

// answers: the server is known to have answered since the doubt in another.
func (w *witness) answers(d model.Director, s model.Server, doubt, now time.Time) bool {
	o := w.opinion(d.Name, s.Name)
	r := w.servers[model.ServerRef{Director: d.Name, Server: s.Name}]
	awaited := r != nil && !r.silent.IsZero() && now.Sub(r.silent) > d.Check.Timeout/2
	return w.sound(d, s) && (o.health == model.HealthUnchecked || !o.began.Before(doubt) || !awaited && now.Sub(o.at) <= d.Check.Interval)
}

// see takes an event, and the state before it, before it is judged what came of it.
func (w *witness) see(s State, e Event) {
	w.seeFormer(s)
	w.weigh(e.When())
	switch e := e.(type) {
	case Configured:
		w.configured(e)
	case Measured:
		w.measured(e.Result)
	case Probed:
		w.probed(s, e.Result)
	case Suspected:
		w.suspected(s, e)
	case Neighbours:
		for _, d := range s.directors {
			for _, srv := range d.servers {
				if e.Neighbour.Failed && d.serving(srv.Name) != nil && srv.Addr == e.Neighbour.Addr && s.way(&d) == e.Neighbour.Iface {
					w.suspected(s, Suspected{At: e.At, Ref: d.ref(srv.Name)})
				}
			}
		}
	case Linked:
		w.links[e.Link.Name] = e.Link
		if e.Gone {
			delete(w.links, e.Link.Name)
		}
	case Ordered:
		w.waiting[e.ID] = true
		w.ordered(e)
	case HookEnded:
		w.hookEnded(s, e)
	}
}

// severed tells whether a server's failures say nothing, since the director's
// own interface is down, gone or without an address.
func (w *witness) severed(s State, ref model.ServerRef) bool {
	if len(w.links) == 0 {
		return false
	}
	name, ok := s.iface(s.director(ref.Director))
	if !ok || !w.links[name].Up {
		return ok
	}
	srv := s.director(ref.Director).server(ref.Server)
	for _, l := range w.links {
		for _, p := range l.Addrs {
			if l.Name == name || p.Contains(srv.Addr) {
				return false
			}
		}
	}
	return true
}

func (w *witness) configured(e Configured) {
	w.keepCopies(e.Config)
	w.config = e.Config
	was := w.servers
	w.servers = map[model.ServerRef]*record{}
	for _, m := range e.Memory.Directors {
		for _, mark := range m.Marks {
			w.marks[model.ServerRef{Director: m.Name, Server: mark.Server}] = mark.Mark
		}
	}
	for ref := range w.marks { // of a server that is gone nothing is kept, of a director that is gone everything
		d, ok := w.directorOf(ref.Director)
		if _, has := d.Server(ref.Server); ok && !has {
			delete(w.marks, ref)
		}
	}
	for _, d := range e.Config.Directors {
		for _, s := range d.Servers {
			ref := model.ServerRef{Director: d.Name, Server: s.Name}
			asked := [4]any{s.Addr, d.Check.Port, d.Check.Source, s.Check}
			if !s.Check {
				asked = [4]any{s.Addr, 0, 0, false}
			}
			r := &record{asked: asked, heard: e.At.At, since: e.At.At, mark: w.marks[ref]}
			if old := was[ref]; old != nil && old.asked == asked {
				r = old
			}
			w.servers[ref] = r
		}
	}
}

func (w *witness) probed(s State, p model.ProbeResult) {
	r := w.servers[p.Ref]
	if r == nil || !p.At.After(r.heard) || r.asked[3] == false || !p.OK && w.severed(s, p.Ref) {
		return
	}
	d, _ := w.directorOf(p.Ref.Director)
	was := r.opinion().failures
	r.silent = time.Time{}
	r.heard = p.At
	r.results = append(r.results, result{at: p.At, began: p.At.Add(-p.Latency), ok: p.OK, rise: d.Check.Rise, fall: d.Check.Fall})
	switch o := r.opinion(); {
	case !p.OK && was == o.failures: // it does not count
	case !p.OK && o.health != model.HealthDown:
		r.ask = p.At.Add(50 * time.Millisecond)
	default:
		r.ask = time.Time{}
	}
}

func (w *witness) directorOf(name string) (model.Director, bool) {
	for _, d := range w.config.Directors {
		if d.Name == name {
			return d, true
		}
	}
	return model.Director{}, false
}

// judge returns the first promise that was broken, nil when all were kept.
func (w *witness) judge(s State, e Event, actions []Action) error {
	if len(s.directors) != len(w.config.Directors) {
		return fmt.Errorf("%d directors, want the %d of the configuration", len(s.directors), len(w.config.Directors))
	}
	_, configured := e.(Configured)
	reloaded := configured && w.started
	for _, check := range []func() error{
		func() error { return w.probes(s, e.When(), only[ProbeNow](actions)) },
		func() error { return w.told(only[Told](actions)) },
		func() error { return w.hooks(only[RunHook](actions)) },
		func() error { return w.replies(s, actions) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	w.weigh(e.When())
	views := map[string]view{}
	for i, cfg := range w.config.Directors {
		after, err := w.one(&s.directors[i], cfg, e, reloaded, actions)
		if err != nil {
			return fmt.Errorf("director %s: %w", cfg.Name, err)
		}
		views[cfg.Name] = after
		if got, want := s.desired(&s.directors[i]).Reject, w.rejects(cfg, after.server); got != want {
			return fmt.Errorf("director %s: clients are refused: %t, want %t", cfg.Name, got, want)
		}
	}
	for name, v := range w.views {
		w.epochs[name] = max(w.epochs[name], v.epoch)
		if _, ok := views[name]; !ok {
			if v.auto = (time.Time{}); auto(v.reason) {
				v.auto = v.since
			}
			v.forced, v.force = false, false
			w.absent[name] = v
			delete(w.clients, name)
			delete(w.gone, name)
		}
	}
	w.switched(views)
	w.views, w.started = views, true
	w.weigh(e.When())
	return w.kept(s)
}

// rejects: clients are refused, since all servers that could serve are known to be
// down, the active one too, and somebody asked for it.
func (w *witness) rejects(d model.Director, active model.Server) bool {
	for _, s := range d.Servers {
		health := w.opinion(d.Name, s.Name).health
		if s.Name == active.Name && s.Addr == active.Addr && health != model.HealthDown || w.usable(d, s) || w.allowed(d, s) && health == model.HealthUnknown {
			return false
		}
	}
	return d.OnNoServer == model.NoServerReject
}

// one judges one director.
func (w *witness) one(d *director, cfg model.Director, e Event, reloaded bool, actions []Action) (view, error) {
	before, had := w.views[cfg.Name]
	if !had {
		before = w.absent[cfg.Name]
		delete(w.absent, cfg.Name)
		before.epoch = max(before.epoch, w.epochs[cfg.Name])
		if before.active != "" {
			w.gone[cfg.Name] = true
		}
	}
	if _, known := w.former[cfg.Name]; !known { // it returns, or the daemon does
		if w.former[cfg.Name] = before.former; before.active != "" {
			w.former[cfg.Name] = before.server
		}
	}
	c := d.choice
	after := view{active: c.active, epoch: c.epoch, reason: c.reason, since: c.since, auto: before.auto, forced: before.forced,
		step: d.turn.step, to: d.turn.to.Name, force: d.turn.force, why: d.turn.reason}
	after.server, after.former = model.Server{Name: c.active, Addr: c.addr}, d.former()
	for i, srv := range cfg.Servers {
		if got, want := d.servers[i].health.Level, w.opinion(cfg.Name, srv.Name).health; got != want {
			return after, fmt.Errorf("health of %s is %v, want %v", srv.Name, got, want)
		}
		if err := w.marked(cfg.Name, d.servers[i], e); err != nil {
			return after, err
		}
	}
	switches := switchesOf(actions, cfg.Name)
	if cfg.Balanced() || before.balanced {
		delete(w.holds, cfg.Name) // it has no switches by steps
		after.balanced = cfg.Balanced()
		return after, w.balanced(d, cfg, before, switches, e.When())
	}
	if err := w.director(cfg, before, &after, switches, e, reloaded); err != nil {
		return after, err
	}
	if err := w.released(cfg, before, after, e.When(), actions); err != nil {
		return after, err
	}
	w.steps[after.step] = true
	w.stays[d.stay.kind] = true
	w.reasons[c.reason] = true
	if c.source == fromKernel {
		w.reasons[model.ReasonAdopted] = true
	}
	return after, nil
}

// marked: marks change by order only.
func (w *witness) marked(director string, srv server, e Event) error {
	r := w.record(director, srv.Name)
	o, ok := e.(Ordered)
	ok = ok && o.Ref == model.ServerRef{Director: director, Server: srv.Name} && o.Verb != model.VerbSwitch
	if srv.mark != r.mark && !ok {
		return fmt.Errorf("%s is %v, and was %v", srv.Name, srv.mark, r.mark)
	}
	r.mark, w.marks[model.ServerRef{Director: director, Server: srv.Name}] = srv.mark, srv.mark
	return nil
}

func switchesOf(actions []Action, director string) []model.Switch {
	var all []model.Switch
	for _, a := range actions {
		if sw, ok := a.(Switched); ok && sw.Director == director {
			all = append(all, sw.Switch)
		}
	}
	return all
}

// probes: each confirmation is asked when it is due; hints ask a server at most
// ten times a second; and the deadline is ahead, not after what is due.
func (w *witness) probes(s State, at time.Time, got []ProbeNow) error {
	deadline := s.Deadline()
	if !deadline.IsZero() && !deadline.After(at) {
		return fmt.Errorf("deadline %v is not ahead", deadline)
	}
	for _, d := range w.config.Directors {
		verifying := ""
		if t := s.director(d.Name).turn; t.step == model.StepVerify || w.views[d.Name].step == model.StepVerify {
			verifying = w.views[d.Name].to + t.to.Name
		}
		for _, srv := range d.Servers {
			ref := model.ServerRef{Director: d.Name, Server: srv.Name}
			r := w.servers[ref]
			asked := slices.ContainsFunc(got, func(p ProbeNow) bool { return p.Ref == ref })
			switch {
			case r.ask.After(at) && (deadline.IsZero() || deadline.After(r.ask)):
				return fmt.Errorf("deadline %v, but %v is to be asked at %v", deadline, ref, r.ask)
			case r.ask.After(at) || r.ask.IsZero():
				gap := at.Sub(r.extra)
				if asked && verifying == "" && gap >= 0 && gap < 100*time.Millisecond {
					return fmt.Errorf("%v is asked again after %v", ref, gap)
				}
			case !asked:
				return fmt.Errorf("no confirmation of %v was asked, only %v", ref, got)
			default:
				r.ask = time.Time{}
			}
			if asked && verifying == "" {
				r.extra = at
			}
			if asked && r.silent.IsZero() && srv.Name != w.views[d.Name].to && srv.Name != s.director(d.Name).turn.to.Name {
				r.silent = at
			}
		}
	}
	return nil
}
