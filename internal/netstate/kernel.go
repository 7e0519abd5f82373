package netstate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// kernel speaks rtnetlink.
type kernel struct {
	handle *netlink.Handle   // asks and is answered
	sub    *nl.NetlinkSocket // is told
}

// openKernel opens both sockets in the network namespace of the calling thread.
func openKernel(buffer int) (*kernel, error) {
	sub, err := nl.Subscribe(unix.NETLINK_ROUTE,
		unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return nil, fmt.Errorf("subscribe to the kernel's notices: %w", err)
	}
	if err := sub.SetReceiveBufferSize(buffer, true); err != nil {
		sub.Close()
		return nil, fmt.Errorf("set the receive buffer of the kernel's notices: %w", err)
	}
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		sub.Close()
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	return &kernel{handle: handle, sub: sub}, nil
}

func (k *kernel) close() {
	k.sub.Close()
	k.handle.Close()
}

// notice is what one message of the kernel says. Exactly one field is set.
type notice struct {
	links    bool  // an interface or an address changed
	lost     bool  // messages were lost
	err      error // the subscription is at its end
	sighting sighting
}

// read hands on the kernel's messages until ctx ends or the socket is closed.
func (k *kernel) read(ctx context.Context, notices chan<- notice) {
	send := func(n notice) bool {
		select {
		case notices <- n:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for {
		messages, from, err := k.sub.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			if !send(notice{lost: true}) {
				return
			}
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			send(notice{err: err})
			return
		case from.Pid != nl.PidKernel:
			continue
		}
		for _, m := range messages {
			if n, ok := understand(m.Header.Type, m.Data); ok && !send(n) {
				return
			}
		}
	}
}

func understand(kind uint16, data []byte) (notice, bool) {
	switch kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK, unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return notice{links: true}, true
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		if len(data) < unix.SizeofNdMsg {
			return notice{}, false
		}
		neigh, err := netlink.NeighDeserialize(data)
		if err != nil {
			return notice{}, false
		}
		s, ok := sightingOf(*neigh)
		if kind == unix.RTM_DELNEIGH {
			s.state, s.mac = gone, model.MAC{}
		}
		return notice{sighting: s}, ok
	}
	return notice{}, false
}

// sightingOf is false for what is no neighbour of IP, a bridge's entry say.
func sightingOf(n netlink.Neigh) (sighting, bool) {
	addr, ok := netip.AddrFromSlice(n.IP)
	if !ok || n.Family != unix.AF_INET && n.Family != unix.AF_INET6 || n.Flags&netlink.NTF_PROXY != 0 {
		return sighting{}, false
	}
	s := sighting{addr: addr.Unmap(), link: n.LinkIndex}
	switch {
	case n.State&netlink.NUD_FAILED != 0:
		s.state = failed
	case n.State&(netlink.NUD_PERMANENT|netlink.NUD_NOARP) != 0:
		s.state = fixed
	case n.State&netlink.NUD_PROBE != 0:
		s.state = tried
	case n.State&(netlink.NUD_REACHABLE|netlink.NUD_STALE|netlink.NUD_DELAY) != 0:
		s.state = valid
	default:
		s.state = asking
	}
	if s.state.usable() {
		s.mac = macOf(n.HardwareAddr)
	}
	return s, true
}

func macOf(a net.HardwareAddr) (m model.MAC) {
	if len(a) == len(m) {
		copy(m[:], a)
	}
	return m
}

// attempts is how often a dump that a change interrupted is tried.
const attempts = 10

// whole repeats a dump until no change interrupted it.
func whole[T any](dump func() ([]T, error)) ([]T, error) {
	for i := 1; ; i++ {
		all, err := dump()
		if !errors.Is(err, netlink.ErrDumpInterrupted) || i == attempts {
			return all, err
		}
	}
}

