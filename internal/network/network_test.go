package network

import (
	"net/netip"
	"testing"

	"fairlead/internal/model"
)

var (
	mac1   = model.MAC{2, 0, 0, 0, 0, 1}
	mac2   = model.MAC{2, 0, 0, 0, 0, 2}
	server = netip.MustParseAddr("192.168.10.100")
	vip    = netip.MustParseAddr("192.168.10.50")
)

func eth(name string, up bool, addrs ...string) model.Link {
	l := model.Link{Name: name, Up: up}
	for _, a := range addrs {
		l.Addrs = append(l.Addrs, netip.MustParsePrefix(a))
	}
	return l
}

func TestSevered(t *testing.T) {
	up := eth("eth0", true, "192.168.10.2/24")
	bridge := eth("br0", true, "192.168.10.2/24")
	for _, tt := range []struct {
		what  string
		links []model.Link
		want  bool
	}{
		{"nothing was told yet", nil, false},
		{"up", []model.Link{up}, false},
		{"gone", []model.Link{bridge}, true},
		{"down", []model.Link{eth("eth0", false, "192.168.10.2/24")}, true},
		{"without an address", []model.Link{eth("eth0", true)}, true},
		{"the port of a bridge", []model.Link{eth("eth0", true), bridge}, false},
	} {
		var n Network
		for _, l := range tt.links {
			n = n.Linked(l, false)
		}
		if got := n.Severed("eth0", server); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.what, got, tt.want)
		}
	}
}

func TestMAC(t *testing.T) {
	var none Network
	n := none.Linked(eth("eth0", true, "192.168.10.2/24"), false).Linked(eth("port", true), false)
	n = n.Resolved(model.Neighbour{Addr: server, Iface: "eth0", MAC: mac1})
	other := n.Resolved(model.Neighbour{Addr: server, Iface: "eth1", MAC: mac2})
	if got := other.MAC(server, "eth0"); got != mac1 {
		t.Errorf("on eth0: %v", got)
	}
	if got := other.MAC(server, "port"); got != mac1 {
		t.Errorf("on the port of a bridge: %v", got)
	}
	if got := n.Resolved(model.Neighbour{Addr: server, Iface: "eth0"}).MAC(server, "eth0"); got.Known() {
		t.Errorf("lost, but still %v", got)
	}
	if got := n.MAC(server, "eth0"); got != mac1 {
		t.Error("a change reached the network that it was made from")
	}
}

func TestTaken(t *testing.T) {
	var n Network
	for _, step := range []struct {
		state string
		want  bool
	}{
		{model.VIPConflict, false},
		{model.VIPProbing, false},
		{model.VIPAnnounced, true},
		{model.VIPConflict, true}, // a rival that shows up later is an alarm only
		{model.VIPProbing, false},
	} {
		n = n.Seen(model.VIPStatus{Addr: vip, State: step.state})
		if got := n.Taken(vip); got != step.want {
			t.Errorf("%s: taken %v, want %v", step.state, got, step.want)
		}
	}
	n = n.Only(func(netip.Addr) bool { return false }, func(netip.Addr) bool { return true })
	if _, ok := n.VIP(vip); ok {
		t.Error("it is still there")
	}
}

func TestTowards(t *testing.T) {
	var n Network
	n = n.Linked(eth("wide", true, "192.168.0.2/16"), false).Linked(eth("narrow", true, "192.168.10.2/24"), false)
	if name, ok := n.Towards(server); name != "narrow" || !ok {
		t.Errorf("towards %s by %q, want the most specific network", server, name)
	}
	if iface, ok := n.Owner(netip.MustParseAddr("192.168.0.2")); iface != "wide" || !ok {
		t.Errorf("owner = %q, %v", iface, ok)
	}
	if name, ok := n.Linked(model.Link{Name: "narrow"}, true).Towards(server); name != "wide" || !ok {
		t.Errorf("towards %s by %q after narrow is gone", server, name)
	}
}
