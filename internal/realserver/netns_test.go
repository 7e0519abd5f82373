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
	"runtime"
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
	const prefix = "fairlead-realserver-test"
	if _, err := topology.Sweep(prefix); err != nil { // of an earlier run that was killed
		t.Fatal(err)
	}
	s, err := topology.Build(prefix)
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
		return errors.Join(append(errs, running{}.addAddress(netip.PrefixFrom(own6, 64), topology.HostIface), sure())...)
	})
	return server, asker
}

// sure waits until the kernel has made all addresses sure, which it does in its
// own time.
func sure() error {
	for end := time.Now().Add(60 * time.Second); ; runtime.Gosched() {
		links, err := running{}.links()
		unsure := func(l Link) bool { return slices.ContainsFunc(l.Addresses, func(a Addr) bool { return a.Unsure }) }
		if err != nil || !slices.ContainsFunc(links, unsure) {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("an address stays unsure: %+v", links)
		}
	}
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

// own6 is the server's own IPv6 address.
var own6 = netip.MustParseAddr("2001:db8::100")

// answered asks by ARP or neighbour solicitation for an address, and for the
// server's own. Where that one was answered several times, the other would have
// been. A frame may be lost while the cables are new, or overtake another.
func answered(t *testing.T, server, asker *topology.Host, addr netip.Addr) (yes bool) {
	t.Helper()
	protocol, ask, own := unix.ETH_P_ARP, question, server.Addr.Addr()
	if addr.Is6() {
		protocol, ask, own = unix.ETH_P_IPV6, solicitation, own6
	}
	within(t, asker, func() error {
		dev, err := net.InterfaceByName(topology.HostIface)
		if err != nil {
			return err
		}
		c, err := packet.Listen(dev, packet.Raw, protocol, nil)
		if err != nil {
			return err
		}
		defer c.Close()
		rounds := 0
		for end := time.Now().Add(60 * time.Second); rounds < 5 && time.Now().Before(end); {
			for _, target := range []netip.Addr{addr, own} {
				if _, err := c.WriteTo(ask(asker, target), &packet.Addr{HardwareAddr: layers.EthernetBroadcast}); err != nil {
					return err
				}
			}
			heard, err := answers(c, own)
			if yes = heard[addr]; yes || err != nil {
				return err
			}
			if heard[own] {
				rounds++
			}
		}
		if rounds == 0 {
			return errors.New("the server does not even answer for its own address")
		}
		return nil
	})
	return yes
}

// answers are the addresses that somebody answers for, until the last one or for
// a while.
func answers(c *packet.Conn, last netip.Addr) (map[netip.Addr]bool, error) {
	heard := map[netip.Addr]bool{}
	if err := c.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		return nil, err
	}
	for buf := make([]byte, 2048); !heard[last]; {
		n, _, err := c.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return heard, nil
		}
		if err != nil {
			return nil, err
		}
		heard[answerFor(buf[:n])] = true
	}
	return heard, nil
}

// answerFor is the address that a frame answers for.
func answerFor(frame []byte) (a netip.Addr) {
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	if reply, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP); ok && reply.Operation == layers.ARPReply {
		a, _ = netip.AddrFromSlice(reply.SourceProtAddress)
	}
	if reply, ok := p.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement); ok {
		a, _ = netip.AddrFromSlice(reply.TargetAddress)
	}
	return a
}

func question(asker *topology.Host, target netip.Addr) []byte {
	return frame(&layers.Ethernet{SrcMAC: asker.MAC[:], DstMAC: layers.EthernetBroadcast, EthernetType: layers.EthernetTypeARP},
		&layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPRequest,
			SourceHwAddress: asker.MAC[:], SourceProtAddress: asker.Addr.Addr().AsSlice(), DstHwAddress: make([]byte, 6), DstProtAddress: target.AsSlice()})
}

// solicitation is sent to the target itself, so that no group has to be joined.
func solicitation(asker *topology.Host, target netip.Addr) []byte {
	ip := &layers.IPv6{Version: 6, HopLimit: 255, NextHeader: layers.IPProtocolICMPv6, SrcIP: netip.MustParseAddr("2001:db8::7").AsSlice(), DstIP: target.AsSlice()}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeNeighborSolicitation, 0)}
	if err := icmp.SetNetworkLayerForChecksum(ip); err != nil {
		panic(err)
	}
	return frame(&layers.Ethernet{SrcMAC: asker.MAC[:], DstMAC: layers.EthernetBroadcast, EthernetType: layers.EthernetTypeIPv6}, ip, icmp,
		&layers.ICMPv6NeighborSolicitation{TargetAddress: target.AsSlice(), Options: layers.ICMPv6Options{{Type: layers.ICMPv6OptSourceAddress, Data: asker.MAC[:]}}})
}

func frame(parts ...gopacket.SerializableLayer) []byte {
	out := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(out, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, parts...); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// accepted sends datagrams for an address to the server's MAC, as a director does,
// and others for its own address, and tells whether the former arrive.
func accepted(t *testing.T, server, asker *topology.Host, addr netip.Addr) (yes bool) {
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
		out, e := net.ListenPacket("udp4", ":0")
		if err = errors.Join(err, e); err != nil {
			return err
		}
		defer out.Close()
		own, buf := server.Addr.Addr(), make([]byte, 64)
		for end, rounds := time.Now().Add(60*time.Second), 0; rounds < 5 && time.Now().Before(end); {
			for _, to := range []netip.Addr{addr, own} {
				if _, err := out.WriteTo([]byte(to.String()), net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 7777))); err != nil {
					return err
				}
			}
			for text := ""; text != own.String(); text = string(buf) {
				if err := in.SetDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
					return err
				}
				n, _, err := in.ReadFrom(buf[:cap(buf)])
				if err != nil {
					rounds--
					break
				}
				buf = buf[:n]
				yes = yes || string(buf) == addr.String()
			}
			if rounds++; yes {
				return nil
			}
		}
		return nil
	})
	return yes
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
	byHand = netip.PrefixFrom(vip6, 128)
	within(t, server, func() error { return running{}.addAddress(byHand, topology.HostIface) })
	yes := false
	for end := time.Now().Add(60 * time.Second); !yes && time.Now().Before(end); { // the kernel makes it sure in its own time
		yes = answered(t, server, asker, vip6)
	}
	if !yes {
		t.Error("nobody answers a neighbour solicitation even on a real interface: this test shows nothing")
	}
	within(t, server, func() error { return running{}.removeAddress(byHand, topology.HostIface) })
	if accepted(t, server, asker, vip) {
		t.Error("before the set-up packets for the virtual IP are accepted")
	}

	for range 2 {
		change(func(s *Server) (Plan, error) { return s.PlanSetup(everything) })
		change(func(s *Server) (Plan, error) { return s.PlanSetup(Request{VIPs: []netip.Addr{vip2}, Dev: "lo"}) })
	}
	for _, one := range []netip.Addr{vip, vip2, vip6} {
		if answered(t, server, asker, one) {
			t.Errorf("after the set-up the server answers for %s", one)
		}
		if one.Is4() && !accepted(t, server, asker, one) {
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
