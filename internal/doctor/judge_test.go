package doctor

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead/internal/knock"
	"fairlead/internal/model"
	"fairlead/internal/nfswire"
	"fairlead/internal/rpc"
)

// healthy is a director with two servers of which nothing is wrong.
func healthy() Facts {
	server := func(name, addr string, last byte) Server {
		handles := map[string]nfswire.Handle{"/data": "same"}
		return Server{
			Name: name, Addr: netip.MustParseAddr(addr), Port: 2049, Link: "eth0", MTU: 1500,
			MAC: seen(model.MAC{2, 0, 0, 0, 0, last}), Own: seen(Door{knock.Accepted, 1460}),
			VIPs: map[netip.Addr]Seen[Door]{vip: seen(Door{knock.Accepted, 1460})},
			Full: seen(true), Clock: seen(Clock{0, time.Millisecond}),
			NFS: &NFS{
				Three: seen(true), Four: seen(true), Lease: seen(90 * time.Second), Identity: seen(Identity{"a", "b"}),
				Programs: seen([]rpc.Mapping{{Program: rpc.ProgramMount, Version: 3, Protocol: rpc.TCP, Port: 20048}}),
				Exports:  seen([]nfswire.Export{{Path: "/data"}}), Roots3: seen(handles), Roots4: seen(handles),
			},
		}
	}
	return Facts{
		Host:      Host{Forwarding: seen(false), Rules: seen([]Rule(nil)), Links: []Link{{"eth0", 1500, false, false, false, "ixgbe", seen(Driver{Native: true})}}},
		Directors: []Director{{"nfs", []VIP{{Addr: vip, Holders: seen([]model.MAC(nil))}}, []Server{server("nfs-01", "192.168.10.100", 1), server("nfs-02", "192.168.10.101", 2)}, true, false}},
	}
}

