package realserver

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var (
	vip  = netip.MustParseAddr("192.168.10.50")
	vip2 = netip.MustParseAddr("192.168.10.51")
	vip6 = netip.MustParseAddr("2001:db8::50")
)

// everything is a request for all there is.
var everything = Request{VIPs: []netip.Addr{vip, vip6}, Dev: "lo", Persist: true, NFSPorts: true}

func machine(root string, k kernel) *Server {
	return &Server{disk: tree{root}, kernel: k, state: "/var/lib/fairlead"}
}

func setup(t testing.TB, s *Server, r Request) Plan {
	t.Helper()
	p, err := s.PlanSetup(r)
	if err == nil {
		err = s.Apply(p)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func undo(t testing.TB, s *Server, vips ...netip.Addr) Plan {
	t.Helper()
	p, err := s.PlanUndo(vips)
	if err == nil {
		err = s.Apply(p)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSetupAndUndo(t *testing.T) {
	for name, sys := range map[string]system{
		"ifupdown": debian,
		"networkd": cloud.with(system{"/etc/nfs.conf.d/": ""}),
		"drop-in":  cloud.with(system{"/usr/lib/systemd/network/20-lo.network": "[Match]\nName=lo\n", "/etc/nfs.conf": ""}),
		"unit":     debian.with(system{"/etc/network/interfaces": "iface lo inet loopback\n"}),
	} {
		t.Run(name, func(t *testing.T) {
			root, k := sys.build(t), newKernel()
			before, network := snapshot(t, root), k.image()
			s := machine(root, k)
			if p := setup(t, s, everything); len(p.Ops) < 8 || len(p.Left) > 0 {
				t.Errorf("got %d steps, %v left", len(p.Ops), p.Left)
			}
			for key, want := range map[string]string{"all/arp_ignore": "1", "all/arp_announce": "2", "lo/arp_ignore": "1", "lo/arp_announce": "2", "eth0/arp_ignore": "0"} {
				if got := k.settings["net/ipv4/conf/"+key]; got != want {
					t.Errorf("%s: got %s, want %s", key, got, want)
				}
			}
			after := snapshot(t, root)
			if len(after) <= len(before) {
				t.Error("no file was written")
			}
			for range 2 { // the second one finds nothing to do
				if p := setup(t, machine(root, k), everything); len(p.Ops) > 0 {
					t.Errorf("again: %v", p.Ops)
				}
			}
			wantSame(t, snapshot(t, root), after)
			undo(t, machine(root, k))
			wantSame(t, snapshot(t, root), before)
			if k.image() != network {
				t.Errorf("the network is\n%s, was\n%s", k.image(), network)
			}
			if _, err := machine(root, k).PlanUndo(nil); err == nil || !strings.Contains(err.Error(), "nothing was set up") {
				t.Errorf("undo again: got %v", err)
			}
		})
	}
}

// TestFiles: what is written, to the byte.
func TestFiles(t *testing.T) {
	read := func(root, name string) string {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
		}
		return strings.TrimPrefix(string(text), header)
	}
	root := debian.build(t)
	setup(t, machine(root, newKernel()), everything)
	for name, want := range map[string]string{
		sysctlFile: "# Nobody answers ARP for the virtual IPs here: that is the director's part.\n" +
			"net.ipv4.conf.all.arp_ignore = 1\nnet.ipv4.conf.all.arp_announce = 2\nnet.ipv4.conf.lo.arp_ignore = 1\nnet.ipv4.conf.lo.arp_announce = 2\n",
		ifupdownFile: "\niface lo inet manual\n    up ip address replace 192.168.10.50/32 dev lo\n    down ip address del 192.168.10.50/32 dev lo || true\n" +
			"\niface lo inet6 manual\n    up ip address replace 2001:db8::50/128 dev lo nodad\n    down ip address del 2001:db8::50/128 dev lo || true\n",
		nfsFile:              "\n[mountd]\nport=20048\n\n[statd]\nport=32765\noutgoing-port=32766\n\n[lockd]\nport=32803\nudp-port=32769\n",
		"/etc/default/quota": "# rquotad\nrun_warnquota=\n\nRPCRQUOTADOPTS=\"-p 875\"\n",
	} {
		if got := read(root, name); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
	root = cloud.build(t)
	setup(t, machine(root, newKernel()), Request{VIPs: []netip.Addr{vip, vip6}, Dev: "lo", Persist: true})
	const addresses = "\n[Address]\nAddress=192.168.10.50/32\n\n[Address]\nAddress=2001:db8::50/128\nDuplicateAddressDetection=none\n"
	if got := read(root, networkdDir+"00-fairlead-realserver-lo.network"); got != "[Match]\nName=lo\n\n[Link]\nRequiredForOnline=no\n\n[Network]\nKeepConfiguration=static\n"+addresses {
		t.Errorf("got\n%s", got)
	}
	root = cloud.with(system{"/etc/systemd/network/20-lo.network": "[Match]\nName=lo\n"}).build(t)
	setup(t, machine(root, newKernel()), Request{VIPs: []netip.Addr{vip, vip6}, Dev: "lo", Persist: true})
	if got := read(root, networkdDir+"20-lo.network.d/50-fairlead-realserver.conf"); got != addresses {
		t.Errorf("got\n%s", got)
	}
	root = cloud.build(t)
	setup(t, machine(root, newKernel()), Request{VIPs: []netip.Addr{vip}, Dev: "lo", Persist: true, Manager: Unit})
	if got := read(root, unitFile); !strings.Contains(got, "\nExecStart=/usr/bin/ip address replace 192.168.10.50/32 dev lo\n") {
		t.Errorf("got\n%s", got)
	}
	if to, err := os.Readlink(filepath.Join(root, unitWanted)); err != nil || to != unitFile {
		t.Errorf("got a link to %q, %v", to, err)
	}
}

// TestKilled kills a set-up, a second one and the undo between any two changes of
// the machine, and in the middle of each file.
func TestKilled(t *testing.T) {
	second := Request{VIPs: []netip.Addr{vip2}, Dev: "dummy0"}
	total := 0
	for _, sys := range []system{debian, cloud.with(system{"/etc/nfs.conf": ""})} {
		for stage := range 3 {
			for n := 0; ; n++ {
				total++
				root, k := sys.build(t), newKernel()
				k.devs[0].Up, k.devs[0].Addresses = false, nil // a namespace as it is made
				before, network := snapshot(t, root), k.image()
				m := &mortal{left: n}
				steps := []func(*Server){
					func(s *Server) { setup(t, s, everything) },
					func(s *Server) { setup(t, s, second) },
					func(s *Server) { undo(t, s) },
				}
				for _, step := range steps[:stage] {
					step(machine(root, k))
				}
				s := &Server{disk: mortalDisk{tree{root}, m}, kernel: mortalKernel{k, m}, state: "/var/lib/fairlead"}
				alive := survives(func() { steps[stage](s) })
				// What comes next: half of the time the same again, and then the undo.
				next := machine(root, k)
				if err := next.tidy(); err != nil {
					t.Fatal(err)
				}
				if r, err := next.load(); err == nil && stage == 2 && r.Pending && len(r.Wish.VIPs) == 0 {
					t.Error("an undo that was interrupted no longer knows of what")
				}
				if r, err := next.load(); err == nil && (stage < 2 && n%2 == 0 || !r.empty()) {
					if stage < 2 && n%2 == 0 {
						steps[stage](machine(root, k))
					}
					undo(t, machine(root, k))
				} else if err != nil {
					t.Fatalf("stage %d, killed after %d changes: %v", stage, n, err)
				}
				wantSame(t, snapshot(t, root), before)
				if k.image() != network {
					t.Errorf("the network is\n%s, was\n%s", k.image(), network)
				}
				if t.Failed() {
					t.Fatalf("stage %d, killed after %d changes", stage, n)
				}
				if alive {
					break
				}
			}
		}
	}
	t.Logf("killed at %d places", total)
	if total < 150 {
		t.Errorf("killed at %d places only", total)
	}
}

// TestFailed: when a step fails, those before it are taken back.
func TestFailed(t *testing.T) {
	for n := 0; ; n++ {
		root, k := debian.build(t), newKernel()
		before, network := snapshot(t, root), k.image()
		m := &mortal{left: n, err: unix.ENOSPC}
		s := &Server{disk: mortalDisk{tree{root}, m}, kernel: mortalKernel{k, m}, state: "/var/lib/fairlead"}
		p, err := s.PlanSetup(everything)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Apply(p)
		if err == nil {
			if n < 30 {
				t.Errorf("there were only %d changes", n)
			}
			return
		}
		if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "make room there") {
			t.Errorf("after %d changes: got %v", n, err)
		}
		if !strings.Contains(err.Error(), "it is done, but the record") {
			wantSame(t, snapshot(t, root), before)
			if k.image() != network {
				t.Errorf("the network is\n%s, was\n%s", k.image(), network)
			}
		}
		if t.Failed() {
			t.Fatalf("failed after %d changes: %v", n, err)
		}
	}
}

// TestSettingsReadOnly: in a container the kernel's settings may be read-only.
func TestSettingsReadOnly(t *testing.T) {
	root, k := debian.build(t), newKernel()
	before, network := snapshot(t, root), k.image()
	s := machine(root, sealed{k})
	p, err := s.PlanSetup(everything)
	if err == nil {
		err = s.Apply(p)
	}
	if !errors.Is(err, unix.EROFS) || !strings.Contains(err.Error(), "net.ipv4.conf.all.arp_ignore") || !strings.HasSuffix(err.Error(), "Everything is as it was before") {
		t.Errorf("got %v", err)
	}
	wantSame(t, snapshot(t, root), before)
	if k.image() != network {
		t.Error("the network was changed")
	}
}

// TestInterfaceGone: there is nothing to restore on an interface that is no more.
func TestInterfaceGone(t *testing.T) {
	root, k := debian.build(t), newKernel()
	before := snapshot(t, root)
	setup(t, machine(root, k), Request{VIPs: []netip.Addr{vip}, Dev: "dummy0", Persist: true})
	k.devs = k.devs[:2]
	for name := range k.settings {
		if strings.Contains(name, "dummy0") {
			delete(k.settings, name)
		}
	}
	if p := undo(t, machine(root, k)); len(p.Left) > 0 {
		t.Errorf("left %v", p.Left)
	}
	wantSame(t, snapshot(t, root), before)
}

// TestChangedSince: what somebody else changed is left alone, and named.
func TestChangedSince(t *testing.T) {
	root, k := debian.build(t), newKernel()
	setup(t, machine(root, k), everything)
	edited := "# mine\n"
	for _, name := range []string{sysctlFile, "/etc/default/quota"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(edited), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	k.settings["net/ipv4/conf/all/arp_ignore"] = "8"
	if p := setup(t, machine(root, k), everything); len(p.Left) != 2 || len(p.Ops) != 1 || k.settings["net/ipv4/conf/all/arp_ignore"] != "1" {
		t.Errorf("setup: got %v left, steps %v", p.Left, p.Ops)
	}
	k.settings["net/ipv4/conf/all/arp_ignore"] = "8"
	p := undo(t, machine(root, k))
	left := slices.Collect(func(yield func(string) bool) {
		for _, l := range p.Left {
			yield(l.Key.String())
		}
	})
	slices.Sort(left)
	if want := []string{"/etc/default/quota", sysctlFile, "net.ipv4.conf.all.arp_ignore"}; !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
	if text, err := os.ReadFile(filepath.Join(root, sysctlFile)); err != nil || string(text) != edited {
		t.Errorf("the edited file is %q, %v", text, err)
	}
	if there(tree{root}, ifupdownFile) || k.settings["net/ipv4/conf/lo/arp_ignore"] != "0" {
		t.Error("what nobody changed was not restored")
	}
	// The original is still known: put back by hand, it is over.
	r, err := machine(root, k).load()
	if kept, ok := r.find(Key{File, sysctlFile}); err != nil || !ok || kept.Before.Text != debian[sysctlFile] {
		t.Errorf("the original is not kept: %+v, %v", r, err)
	}
	k.settings["net/ipv4/conf/all/arp_ignore"] = "0"
	for _, name := range []string{sysctlFile, "/etc/default/quota"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(debian[name]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if p := undo(t, machine(root, k)); len(p.Left) > 0 || len(p.Ops) > 0 || there(tree{root}, "/var/lib/fairlead") {
		t.Errorf("got %v left, and the record is still there", p.Left)
	}
}

func TestForget(t *testing.T) {
	root, k := debian.build(t), newKernel()
	setup(t, machine(root, k), everything)
	if err := os.WriteFile(filepath.Join(root, sysctlFile), []byte("mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := machine(root, k)
	p, err := s.PlanUndo(nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Forget()
	if err := s.Apply(p); err != nil || there(tree{root}, "/var/lib/fairlead") {
		t.Errorf("got %v, and the record is still there", err)
	}
}

// TestSomeOfThem undoes one virtual IP of two, and moves one.
func TestSomeOfThem(t *testing.T) {
	root, k := debian.build(t), newKernel()
	before, network := snapshot(t, root), k.image()
	setup(t, machine(root, k), Request{VIPs: []netip.Addr{vip}, Dev: "lo", Persist: true})
	setup(t, machine(root, k), Request{VIPs: []netip.Addr{vip2}, Dev: "lo"})
	text, err := os.ReadFile(filepath.Join(root, ifupdownFile))
	if err != nil || !strings.Contains(string(text), "10.50/32") || !strings.Contains(string(text), "10.51/32") {
		t.Errorf("got %s, %v", text, err)
	}
	undo(t, machine(root, k), vip)
	text, err = os.ReadFile(filepath.Join(root, ifupdownFile))
	if err != nil || strings.Contains(string(text), "10.50/32") || !strings.Contains(string(text), "10.51/32") {
		t.Errorf("got %s, %v", text, err)
	}
	if k.settings["net/ipv4/conf/all/arp_ignore"] != "1" {
		t.Error("the other one is no longer silent")
	}
	setup(t, machine(root, k), Request{VIPs: []netip.Addr{vip2}, Dev: "dummy0"})
	if len(k.devs[0].Addresses) != 1 || len(k.devs[2].Addresses) != 1 || !k.devs[2].Up {
		t.Errorf("it did not move: %v", k.devs)
	}
	if _, err := machine(root, k).PlanUndo([]netip.Addr{vip}); err == nil || !strings.Contains(err.Error(), "these were: 192.168.10.51") {
		t.Errorf("got %v", err)
	}
	undo(t, machine(root, k), vip2)
	wantSame(t, snapshot(t, root), before)
	if k.image() != network {
		t.Errorf("the network is\n%s, was\n%s", k.image(), network)
	}
}

// TestGoodValuesStay: what serves already is not touched, and not restored.
func TestGoodValuesStay(t *testing.T) {
	root, k := cloud.build(t), newKernel()
	k.settings["net/ipv4/conf/all/arp_ignore"] = "2"
	k.settings["net/ipv4/conf/eth0/arp_ignore"] = "3" // answers for an address of the loopback
	if err := k.addAddress(netip.PrefixFrom(vip, 32), "lo"); err != nil {
		t.Fatal(err)
	}
	network := k.image()
	for range 2 {
		setup(t, machine(root, k), Request{VIPs: []netip.Addr{vip}, Dev: "lo"})
		if k.settings["net/ipv4/conf/all/arp_ignore"] != "2" || k.settings["net/ipv4/conf/eth0/arp_ignore"] != "1" {
			t.Errorf("got %v", k.settings)
		}
	}
	undo(t, machine(root, k))
	if k.image() != network {
		t.Errorf("the network is\n%s, was\n%s", k.image(), network)
	}
}

func TestRefusals(t *testing.T) {
	request := func(addr, dev string) Request {
		return Request{VIPs: []netip.Addr{netip.MustParseAddr(addr)}, Dev: dev}
	}
	for _, tt := range []struct {
		what  string
		sys   system
		alter func(*fakeKernel)
		r     Request
		want  []string
	}{
		{"own address", debian, nil, request("192.168.10.100", "lo"), []string{"192.168.10.100 on lo", "real interface eth0", "ip address del 192.168.10.100/24 dev eth0"}},
		{"real interface", debian, nil, request("192.168.10.50", "eth0"), []string{"eth0 is a real interface", "--dev lo"}},
		{"no interface", debian, nil, request("192.168.10.50", "lo1"), []string{"no such interface", "lo, dummy0"}},
		{"with a network", debian, func(k *fakeKernel) { k.addAddress(netip.MustParsePrefix("192.168.10.50/24"), "lo") }, request("192.168.10.50", "lo"), []string{"192.168.10.50/24", "this machine's own"}},
		{"IPv6 off", debian, func(k *fakeKernel) { k.settings["net/ipv6/conf/lo/disable_ipv6"] = "1" }, request("2001:db8::1", "lo"), []string{"IPv6 is off", "sysctl -w net.ipv6.conf.lo.disable_ipv6=0"}},
		{"no IPv6 at all", debian, func(k *fakeKernel) { delete(k.settings, "net/ipv6/conf/lo/disable_ipv6") }, request("2001:db8::1", "lo"), []string{"IPv6 is off"}},
		{"loopback", debian, nil, request("127.0.0.1", "lo"), []string{"never leaves a machine"}},
		{"multicast", debian, nil, request("224.0.0.1", "lo"), []string{"multicast"}},
		{"link-local", debian, nil, request("fe80::1", "lo"), []string{"link-local"}},
		{"any", debian, nil, request("0.0.0.0", "lo"), []string{"no address"}},
		{"mapped", debian, nil, request("::ffff:192.0.2.1", "lo"), []string{"write it as IPv4, 192.0.2.1"}},
		{"zone", debian, nil, request("2001:db8::1%eth0", "lo"), []string{"names an interface"}},
		{"broadcast", debian, nil, request("255.255.255.255", "lo"), []string{"broadcast"}},
		{"no manager", system{"/var/lib/": ""}, nil, Request{VIPs: []netip.Addr{vip}, Dev: "lo", Persist: true}, []string{"neither", "Leave out --persist"}},
		{"no networkd", system{"/var/lib/": ""}, nil, Request{VIPs: []netip.Addr{vip}, Dev: "lo", Persist: true, Manager: Networkd}, []string{"systemd-networkd is not installed"}},
		{"no ip", system{"/usr/lib/systemd/systemd": "", "/var/lib/": ""}, nil, Request{VIPs: []netip.Addr{vip}, Dev: "lo", Persist: true, Manager: Unit}, []string{"iproute2"}},
		{"interfaces.d unread", debian.with(system{"/etc/network/interfaces": "auto lo\n"}), nil, Request{VIPs: []netip.Addr{vip}, Dev: "lo", Persist: true, Manager: Ifupdown}, []string{"source /etc/network/interfaces.d/*"}},
		{"no NFS", cloud, nil, Request{VIPs: []netip.Addr{vip}, Dev: "lo", NFSPorts: true}, []string{"/etc/nfs.conf", "own configuration"}},
		{"nothing named", debian, nil, Request{Dev: "lo", Persist: true}, []string{"--vip ADDR"}},
		{"record of another", debian.with(system{"/var/lib/fairlead/realserver.json": `{"version":9}`}), nil, request("192.168.10.50", "lo"), []string{"version 9", "restore it from a copy"}},
		{"torn record", debian.with(system{"/var/lib/fairlead/realserver.json": `{"versi`}), nil, request("192.168.10.50", "lo"), []string{"cannot be read"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			root, k := tt.sys.build(t), newKernel()
			if tt.alter != nil {
				tt.alter(k)
			}
			before, network := snapshot(t, root), k.image()
			_, err := machine(root, k).PlanSetup(tt.r)
			for _, part := range tt.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("got %v, want %q in it", err, part)
				}
			}
			wantSame(t, snapshot(t, root), before)
			if k.image() != network {
				t.Error("the network was changed")
			}
		})
	}
}

func TestNoStateDirectory(t *testing.T) {
	root := system{"/etc/": ""}.build(t)
	s := machine(root, newKernel())
	p, err := s.PlanSetup(Request{VIPs: []netip.Addr{vip}, Dev: "lo"})
	if err == nil {
		err = s.Apply(p)
	}
	if err == nil || !strings.Contains(err.Error(), "no directory /var/lib") || !strings.Contains(err.Error(), "Nothing was changed") {
		t.Errorf("got %v", err)
	}
}

// TestImage prepares the files of a system that does not run, with links in it
// that lead out of it when they are followed from outside.
func TestImage(t *testing.T) {
	outside := t.TempDir()
	root := cloud.with(system{"/etc/sysctl.d": "-> " + outside, "/etc/systemd/network": "-> ../../usr/networks", "/usr/networks/": "", outside + "/": ""}).build(t)
	before := snapshot(t, root)
	s := machine(root, nil)
	if p := setup(t, s, Request{VIPs: []netip.Addr{vip}, Dev: "lo", Persist: true}); slices.ContainsFunc(p.Ops, func(o Op) bool { return o.Key.Kind > File }) {
		t.Errorf("got %v", p.Ops)
	}
	if files, err := os.ReadDir(outside); err != nil || len(files) > 0 {
		t.Errorf("written outside of the root: %v, %v", files, err)
	}
	if !there(tree{root}, "/usr/networks/00-fairlead-realserver-lo.network") || !there(tree{root}, outside+"/90-fairlead-realserver.conf") {
		t.Error("the links were not followed below the root")
	}
	// The system is booted, set up and undone there; the files are still the image's.
	k := newKernel()
	setup(t, machine(root, k), Request{})
	if k.settings["net/ipv4/conf/all/arp_ignore"] != "1" {
		t.Error("the record's wish was not carried out")
	}
	if p := undo(t, machine(root, nil)); len(p.Left) > 0 {
		t.Errorf("left %v", p.Left)
	}
	undo(t, machine(root, k))
	wantSame(t, snapshot(t, root), before)
	if _, err := machine(root, nil).PlanSetup(Request{VIPs: []netip.Addr{vip}, Dev: "lo"}); err == nil || !strings.Contains(err.Error(), "add --persist") {
		t.Errorf("got %v", err)
	}
}

func TestLinksInCircles(t *testing.T) {
	d := tree{system{"/a": "-> b", "/b": "-> a", "/c/x": "-> ../../../../etc/x", "/etc/x": "here"}.build(t)}
	if _, err := d.read("/a/x"); !errors.Is(err, unix.ELOOP) {
		t.Errorf("got %v", err)
	}
	if _, err := d.text("/a"); !errors.Is(err, unix.ELOOP) {
		t.Errorf("got %v", err)
	}
	if text, err := d.text("/c/x"); err != nil || text != "here" {
		t.Errorf("got %q, %v", text, err)
	}
	if _, err := d.text("/nowhere/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestBusy(t *testing.T) {
	root := debian.build(t)
	first, err := Open(Options{Root: root, StateDir: "/var/lib/fairlead"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Root: root, StateDir: "/var/lib/fairlead"}); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
	second, err := Open(Options{Root: root, StateDir: "/var/lib/fairlead", Read: true})
	if err != nil {
		t.Errorf("a reader is refused: %v", err)
	}
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Error(err)
	}
}

func TestMatches(t *testing.T) {
	for text, want := range map[string][2]bool{
		"[Match]\nName=lo\n":                          {true, true},
		"[Match]\nName=eth* l?\n":                     {true, false},
		"[Match]\nName=*\n":                           {true, false},
		"[Match]\nName=!eth0 enp*\n":                  {true, false},
		"[Match]\nName=!lo\n":                         {},
		"[Match]\nType=loopback\n":                    {true, true},
		"[Match]\nType=ether\n":                       {},
		"[Match]\nName=lo\nMACAddress=02:00:00:0:0:1": {false, true},
		"# Name=lo\n[Match]\n#Name=lo\n":              {},
		"[Network]\nName=lo\n":                        {},
		"":                                            {},
	} {
		if fits, alone := matches(text, "lo"); fits != want[0] || alone != want[1] {
			t.Errorf("%q: got %t, %t", text, fits, alone)
		}
	}
}

// TestOthersKeepTheirAddresses: a file of systemd-networkd that fits several
// interfaces must not give the virtual IP to all of them.
func TestOthersKeepTheirAddresses(t *testing.T) {
	const all = "[Match]\nName=*\n"
	root := cloud.with(system{"/etc/systemd/network/10-all.network": all, "/usr/lib/systemd/network/00-a.network": all,
		"/etc/systemd/network/00-a.network": "-> /dev/null"}).build(t)
	setup(t, machine(root, newKernel()), Request{VIPs: []netip.Addr{vip}, Dev: "lo", Persist: true})
	if !there(tree{root}, networkdDir+"00-fairlead-realserver-lo.network") || there(tree{root}, networkdDir+"10-all.network.d") {
		t.Error("the address went into the file of the others")
	}
	root = cloud.with(system{"/usr/lib/systemd/network/00-a.network": all}).build(t)
	_, err := machine(root, newKernel()).PlanSetup(Request{VIPs: []netip.Addr{vip}, Dev: "lo", Persist: true})
	if err == nil || !strings.Contains(err.Error(), "rename it so that it comes later") {
		t.Errorf("got %v", err)
	}
}

// TestDetect: who gives addresses at boot.
func TestDetect(t *testing.T) {
	interfaces := func(line string) system { return debian.with(system{"/etc/network/interfaces": line + "\n"}) }
	for _, tt := range []struct {
		what string
		sys  system
		want Manager
	}{
		{"networkd enabled", cloud, Networkd},
		{"networkd running", system{"/run/systemd/netif/state": ""}, Networkd},
		{"both", debian.with(system{"/run/systemd/netif/state": ""}), Networkd},
		{"ifupdown", debian, Ifupdown},
		{"a directory", interfaces("source-directory /etc/network/interfaces.d"), Ifupdown},
		{"a relative path", interfaces("source interfaces.d/*"), Ifupdown},
		{"another pattern", interfaces("source /etc/network/interfaces.d/*.cfg"), Unit},
		{"a comment", interfaces("#source /etc/network/interfaces.d/*"), Unit},
		{"ifupdown is gone", system{"/etc/network/interfaces": debian["/etc/network/interfaces"], "/lib/systemd/systemd": "", "/bin/ip": ""}, Unit},
		{"nothing", system{"/etc/network/interfaces": "", "/sbin/ifup": ""}, ""},
	} {
		f, err := detect(tree{tt.sys.build(t)})
		if f.manager != tt.want || (err != nil) != (tt.want == "") || err == nil && f.because == "" {
			t.Errorf("%s: got %+v, %v", tt.what, f, err)
		}
	}
}

func TestQuota(t *testing.T) {
	for text, want := range map[string]struct {
		text string
		ok   bool
	}{
		"RPCRQUOTADOPTS=":              {"RPCRQUOTADOPTS=\"-p 875\"", true},
		"a=1\n RPCRQUOTADOPTS=''\nb=2": {"a=1\n RPCRQUOTADOPTS=\"-p 875\"\nb=2", true},
		"RPCRQUOTADOPTS='-S'\n":        {"RPCRQUOTADOPTS='-S'\n", false},
		"RPCRQUOTADOPTS=\"-p 875\"\n":  {"RPCRQUOTADOPTS=\"-p 875\"\n", true},
		"a=1":                          {"a=1\nRPCRQUOTADOPTS=\"-p 875\"\n", true},
		"":                             {"RPCRQUOTADOPTS=\"-p 875\"\n", true},
	} {
		if got, ok := quotaText(text); got != want.text || ok != want.ok {
			t.Errorf("%q: got %q, %t", text, got, ok)
		}
	}
}

func TestValueInJSON(t *testing.T) {
	for _, v := range []Value{{}, plain(""), plain("1"), ours("\xff\x00"), {There: true, Text: "/a", Mode: fs.ModeSymlink | 0o777},
		{There: true, Mode: fs.ModeDir | 0o755}, {There: true, Text: "x", Mode: 0o640, UID: 3, GID: 4}} {
		r := record{Items: []kept{{Key: Key{File, "/a"}, Before: v, Ours: []Value{v}}}}
		text, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeRecord(text)
		if err != nil || len(back.Items) != 1 || back.Items[0].Before != v || back.Items[0].Ours[0] != v {
			t.Errorf("%+v: got %+v, %v from %s", v, back.Items, err, text)
		}
	}
}
