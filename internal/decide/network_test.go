package decide

import (
	"net/netip"
	"reflect"
	"testing"

	"fairlead/internal/model"
)

var (
	mac1    = model.MAC{2, 0, 0, 0, 0, 1}
	mac2    = model.MAC{2, 0, 0, 0, 0, 2}
	macEth0 = model.MAC{2, 0, 0, 0, 0, 0xe0}
)

func link(name string, mac model.MAC, addrs ...string) model.Link {
	l := model.Link{Name: name, MAC: mac, Up: true}
	for _, a := range addrs {
		l.Addrs = append(l.Addrs, netip.MustParsePrefix(a))
	}
	return l
}

func (s *story) link(l model.Link) { s.step(Linked{At: At{s.now}, Link: l}) }
func (s *story) unlink(name string) {
	s.step(Linked{At: At{s.now}, Link: model.Link{Name: name}, Gone: true})
}
func (s *story) vip(a, state string) {
	s.step(VIPSeen{At{s.now}, model.VIPStatus{Addr: addr(a), State: state, Why: "02:… answered"}})
}
func (s *story) neighbour(ip, iface string, mac model.MAC) {
	s.step(Neighbours{At{s.now}, model.Neighbour{Addr: addr(ip), Iface: iface, MAC: mac}})
}

// anywhere is the note's configuration without an interface in its flow.
func anywhere() model.Config {
	cfg := note()
	rule := cfg.Flows[0].Rules[0]
	rule.Iface = model.Cond[string]{}
	cfg.Flows = []model.Flow{{Name: "nfs", Policy: model.PolicyDirector, Director: "nfs", Rules: []model.Rule{rule}}}
	return cfg
}

func TestDesired(t *testing.T) {
	s := newStory(t, note())
	s.link(link("eth0", macEth0, "192.168.10.2/24"))
	s.neighbour("192.168.10.100", "eth0", mac1)
	s.neighbour("192.168.10.101", "eth0", mac2)
	s.vip("192.168.10.50", model.VIPAnnounced)
	s.pass("nfs-01")
	cfg := note()
	want := model.Desired{
		Rules: model.RuleSet{Ifaces: []string{"eth0"}, Own: []netip.Addr{addr("192.168.10.2")},
			VIPs:  []model.VIP{{Addr: addr("192.168.10.50"), Announce: true}},
			Rules: []model.FlowRule{{Flow: "nfs", Policy: model.PolicyDirector, Director: "nfs", Rule: cfg.Flows[0].Rules[0]}}},
		Directors: []model.DesiredDirector{{Name: "nfs", Active: "nfs-01", Addr: addr("192.168.10.100"), MAC: mac1, Source: macEth0, Epoch: 1,
			Reason: model.ReasonFirst, Since: s.now.UnixNano(), Mode: model.ModeGateway, Watch: true, Keep: true,
			Servers: []model.DesiredServer{{Name: "nfs-01", MAC: mac1}, {Name: "nfs-02", MAC: mac2}}}},
	}
	if got := s.state.Desired(); !reflect.DeepEqual(got, want) {
		t.Errorf("desired =\n%+v, want\n%+v", got, want)
	}
	s.alarm("")
}

func TestDesiredBeforeAnyChoice(t *testing.T) {
	s := newStory(t, note())
	if d := s.state.Desired().Directors[0]; d.Active != "" || d.MAC.Known() || d.Epoch != 0 || d.Since != 0 || d.Reason != model.ReasonWaiting {
		t.Errorf("desired = %+v, want none, waiting", d)
	}
	var none State
	if got := none.Desired(); len(got.Directors) != 0 || len(got.Rules.VIPs) != 0 {
		t.Errorf("desired of the zero state = %+v, want nothing", got)
	}
	if got := none.Alarms(); len(got) != 0 {
		t.Errorf("alarms of the zero state = %v, want none", got)
	}
}