// TestJudge changes one thing of a healthy set-up.
func TestJudge(t *testing.T) {
	second := func(f func(*Server)) func(*Facts) { return func(x *Facts) { f(&x.Directors[0].Servers[1]) } }
	nfs := func(f func(*NFS)) func(*Facts) { return second(func(s *Server) { f(s.NFS) }) }
	for _, tt := range []struct {
		name   string
		change func(*Facts)
		want   string // of the only finding; "": none
		missed string // the only thing that was not looked at; "": none
	}{
		{"nothing", func(*Facts) {}, "", ""},
		{"a clock ahead", second(func(s *Server) { s.Clock.Value = Clock{37 * time.Second, 2 * time.Millisecond} }), "the clock of nfs-02 is 37s ahead of the director's (measured to 2ms)", ""},
		{"a clock behind", second(func(s *Server) { s.Clock.Value = Clock{-1500 * time.Millisecond, time.Millisecond} }), "the clock of nfs-02 is 1.5s behind the director's (measured to 1ms)", ""},
		{"a clock that may be right", second(func(s *Server) { s.Clock.Value = Clock{1500 * time.Millisecond, time.Second} }), "", ""},
		{"no clock", second(func(s *Server) { s.Clock = unseen[Clock]("it answers no ICMP timestamp request") }), "", "the clock of nfs-02"},
		{"no MTU", second(func(s *Server) { s.Own.Value.MSS = 0 }), "", "the MTU of nfs-02"},
		{"no ping", second(func(s *Server) { s.Full = unseen[bool]("it answers no ping") }), "", "whether frames of 1500 bytes reach nfs-02"},
		{"a small MTU", second(func(s *Server) { s.Own.Value.MSS = 1360 }), "the MTU of nfs-02 is 1400, that of eth0 on the director is 1500", ""},
		{"generic XDP", func(f *Facts) { f.Host.Links[0].Generic = true }, "XDP runs in generic mode on eth0 (driver ixgbe, MTU 1500)", ""},
		{"generic XDP where it costs nothing", func(f *Facts) {
			f.Host.Links[0] = Link{"veth0", 9000, false, true, true, "unknown", unseen[Driver]("")}
		}, "", ""},
		{"a driver without XDP", func(f *Facts) { f.Host.Links[0].XDP.Value = Driver{} }, "the driver of eth0 (ixgbe) does not run XDP", ""},
		{"a long MTU", func(f *Facts) { f.Host.Links[0].MTU = 9000 }, "the driver of eth0 (ixgbe) runs XDP on frames of one page only, and its MTU is 9000", ""},
		{"a long MTU that the driver can", func(f *Facts) {
			f.Host.Links[0] = Link{"eth0", 9000, false, false, false, "ice", seen(Driver{true, true})}
		}, "", ""},
		{"a kernel that does not say", func(f *Facts) { f.Host.Links[0].XDP = unseen[Driver]("too old") }, "", "whether the driver of eth0 runs XDP with an MTU of 1500"},
		{"forwarding not known", func(f *Facts) { f.Host.Forwarding = unseen[bool]("no /proc") }, "", "ip_forward of this machine"},
		{"rules not known", func(f *Facts) { f.Host.Rules = unseen[[]Rule]("nft is not installed") }, "", "the packet filters of this machine"},
		{"no word on who answers ARP", func(f *Facts) { f.Directors[0].VIPs[0].Holders = unseen[[]model.MAC]("no interface leads to it") }, "", "who answers ARP for 192.168.10.50"},
		{"a server that was not asked for", second(func(s *Server) { s.MAC = unseen[model.MAC]("it is behind a router"); s.NFS = nil }), "", "nfs-02"},
		{"a server that answers neighbour discovery", func(f *Facts) {
			six := netip.MustParseAddr("2001:db8::50")
			f.Directors[0].VIPs[0] = VIP{six, seen([]model.MAC{f.Directors[0].Servers[1].MAC.Value})}
			for _, s := range f.Directors[0].Servers {
				s.VIPs[six] = s.VIPs[vip]
			}
		}, "nfs-02 answers neighbour discovery for the virtual IP 2001:db8::50", ""},
		{"no port", second(func(s *Server) { s.Own = unseen[Door]("the configuration names no port for it"); s.NFS = nil }), "", "the ports of nfs-02"},
		{"a virtual IP that was not asked for", second(func(s *Server) { s.VIPs = nil }), "", "whether nfs-02 takes packets for 192.168.10.50"},
		{"an export that is hidden from the director", nfs(func(n *NFS) { n.Hidden, n.Roots3.Value = []string{"/data"}, nil }), "", "the file handle of /data on nfs-02"},
		{"other groups", nfs(func(n *NFS) { n.Exports = seen([]nfswire.Export{{Path: "/data", Groups: []string{"b", "a"}}}) }), "nfs-02 exports /data to a, b, nfs-01 to all", ""},
		{"another owner", nfs(func(n *NFS) { n.Identity = seen(Identity{"a", "c"}) }), `the server owner of NFSv4.1 is "c" on nfs-02 and "b" on nfs-01`, ""},
		{"no NFSv4.1", nfs(func(n *NFS) { n.Identity = unseen[Identity]("it does not offer NFSv4.1") }), "", "who nfs-02 says that it is in NFSv4.1"},
		{"a programme that one lacks", nfs(func(n *NFS) { n.Programs = seen([]rpc.Mapping(nil)) }), "the servers' ports differ: mountd over TCP at port 20048 on nfs-01 and not on nfs-02", ""},
		{"a clock that nobody asked for", second(func(s *Server) { s.Clock = Seen[Clock]{} }), "", "the clock of nfs-02"},
		{"no NFS at all", second(func(s *Server) { s.NFS = nil }), "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := healthy()
			tt.change(&f)
			found, missed := Judge(f)
			var got, unseen []string
			for _, x := range found {
				got = append(got, x.What)
				if x.Why == "" || x.Do == "" {
					t.Errorf("%s: no reason, or nothing to do", x.What)
				}
			}
			for _, x := range missed {
				unseen = append(unseen, x.What)
				if x.Because == "" {
					t.Errorf("%s: not looked at, without a reason", x.What)
				}
			}
			if !slices.Equal(got, only(tt.want)) || !slices.Equal(unseen, only(tt.missed)) {
				t.Errorf("found %q, not looked at %q; want %q, %q", got, unseen, tt.want, tt.missed)
			}
		})
	}
}

func only(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func TestNaming(t *testing.T) {
	const text = "table ip t {\n\tip daddr 192.168.10.50 drop\n\tip daddr 192.168.10.5 drop\n\tip daddr 1192.168.10.50 drop\n\tset s { 192.168.10.50, 192.168.10.51 }\n}\n"
	got := naming(text, []netip.Addr{vip})
	if want := []string{"ip daddr 192.168.10.50 drop", "set s { 192.168.10.50, 192.168.10.51 }"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
