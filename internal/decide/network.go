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
	return slices.ContainsFunc(s.rules.VIPs, func(v model.VIP) bool { return v.Addr == vip })
}

// used tells whether a rule leads to the director.
func (s State) used(d *director) bool { return len(s.vipsOf(d)) > 0 }

// iface is the interface of a director: the one that its flows name, else the
// one in whose network its virtual IP is, else that of its server. A director
// that no flow uses has none.
func (s State) iface(d *director) (name string, ok bool) {
	var vips []netip.Addr
	for _, f := range s.config.Flows {
		if f.Out || f.Policy != model.PolicyDirector || f.Director != d.Name {
			continue
		}
		for _, r := range f.Rules {
			if name, ok := flow.Iface(r); ok && !r.Ignore {
				return name, true
			}
			if vip, ok := flow.VIP(r); ok {
				vips = append(vips, vip)
			}
		}
	}
	for _, vip := range vips {
		if name, ok := s.net.Towards(vip); ok {
			return name, true
		}
	}
	if len(vips) == 0 {
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
