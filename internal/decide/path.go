package decide

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"fairlead/internal/flow"
	"fairlead/internal/model"
)

// Paths are the ways by which checks should reach virtual IPs on single servers,
// sorted.
func (s State) Paths() []model.Path {
	var all []model.Path
	for i := range s.directors {
		d := &s.directors[i]
		iface := s.way(d)
		for _, srv := range d.servers {
			for _, v := range srv.via {
				if iface != "" && srv.Addr.Is4() == v.VIP.Is4() {
					all = append(all, model.Path{Server: srv.Addr, VIP: v.VIP, Iface: iface})
				}
			}
		}
	}
	slices.SortFunc(all, comparePaths)
	return slices.Compact(all)
}

func comparePaths(a, b model.Path) int {
	return cmp.Or(a.Server.Compare(b.Server), a.VIP.Compare(b.VIP), strings.Compare(a.Iface, b.Iface))
}

// VIPTests are the tests of a server that should also be made at virtual IPs. They
// are shared, and never changed.
func (s State) VIPTests(ref model.ServerRef) []model.VIPTest {
	if d := s.director(ref.Director); d != nil {
		if srv := d.server(ref.Server); srv != nil {
			return srv.via
		}
	}
	return nil
}

// Path is the path by which checks reach a virtual IP on a server of the director;
// false: no interface leads there.
func (s State) Path(ref model.ServerRef, v model.VIPTest) (model.Path, bool) {
	d := s.director(ref.Director)
	if d == nil {
		return model.Path{}, false
	}
	srv, iface := d.server(ref.Server), s.way(d)
	if srv == nil || iface == "" || srv.Addr.Is4() != v.VIP.Is4() {
		return model.Path{}, false
	}
	return model.Path{Server: srv.Addr, VIP: v.VIP, Iface: iface}, true
}

// viaTests are the tests of a server that are also made at the director's virtual
// IPs of its family: those by ports that clients reach there.
func viaTests(w ways, d model.Director, server netip.Addr, tests []model.Test) []model.VIPTest {
	if d.Check.Own || d.Mode != model.ModeGateway {
		return nil
	}
	var all []model.VIPTest
	for _, v := range w.vipsOf(d.Name) {
		rules := w.byAddr.Of(v)
		for _, t := range tests {
			if v.Is4() == server.Is4() && reaches(rules, d.Name, t) {
				all = append(all, model.VIPTest{VIP: v, Test: t})
			}
		}
	}
	return all
}

// reaches tells whether clients reach by the rules what the test asks for.
func reaches(rules []model.FlowRule, director string, t model.Test) bool {
	proto := model.ProtoTCP
	switch t.Kind {
	case model.CheckTCP, model.CheckHTTP, model.CheckTLS:
	case model.CheckICMP:
		proto = model.ProtoICMP
	case model.CheckRPC:
		if t.UDP {
			proto = model.ProtoUDP
		}
	case model.CheckNFS:
		if t.Mounts() && !flow.Reaches(rules, director, proto, 0) {
			return false // rpcbind says where MOUNT is
		}
	case model.CheckNone, model.CheckARP, model.CheckExec:
		return false
	}
	return flow.Reaches(rules, director, proto, t.Port)
}
