package decide

import (
	"cmp"
	"slices"
	"time"

	"fairlead/internal/model"
)

// Step returns the state after an event and what must be done once because of
// it. The same state and event always give the same answer.
func Step(s State, e Event) (State, []Action) {
	s = s.clone()
	var actions []Action
	reloaded := false
	switch e := e.(type) {
	case Configured:
		reloaded = s.configured
		s = s.configure(e)
	case Probed:
		s.probed(e)
	case Linked:
		s.links = linked(s.links, e)
	case Neighbours:
		s.neighbours = resolved(s.neighbours, e.Neighbour)
	case VIPSeen:
		if s.claims(e.VIP.Addr) {
			s.vips = seen(s.vips, e.VIP)
		}
	case Ordered:
		actions = s.order(e)
	case Ticked:
	}
	for i := range s.directors {
		d := &s.directors[i]
		if v := d.judge(reloaded); v.move {
			actions = append(actions, s.move(d, v, e.When()))
		}
	}
	return s, append(actions, s.confirmations(e.When())...)
}

// move carries out a verdict. It is the only place that changes an active server.
func (s State) move(d *director, v verdict, at time.Time) Switched {
	sw := model.Switch{
		From: d.choice.active, To: v.to, Reason: v.reason, Why: v.why,
		Epoch: d.choice.epoch + 1, At: at,
	}
	if was := d.active(); was != nil {
		if v.reason == model.ReasonFailed {
			sw.FirstAttempt = was.failing
		}
		was.advisory = ""
	}
	d.choice = choice{active: v.to, epoch: sw.Epoch, reason: v.reason, since: at, last: sw}
	if to := d.server(v.to); to != nil {
		d.choice.addr = to.Addr
	}
	return Switched{Director: d.Name, Switch: sw, Silent: s.silent()}
}

// silent tells whether old connections are met with silence instead of a reset.
func (s State) silent() bool { return !s.config.LVS.ExpireNoDestConn }

// seen returns the states of virtual IPs with one of them replaced.
func seen(all []model.VIPStatus, v model.VIPStatus) []model.VIPStatus {
	all = slices.Clone(all)
	i, found := slices.BinarySearchFunc(all, v, func(a, b model.VIPStatus) int { return a.Addr.Compare(b.Addr) })
	if found {
		all[i] = v
		return all
	}
	return slices.Insert(all, i, v)
}

// linked returns the interfaces with one of them replaced or gone.
func linked(all []model.Link, e Linked) []model.Link {
	all = slices.DeleteFunc(slices.Clone(all), func(l model.Link) bool { return l.Name == e.Link.Name })
	if e.Gone {
		return all
	}
	i, _ := slices.BinarySearchFunc(all, e.Link, func(a, b model.Link) int { return cmp.Compare(a.Name, b.Name) })
	return slices.Insert(all, i, e.Link)
}

// resolved returns the neighbours with one of them replaced; a lost one is dropped.
func resolved(all []model.Neighbour, n model.Neighbour) []model.Neighbour {
	order := func(a, b model.Neighbour) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Iface, b.Iface))
	}
	all = slices.Clone(all)
	i, found := slices.BinarySearchFunc(all, n, order)
	switch {
	case found && n.MAC.Known():
		all[i] = n
	case found:
		all = slices.Delete(all, i, i+1)
	case n.MAC.Known():
		all = slices.Insert(all, i, n)
	}
	return all
}
