package decide

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/flow"
	"fairlead/internal/model"
)

// State is everything that is known and decided. The zero State is that of a
// first start. It is a value: Step returns a new one and leaves its input as it
// was, so what a State refers to is never written again.
type State struct {
	configured bool
	config     model.Config
	rules      model.RuleSet     // compiled from config
	directors  []director        // in the order of the configuration
	epochs     map[string]uint64 // of directors that the configuration no longer has
	links      []model.Link      // sorted by name
	neighbours []model.Neighbour // sorted by address and interface; resolved ones only
	vips       []sighting        // sorted by address; the virtual IPs that were reported
}

// director is a director's configuration with what was learnt and decided.
type director struct {
	model.Director
	servers []server // parallel to Director.Servers
	choice  choice
}

// server is a real server with its health.
type server struct {
	model.Server
	health model.Health
	since  time.Time // of the health
	why    string    // the error of the last result, "" after a pass

	passes, failures int       // consecutive results
	failing          time.Time // first of the failures
	confirm          time.Time // when to ask for the next confirmation; zero: none is due

	probed   time.Time // the last result that counted
	heard    time.Time // results up to here are old or were of another check
	latency  time.Duration
	advisory string // the last result of an unchecked server while it was active
}

// choice is the active server of a director.
type choice struct {
	active  string     // "": none
	addr    netip.Addr // of the active server when it was chosen
	epoch   uint64
	reason  model.Reason // why it was chosen, even if that was before a restart
	adopted bool         // it was found in the kernel and kept
	since   time.Time    // zero: there never was a choice
	last    model.Switch // the switch that led here; its epoch is 0 when there was none
}

// clone returns a state whose directors and servers may be written.
func (s State) clone() State {
	s.directors = slices.Clone(s.directors)
	for i := range s.directors {
		s.directors[i].servers = slices.Clone(s.directors[i].servers)
	}
	return s
}

// director returns the director of that name, nil when there is none.
func (s State) director(name string) *director {
	for i := range s.directors {
		if s.directors[i].Name == name {
			return &s.directors[i]
		}
	}
	return nil
}

// server returns the server of that name, nil when there is none.
func (d director) server(name string) *server {
	for i := range d.servers {
		if d.servers[i].Name == name {
			return &d.servers[i]
		}
	}
	return nil
}

// active returns the active server, nil when there is none or when the
// configuration no longer has it: the same name with another address is
// another server.
func (d director) active() *server {
	s := d.server(d.choice.active)
	if s == nil || s.Addr != d.choice.addr {
		return nil
	}
	return s
}

// configure returns the state under a new configuration. What did not change
// keeps its state.
func (s State) configure(e Configured) State {
	old := s
	s.config, s.rules = e.Config, flow.Compile(e.Config)
	s.directors = make([]director, 0, len(e.Config.Directors))
	s.epochs = maps.Clone(old.epochs)
	if s.epochs == nil {
		s.epochs = map[string]uint64{}
	}
	for _, d := range old.directors {
		s.epochs[d.Name] = d.choice.epoch
	}
	if !old.configured {
		for name, a := range e.Adopted {
			s.epochs[name] = a.Epoch
		}
	}
	for _, cfg := range e.Config.Directors {
		d := newDirector(cfg, old.director(cfg.Name), e.At.At)
		if a, ok := e.Adopted[cfg.Name]; ok && !old.configured {
			d.adopt(a)
		}
		d.choice.epoch = max(d.choice.epoch, s.epochs[cfg.Name])
		delete(s.epochs, cfg.Name)
		s.directors = append(s.directors, d)
	}
	s.configured = true
	s.neighbours = s.neighboursOf(e.Config)
	s.vips = slices.DeleteFunc(slices.Clone(s.vips), func(v sighting) bool { return !s.claims(v.Addr) })
	return s
}

// newDirector is a director of the configuration, with the state that it had.
func newDirector(cfg model.Director, old *director, at time.Time) director {
	d := director{Director: cfg}
	if old != nil {
		d.choice = old.choice
	}
	for _, c := range cfg.Servers {
		var was *server
		if old != nil {
			was = old.server(c.Name)
		}
		if was != nil && asked(old.Director, was.Server) == asked(cfg, c) {
			kept := *was
			kept.Server = c
			d.servers = append(d.servers, kept)
			continue
		}
		d.servers = append(d.servers, newServer(cfg, c, at))
	}
	return d
}

// adopt takes the choice that was found in the kernel.
func (d *director) adopt(a model.Adopted) {
	d.choice = choice{active: a.Active, epoch: a.Epoch, reason: a.Reason, since: a.Since}
	if a.Active == "" {
		return
	}
	d.choice.adopted = true
	d.choice.addr = a.Addr
	if s := d.server(a.Active); s != nil && !a.Addr.IsValid() {
		d.choice.addr = s.Addr
	}
	d.choice.last = model.Switch{To: a.Active, Reason: a.Reason, Epoch: a.Epoch, At: a.Since,
		Why: "found in the kernel at start"}
}
