package doctor

import (
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/model"
	"fairlead/internal/topology"
)

// TestSix: of IPv6, who answers neighbour discovery is asked on a real segment.
func TestSix(t *testing.T) {
	vip := netip.MustParseAddr("2001:db8::50")
	s := newScene(t, 990)
	s.text = "flow web director web\nmatch iface eth0 dst 2001:db8::50\n" +
		"director web\nbalance roundrobin\nmode gateway\nserver web-01 2001:db8::100\nserver web-02 2001:db8::101\n"
	var err error
	s.segment, err = topology.Build(s.prefix)
	s.must(err)
	t.Cleanup(func() {
		if err := s.segment.Close(); err != nil {
			t.Error(err)
		}
	})
	add := func(name, addr string, vip netip.Addr) *topology.Host {
		h, err := s.segment.Add(topology.Spec{Name: name, Addr: netip.MustParsePrefix(addr), VIP: vip})
		s.must(err)
		return h
	}
	s.director = add("director", "2001:db8::10/64", netip.Addr{})
	s.servers = [2]*topology.Host{add("web-01", "2001:db8::100/64", vip), add("web-02", "2001:db8::101/64", vip)}

	said := func() (all []string) {
		for _, f := range s.doctor().Findings {
			all = append(all, f.What)
		}
		return all
	}
	if got := said(); len(got) != 0 {
		t.Errorf("a sound set-up: found %q", got)
	}
	s.must(s.servers[1].Address(netip.PrefixFrom(vip, 128)))
	if got, want := said(), []string{"web-02 answers neighbour discovery for the virtual IP 2001:db8::50"}; !slices.Equal(got, want) {
		t.Errorf("web-02 has the address on its interface: found %q, want %q", got, want)
	}
	s.must(s.servers[0].Cut())
	d := s.doctor()
	if !slices.ContainsFunc(d.Findings, func(f model.Finding) bool {
		return f.What == "web-01 (2001:db8::100) answers no neighbour discovery on eth0"
	}) {
		t.Errorf("web-01 is cut off: found %+v", d.Findings)
	}
}