func TestInterface(t *testing.T) {
	tests := []struct {
		name  string
		cfg   model.Config
		links []model.Link
		want  []string
	}{
		{"the one that the flow names", note(), []model.Link{link("eth1", mac1, "192.168.10.2/24")}, []string{"eth0"}},
		{"that of the virtual IP's network", anywhere(),
			[]model.Link{link("eth0", mac1, "10.0.0.1/8"), link("eth1", mac2, "192.168.10.2/24")}, []string{"eth1"}},
		{"of the most specific network", anywhere(),
			[]model.Link{link("eth0", mac1, "192.168.0.1/16"), link("eth1", mac2, "192.168.10.2/24"), link("eth2", mac2, "192.168.0.3/16")}, []string{"eth1"}},
		{"that of the servers when the virtual IP is routed", anywhere(),
			[]model.Link{link("eth0", mac1, "10.0.0.1/8"), link("eth1", mac2, "192.168.10.129/25"), link("eth2", mac2, "192.168.10.98/27")}, []string{"eth2"}},
		{"none when no network fits", anywhere(), []model.Link{link("eth0", mac1, "10.0.0.1/8")}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t, tt.cfg)
			for _, l := range tt.links {
				s.link(l)
			}
			if got := s.state.Desired().Rules.Ifaces; !reflect.DeepEqual(got, tt.want) {
				t.Errorf("interfaces = %v, want %v", got, tt.want)
			}
		})
	}
	t.Run("none for a director that no flow uses", func(t *testing.T) {
		cfg := note()
		cfg.Flows = nil
		s := newStory(t, cfg)
		s.link(link("eth0", macEth0, "192.168.10.2/24"))
		if got := s.state.Desired().Rules.Ifaces; len(got) != 0 {
			t.Errorf("interfaces = %v, want none", got)
		}
		s.pass("nfs-01")
		s.alarm("")
	})
}

func TestMAC(t *testing.T) {
	type n struct {
		iface string
		mac   model.MAC
	}
	tests := []struct {
		name  string
		facts []n
		addrs []string // of eth0
		want  model.MAC
	}{
		{"unknown", nil, []string{"192.168.10.2/24"}, model.MAC{}},
		{"known", []n{{"eth0", mac1}}, []string{"192.168.10.2/24"}, mac1},
		{"changed", []n{{"eth0", mac1}, {"eth0", mac2}}, []string{"192.168.10.2/24"}, mac2},
		{"lost", []n{{"eth0", mac1}, {"eth0", model.MAC{}}}, []string{"192.168.10.2/24"}, model.MAC{}},
		{"of the director's interface", []n{{"br0", mac2}, {"eth0", mac1}}, []string{"192.168.10.2/24"}, mac1},
		{"not of another interface", []n{{"eth1", mac2}}, []string{"192.168.10.2/24"}, model.MAC{}},
		{"of the bridge above an interface without addresses", []n{{"br0", mac2}}, nil, mac2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t, note())
			s.link(link("eth0", macEth0, tt.addrs...))
			if tt.addrs == nil {
				s.link(link("br0", macEth0, "192.168.10.2/24"))
			}
			for _, f := range tt.facts {
				s.neighbour("192.168.10.100", f.iface, f.mac)
			}
			s.pass("nfs-01")
			if got := s.state.Desired().Directors[0].MAC; got != tt.want {
				t.Errorf("MAC = %v, want %v", got, tt.want)
			}
			if got := s.server("nfs-01").MAC; got != tt.want {
				t.Errorf("MAC in the status = %v, want %v", got, tt.want)
			}
			if tt.want.Known() {
				s.alarm("")
			} else {
				s.alarm("director nfs: packets for nfs-01 cannot be sent")
			}
		})
	}
}

func TestReloadKeepsNeighboursOfServers(t *testing.T) {
	s := newStory(t, note())
	s.neighbour("192.168.10.100", "eth0", mac1)
	s.reload(note())
	if got := s.server("nfs-01").MAC; got != mac1 {
		t.Errorf("MAC = %v, want %v", got, mac1)
	}
	s.reload(change(note(), func(d *model.Director) { d.Servers = d.Servers[1:] }))
	s.reload(note())
	if got := s.server("nfs-01").MAC; got.Known() {
		t.Errorf("MAC of a server that was away = %v, want unknown", got)
	}
}

func TestLinkGone(t *testing.T) {
	s := newStory(t, note())
	s.link(link("eth0", macEth0, "192.168.10.2/24"))
	s.alarm("")
	down := link("eth0", macEth0, "192.168.10.2/24")
	down.Up = false
	s.link(down)
	s.alarm("interface eth0 of director nfs is down")
	s.unlink("eth0")
	s.unlink("eth0")
	s.alarm("interface eth0 of director nfs does not exist")
	if got := s.state.Desired().Directors[0].Source; got.Known() {
		t.Errorf("source = %v, want unknown", got)
	}
}

