package realserver

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead/internal/ganesha"
	"fairlead/internal/topology"
)

// troubles are the findings that are not right, as CHECK: WHAT.
func troubles(t *testing.T, found []Finding) []string {
	t.Helper()
	var all []string
	for _, f := range found {
		if (f.State == Right) != (f.Why == "" && f.Do == "") || f.What == "" || f.Check == "" {
			t.Errorf("what is wrong says why and what to do, what is right does not: %+v", f)
		}
		if f.State != Right {
			all = append(all, fmt.Sprintf("%s %s: %s", f.State, f.Check, f.What))
		}
	}
	return all
}

func wantTroubles(t *testing.T, found []Finding, want ...string) {
	t.Helper()
	got := troubles(t, found)
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("not found: %q", want[i])
		case i >= len(want):
			t.Errorf("found too much: %q", got[i])
		case !strings.HasPrefix(got[i], want[i]):
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
}

// TestCheck breaks a server that is all right, in one way each.
func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		what  string
		alter func(k *fakeKernel, root string)
		want  []string
	}{
		{"nothing", func(*fakeKernel, string) {}, nil},
		{"no virtual IP", func(k *fakeKernel, _ string) { k.removeAddress(netip.PrefixFrom(vip, 32), "lo") },
			[]string{"wrong vip: 192.168.10.50 is on no interface"}},
		{"on a real interface", func(k *fakeKernel, _ string) { k.addAddress(netip.PrefixFrom(vip, 24), "eth0") },
			[]string{"wrong vip: 192.168.10.50 is on the real interface eth0"}},
		{"with a network", func(k *fakeKernel, _ string) { k.addAddress(netip.PrefixFrom(vip, 24), "lo") },
			[]string{"wrong vip: 192.168.10.50 is on lo as 192.168.10.50/24"}},
		{"IPv6 unsure", func(k *fakeKernel, _ string) {
			l, _ := k.dev("lo")
			for i := range l.Addresses {
				l.Addresses[i].Unsure = l.Addresses[i].Prefix.Addr() == vip6
			}
		}, []string{"wrong vip: 2001:db8::50 is on lo, but duplicate"}},
		{"down", func(k *fakeKernel, _ string) { k.devs[0].Up = false },
			[]string{"wrong vip: 192.168.10.50 is on lo, which is down", "wrong vip: 2001:db8::50 is on lo, which is down"}},
		{"answers ARP", func(k *fakeKernel, _ string) { k.settings[confSetting("all", "arp_ignore")] = "0" },
			[]string{"wrong arp_ignore: eth0 answers ARP for the virtual IP (arp_ignore 0)"}},
		{"answers ARP by its own value", func(k *fakeKernel, _ string) { k.settings[confSetting("eth0", "arp_ignore")] = "3" },
			[]string{"wrong arp_ignore: eth0 answers ARP for the virtual IP (arp_ignore 3)"}},
		{"a reserved value", func(k *fakeKernel, _ string) { k.settings[confSetting("all", "arp_ignore")] = "5" },
			[]string{"wrong arp_ignore: eth0 answers ARP for the virtual IP (arp_ignore 5)"}},
		{"answers nothing", func(k *fakeKernel, _ string) { k.settings[confSetting("eth0", "arp_ignore")] = "8" },
			[]string{"wrong arp_ignore: eth0 answers no ARP at all"}},
		{"as good", func(k *fakeKernel, _ string) {
			k.settings[confSetting("all", "arp_ignore")], k.settings[confSetting("eth0", "arp_ignore")] = "0", "2"
		}, nil},
		{"announces", func(k *fakeKernel, _ string) { k.settings[confSetting("all", "arp_announce")] = "1" },
			[]string{"wrong arp_announce: eth0 may ask by ARP with the virtual IP"}},
		{"proxy", func(k *fakeKernel, _ string) {
			k.settings[confSetting("eth0", "proxy_arp")], k.settings[confSetting("eth0", "forwarding")] = "1", "1"
		}, []string{"warning proxy_arp: eth0 answers ARP for addresses of other networks"}},
		{"strict filter, another way back", func(k *fakeKernel, _ string) {
			k.settings[confSetting("all", "rp_filter")], k.ways[elsewhere.String()] = "1", Way{Dev: "eth1"}
		}, []string{"warning rp_filter: packets of clients in other networks are dropped on eth0: the way back is through eth1"}},
		{"strict filter, same way", func(k *fakeKernel, _ string) {
			k.settings[confSetting("all", "rp_filter")], k.ways[elsewhere.String()] = "1", Way{Dev: "eth0"}
		}, nil},
		{"loose filter", func(k *fakeKernel, _ string) {
			k.settings[confSetting("all", "rp_filter")], k.settings[confSetting("eth0", "rp_filter")], k.ways[elsewhere.String()] = "1", "2", Way{Dev: "eth1"}
		}, nil},
		{"another interface with a strict filter", func(k *fakeKernel, _ string) {
			k.devs = append(k.devs, Link{Name: "eth1", Up: true, Addresses: []Addr{{Prefix: netip.MustParsePrefix("10.0.0.1/24")}}})
			k.settings[confSetting("eth1", "rp_filter")], k.ways[elsewhere.String()] = "1", Way{Dev: "eth0"}
		}, nil},
		{"random ports", func(k *fakeKernel, _ string) {
			k.mappings[0].Port, k.mappings[1].Port, k.mappings[2].Port = 40001, 40002, 40003
		},
			[]string{"wrong ports: mountd listens on TCP port 40002, not on 20048", "wrong ports: mountd listens on UDP port 40001, not on 20048", "wrong ports: lockd listens on TCP port 40003, not on 32803"}},
		{"the ports of lockd confused", func(k *fakeKernel, _ string) { k.mappings[3].Port = 32803 },
			[]string{"wrong ports: lockd listens on UDP port 32803, not on 32769"}},
		{"no rpcbind", func(k *fakeKernel, _ string) { k.silent = unix.ECONNREFUSED }, []string{"warning ports: no rpcbind answers here"}},
		{"file gone", func(_ *fakeKernel, root string) { os.Remove(filepath.Join(root, ifupdownFile)) },
			[]string{"wrong file: " + ifupdownFile + " is gone"}},
		{"file changed", func(_ *fakeKernel, root string) { os.WriteFile(filepath.Join(root, nfsFile), []byte("x"), 0o644) },
			[]string{"wrong file: " + nfsFile + " was changed by somebody since"}},
		{"file as before", func(_ *fakeKernel, root string) {
			os.WriteFile(filepath.Join(root, "/etc/default/quota"), []byte(debian["/etc/default/quota"]), 0o644)
		}, []string{"wrong file: /etc/default/quota is again what it was before"}},
		{"another file at boot", func(_ *fakeKernel, root string) {
			os.WriteFile(filepath.Join(root, "/etc/sysctl.conf"), []byte("net/ipv4/conf/all/arp_ignore=0\n"), 0o644)
		}, []string{"wrong boot: /etc/sysctl.d/99-sysctl.conf sets net.ipv4.conf.all.arp_ignore to 0 at boot"}},
		{"an interface at boot", func(_ *fakeKernel, root string) {
			os.WriteFile(filepath.Join(root, "/etc/sysctl.conf"), []byte("-net.ipv4.conf.eth*.arp_ignore = 8\n"), 0o644)
		}, []string{"wrong boot: /etc/sysctl.d/99-sysctl.conf sets net.ipv4.conf.eth*.arp_ignore to 8 at boot"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			root, k := debian.build(t), newKernel()
			setup(t, machine(root, k), everything)
			tt.alter(k, root)
			before, network := snapshot(t, root), k.image()
			found, err := machine(root, k).Check(nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			wantTroubles(t, found, tt.want...)
			wantSame(t, snapshot(t, root), before)
			if k.image() != network {
				t.Error("the check changed the network")
			}
		})
	}
}

