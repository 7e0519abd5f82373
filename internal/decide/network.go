package decide

import (
	"net/netip"
	"slices"

	"fairlead/internal/flow"
	"fairlead/internal/model"
)

// visible tells whether a virtual IP can be announced, so that what was seen of
// it still holds: its interface is there, and it is not the director's own.
func (s State) visible(vip netip.Addr) bool {
	return slices.ContainsFunc(s.Announcements(), func(a Announcement) bool { return a.Addr == vip })
}

// claims tells whether the configuration has that virtual IP.
func (s State) claims(vip netip.Addr) bool {
	_, claimed := s.ways.owners[vip]
	return claimed
}

// used tells whether a rule leads to the director.
func (s State) used(d *director) bool {
	_, used := s.ways.directors[d.Name]
	return used
}

// vipsOf are the virtual IPs that rules give to the director, sorted.
func (s State) vipsOf(d *director) []netip.Addr {
	return s.ways.vipsOf(d.Name)
}

// ways is how packets come to the directors, as the rules say. It is made once
// for a configuration: there may be many rules.
type ways struct {
	owners    map[netip.Addr]model.FlowRule // the first rule that gives a virtual IP to a director
	directors map[string]way
	byAddr    flow.ByAddr
}

// way is how packets come to one director.
type way struct {
	iface string       // that the first rule which names one names
	vips  []netip.Addr // in the order of the rules
}

func (w ways) vipsOf(director string) []netip.Addr {
	vips := slices.Clone(w.directors[director].vips)
	slices.SortFunc(vips, netip.Addr.Compare)
	return slices.Compact(vips)
}

func waysOf(set model.RuleSet) ways {
	w := ways{owners: make(map[netip.Addr]model.FlowRule), directors: make(map[string]way), byAddr: flow.Index(set)}
	for _, r := range set.Rules {
		if r.Policy != model.PolicyDirector || r.Rule.Ignore {
			continue
		}
		d := w.directors[r.Director]
		if name, ok := flow.Iface(r.Rule); ok && d.iface == "" {
			d.iface = name
		}
		if vip, ok := flow.VIP(r.Rule); ok {
			d.vips = append(d.vips, vip)
			if _, owned := w.owners[vip]; !owned {
				w.owners[vip] = r
			}
		}
		w.directors[r.Director] = d
	}
	return w
}

// iface is the interface of a director: the one that its flows name, else the
// one in whose network a virtual IP of it is, else that of its server. A director
// that no flow uses has none.
func (s State) iface(d *director) (name string, ok bool) {
	w, used := s.ways.directors[d.Name]
	if w.iface != "" {
		return w.iface, true
	}
	for _, vip := range w.vips {
		if name, ok := s.net.Towards(vip); ok {
			return name, true
		}
	}
	if !used {
		return "", false
	}
	return s.towardsServer(d)
}

// way is the interface by which the servers of a director are reached. One that
// no flow uses has a way too, so that its choice can be applied: a flow may lead
// to it at any time.
func (s State) way(d *director) string {
	name, ok := s.iface(d)
	if !ok {
		name, _ = s.towardsServer(d)
	}
	return name
}

// towardsServer is the interface in whose network the active server is, or the
// first one while none is active.
func (s State) towardsServer(d *director) (name string, ok bool) {
	srv := d.active()
	if srv == nil && len(d.servers) > 0 {
		srv = &d.servers[0]
	}
	if srv == nil {
		return "", false
	}
	return s.net.Towards(srv.Addr)
}

// severed tells whether the director itself is cut off from a server. A failed
// check says nothing about the server then. No other one could be reached
// either, and to switch would only cost the connections.
func (s State) severed(d *director, server netip.Addr) bool {
	name, ok := s.iface(d)
	return ok && s.net.Severed(name, server)
}
