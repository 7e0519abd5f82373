// Package topology builds one Ethernet segment out of network namespaces: a
// switch, and hosts that hang on its ports. It can cut a port as a broken cable
// does, or swallow its frames while the carrier stays.
//
// It needs root and nothing else: no programme of the machine is called. It knows
// nothing of NFS, of directors or of what runs on the hosts.
package topology

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// HostIface is the name of every host's interface, inside its namespace.
const HostIface = "eth0"

// bridgeName is the switch's bridge, inside its namespace.
const bridgeName = "switch"

// Segment is one Ethernet segment.
type Segment struct {
	prefix string // of the namespaces' names, with the process ID
	sw     space
	hosts  []*Host
}

// Spec describes a host.
type Spec struct {
	Name string       // at most 15 bytes: also the name of its port on the switch
	Addr netip.Prefix // of its interface
	// VIP, if valid, is a virtual IP on the loopback interface, which the host
	// accepts but neither answers nor announces by ARP.
	VIP netip.Addr
}

// Build makes a segment with no host. Its namespaces are called
// PREFIX-PID-NAME; see Sweep for what happens when the process is killed.
func Build(prefix string) (*Segment, error) {
	s := &Segment{prefix: fmt.Sprintf("%s-%d-", prefix, os.Getpid())}
	sw, err := makeSpace(s.prefix + bridgeName)
	if err != nil {
		return nil, fmt.Errorf("make the switch: %w", err)
	}
	s.sw = sw
	if err := sw.do(makeBridge); err != nil {
		return nil, errors.Join(fmt.Errorf("make the switch: %w", err), s.Close())
	}
	return s, nil
}

func makeBridge() error {
	quiet := false
	if err := quietIPv6(); err != nil {
		return err
	}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}, MulticastSnooping: &quiet}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("add bridge: %w", missing(err, "bridge"))
	}
	if err := switchOnly(); err != nil {
		return err
	}
	return up(bridgeName)
}

// switchOnly keeps the bridge's packets from the firewall, where the kernel's
// br_netfilter would lead them: a switch has none, and it would cost every packet.
func switchOnly() error {
	for _, tables := range []string{"arp", "ip", "ip6"} {
		err := setting("net/bridge/bridge-nf-call-"+tables+"tables", "0")
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // the module is not loaded
			return err
		}
	}
	return nil
}

// Add plugs a new host into the switch.
func (s *Segment) Add(spec Spec) (*Host, error) {
	sp, err := makeSpace(s.prefix + spec.Name)
	if err != nil {
		return nil, fmt.Errorf("make host %s: %w", spec.Name, err)
	}
	h := &Host{Spec: spec, MAC: hardwareAddr(0x46, spec.Addr.Addr()), space: sp, sw: s.sw}
	s.hosts = append(s.hosts, h)
	if err := s.plug(h); err != nil {
		return nil, fmt.Errorf("make host %s: %w", spec.Name, err)
	}
	return h, nil
}

// plug gives a host its cable and its addresses. The order matters: first the
// kernel's settings, then the addresses that they are about.
func (s *Segment) plug(h *Host) error {
	if err := h.Do(func() error { return settle(h.VIP.IsValid(), h.Addr.Addr().Is6()) }); err != nil {
		return err
	}
	if err := s.sw.do(func() error { return s.cable(h) }); err != nil {
		return err
	}
	return h.Do(func() error {
		if err := errors.Join(address("lo", netip.PrefixFrom(h.VIP, h.VIP.BitLen())), address(HostIface, h.Addr)); err != nil {
			return err
		}
		return errors.Join(up("lo"), up(HostIface))
	})
}

// cable makes the pair of interfaces and puts the near end into the bridge. It
// runs in the switch.
func (s *Segment) cable(h *Host) error {
	host, err := netns.GetFromName(h.name)
	if err != nil {
		return fmt.Errorf("open namespace: %w", err)
	}
	defer host.Close()
	bridge, err := netlink.LinkByName(bridgeName)
	if err != nil {
		return fmt.Errorf("find bridge: %w", err)
	}
	port := hardwareAddr(0x47, h.Addr.Addr())
	veth := &netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: h.Name, MasterIndex: bridge.Attrs().Index, HardwareAddr: port[:]},
		PeerName:         HostIface,
		PeerHardwareAddr: net.HardwareAddr(h.MAC[:]),
		PeerNamespace:    netlink.NsFd(int(host)),
	}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("add port %s: %w", h.Name, missing(err, "veth"))
	}
	return up(h.Name)
}

// PrepareNative does what a native XDP programme needs that sends frames back
// out of a host's veth interface: the kernel only delivers them when the other
// end runs an XDP programme too, and checksums must be complete in the frame. The
// programme that lets everything pass comes from attach; close it at the end.
func (s *Segment) PrepareNative(h *Host, attach func(ifindex int) (io.Closer, error)) (pass io.Closer, err error) {
	for _, other := range s.hosts {
		if err := other.Do(func() error { return checksumOff(HostIface) }); err != nil {
			return nil, err
		}
	}
	err = s.sw.do(func() error {
		link, err := netlink.LinkByName(h.Name)
		if err != nil {
			return fmt.Errorf("find port %s: %w", h.Name, err)
		}
		if err := checksumOff(h.Name); err != nil {
			return err
		}
		pass, err = attach(link.Attrs().Index)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("prepare port %s for native XDP: %w", h.Name, err)
	}
	return pass, nil
}

// Close removes the segment and ends every process that still runs in it.
func (s *Segment) Close() error {
	names := []string{s.sw.name}
	for _, h := range s.hosts {
		names = append(names, h.name)
	}
	s.hosts = nil
	slices.Reverse(names)
	return remove(names)
}

// missing explains the kernel's answer to a kind of interface that it lacks.
func missing(err error, module string) error {
	if errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("%w (the kernel lacks the module %s)", err, module)
	}
	return err
}

// hardwareAddr is a locally administered address that shows the IPv4 address, or the
// last bytes of the IPv6 address.
func hardwareAddr(kind byte, a netip.Addr) (m model.MAC) {
	m[0], m[1] = 0x02, kind
	ip := a.AsSlice()
	copy(m[2:], ip[len(ip)-4:])
	return m
}

func up(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set interface %s up: %w", name, err)
	}
	return nil
}

// address adds an address to an interface; an invalid one is none.
func address(name string, p netip.Prefix) error {
	if !p.IsValid() {
		return nil
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", name, err)
	}
	ip := &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
	one := &netlink.Addr{IPNet: ip}
	if p.Addr().Is6() {
		one.Flags = unix.IFA_F_NODAD // it can be used at once
	}
	if err := netlink.AddrAdd(link, one); err != nil {
		return fmt.Errorf("add address %v to interface %s: %w", p, name, err)
	}
	return nil
}