func TestNoInterface(t *testing.T) {
	s := newStory(t, anywhere())
	s.alarm("director nfs has no interface")
}

// TestUnusedDirector: a director that no flow uses can be applied, and needs no
// interface of its own.
func TestUnusedDirector(t *testing.T) {
	cfg := note()
	cfg.Flows = nil
	s := newStory(t, cfg)
	s.link(link("eth0", macEth0, "192.168.10.2/24"))
	s.neighbour("192.168.10.100", "eth0", mac1)
	s.pass("nfs-01")
	want := s.state.Desired()
	if d := want.Directors[0]; d.Active != "nfs-01" || d.Source != macEth0 || d.MAC != mac1 || len(want.Rules.Ifaces) != 0 {
		t.Errorf("desired = %+v", want)
	}
	if got := s.server("nfs-01").MAC; got != mac1 {
		t.Errorf("MAC = %v, want %v", got, mac1)
	}
	s.alarm("")
}

func TestVIPStates(t *testing.T) {
	announce := func(s *story) bool { return s.state.Desired().Rules.VIPs[0].Announce }
	shown := func(s *story) string { return s.state.Flows()[0].VIPs[0].State }

	s := newStory(t, note())
	s.link(link("eth0", macEth0, "192.168.10.2/24"))
	for _, tt := range []struct {
		state    string
		announce bool
		alarm    string
	}{
		{model.VIPProbing, false, ""},
		{model.VIPConflict, false, "another machine answers for the virtual IP 192.168.10.50"},
		{model.VIPProbing, false, ""},
		{model.VIPAnnounced, true, ""},
		{model.VIPConflict, true, "another machine answers for the virtual IP 192.168.10.50"},
		{model.VIPAnnounced, true, ""},
	} {
		s.vip("192.168.10.50", tt.state)
		if got := announce(s); got != tt.announce {
			t.Errorf("%s: announce = %v, want %v", tt.state, got, tt.announce)
		}
		if got := shown(s); got != tt.state {
			t.Errorf("state = %q, want %q", got, tt.state)
		}
		s.alarm(tt.alarm)
	}
	s.vip("192.168.10.99", model.VIPAnnounced)
	foreign := note()
	foreign.Flows[0].Rules[0].Dst.Value = netip.MustParsePrefix("192.168.10.99/32")
	later := s.state
	if later, _ = Step(later, Configured{At: At{s.now}, Config: foreign}); later.Desired().Rules.VIPs[0].Announce {
		t.Error("a virtual IP is announced by a report from before it was configured")
	}
	s.reload(note())
	if !announce(s) {
		t.Error("a reload forgot the announcement")
	}
	other := note()
	other.Flows = nil
	s.reload(other)
	s.reload(note())
	if announce(s) {
		t.Error("a virtual IP that was away is announced without a probe")
	}
	want := model.VIPStatus{Addr: addr("192.168.10.50"), State: model.VIPNotApplied, Why: "its announcement has not begun"}
	if got := s.state.Flows()[0].VIPs[0]; got != want {
		t.Errorf("state = %+v, want %+v", got, want)
	}
}

// TestBridgePortIsNotSevered: nor is an interface whose network does not hold the
// server, as with a route to a single host. Failures count.
func TestBridgePortIsNotSevered(t *testing.T) {
	for what, links := range map[string][]model.Link{
		"bridge":     {link("eth0", macEth0), link("br0", macEth0, "192.168.10.2/24")},
		"host route": {link("eth0", macEth0, "10.0.0.1/32")},
	} {
		s := newStory(t, note())
		for _, l := range links {
			s.link(l)
		}
		s.pass("nfs-01")
		s.fail("nfs-01", "refused")
		s.fail("nfs-01", "refused")
		if got := s.server("nfs-01").Health; got != model.HealthDown {
			t.Errorf("%s: health = %v, want down", what, got)
		}
	}
}

// TestServerAnswersARP: the alarm names the real server and its remedy.
func TestServerAnswersARP(t *testing.T) {
	s := newStory(t, note())
	s.link(link("eth0", macEth0, "192.168.10.2/24"))
	s.up("nfs-01")
	s.neighbour("192.168.10.100", "eth0", mac1)
	s.neighbour("192.168.10.101", "eth0", mac2)
	s.step(VIPSeen{At{s.now}, model.VIPStatus{Addr: addr("192.168.10.50"), State: model.VIPConflict, Why: "192.168.10.50 is answered by " + mac2.String()}})
	s.alarm("the real server nfs-02 answers ARP for the virtual IP 192.168.10.50")
	s.neighbour("192.168.10.101", "eth0", model.MAC{2, 0, 0, 0, 0, 9})
	s.alarm("another machine answers for the virtual IP 192.168.10.50")
}

