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
	started bool
	reasons map[model.Reason]bool // that were seen
}

// view is the choice of a director as the kernel would hold it.
type view struct {
	active string
	server model.Server // the active one, as the configuration had it
	epoch  uint64
	reason model.Reason
	since  time.Time
}

// record is what a server's results say, worked out anew from all of them.
type record struct {
	asked   [4]any // address, port, source, whether it is checked
	results []result
	heard   time.Time
	ask     time.Time // when the next confirmation is due
}

type result struct {
	at         time.Time
	ok         bool
	rise, fall int // in force then
}

func newWitness() *witness {
	return &witness{links: map[string]model.Link{}, servers: map[model.ServerRef]*record{}, views: map[string]view{},
		epochs: map[string]uint64{}, reasons: map[model.Reason]bool{}}
}

// kernel is what a new daemon would find.
func (w *witness) kernel() map[string]model.Adopted {
	found := map[string]model.Adopted{}
	for name, v := range w.views {
		found[name] = model.Adopted{Active: v.active, Epoch: v.epoch, Reason: v.reason, Since: v.since}
	}
	return found
}

// restart forgets what a daemon knows and the kernel does not.
func (w *witness) restart() {
	w.servers = map[model.ServerRef]*record{}
	w.links = map[string]model.Link{}
	w.epochs = map[string]uint64{}
	w.started = false
	for name, v := range w.views {
		w.epochs[name] = v.epoch
	}
}

func (r *record) health() model.Health {
	if r.asked[3] == false {
		return model.HealthUnchecked
	}
	h, passes, failures := model.HealthUnknown, 0, 0
	for _, x := range r.results {
		if x.ok {
			passes, failures = passes+1, 0
		} else {
			passes, failures = 0, failures+1
		}
		switch {
		case x.ok && (h != model.HealthDown || passes >= x.rise):
			h = model.HealthUp
		case !x.ok && failures >= x.fall:
			h = model.HealthDown
		}
	}
	return h
}

// failing is the first of the failures in a row that are the latest results.
func (r *record) failing() time.Time {
	var first time.Time
	for i := len(r.results) - 1; i >= 0 && !r.results[i].ok; i-- {
		first = r.results[i].at
	}
	return first
}

func (w *witness) health(d model.Director, s model.Server) model.Health {
	return w.servers[model.ServerRef{Director: d.Name, Server: s.Name}].health()
}

func (w *witness) usable(d model.Director, s model.Server) bool {
	h := w.health(d, s)
	return s.Weight > 0 && (h == model.HealthUp || h == model.HealthUnchecked)
}

// rank sorts the servers of a director from the most to the least preferred.
func rank(servers []model.Server) []model.Server {
	servers = slices.Clone(servers)
	slices.SortStableFunc(servers, func(a, b model.Server) int {
		switch {
		case a.Sorry != b.Sorry && b.Sorry:
			return -1
		case a.Sorry != b.Sorry:
			return 1
		case a.Sorry:
			return 0
		}
		return b.Weight - a.Weight
	})
	return servers
}

