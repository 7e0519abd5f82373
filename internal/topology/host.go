package topology

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"fairlead/internal/model"
)

// Host is a network namespace with one interface on the switch.
type Host struct {
	Spec
	MAC model.MAC // of its interface

	space
	sw space
}

// Do runs f in the host's network namespace, on a thread that is used for
// nothing else. What f starts does not run there, except for processes; but a
// socket that f opens stays in the namespace for ever.
func (h *Host) Do(f func() error) error { return h.do(f) }

// Address gives the host's interface one more address.
func (h *Host) Address(p netip.Prefix) error {
	return h.Do(func() error { return address(HostIface, p) })
}

// Route leads the host's packets to a network by a neighbour; the network of all
// addresses is the default route. Peers beyond it are told that TCP segment size; 0: what the cable takes.
func (h *Host) Route(to netip.Prefix, via netip.Addr, mss int) error {
	return h.Do(func() error {
		link, err := netlink.LinkByName(HostIface)
		if err == nil {
			dst := &net.IPNet{IP: to.Addr().AsSlice(), Mask: net.CIDRMask(to.Bits(), to.Addr().BitLen())}
			err = netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst, Gw: via.AsSlice(), AdvMSS: mss})
		}
		if err != nil {
			return fmt.Errorf("lead %s to %s by %s: %w", h.Name, to, via, err)
		}
		return nil
	})
}

// Forward makes the host a router. It does not tell others of better ways.
func (h *Host) Forward() error {
	return h.Do(func() error {
		err := setting("net/ipv4/ip_forward", "1")
		for _, conf := range []string{"all", "default", HostIface} {
			err = errors.Join(err, setting("net/ipv4/conf/"+conf+"/send_redirects", "0"))
		}
		return err
	})
}

// Disown takes the virtual IP off the host's loopback interface.
func (h *Host) Disown(vip netip.Addr) error {
	return h.Do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.AddrDel(lo, &netlink.Addr{IPNet: &net.IPNet{IP: vip.AsSlice(), Mask: net.CIDRMask(vip.BitLen(), vip.BitLen())}})
		}
		if err != nil {
			return fmt.Errorf("take %s off the loopback of %s: %w", vip, h.Name, err)
		}
		return nil
	})
}

// Cut breaks the cable: the host loses its carrier.
func (h *Host) Cut() error {
	return h.port("cut", netlink.LinkSetDown)
}

// Isolate swallows every frame from and to the host while its carrier stays.
func (h *Host) Isolate() error {
	return h.port("isolate", netlink.LinkSetNoMaster)
}

// Restore undoes Cut and Isolate.
func (h *Host) Restore() error {
	return h.port("restore", func(port netlink.Link) error {
		bridge, err := netlink.LinkByName(bridgeName)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetMaster(port, bridge); err != nil {
			return err
		}
		return netlink.LinkSetUp(port)
	})
}

// Iface runs f in the host's namespace, with the index of its interface.
func (h *Host) Iface(f func(ifindex int) error) error {
	return h.Do(func() error {
		link, err := netlink.LinkByName(HostIface)
		if err != nil {
			return fmt.Errorf("find the interface of %s: %w", h.Name, err)
		}
		return f(link.Attrs().Index)
	})
}

// Port runs f at the switch's end of the host's cable: in the namespace of the
// switch, with the index of the interface.
func (h *Host) Port(f func(ifindex int) error) error {
	return h.port("use", func(port netlink.Link) error { return f(port.Attrs().Index) })
}

// port changes the host's port on the switch.
func (h *Host) port(what string, change func(netlink.Link) error) error {
	err := h.sw.do(func() error {
		port, err := netlink.LinkByName(h.Name)
		if err != nil {
			return err
		}
		return change(port)
	})
	if err != nil {
		return fmt.Errorf("%s port %s: %w", what, h.Name, err)
	}
	return nil
}
