package decide

import (
	"net/netip"
	"time"

	"fairlead/internal/model"
)

// Step returns the state after an event and what must be done once because of
// it. The same state and event always give the same answer.
func Step(before State, e Event) (State, []Action) {
	s := before.clone()
	at := e.When()
	actions := s.weigh(at) // an order must not find what time has changed
	taken, reloaded := s.take(e)
	actions = append(append(actions, taken...), s.weigh(at)...)
	for i := range s.directors {
		d := &s.directors[i]
		switch {
		case d.Balanced():
			actions = append(actions, s.balance(d, at)...)
		case d.turn.step != model.StepNone:
			actions = append(actions, s.turning(d, at)...)
		case d.again.IsZero():
			actions = append(actions, s.judged(d, at, reloaded)...)
		}
	}
	actions = append(actions, s.weigh(at)...)
	actions = append(actions, s.asks(at)...)
	return s, append(actions, s.releases(at)...)
}

// take takes up an event; reloaded says that the configuration changed.
func (s *State) take(e Event) (actions []Action, reloaded bool) {
	switch e := e.(type) {
	case Configured:
		reloaded = s.configured
		actions = s.configure(e)
	case Probed:
		actions = s.probed(e)
	case Suspected:
		actions = s.suspected(e)
	case Measured:
		s.measured(e.Result)
	case Linked:
		s.net = s.net.Linked(e.Link, e.Gone)
		s.net = s.net.Only(s.visible, func(netip.Addr) bool { return true })
	case Neighbours:
		s.net = s.net.Resolved(e.Neighbour)
		actions = s.unresolved(e)
	case VIPSeen:
		if s.visible(e.VIP.Addr) {
			s.net = s.net.Seen(e.VIP)
		}
	case Ordered:
		actions = s.order(e)
	case HookEnded:
		actions = s.hookEnded(e)
	case Ticked:
	}
	return actions, reloaded
}

// judged judges a director and carries the verdict out.
func (s *State) judged(d *director, at time.Time, reloaded bool) []Action {
	v := d.judge(at, reloaded)
	d.waiting, d.until = v.waiting, v.until
	if v.move {
		actions := s.begin(d, v, at)
		d.again = time.Time{}
		return actions
	}
	old := d.stay
	d.stay = v.stay
	if v.stay.kind == stayNone || v.stay.kind == old.kind && v.stay.to == old.to {
		return nil
	}
	return []Action{d.tell(at, model.EventStay, d.choice.active, "%s", d.stayText(d.stay))}
}

// asks are the probes out of turn that are due.
func (s *State) asks(at time.Time) []Action {
	var all []Action
	for _, d := range s.directors {
		for i := range d.servers {
			srv := &d.servers[i]
			if timeout, due := srv.health.Due(at, d.Check); due {
				all = append(all, ProbeNow{Ref: d.ref(srv.Name), Timeout: timeout})
			}
		}
	}
	return all
}

// Deadline is when Step wants a Ticked event; zero: never.
func (s State) Deadline() time.Time {
	var first time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	for i := range s.directors {
		d := &s.directors[i]
		sooner(d.turn.deadline(d))
		sooner(d.release())
		sooner(d.until)
		sooner(d.again)
		for _, srv := range d.servers {
			sooner(srv.health.Deadline())
			sooner(srv.share.until)
		}
	}
	return first
}

// silent tells whether old connections are met with silence instead of a reset.
func (s State) silent() bool { return !s.config.LVS.ExpireNoDestConn }
