package decide

import (
	"time"

	"fairlead/internal/health"
	"fairlead/internal/model"
)

// A client that is kept waiting is let go after the timeout of the check, but
// not later than its own patience, and the confirmation.
const (
	patienceMost = 3 * time.Second
	patienceMore = time.Second
)

// probed takes the result of a probe. One that is not newer than the last is
// old or came twice; it is not counted.
func (s *State) probed(e Probed) []Action {
	r := e.Result
	d := s.director(r.Ref.Director)
	if d == nil {
		return nil
	}
	srv := d.server(r.Ref.Server)
	if srv == nil || !r.At.After(srv.health.Heard) || !r.OK && s.severed(d, srv.Addr) {
		return nil
	}
	if srv.health.Level == model.HealthUnchecked {
		if d.active() == srv {
			srv.health.Advise(r)
		}
		return s.verified(d, r, e.When())
	}
	was, calm := srv.health, srv.health.Doubt().IsZero()
	srv.health.Count(r, d.Check)
	var actions []Action
	if srv.health.Level != was.Level {
		told := d.tell(e.When(), model.EventHealth, srv.Name, "%s is %s", srv.Name, srv.health.Text())
		told.Event.Err = srv.health.Why
		actions = append(actions, told)
	}
	now := d.active()
	switch {
	case (now == srv || srv.share.in) && calm && !srv.health.Doubt().IsZero():
		d.doubt(srv, e.When())
	case now != nil && now != srv && !d.gone.IsZero() && srv.health.Passes == 1:
		now.health.Ask(e.When(), false) // if it answers too, nothing happened
	case d.Balanced() && srv.health.Passes == 1:
		d.askAgain(srv, e.When())
	}
	return append(actions, s.verified(d, r, e.When())...)
}

// doubt asks the other servers at once whether they answer: when none does, the
// fault is probably the director's own.
func (d *director) doubt(in *server, at time.Time) {
	for i := range d.servers {
		srv := &d.servers[i]
		if srv != in && srv.candidate() && srv.health.Level != model.HealthUnchecked {
			srv.health.Ask(at, false)
		}
	}
}

// suspected takes a hint that a server is gone. It counts only where a probe
// can tell, and only of the active server; a client that waits for another one
// is let go.
func (s *State) suspected(e Suspected) []Action {
	d := s.director(e.Ref.Director)
	let := []Action{Release{Director: e.Ref.Director}}
	if !e.Held {
		let = nil
	}
	if d == nil {
		return let
	}
	now := d.serving(e.Ref.Server)
	switch {
	case d.turn.step != model.StepNone:
		return nil // the end of the switch lets it go
	case now == nil || now.health.Level == model.HealthUnchecked || s.severed(d, now.Addr):
		return let
	}
	if e.Held && d.held.IsZero() {
		d.held, d.heldFor = e.When(), now.Name
	}
	if now.health.Level == model.HealthDown {
		return nil
	}
	return d.suspect(now, e.When(), e.Why, e.Held)
}

// serving is the server of that name, if it gets connections; else nil.
func (d *director) serving(name string) *server {
	if srv := d.server(name); srv != nil && (d.active() == srv || srv.share.in) {
		return srv
	}
	return nil
}

func (d *director) suspect(now *server, at time.Time, why string, waiting bool) []Action {
	calm := now.health.Doubt().IsZero()
	first := now.health.Suspect(at, waiting)
	if calm {
		d.doubt(now, at)
	}
	if !first {
		return nil
	}
	return []Action{d.tell(at, model.EventSuspect, now.Name, "%s is suspected: %s", now.Name, why)}
}

// unresolved takes a neighbour entry that failed as a hint that the server is
// gone.
func (s *State) unresolved(e Neighbours) []Action {
	if !e.Neighbour.Failed {
		return nil
	}
	var actions []Action
	for i := range s.directors {
		d := &s.directors[i]
		for _, srv := range d.servers {
			if d.serving(srv.Name) != nil && srv.Addr == e.Neighbour.Addr && s.way(d) == e.Neighbour.Iface {
				actions = append(actions, s.suspected(Suspected{At: e.At, Ref: d.ref(srv.Name),
					Why: "the neighbour entry of " + srv.Name + " failed: it does not answer ARP"})...)
			}
		}
	}
	return actions
}

// releases let the clients go that need not wait any longer: the active server
// answered after they came, or nobody can tell whether it will, or it is down
// and nobody takes its place, or their time is over.
func (s *State) releases(at time.Time) []Action {
	var actions []Action
	for i := range s.directors {
		d := &s.directors[i]
		if d.held.IsZero() || d.turn.step != model.StepNone {
			continue
		}
		now := d.serving(d.heldFor)
		if now == nil || now.health.Level == model.HealthUnchecked || now.health.AnsweredAfter(d.held.Add(health.Settle)) ||
			now.health.Level == model.HealthDown && !d.waiting || !at.Before(d.release()) {
			d.held = time.Time{}
			actions = append(actions, Release{Director: d.Name})
		}
	}
	return actions
}

// release is when the clients that wait are let go at the latest; zero: none
// waits, or for the end of a switch.
func (d *director) release() time.Time {
	if d.held.IsZero() || d.turn.step != model.StepNone {
		return time.Time{}
	}
	return d.held.Add(min(health.Timeout(d.Check), patienceMost) + patienceMore)
}
