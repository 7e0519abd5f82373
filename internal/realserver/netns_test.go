package realserver

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead/internal/topology"
)

// segment is a server, not yet a real one, and somebody who asks.
func segment(t *testing.T) (server, asker *topology.Host) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces and must run as root")
	}
	s, err := topology.Build("fairlead-realserver-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	server, err = s.Add(topology.Spec{Name: "server", Addr: netip.MustParsePrefix("192.168.10.100/24")})
	if err == nil {
		asker, err = s.Add(topology.Spec{Name: "asker", Addr: netip.MustParsePrefix("192.168.10.7/24")})
	}
	if err != nil {
		t.Fatal(err)
	}
	within(t, server, func() error {
		// No address of the interface's own: it would come when it likes.
		errs := []error{running{}.set("net/ipv6/conf/"+topology.HostIface+"/addr_gen_mode", "1")}
		for _, dev := range []string{"all", "lo", topology.HostIface} {
			errs = append(errs, running{}.set("net/ipv6/conf/"+dev+"/disable_ipv6", "0"))
		}
		return errors.Join(errs...)
	})
	return server, asker
}

func within(t *testing.T, h *topology.Host, f func() error) {
	t.Helper()
	if err := h.Do(f); err != nil {
		t.Fatal(err)
	}
}

// network is everything that the kernel holds and a set-up could touch.
func network(t *testing.T, h *topology.Host) map[string]string {
	t.Helper()
	all := map[string]string{}
	within(t, h, func() error {
		for _, family := range []string{"ipv4", "ipv6"} {
			top := settings + "/net/" + family + "/conf"
			err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
				if err == nil && e.Type().IsRegular() && e.Name() != "stable_secret" {
					var text []byte
					text, err = os.ReadFile(path)
					all[path] = string(text)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		links, err := running{}.links()
		all["links"] = fmt.Sprint(links)
		return err
	})
	return all
}

// answered asks by ARP for an address, and after it for the server's own, whose
// answer comes last.
func answered(t *testing.T, server, asker *topology.Host, addr netip.Addr) (yes bool) {
	t.Helper()
	within(t, asker, func() error {
		dev, err := net.InterfaceByName(topology.HostIface)
		if err != nil {
			return err
		}
		c, err := packet.Listen(dev, packet.Raw, unix.ETH_P_ARP, nil)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			return err
		}
		for _, target := range []netip.Addr{addr, server.Addr.Addr()} {
			if _, err := c.WriteTo(question(asker, target), &packet.Addr{HardwareAddr: layers.EthernetBroadcast}); err != nil {
				return err
			}
		}
		for buf := make([]byte, 2048); ; {
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				return fmt.Errorf("wait for the server's own answer: %w", err)
			}
			reply, ok := gopacket.NewPacket(buf[:n], layers.LayerTypeEthernet, gopacket.Default).Layer(layers.LayerTypeARP).(*layers.ARP)
			if !ok || reply.Operation != layers.ARPReply {
				continue
			}
			switch netip.AddrFrom4([4]byte(reply.SourceProtAddress)) {
			case addr:
				yes = true
			case server.Addr.Addr():
				return nil
			}
		}
	})
	return yes
}

func question(asker *topology.Host, target netip.Addr) []byte {
	out := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(out, gopacket.SerializeOptions{FixLengths: true},
		&layers.Ethernet{SrcMAC: asker.MAC[:], DstMAC: layers.EthernetBroadcast, EthernetType: layers.EthernetTypeARP},
		&layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPRequest,
			SourceHwAddress: asker.MAC[:], SourceProtAddress: asker.Addr.Addr().AsSlice(), DstHwAddress: make([]byte, 6), DstProtAddress: target.AsSlice()})
	if err != nil {
		panic(err)
	}
	return out.Bytes()
}

// accepted sends a datagram for an address to the server's MAC, as a director
// does, and tells whether it arrives.
func accepted(t *testing.T, server, asker *topology.Host, addr netip.Addr) bool {
	t.Helper()
	var in net.PacketConn
	within(t, server, func() (err error) {
		in, err = net.ListenPacket("udp4", ":7777")
		return err
	})
	defer in.Close()
	within(t, asker, func() error {
		dev, err := netlink.LinkByName(topology.HostIface)
		if err == nil {
			err = netlink.NeighSet(&netlink.Neigh{LinkIndex: dev.Attrs().Index, Family: unix.AF_INET, State: netlink.NUD_PERMANENT,
				IP: addr.AsSlice(), HardwareAddr: server.MAC[:]})
		}
		if err != nil {
			return err
		}
		for _, to := range []netip.Addr{addr, server.Addr.Addr()} { // the last one arrives in any case
			out, err := net.Dial("udp4", netip.AddrPortFrom(to, 7777).String())
			if err != nil {
				return err
			}
			if _, err := out.Write([]byte(to.String())); err != nil {
				return err
			}
			out.Close()
		}
		return nil
	})
	if err := in.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, _, err := in.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n]) == addr.String()
}