// see takes an event, and the state before it, before it is judged what came of it.
func (w *witness) see(s State, e Event) {
	switch e := e.(type) {
	case Configured:
		w.configured(e)
	case Probed:
		w.probed(s, e.Result)
	case Linked:
		w.links[e.Link.Name] = e.Link
		if e.Gone {
			delete(w.links, e.Link.Name)
		}
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
	w.config = e.Config
	was := w.servers
	w.servers = map[model.ServerRef]*record{}
	for _, d := range e.Config.Directors {
		for _, s := range d.Servers {
			ref := model.ServerRef{Director: d.Name, Server: s.Name}
			asked := [4]any{s.Addr, d.Check.Port, d.Check.Source, s.Check}
			if !s.Check {
				asked = [4]any{s.Addr, 0, 0, false}
			}
			if r := was[ref]; r != nil && r.asked == asked {
				w.servers[ref] = r
				continue
			}
			w.servers[ref] = &record{asked: asked, heard: e.At.At}
		}
	}
}

func (w *witness) probed(s State, p model.ProbeResult) {
	r := w.servers[p.Ref]
	if r == nil || !p.At.After(r.heard) || r.asked[3] == false || !p.OK && w.severed(s, p.Ref) {
		return
	}
	d, _ := w.directorOf(p.Ref.Director)
	r.heard = p.At
	r.results = append(r.results, result{p.At, p.OK, d.Check.Rise, d.Check.Fall})
	r.ask = time.Time{}
	if !p.OK && r.health() != model.HealthDown {
		r.ask = p.At.Add(50 * time.Millisecond)
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
	reloaded := false
	if _, ok := e.(Configured); ok {
		reloaded = w.started
		w.started = true
	}
	if err := w.confirmations(s, e.When(), only[ProbeNow](actions)); err != nil {
		return err
	}
	if err := w.reply(e, actions); err != nil {
		return err
	}
	views := map[string]view{}
	for i, cfg := range w.config.Directors {
		d := s.directors[i]
		after := view{d.choice.active, model.Server{}, d.choice.epoch, d.choice.reason, d.choice.since}
		after.server, _ = cfg.Server(after.active)
		switches := switchesOf(actions, cfg.Name)
		if err := w.director(cfg, after, switches, e, reloaded); err != nil {
			return fmt.Errorf("director %s: %w", cfg.Name, err)
		}
		for i, srv := range cfg.Servers {
			if got, want := d.servers[i].health, w.health(cfg, srv); got != want {
				return fmt.Errorf("health of %s/%s is %v, want %v", cfg.Name, srv.Name, got, want)
			}
		}
		views[cfg.Name] = after
		w.reasons[d.choice.reason] = true
		if d.choice.adopted {
			w.reasons[model.ReasonAdopted] = true
		}
	}
	for name, v := range w.views {
		w.epochs[name] = max(w.epochs[name], v.epoch)
	}
	w.views = views
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

// confirmations: each is asked once, when it is due, and the deadline is that
// of the next.
func (w *witness) confirmations(s State, at time.Time, got []ProbeNow) error {
	var next time.Time
	asked := 0
	for _, d := range w.config.Directors {
		for _, srv := range d.Servers {
			ref := model.ServerRef{Director: d.Name, Server: srv.Name}
			r := w.servers[ref]
			switch {
			case r.ask.IsZero():
			case r.ask.After(at):
				if next.IsZero() || r.ask.Before(next) {
					next = r.ask
				}
			default:
				r.ask = time.Time{}
				asked++
				if !slices.Contains(got, ProbeNow{ref, min(d.Check.Timeout, time.Second)}) {
					return fmt.Errorf("no confirmation of %v was asked, only %v", ref, got)
				}
			}
		}
	}
	if len(got) != asked {
		return fmt.Errorf("%d confirmations were asked, want %d: %v", len(got), asked, got)
	}
	if s.Deadline() != next {
		return fmt.Errorf("deadline %v, want %v", s.Deadline(), next)
	}
	return nil
}

// reply: an order is answered once, and carried out exactly when it can be.
func (w *witness) reply(e Event, actions []Action) error {
	replies := only[Reply](actions)
	o, ok := e.(Ordered)
	if !ok {
		if len(replies) > 0 {
			return fmt.Errorf("reply %v without an order", replies)
		}
		return nil
	}
	if len(replies) != 1 || replies[0].ID != o.ID {
		return fmt.Errorf("replies %v, want one with ID %d", replies, o.ID)
	}
	d, _ := w.directorOf(o.Ref.Director)
	srv, known := d.Server(o.Ref.Server)
	can := known && w.usable(d, srv) && w.views[d.Name].active != srv.Name
	if can != (replies[0].Err == "") {
		return fmt.Errorf("order %v possible: %v, but the reply is %q", o.Ref, can, replies[0].Err)
	}
	if can != (len(only[Switched](actions)) == 1) {
		return fmt.Errorf("order %v possible: %v, but the actions are %v", o.Ref, can, actions)
	}
	return nil
}
