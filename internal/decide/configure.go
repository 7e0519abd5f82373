package decide

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/flow"
	"fairlead/internal/health"
	"fairlead/internal/model"
)

// configure takes a new configuration. What did not change keeps its state.
func (s *State) configure(e Configured) []Action {
	old := *s
	at := e.When()
	s.config, s.rules = e.Config, flow.Compile(e.Config)
	s.ways = waysOf(s.rules)
	s.directors = make([]director, 0, len(e.Config.Directors))
	s.absent = maps.Clone(old.absent)
	if s.absent == nil {
		s.absent = map[string]model.Remembered{}
	}
	var actions []Action
	if !old.configured {
		s.recall(e)
	}
	for _, d := range old.directors {
		s.absent[d.Name] = d.remembered().Remembered
		if !slices.ContainsFunc(e.Config.Directors, func(c model.Director) bool { return c.Name == d.Name }) {
			actions = append(actions, d.refuse("the configuration no longer has the director "+d.Name)...)
		}
	}
	for _, cfg := range e.Config.Directors {
		d, told := newDirector(cfg, s.ways, old.director(cfg.Name), at)
		actions = append(actions, told...)
		was, known := s.absent[cfg.Name]
		d.resume(was)
		switch {
		case old.configured && known && old.director(cfg.Name) == nil: // it returns, and goes on where it was
			actions = append(actions, s.adopt(&d, Configured{At: e.At, Memory: model.Memory{Directors: []model.Remembered{was}}})...)
		case old.configured:
			actions = append(actions, s.rebalance(&d, old.director(cfg.Name), at)...)
		default:
			actions = append(actions, s.adopt(&d, e)...)
		}
		delete(s.absent, cfg.Name)
		s.directors = append(s.directors, d)
	}
	s.configured = true
	s.net = s.net.Only(s.claims, func(a netip.Addr) bool { return serves(e.Config, a) })
	return actions
}

func serves(cfg model.Config, a netip.Addr) bool {
	return slices.ContainsFunc(cfg.Directors, func(d model.Director) bool {
		return slices.ContainsFunc(d.Servers, func(s model.Server) bool { return s.Addr == a })
	})
}

// newDirector is a director of the configuration, with the state that it had.
// A switch under way goes on while its target is the same server.
func newDirector(cfg model.Director, w ways, old *director, at time.Time) (director, []Action) {
	d := director{Director: cfg}
	if old != nil {
		d = *old
		d.Director, d.servers = cfg, nil
	}
	for _, c := range cfg.Servers {
		n := server{Server: c, tests: cfg.Check.For(c)}
		n.via = viaTests(w, cfg, n.Addr, n.tests)
		n.health = health.New(n.asks(), at)
		if old != nil {
			if was := old.server(c.Name); was != nil && sameQuestion(old, *was, cfg, n) {
				n.health = was.health
			}
			if was := old.server(c.Name); was != nil && was.Addr == c.Addr && old.Sync.Measuring() == cfg.Sync.Measuring() {
				n.copy = was.copy
			}
		}
		d.servers = append(d.servers, n)
	}
	if d.turn.to.Name == "" {
		return d, nil
	}
	to := d.server(d.turn.to.Name)
	if to == nil || to.Addr != d.turn.to.Addr {
		return d, d.abandon(at, "the configuration no longer has "+d.turn.to.Name+" as it was")
	}
	d.turn.to = to.Server
	return d, nil
}

// sameQuestion tells whether checks ask the same of a server, at the same place.
// While they do, it keeps its health over a reload.
func sameQuestion(old *director, was server, cfg model.Director, now server) bool {
	if was.Addr != now.Addr || was.asks() != now.asks() {
		return false
	}
	return !now.asks() || old.Check.Source == cfg.Check.Source && slices.Equal(was.tests, now.tests)
}

// asks tells whether checks decide over the server. Without a port there may be
// nothing to ask.
func (s server) asks() bool { return s.Check && len(s.tests) > 0 }