// TestCheckWithoutASetup: of a server that somebody prepared by hand, or nobody.
func TestCheckWithoutASetup(t *testing.T) {
	root, k := debian.build(t), newKernel()
	s := machine(root, k)
	if _, err := s.Check(nil, nil); err == nil || !strings.Contains(err.Error(), "--vip ADDR") {
		t.Errorf("got %v", err)
	}
	if _, err := s.Check([]netip.Addr{netip.MustParseAddr("224.0.0.1")}, nil); err == nil {
		t.Error("a multicast address was taken")
	}
	k.settings["net/ipv4/ip_forward"] = "1"
	client, gone := netip.MustParseAddr("192.168.10.7"), netip.MustParseAddr("203.0.113.1")
	k.ways[client.String()] = Way{Dev: "eth0"}
	found, err := s.Check([]netip.Addr{vip}, []netip.Addr{client, gone})
	if err != nil {
		t.Fatal(err)
	}
	wantTroubles(t, found, "wrong vip: 192.168.10.50 is on no interface", "wrong arp_ignore: eth0 would answer", "wrong arp_announce: eth0 may ask",
		"wrong way: no way leads back to the client 203.0.113.1: no route",
		"warning boot: no file sets net.ipv4.conf.all.arp_ignore", "warning boot: no file sets net.ipv4.conf.all.arp_announce", "warning boot: fairlead keeps no address")
	if !strings.Contains(found[0].Why, "forwards packets for it back") {
		t.Errorf("got %+v", found[0])
	}
	// Every command that mends something is one, and what it says helps.
	for _, name := range []string{"arp_ignore", "arp_announce"} {
		k.settings[confSetting("all", name)] = map[string]string{"arp_ignore": "1", "arp_announce": "2"}[name]
	}
	k.addAddress(netip.PrefixFrom(vip, 32), "lo")
	if found, err = s.Check([]netip.Addr{vip}, []netip.Addr{client}); err != nil {
		t.Fatal(err)
	}
	wantTroubles(t, found, "warning boot", "warning boot", "warning boot")
}

