package decide

import (
	"cmp"
	"net/netip"
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
		s.vips = slices.DeleteFunc(slices.Clone(s.vips), func(v sighting) bool { return !s.visible(v.Addr) })
	case Neighbours:
		s.neighbours = resolved(s.neighbours, e.Neighbour)
	case VIPSeen:
		if s.visible(e.VIP.Addr) {
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

// sighting is the last report of a virtual IP. Once taken, it is answered for
// until it is probed again: a rival that shows up later is an alarm, and one
// forged ARP packet must not silence the service.
type sighting struct {
	model.VIPStatus
	taken bool
}

// seen returns the sightings with one of them replaced.
func seen(all []sighting, v model.VIPStatus) []sighting {
	all = slices.Clone(all)
	i, found := slices.BinarySearchFunc(all, v.Addr, func(s sighting, a netip.Addr) int { return s.Addr.Compare(a) })
	if !found {
		all = slices.Insert(all, i, sighting{})
	}
	taken := v.State == model.VIPAnnounced || v.State == model.VIPConflict && all[i].taken
	all[i] = sighting{VIPStatus: v, taken: taken}
	return all
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
