package decide

import (
	"net/netip"
	"time"

	"fairlead/internal/model"
)

// A failure is confirmed by a probe soon after it, not by the next one of the
// schedule. With these figures the worst case from a server's death to the
// decision is
//
//	interval + timeout + (fall-1) × (confirmAfter + min(timeout, confirmTimeout))
const (
	confirmAfter   = 50 * time.Millisecond // from a failure to its confirmation
	confirmTimeout = time.Second           // of a confirmation, at most
)

// The values of a check that says nothing: an unchecked server has none.
const (
	defaultInterval = 10 * time.Second
	defaultTimeout  = 3 * time.Second
)

// advisoryPass is shown of an unchecked server whose last probe passed.
const advisoryPass = "passes"

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

func newServer(d model.Director, s model.Server, at time.Time) server {
	n := server{Server: s, since: at, heard: at}
	if !checked(d, s) {
		n.health = model.HealthUnchecked
	}
	return n
}

// usable tells whether the server may be switched to.
func (s server) usable() bool {
	return s.health == model.HealthUp || s.health == model.HealthUnchecked
}

// probed takes the result of a probe. One that is not newer than the last is
// old or came twice; it is not counted.
func (s State) probed(e Probed) {
	r := e.Result
	d := s.director(r.Ref.Director)
	if d == nil {
		return
	}
	srv := d.server(r.Ref.Server)
	if srv == nil || !r.At.After(srv.heard) {
		return
	}
	if srv.health == model.HealthUnchecked && d.active() != srv {
		return
	}
	if !r.OK && s.severed(d, srv.Addr) {
		return
	}
	srv.heard, srv.probed, srv.latency = r.At, r.At, r.Latency
	switch {
	case srv.health == model.HealthUnchecked && r.OK:
		srv.advisory = advisoryPass
	case srv.health == model.HealthUnchecked:
		srv.advisory = r.Err
	case r.OK:
		srv.pass(r, d.Check)
	default:
		srv.fail(r, d.Check)
	}
}

// pass counts a probe that passed. A server that is down returns after some
// passes in a row, each at its regular time.
func (s *server) pass(r model.ProbeResult, c model.Check) {
	s.passes++
	s.failures, s.failing, s.confirm = 0, time.Time{}, time.Time{}
	if s.health == model.HealthDown && s.passes < c.Rise {
		return
	}
	s.why = ""
	s.become(model.HealthUp, r.At)
}

// fail counts a probe that failed and asks for its confirmation until there
// are enough failures in a row.
func (s *server) fail(r model.ProbeResult, c model.Check) {
	s.passes = 0
	s.why = r.Err
	s.failures++
	if s.failures == 1 {
		s.failing = r.At
	}
	s.confirm = time.Time{}
	switch {
	case s.health == model.HealthDown:
	case s.failures >= c.Fall:
		s.become(model.HealthDown, r.At)
	default:
		s.confirm = r.At.Add(confirmAfter)
	}
}

func (s *server) become(h model.Health, at time.Time) {
	if s.health != h {
		s.health, s.since = h, at
	}
}

// confirmations asks for the confirmations that are due.
func (s State) confirmations(at time.Time) []Action {
	var asks []Action
	for _, d := range s.directors {
		for i := range d.servers {
			srv := &d.servers[i]
			if srv.confirm.IsZero() || srv.confirm.After(at) {
				continue
			}
			srv.confirm = time.Time{}
			asks = append(asks, ProbeNow{
				Ref:     model.ServerRef{Director: d.Name, Server: srv.Name},
				Timeout: min(timeout(d.Check), confirmTimeout),
			})
		}
	}
	return asks
}

// Deadline is when Step wants a Ticked event; zero: never.
func (s State) Deadline() time.Time {
	var first time.Time
	for _, d := range s.directors {
		for _, srv := range d.servers {
			if !srv.confirm.IsZero() && (first.IsZero() || srv.confirm.Before(first)) {
				first = srv.confirm
			}
		}
	}
	return first
}

func interval(c model.Check) time.Duration {
	if c.Interval <= 0 {
		return defaultInterval
	}
	return c.Interval
}

func timeout(c model.Check) time.Duration {
	if c.Timeout <= 0 {
		return defaultTimeout
	}
	return c.Timeout
}

// Target is a server to probe.
type Target struct {
	Ref      model.ServerRef
	Addr     netip.AddrPort
	Source   netip.Addr    // invalid: the kernel's choice
	Interval time.Duration // from the start of one probe to the start of the next
	Timeout  time.Duration
	Advisory bool // the results are shown, they decide nothing
}

// Targets are the servers to probe: those that are checked and, so that people
// see its state, an unchecked one while it is active.
func (s State) Targets() []Target {
	var all []Target
	for _, d := range s.directors {
		for i := range d.servers {
			srv := &d.servers[i]
			unchecked := srv.health == model.HealthUnchecked
			port := d.Check.CheckPort(srv.Server)
			if port == 0 || unchecked && d.active() != srv {
				continue
			}
			all = append(all, Target{
				Ref:      model.ServerRef{Director: d.Name, Server: srv.Name},
				Addr:     netip.AddrPortFrom(srv.Addr, port),
				Source:   d.Check.Source,
				Interval: interval(d.Check),
				Timeout:  timeout(d.Check),
				Advisory: unchecked,
			})
		}
	}
	return all
}