func TestCheckInterrupted(t *testing.T) {
	root, k := debian.build(t), newKernel()
	m := &mortal{left: 12}
	if survives(func() {
		setup(t, &Server{disk: mortalDisk{tree{root}, m}, kernel: mortalKernel{k, m}, state: "/var/lib/fairlead"}, everything)
	}) {
		t.Fatal("it was not killed")
	}
	found, err := machine(root, k).Check(nil, nil)
	if err != nil || !strings.Contains(strings.Join(troubles(t, found), "\n"), "wrong record: a set-up or an undo was interrupted") {
		t.Errorf("got %q, %v", troubles(t, found), err)
	}
}

func TestCheckImage(t *testing.T) {
	root := cloud.build(t)
	setup(t, machine(root, nil), Request{VIPs: []netip.Addr{vip}, Dev: "lo", Persist: true})
	found, err := machine(root, nil).Check(nil, nil)
	if err != nil || len(found) != 3 {
		t.Errorf("got %+v, %v", found, err)
	}
	wantTroubles(t, found)
}

// TestBoot: which file has the last word.
func TestBoot(t *testing.T) {
	for _, tt := range []struct {
		what        string
		files       system
		value, from string
	}{
		{"nothing", system{}, "", ""},
		{"by name of the file", system{"/etc/sysctl.d/10.conf": "net.ipv4.conf.all.arp_ignore = 1", "/usr/lib/sysctl.d/20.conf": "net.ipv4.conf.all.arp_ignore=2"}, "2", "/usr/lib/sysctl.d/20.conf"},
		{"replaced", system{"/etc/sysctl.d/20.conf": "", "/usr/lib/sysctl.d/20.conf": "net.ipv4.conf.all.arp_ignore=2"}, "", ""},
		{"a name before a pattern", system{"/etc/sysctl.d/10.conf": "net.ipv4.conf.all.arp_ignore=1", "/run/sysctl.d/20.conf": "net.ipv4.conf.*.arp_ignore=0"}, "1", "/etc/sysctl.d/10.conf"},
		{"a pattern", system{"/run/sysctl.d/20.conf": "net.ipv4.conf.*.arp_ignore=0"}, "0", "/run/sysctl.d/20.conf"},
		{"comments", system{"/etc/sysctl.d/10.conf": "# net.ipv4.conf.all.arp_ignore=1\n;net.ipv4.conf.all.arp_ignore=1\n\n=\n"}, "", ""},
		{"slashes, and errors ignored", system{"/etc/sysctl.d/10.conf": "-net/ipv4/conf/all/arp_ignore=1"}, "1", "/etc/sysctl.d/10.conf"},
		{"without systemd", system{"/etc/sysctl.d/10.conf": "net.ipv4.conf.all.arp_ignore=1", "/etc/sysctl.conf": "net.ipv4.conf.all.arp_ignore=0"}, "0", "/etc/sysctl.conf"},
		{"with systemd", system{"/etc/sysctl.d/10.conf": "net.ipv4.conf.all.arp_ignore=1", "/etc/sysctl.conf": "net.ipv4.conf.all.arp_ignore=0", "/usr/lib/systemd/systemd": ""}, "1", "/etc/sysctl.d/10.conf"},
	} {
		b, err := readBoot(tree{tt.files.build(t)})
		if got, _ := b.value(confSetting("all", "arp_ignore")); err != nil || got.text != tt.value || got.file != tt.from {
			t.Errorf("%s: got %+v, %v", tt.what, got, err)
		}
	}
	if got := slashed("net.ipv4.conf.eth0/100.arp_ignore"); got != "net/ipv4/conf/eth0.100/arp_ignore" {
		t.Errorf("got %s", got)
	}
}

