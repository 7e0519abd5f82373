// Package network is what was told of the network around the director: its
// interfaces, the MACs of the servers, and the announcements of virtual IPs. It
// asks nobody for it, it knows no configuration, and it decides nothing.
package network

import (
	"cmp"
	"net/netip"
	"slices"

	"fairlead/internal/model"
)

// Network is a value: a change returns a new one and writes nothing that
// another one refers to.
type Network struct {
	links      []model.Link      // sorted by name
	neighbours []model.Neighbour // sorted by address and interface; resolved ones only
	vips       []announced       // sorted by address; the virtual IPs that were reported
}

// announced is the last report of a virtual IP. Once taken, it is answered for
// until it is probed again: a rival that shows up later is an alarm, and one
// forged ARP packet must not silence the service.
type announced struct {
	model.VIPStatus
	taken bool
}

// Linked returns the network with an interface replaced, or without it.
func (n Network) Linked(l model.Link, gone bool) Network {
	n.links = slices.DeleteFunc(slices.Clone(n.links), func(o model.Link) bool { return o.Name == l.Name })
	if !gone {
		i, _ := slices.BinarySearchFunc(n.links, l, func(a, b model.Link) int { return cmp.Compare(a.Name, b.Name) })
		n.links = slices.Insert(n.links, i, l)
	}
	return n
}

// Resolved returns the network with a neighbour replaced; a lost one is dropped.
func (n Network) Resolved(nb model.Neighbour) Network {
	n.neighbours = slices.Clone(n.neighbours)
	i, found := slices.BinarySearchFunc(n.neighbours, nb, func(a, b model.Neighbour) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Iface, b.Iface))
	})
	switch {
	case found && nb.MAC.Known():
		n.neighbours[i] = nb
	case found:
		n.neighbours = slices.Delete(n.neighbours, i, i+1)
	case nb.MAC.Known():
		n.neighbours = slices.Insert(n.neighbours, i, nb)
	}
	return n
}

// Seen returns the network with the report of a virtual IP.
func (n Network) Seen(v model.VIPStatus) Network {
	n.vips = slices.Clone(n.vips)
	i, found := n.find(v.Addr)
	if !found {
		n.vips = slices.Insert(n.vips, i, announced{})
	}
	taken := v.State == model.VIPAnnounced || v.State == model.VIPConflict && n.vips[i].taken
	n.vips[i] = announced{VIPStatus: v, taken: taken}
	return n
}

// Only returns the network with the virtual IPs and the neighbours that pass.
func (n Network) Only(vip, neighbour func(netip.Addr) bool) Network {
	n.vips = slices.DeleteFunc(slices.Clone(n.vips), func(v announced) bool { return !vip(v.Addr) })
	n.neighbours = slices.DeleteFunc(slices.Clone(n.neighbours), func(nb model.Neighbour) bool { return !neighbour(nb.Addr) })
	return n
}

// VIP is the last report of a virtual IP.
func (n Network) VIP(a netip.Addr) (model.VIPStatus, bool) {
	if i, found := n.find(a); found {
		return n.vips[i].VIPStatus, true
	}
	return model.VIPStatus{}, false
}

// Taken tells whether a virtual IP is to be answered for.
func (n Network) Taken(a netip.Addr) bool {
	i, found := n.find(a)
	return found && n.vips[i].taken
}

func (n Network) find(vip netip.Addr) (int, bool) {
	return slices.BinarySearchFunc(n.vips, vip, func(a announced, addr netip.Addr) int { return a.Addr.Compare(addr) })
}

// Own are all addresses of the director, sorted.
func (n Network) Own() []netip.Addr {
	var all []netip.Addr
	for _, l := range n.links {
		for _, p := range l.Addrs {
			all = append(all, p.Addr())
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// Ethernet are the interfaces that are Ethernet ones, by name: the loopback is none.
func (n Network) Ethernet() []string {
	var all []string
	for _, l := range n.links {
		if l.MAC.Known() {
			all = append(all, l.Name)
		}
	}
	return all
}

// Owner is the interface that holds the address itself.
func (n Network) Owner(a netip.Addr) (iface string, ok bool) {
	for _, l := range n.links {
		for _, p := range l.Addrs {
			if p.Addr() == a {
				return l.Name, true
			}
		}
	}
	return "", false
}

// Link returns the interface of that name.
func (n Network) Link(name string) (model.Link, bool) {
	for _, l := range n.links {
		if l.Name == name {
			return l, true
		}
	}
	return model.Link{}, false
}

// Towards is the interface with the most specific network that holds the address.
func (n Network) Towards(a netip.Addr) (name string, ok bool) {
	bits := -1
	for _, l := range n.links {
		for _, p := range l.Addrs {
			if p.Contains(a) && p.Bits() > bits {
				name, bits = l.Name, p.Bits()
			}
		}
	}
	return name, bits >= 0
}

// Severed tells whether the director itself is cut off from a server behind an
// interface of its own: it is down, gone, or without any address of the server's
// family as while the network is being set up.
func (n Network) Severed(iface string, server netip.Addr) bool {
	if len(n.links) == 0 { // nothing was told of the interfaces yet
		return false
	}
	l, ok := n.Link(iface)
	if !ok || !l.Up {
		return true
	}
	// The port of a bridge has no address: the bridge leads to the server then.
	_, leads := n.Towards(server)
	return !leads && !l.Has(server)
}

// MAC is the MAC of a server as seen from an interface. The entry must be of
// that interface, because packets leave by it; an interface without addresses
// is part of a bridge or bond, whose entries are taken.
func (n Network) MAC(server netip.Addr, iface string) model.MAC {
	if nb := n.Neighbour(server, iface); !nb.Via.IsValid() {
		return nb.MAC
	}
	return model.MAC{}
}

// Neighbour is how a server is reached from an interface: as MAC says, but perhaps by a
// router. Its MAC is unknown when it is not reached.
func (n Network) Neighbour(server netip.Addr, iface string) model.Neighbour {
	l, _ := n.Link(iface)
	var found model.Neighbour
	for _, nb := range n.neighbours {
		if nb.Addr != server {
			continue
		}
		if nb.Iface == iface {
			return nb
		}
		if len(l.Addrs) == 0 && !found.MAC.Known() {
			found = nb
		}
	}
	return found
}

// Holders are the addresses of the neighbours whose MAC passes.
func (n Network) Holders(pass func(model.MAC) bool) []netip.Addr {
	var all []netip.Addr
	for _, nb := range n.neighbours {
		if pass(nb.MAC) {
			all = append(all, nb.Addr)
		}
	}
	return all
}