// TestRealServer sets a server up and takes it back, with a real kernel.
func TestRealServer(t *testing.T) {
	server, asker := segment(t)
	root := debian.build(t)
	files, before := snapshot(t, root), network(t, server)
	change := func(f func(*Server) (Plan, error)) Plan {
		t.Helper()
		var p Plan
		within(t, server, func() error {
			s, err := Open(Options{Root: root, StateDir: "/var/lib/fairlead"})
			if err != nil {
				return err
			}
			defer s.Close()
			if p, err = f(s); err == nil {
				err = s.Apply(p)
			}
			return err
		})
		return p
	}
	// An address on the loopback alone is answered for: that is what bites.
	byHand := netip.PrefixFrom(vip, 32)
	within(t, server, func() error { return running{}.addAddress(byHand, "lo") })
	if !answered(t, server, asker, vip) {
		t.Error("before the set-up nobody answers ARP for the virtual IP: this test shows nothing")
	}
	within(t, server, func() error { return running{}.removeAddress(byHand, "lo") })
	if accepted(t, server, asker, vip) {
		t.Error("before the set-up packets for the virtual IP are accepted")
	}

	for range 2 {
		change(func(s *Server) (Plan, error) { return s.PlanSetup(everything) })
		change(func(s *Server) (Plan, error) { return s.PlanSetup(Request{VIPs: []netip.Addr{vip2}, Dev: "lo"}) })
	}
	for _, one := range []netip.Addr{vip, vip2} {
		if answered(t, server, asker, one) {
			t.Errorf("after the set-up the server answers ARP for %s", one)
		}
		if !accepted(t, server, asker, one) {
			t.Errorf("after the set-up packets for %s are not accepted", one)
		}
	}
	within(t, server, func() error {
		addrs, err := netlink.AddrList(nil, netlink.FAMILY_V6)
		i := slices.IndexFunc(addrs, func(a netlink.Addr) bool { return a.IPNet.String() == vip6.String()+"/128" })
		if i < 0 || addrs[i].LinkIndex != 1 || addrs[i].Flags&unix.IFA_F_NODAD == 0 {
			t.Errorf("the IPv6 address is not on the loopback, without duplicate address detection: %v", addrs)
		}
		return err
	})
	if p := change(func(s *Server) (Plan, error) { return s.PlanUndo(nil) }); len(p.Ops) < 10 || len(p.Left) > 0 {
		t.Errorf("undo: got %d steps, %v left", len(p.Ops), p.Left)
	}
	wantSame(t, snapshot(t, root), files)
	wantSame(t, network(t, server), before)
}

// TestFreshNamespace: the loopback of a new namespace is down and has no address,
// and is so again afterwards.
func TestFreshNamespace(t *testing.T) {
	server, _ := segment(t)
	within(t, server, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		addrs, err := netlink.AddrList(lo, netlink.FAMILY_V4)
		for _, a := range addrs {
			err = errors.Join(err, netlink.AddrDel(lo, &a))
		}
		return errors.Join(err, netlink.LinkSetDown(lo))
	})
	before := network(t, server)
	within(t, server, func() error {
		s := machine(debian.build(t), running{})
		setup(t, s, everything)
		links, err := s.kernel.links()
		if l := links[0]; err != nil || l.Name != "lo" || !l.Up || !strings.Contains(fmt.Sprint(l.Addresses), "127.0.0.1/8") {
			t.Errorf("got %+v, %v", links, err)
		}
		setup(t, s, everything)
		undo(t, s)
		return nil
	})
	wantSame(t, network(t, server), before)
}

// Roles of this programme.
const roleVar = "FAIRLEAD_REALSERVER_TEST_ROOT"

// TestMain is also the process that TestKilledProcess kills.
func TestMain(m *testing.M) {
	if root := os.Getenv(roleVar); root != "" {
		busy(root)
	}
	os.Exit(m.Run())
}

// busy sets up and undoes for ever, and tells each change before it makes it.
func busy(root string) {
	for n := 0; ; n++ {
		s, err := Open(Options{Root: root, StateDir: "/var/lib/fairlead"})
		if err == nil {
			m := &mortal{left: 1 << 30, tell: func() { fmt.Println("+") }}
			s.disk, s.kernel = mortalDisk{s.disk, m}, mortalKernel{s.kernel, m}
			var p Plan
			r := everything
			switch n % 3 {
			case 1:
				r = Request{VIPs: []netip.Addr{vip2}, Dev: "lo"}
				fallthrough
			case 0:
				p, err = s.PlanSetup(r)
			case 2:
				p, err = s.PlanUndo(nil)
			}
			if err == nil {
				err = s.Apply(p)
			}
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		s.Close()
	}
}

// TestKilledProcess kills a real process at any instant, with the real kernel.
func TestKilledProcess(t *testing.T) {
	server, _ := segment(t)
	root := debian.build(t)
	files, before := snapshot(t, root), network(t, server)
	halves := 0
	for round := range 40 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), roleVar+"="+root)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		p, err := server.Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 1 + 5*round {
			if !lines.Scan() || lines.Text() != "+" {
				t.Fatalf("the process says %q", lines.Text())
			}
		}
		if err := p.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		within(t, server, func() error {
			s, err := Open(Options{Root: root, StateDir: "/var/lib/fairlead"})
			if err != nil {
				return err
			}
			defer s.Close()
			r, err := s.load()
			if err != nil || r.empty() {
				return err
			}
			if r.Pending {
				halves++
			}
			undo(t, s)
			return nil
		})
		wantSame(t, snapshot(t, root), files)
		wantSame(t, network(t, server), before)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%d of 40 were killed halfway", halves)
	if halves == 0 {
		t.Error("none was killed halfway: this test shows nothing")
	}
}
