package decide

import (
	"testing"

	"fairlead/internal/model"
)

// tunnelled is the note's configuration in mode tunnel, with a server elsewhere.
func tunnelled(mode model.Mode) model.Config {
	cfg := note()
	cfg.Directors[0].Mode = mode
	cfg.Directors[0].Servers[0].Addr = addr("10.9.0.1")
	return cfg
}

func (s *story) routed(ip, iface string, mac model.MAC, source string, mtu int) {
	s.step(Neighbours{At{s.now}, model.Neighbour{Addr: addr(ip), Iface: iface, MAC: mac, Via: addr("192.168.10.1"), Source: addr(source), MTU: mtu}})
}

// A server behind a router gets packets by a tunnel, once all that needs is known;
// in mode gateway it gets none.
func TestTunnelPastARouter(t *testing.T) {
	s := newStory(t, tunnelled(model.ModeTunnel))
	s.link(link("eth0", macEth0, "192.168.10.2/24"))
	s.pass("nfs-01")
	s.alarm("director nfs: packets for nfs-01 cannot be sent")
	s.routed("10.9.0.1", "eth0", mac1, "192.168.10.2", 0)
	if d := s.state.Desired().Directors[0]; d.MAC.Known() {
		t.Errorf("without an MTU the desired value is %+v", d)
	}
	s.routed("10.9.0.1", "eth0", mac1, "192.168.10.2", 1400)
	want := model.DesiredServer{Name: "nfs-01", MAC: mac1, Addr: addr("10.9.0.1"), Source: addr("192.168.10.2"), MTU: 1400}
	if d := s.state.Desired().Directors[0]; d.Mode != model.ModeTunnel || d.MAC != mac1 || d.Servers[0] != want {
		t.Errorf("desired = %+v, want %+v", d, want)
	}
	if st := s.state.Status()[0]; st.Servers[0].MAC != mac1 || st.Mode != model.ModeTunnel {
		t.Errorf("status = %+v", st)
	}
	s.alarm("")
	if vias := s.state.VIPTests(model.ServerRef{Director: "nfs", Server: "nfs-01"}); len(vias) > 0 {
		t.Errorf("its checks at the virtual IP are %+v, want none", vias)
	}

	g := newStory(t, tunnelled(model.ModeGateway))
	g.link(link("eth0", macEth0, "192.168.10.2/24"))
	g.pass("nfs-01")
	g.routed("10.9.0.1", "eth0", mac1, "192.168.10.2", 1500)
	if d := g.state.Desired().Directors[0]; d.MAC.Known() || d.Servers[0].MAC.Known() {
		t.Errorf("in mode gateway a router's MAC passed for the server's: %+v", d)
	}
	g.alarm("director nfs: packets for nfs-01 cannot be sent")
}