// TestCheckRealServer breaks a real kernel's settings.
func TestCheckRealServer(t *testing.T) {
	server, _ := segment(t)
	root := debian.build(t)
	check := func(clients []netip.Addr, want ...string) {
		t.Helper()
		within(t, server, func() error {
			found, err := machine(root, running{}).Check([]netip.Addr{vip}, clients)
			found = slices.DeleteFunc(found, func(f Finding) bool { return f.Check == "ports" && f.State == Warning })
			wantTroubles(t, found, want...)
			return err
		})
	}
	set := func(dev, name, text string) {
		t.Helper()
		within(t, server, func() error { return running{}.set(confSetting(dev, name), text) })
	}
	within(t, server, func() error {
		setup(t, machine(root, running{}), everything)
		// A second cable, through which all other networks are reached.
		err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth1"}, PeerName: "peer1"})
		if err == nil {
			err = running{}.addAddress(netip.MustParsePrefix("10.0.0.1/24"), "eth1")
		}
		for _, dev := range []string{"eth1", "peer1"} {
			if err == nil {
				err = running{}.raise(dev, true)
			}
		}
		if err != nil {
			return err
		}
		link, err := netlink.LinkByName("eth1")
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: netip.MustParseAddr("10.0.0.2").AsSlice()})
	})
	// NFS is not there yet, which is a warning of its own; see TestPortsOfARealServer.
	near, far := netip.MustParseAddr("192.168.10.7"), netip.MustParseAddr("203.0.113.9")
	check(nil)
	set(topology.HostIface, "rp_filter", "1")
	check(nil, "warning rp_filter: packets of clients in other networks are dropped on eth0: the way back is through eth1")
	check([]netip.Addr{near, far}, "wrong rp_filter: packets of the client 203.0.113.9 are dropped on eth0")
	check([]netip.Addr{vip}, "wrong way: no way leads back to the client 192.168.10.50: it is an address of this machine")
	set(topology.HostIface, "rp_filter", "2")
	check(nil)
	set("all", "arp_ignore", "0")
	check(nil, "wrong arp_ignore: eth0 answers ARP for the virtual IP (arp_ignore 0)", "wrong arp_ignore: peer1 answers", "wrong arp_ignore: eth1 answers")
	set("all", "arp_ignore", "1")
	within(t, server, func() error { return running{}.removeAddress(netip.PrefixFrom(vip, 32), "lo") })
	check(nil, "wrong vip: 192.168.10.50 is on no interface")
	within(t, server, func() error { return running{}.addAddress(netip.PrefixFrom(vip, 24), topology.HostIface) })
	check(nil, "wrong vip: 192.168.10.50 is on the real interface eth0")
}

// TestPortsOfARealServer asks a real rpcbind, that of nfs-ganesha.
func TestPortsOfARealServer(t *testing.T) {
	server, _ := segment(t)
	cmd, err := ganesha.Command(ganesha.Options{Dir: t.TempDir(), Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := server.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Signal(syscall.SIGKILL)
	within(t, server, func() error {
		root := debian.build(t)
		setup(t, machine(root, running{}), everything)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(60 * time.Second); ; <-tick.C {
			found, err := machine(root, running{}).Check(nil, nil)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(found, func(f Finding) bool { return f.Check == "ports" })
			if found[i].State == Right && strings.HasSuffix(found[i].What, ": 2") { // mountd, TCP and UDP
				return nil
			}
			if time.Now().After(end) {
				return fmt.Errorf("the ports of nfs-ganesha are not seen: %+v", found[i])
			}
		}
	})
}

// TestMending: where the interface's own value counts more than that of all, the
// command changes it too.
func TestMending(t *testing.T) {
	f := facts{settings: map[string]string{confSetting("all", "arp_ignore"): "0", confSetting("eth0.7", "arp_ignore"): "3"}}
	for dev, want := range map[string]string{
		"eth0":   "sysctl -w net.ipv4.conf.all.arp_ignore=1; ",
		"eth0.7": "sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.eth0/7.arp_ignore=1; ",
	} {
		if got := f.mend(dev, "arp_ignore", 1); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q", dev, got)
		}
	}
}
