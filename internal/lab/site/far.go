package site

import (
	"errors"
	"net/netip"
	"slices"

	"fairlead/internal/lab/outcome"
	"fairlead/internal/topology"
)

// The servers of mode tunnel have a network of their own, behind a router. It is on the
// same cable, as VLANs would be.
var (
	routerSpec = topology.Spec{Name: "router", Addr: netip.MustParsePrefix("192.168.10.1/24")}
	farRouter  = netip.MustParsePrefix("10.9.0.1/24")
	farServers = []netip.Prefix{netip.MustParsePrefix("10.9.0.100/24"), netip.MustParsePrefix("10.9.0.101/24")}
	anywhere   = netip.MustParsePrefix("0.0.0.0/0")
	// What each server tells clients of the tunnel. nfs-01 tells nothing: its clients
	// learn from the director's ICMP, for which Linux takes a quarter of a second.
	farMSS = []int{0, 1440}
)

// servers are the servers where the mode wants them.
func (o Options) servers() []topology.Spec {
	all := slices.Clone(ServerSpecs[:])
	for i := range all {
		if o.Mode == outcome.Tunnel {
			all[i].Addr = farServers[i]
		}
	}
	return all
}

// ServerAddrs are the addresses of the servers in a mode.
func ServerAddrs(m outcome.Mode) []netip.Addr {
	var all []netip.Addr
	for _, s := range (Options{Mode: m}).servers() {
		all = append(all, s.Addr.Addr())
	}
	return all
}

// moveAway puts the router between the servers and all others, and lets the servers
// unwrap what comes in a tunnel.
func (s *Site) moveAway() error {
	router, err := s.segment.Add(routerSpec)
	if err != nil {
		return err
	}
	far := farRouter.Masked()
	err = errors.Join(router.Address(farRouter), router.Forward(),
		s.Director.Route(far, routerSpec.Addr.Addr(), 0), s.Client.Route(far, routerSpec.Addr.Addr(), 0))
	for i, h := range s.Servers {
		err = errors.Join(err, h.Route(anywhere, farRouter.Addr(), farMSS[i]), h.Iface(func(ifindex int) error {
			c, err := s.opts.AttachUnwrap(ifindex)
			if err == nil {
				s.lent = append(s.lent, c)
			}
			return err
		}))
	}
	return err
}
