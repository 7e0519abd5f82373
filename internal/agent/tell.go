package agent

import (
	"maps"
	"net/netip"
	"slices"

	"fairlead/internal/announce"
	"fairlead/internal/decide"
	"fairlead/internal/freshness"
	"fairlead/internal/model"
	"fairlead/internal/netstate"
	"fairlead/internal/probe"
)

// tell gives the parts their new wishes, where these changed.
func (l *loop) tell() {
	l.route()
	if targets := l.targetsOf(l.state.Targets()); !slices.EqualFunc(targets, l.targets, probe.Target.Equal) {
		l.targets = targets
		l.parts.Prober.Set(targets)
	}
	if copies := copiesOf(l.state.SyncTargets()); !slices.EqualFunc(copies, l.copies, freshness.Target.Equal) {
		l.copies = copies
		l.parts.Meter.Set(copies)
	}
	if keep := neighbours(l.loaded.Config); !keep.equal(l.kept) {
		l.kept = keep
		l.parts.Watcher.Keep(keep.near, keep.routed)
	}
	may := l.state.Announcements()
	l.forget(may)
	if wants := announcements(may, l.held, l.kernel.applied); !slices.Equal(wants, l.wants) {
		l.wants = wants
		l.parts.Announcer.Set(wants)
	}
}

func (l *loop) targetsOf(wanted []decide.Target) []probe.Target {
	all := make([]probe.Target, len(wanted))
	for i, t := range wanted {
		all[i] = probe.Target(l.open(t))
	}
	return all
}

func copiesOf(wanted []decide.SyncTarget) []freshness.Target {
	all := make([]freshness.Target, len(wanted))
	for i, t := range wanted {
		all[i] = freshness.Target(t)
	}
	return all
}

// kept are the addresses of all real servers: their neighbour entries are kept
// fresh whether they are active or not. A tunnel may lead past a router.
type kept struct{ near, routed []netip.Addr }

func (k kept) equal(o kept) bool {
	return slices.Equal(k.near, o.near) && slices.Equal(k.routed, o.routed)
}

func neighbours(cfg model.Config) (k kept) {
	for _, d := range cfg.Directors {
		for _, s := range d.Servers {
			if d.Mode == model.ModeTunnel {
				k.routed = append(k.routed, s.Addr)
			} else {
				k.near = append(k.near, s.Addr)
			}
		}
	}
	return kept{unique(k.near), unique(k.routed)}
}

func unique(all []netip.Addr) []netip.Addr {
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// announcements are the virtual IPs to announce. One is answered for once the
// kernel was seen to hold it so: a gratuitous ARP before would draw packets
// that nobody takes.
func announcements(may []decide.Announcement, held map[netip.Addr]bool, applied model.Applied) []announce.Want {
	wants := make([]announce.Want, len(may))
	for i, a := range may {
		wants[i] = announce.Want{
			Addr:      a.Addr,
			Iface:     a.Iface,
			MAC:       a.MAC,
			Held:      held[a.Addr],
			Answering: applied.VIPs[a.Addr].Announce,
		}
	}
	return wants
}

// forget drops the marks of virtual IPs that cannot be announced any more,
// because the configuration or their interface went: should one return, it is
// probed like a new one.
func (l *loop) forget(may []decide.Announcement) {
	if len(l.held) == 0 {
		return
	}
	possible := make(map[netip.Addr]bool, len(may))
	for _, a := range may {
		possible[a.Addr] = true
	}
	maps.DeleteFunc(l.held, func(addr netip.Addr, _ bool) bool { return !possible[addr] })
}

// fact takes in what was seen of the network.
func (l *loop) fact(f netstate.Fact) {
	if f.Link != nil {
		l.paths.stale = true
		if f.Link.Gone {
			delete(l.links, f.Link.Name)
		} else {
			l.links[f.Link.Name] = f.Link.Link
		}
		l.handle(decide.Linked{At: now(), Link: f.Link.Link, Gone: f.Link.Gone})
	}
	if f.Neighbour != nil {
		l.handleSoon(decide.Neighbours{At: now(), Neighbour: *f.Neighbour}, prompt)
	}
}

// equip gives the parts that the decisions do not know what a configuration says
// of them.
func (l *loop) equip(cfg model.Config) {
	l.paths.stale = true
	l.history.keep(cfg)
	l.examiner.keep(cfg)
	l.parts.Web.Set(cfg.Web)
	l.parts.Notifier.Set(cfg.Notify)
}
