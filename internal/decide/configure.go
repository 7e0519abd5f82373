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
		d, told := newDirector(cfg, old.director(cfg.Name), at)
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
func newDirector(cfg model.Director, old *director, at time.Time) (director, []Action) {
	d := director{Director: cfg}
	if old != nil {
		d = *old
		d.Director, d.servers = cfg, nil
	}
	for _, c := range cfg.Servers {
		n := server{Server: c, health: health.New(checked(cfg, c), at)}
		if old != nil {
			if was := old.server(c.Name); was != nil && asked(old.Director, was.Server) == asked(cfg, c) {
				n.health = was.health
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

// question is what a check asks, of whom. While it stays the same a server
// keeps its health over a reload.
type question struct {
	addr   netip.AddrPort
	source netip.Addr
	kind   model.CheckKind
	check  bool
}

func asked(d model.Director, s model.Server) question {
	if !checked(d, s) {
		return question{addr: netip.AddrPortFrom(s.Addr, 0)}
	}
	return question{netip.AddrPortFrom(s.Addr, d.Check.CheckPort(s)), d.Check.Source, d.Check.Kind, true}
}

// checked tells whether checks decide over the server. Without a port there is
// nothing to ask.
func checked(d model.Director, s model.Server) bool {
	return s.Check && d.Check.CheckPort(s) != 0
}