// readLinks reads all interfaces with their addresses, by name.
func (k *kernel) readLinks() (map[string]model.Link, error) {
	links, err := whole(k.handle.LinkList)
	if err != nil {
		return nil, fmt.Errorf("read the interfaces: %w", err)
	}
	addrs, err := whole(func() ([]netlink.Addr, error) { return k.handle.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("read the addresses: %w", err)
	}
	byIndex := make(map[int][]netip.Prefix)
	for _, a := range addrs {
		if p, ok := prefixOf(a.IPNet); ok {
			byIndex[a.LinkIndex] = append(byIndex[a.LinkIndex], p)
		}
	}
	all := make(map[string]model.Link, len(links))
	for _, link := range links {
		a := link.Attrs()
		all[a.Name] = model.Link{
			Name: a.Name, Index: a.Index, MAC: macOf(a.HardwareAddr), Kind: kindOf(link), MTU: a.MTU,
			// Running: up, with carrier, and no bond or 802.1X holds it back.
			Up:    a.RawFlags&unix.IFF_UP != 0 && a.RawFlags&unix.IFF_RUNNING != 0,
			Addrs: byIndex[a.Index],
		}
	}
	return all, nil
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), bits), ok
}

// kindOf is the kind of a virtual interface, "" for hardware and loopback.
func kindOf(link netlink.Link) string {
	if kind := link.Type(); kind != "device" {
		return kind
	}
	return ""
}

// readNeighbours reads the neighbour table.
func (k *kernel) readNeighbours() ([]sighting, error) {
	var all []sighting
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		table, err := whole(func() ([]netlink.Neigh, error) { return k.handle.NeighList(0, family) })
		if err != nil {
			return nil, fmt.Errorf("read the neighbours: %w", err)
		}
		for _, n := range table {
			if s, ok := sightingOf(n); ok {
				all = append(all, s)
			}
		}
	}
	return all, nil
}

// way is how the kernel reaches a neighbour.
type way struct {
	link   int        // index of the interface; 0: none
	hop    netip.Addr // who is asked for: the neighbour, or the router that leads to it
	source netip.Addr // of this machine
	mtu    int        // that a route has; 0: the interface's
}

// lead is the way to a neighbour, by a router only if routed. Its error is in plain words.
func (k *kernel) lead(addr netip.Addr, routed bool) (way, error) {
	routes, err := k.handle.RouteGet(addr.AsSlice())
	if err == nil && len(routes) == 0 {
		err = unix.ENETUNREACH
	}
	switch {
	case err != nil:
		return way{}, fmt.Errorf("no route leads to it: %w", err)
	case routes[0].Type == unix.RTN_LOCAL:
		return way{}, errors.New("it is an address of this machine")
	}
	r, to := routes[0], way{link: routes[0].LinkIndex, hop: addr, mtu: routes[0].MTU}
	to.source, _ = netip.AddrFromSlice(r.Src.To4())
	if r.Gw == nil && r.Via == nil {
		return to, nil
	}
	var ok bool
	if to.hop, ok = netip.AddrFromSlice(r.Gw.To4()); !ok {
		return way{}, errors.New("a router that has no IPv4 address leads to it")
	}
	if !routed {
		return way{}, fmt.Errorf("it is not in a network of this machine: a router, %s, leads to it", r.Gw)
	}
	return to, nil
}

// resolve makes the kernel ask for a neighbour now. A known one is asked at its
// MAC, which stays in use until three requests in three seconds had no answer;
// NTF_USE alone would ask it only when its entry has become stale. An unknown
// one is asked by broadcast.
func (k *kernel) resolve(addr netip.Addr, link int, known bool) error {
	n := netlink.Neigh{LinkIndex: link, Family: unix.AF_INET, IP: addr.AsSlice()}
	if addr.Is6() {
		n.Family = unix.AF_INET6
	}
	if known {
		n.State = netlink.NUD_PROBE
		if err := k.handle.NeighSet(&n); err == nil {
			return nil // else the entry has just gone
		}
	}
	n.State, n.Flags = netlink.NUD_NONE, netlink.NTF_USE
	if err := k.handle.NeighSet(&n); err != nil {
		return fmt.Errorf("the kernel cannot ask for it: %w", err)
	}
	return nil
}
