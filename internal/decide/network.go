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
func (s State) used(d *director) bool {
	for _, v := range s.rules.VIPs {
		if slices.ContainsFunc(v.Rules, func(r model.VIPRule) bool { return r.Director == d.Name }) {
			return true
		}
	}
	return false
}

// owner is the interface that holds the address itself.
func (s State) owner(a netip.Addr) (iface string, ok bool) {
	for _, l := range s.links {
		for _, p := range l.Addrs {
			if p.Addr() == a {
				return l.Name, true
			}
		}
	}
	return "", false
}

// link returns the interface of that name.
func (s State) link(name string) (model.Link, bool) {
	for _, l := range s.links {
		if l.Name == name {
			return l, true
		}
	}
	return model.Link{}, false
}

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
		if name, ok := s.towards(vip); ok {
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
	return s.towards(srv.Addr)
}

// severed tells whether the director itself is cut off from a server: its own
// interface is down, gone, or without any IPv4 address as while the network is
// being set up. A failed check says nothing about the server then. No other one
// could be reached either, and to switch would only cost the connections.
func (s State) severed(d *director, server netip.Addr) bool {
	name, ok := s.iface(d)
	if !ok || len(s.links) == 0 { // nothing was told of the interfaces yet
		return false
	}
	l, ok := s.link(name)
	if !ok || !l.Up {
		return true
	}
	// The port of a bridge has no address: the bridge leads to the server then.
	_, leads := s.towards(server)
	return !leads && !hasIPv4(l)
}

func hasIPv4(l model.Link) bool {
	return slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr().Is4() })
}

// towards is the interface with the most specific network that holds the address.
func (s State) towards(a netip.Addr) (name string, ok bool) {
	bits := -1
	for _, l := range s.links {
		for _, p := range l.Addrs {
			if p.Contains(a) && p.Bits() > bits {
				name, bits = l.Name, p.Bits()
			}
		}
	}
	return name, bits >= 0
}

// mac is the MAC of a server as seen from an interface. The entry must be of
// that interface, because packets leave by it; an interface without addresses
// is part of a bridge or bond, whose entries are taken.
func (s State) mac(server netip.Addr, iface string) model.MAC {
	l, _ := s.link(iface)
	var found model.MAC
	for _, n := range s.neighbours {
		if n.Addr != server {
			continue
		}
		if n.Iface == iface {
			return n.MAC
		}
		if len(l.Addrs) == 0 && !found.Known() {
			found = n.MAC
		}
	}
	return found
}

// neighboursOf are the neighbours that are servers of a configuration.
func (s State) neighboursOf(cfg model.Config) []model.Neighbour {
	return slices.DeleteFunc(slices.Clone(s.neighbours), func(n model.Neighbour) bool {
		for _, d := range cfg.Directors {
			for _, srv := range d.Servers {
				if srv.Addr == n.Addr {
					return false
				}
			}
		}
		return true
	})
}
