package decide

import (
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/model"
)

// Desired is everything that the kernel should hold. No rule acts on the
// director's own addresses, and a virtual IP that is one of them is left out: claiming
// it could lock its owner out.
func (s State) Desired() model.Desired {
	want := model.Desired{Rules: s.rules, Timeouts: s.config.LVS.Timeouts}
	want.Rules.Ifaces = slices.Clone(s.rules.Ifaces)
	if s.rules.Everywhere {
		want.Rules.Ifaces = append(want.Rules.Ifaces, s.net.Ethernet()...)
	}
	for i := range s.directors {
		d := &s.directors[i]
		iface, ok := s.iface(d)
		if ok {
			want.Rules.Ifaces = append(want.Rules.Ifaces, iface)
		}
		want.Directors = append(want.Directors, s.desired(d))
	}
	slices.Sort(want.Rules.Ifaces)
	want.Rules.Ifaces = slices.Compact(want.Rules.Ifaces)
	want.Rules.Own = s.net.Own()
	want.Rules.VIPs = nil
	for _, v := range s.rules.VIPs {
		if _, own := s.net.Owner(v.Addr); own {
			continue
		}
		v.Announce = s.net.Taken(v.Addr)
		want.Rules.VIPs = append(want.Rules.VIPs, v)
	}
	return want
}

func (s State) desired(d *director) model.DesiredDirector {
	iface := s.way(d)
	l, _ := s.net.Link(iface)
	want := model.DesiredDirector{
		Name:   d.Name,
		Active: d.choice.active,
		Addr:   d.choice.addr,
		Source: l.MAC,
		Epoch:  d.choice.epoch,
		Reason: d.choice.reason,
		Since:  unixNano(d.choice.since),
		Silent: s.silent(),
		Hold:   d.turn.step != model.StepNone,
		Watch:  d.watched(),
		Keep:   d.watched() && d.ServesNFS(), // whose clients wait for seconds when they are refused
		Reject: d.OnNoServer == model.NoServerReject && d.serverless(),
		Mode:   d.Mode,

		Balanced:  d.Balanced(),
		Scheduler: d.Scheduler,

		Persistence: d.Persistence,
	}
	for _, srv := range d.servers {
		to := s.reach(d, srv, iface)
		share := model.DesiredServer{Name: srv.Name, MAC: to.MAC, Epoch: srv.share.epoch}
		if d.Mode == model.ModeTunnel {
			share.Addr, share.Source, share.MTU = srv.Addr, to.Source, to.MTU
		}
		if srv.share.in {
			share.Weight = srv.Weight
		}
		share.Keeps = s.keepsTemplates(srv)
		want.Servers = append(want.Servers, share)
		if srv.Name == d.choice.active {
			want.MAC = to.MAC
		}
	}
	return want
}

// reach is how packets get to a server of a director. Only a tunnel leads past a
// router, and it needs to know more.
func (s State) reach(d *director, srv server, iface string) model.Neighbour {
	if d.Mode != model.ModeTunnel {
		return model.Neighbour{MAC: s.net.MAC(srv.Addr, iface)}
	}
	if to := s.net.Neighbour(srv.Addr, iface); to.Source.Is4() && to.MTU > 0 {
		return to
	}
	return model.Neighbour{}
}

// keepsTemplates tells whether the templates of a quiescent server still lead new
// connections to it. One that an operator drains gets none at all.
func (s State) keepsTemplates(srv server) bool {
	return srv.share.had && srv.Weight == 0 && srv.mark == model.MarkNone && !srv.health.Failed() && !s.config.LVS.ExpireQuiescentTemplate
}

// serverless tells whether no server is up: also the active one, with which the
// director stays for want of another, is down. During a switch that means nothing:
// the director is on hold.
func (d *director) serverless() bool {
	now := d.active()
	return !slices.ContainsFunc(d.servers, func(s server) bool {
		return s.usable() || s.candidate() && s.health.Level == model.HealthUnknown || now != nil && s.Name == now.Name && s.health.Level != model.HealthDown
	})
}

// watched tells whether hints from the traffic lead anywhere: a probe can tell
// whether the active server is gone, and another one may take its place.
func (d *director) watched() bool {
	return d.turn.step == model.StepNone && slices.ContainsFunc(d.servers, func(s server) bool {
		return d.serving(s.Name) != nil && s.health.Level != model.HealthUnchecked &&
			slices.ContainsFunc(d.servers, func(o server) bool { return o.Name != s.Name && o.candidate() })
	})
}

// unixNano is the Unix time in ns, 0 for the zero time.
func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// Announcement is a virtual IP to announce, and where.
type Announcement struct {
	Addr  netip.Addr
	Iface string
	MAC   model.MAC // of the interface
}

// Announcements are the virtual IPs that are or may become announced: not the
// director's own addresses, and only where the interface is there.
func (s State) Announcements() []Announcement {
	var all []Announcement
	for _, v := range s.rules.VIPs {
		if _, own := s.net.Owner(v.Addr); own {
			continue
		}
		d := s.director(s.ways.owners[v.Addr].Director)
		if d == nil {
			continue
		}
		iface, _ := s.iface(d)
		if l, ok := s.net.Link(iface); ok {
			all = append(all, Announcement{Addr: v.Addr, Iface: l.Name, MAC: l.MAC})
		}
	}
	return all
}

// vip is the state of a virtual IP's announcement.
func (s State) vip(a netip.Addr) model.VIPStatus {
	if iface, own := s.net.Owner(a); own {
		return model.VIPStatus{Addr: a, State: model.VIPNotApplied,
			Why: a.String() + " is an address of this machine, on " + iface}
	}
	if v, ok := s.net.VIP(a); ok {
		return v
	}
	return model.VIPStatus{Addr: a, State: model.VIPNotApplied, Why: "its announcement has not begun"}
}