// TestOwnAddress: a flow never claims an address of the director itself.
func TestOwnAddress(t *testing.T) {
	s := newStory(t, note())
	s.link(link("eth0", macEth0, "192.168.10.2/24"))
	s.vip("192.168.10.50", model.VIPAnnounced)
	want := []Announcement{{Addr: addr("192.168.10.50"), Iface: "eth0", MAC: macEth0}}
	if got := s.state.Announcements(); !reflect.DeepEqual(got, want) {
		t.Errorf("announcements = %v, want %v", got, want)
	}
	s.link(link("lo", model.MAC{}, "127.0.0.1/8", "192.168.10.50/32"))
	if got := s.state.Desired().Rules.VIPs; len(got) != 0 {
		t.Errorf("virtual IPs = %v, want none", got)
	}
	if got := s.state.Announcements(); len(got) != 0 {
		t.Errorf("announcements = %v, want none", got)
	}
	if got := s.state.Flows()[0].VIPs[0].Why; got != "192.168.10.50 is an address of this machine, on lo" {
		t.Errorf("why = %q", got)
	}
	s.alarm("flow nfs is not applied to 192.168.10.50")
	s.link(link("lo", model.MAC{}, "127.0.0.1/8"))
	if got := s.state.Desired().Rules.VIPs; len(got) != 1 || got[0].Announce {
		t.Errorf("virtual IPs = %v, want it back, not announced before it is probed again", got)
	}
}

// TestInterfaceReturns: what was seen of a virtual IP ends with its interface.
func TestInterfaceReturns(t *testing.T) {
	s := newStory(t, note())
	eth0 := link("eth0", macEth0, "192.168.10.2/24")
	s.link(eth0)
	s.vip("192.168.10.50", model.VIPAnnounced)
	s.unlink("eth0")
	s.vip("192.168.10.50", model.VIPAnnounced) // a late report
	s.link(eth0)
	if s.state.Desired().Rules.VIPs[0].Announce {
		t.Error("the virtual IP is announced on a new interface before it is probed")
	}
}

// TestOwnInterfaceDown: while the director's own interface is down, gone or
// without its address, no failure counts against a server, and nothing is switched.
func TestOwnInterfaceDown(t *testing.T) {
	eth0 := link("eth0", macEth0, "192.168.10.2/24")
	down := eth0
	down.Up = false
	for what, sever := range map[string]func(*story){
		"down": func(s *story) { s.link(down) },
		"bare": func(s *story) {
			s.link(link("eth0", macEth0, "fe80::1/64"))
			s.alarm("director nfs: its servers cannot be checked")
		},
		"gone": func(s *story) { s.link(link("lo", model.MAC{}, "127.0.0.1/8")); s.unlink("eth0") },
	} {
		s := newStory(t, note())
		s.link(eth0)
		s.pass("nfs-01")
		s.fail("nfs-01", "refused") // one that counts
		sever(s)
		s.fail("nfs-01", "refused")
		s.fail("nfs-01", "refused")
		s.health("nfs-01", model.HealthUp)
		s.active("nfs-01", 1, model.ReasonFirst)
		s.link(eth0)
		s.fail("nfs-01", "refused")
		s.health("nfs-01", model.HealthDown)
		if s.state.directors[0].choice.active != "nfs-02" {
			t.Errorf("%s: no switch after the interface is back", what)
		}
	}
}

func TestFlowsOfOtherPolicies(t *testing.T) {
	cfg := note()
	off := cfg.Flows[0]
	off.Name, off.Policy, off.Director = "off", model.PolicySkip, ""
	off.Rules = []model.Rule{{Dst: model.Cond[netip.Prefix]{Set: true, Value: netip.MustParsePrefix("192.168.10.60/32")}}}
	cfg.Flows = []model.Flow{off, cfg.Flows[0]}
	got := newStory(t, cfg).state.Flows()
	if len(got) != 2 || got[0].Name != "off" || got[0].Policy != model.PolicySkip || len(got[0].VIPs) != 0 || len(got[1].VIPs) != 1 {
		t.Errorf("flows = %+v", got)
	}
}
