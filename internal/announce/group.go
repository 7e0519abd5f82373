package announce

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
	"fairlead/internal/nd"
)

// groups listens on an interface where its neighbours ask for virtual IPs of IPv6:
// in multicast groups, whose frames an interface passes only when it is told to.
//
// It is told so twice. The interface keeps the MAC of the group when the daemon ends,
// as the data plane goes on answering then. A socket joins the group as well, so that
// the kernel reports it (RFC 3810) to switches that forward multicast only where it is
// asked for; that ends with the daemon, some minutes later.
type groups struct {
	ifi    *net.Interface
	socket int // of IPv6; -1: this kernel has none
	joined map[netip.Addr]bool
}

func openGroups(ifi *net.Interface) (*groups, error) {
	socket, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		socket, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("open a socket for the multicast groups of %s: %w", ifi.Name, err)
	}
	g := &groups{ifi: ifi, socket: socket, joined: map[netip.Addr]bool{}}
	// Rivals tell all nodes; an interface without IPv6 addresses does not listen there.
	if err := g.listen(nd.AllNodesMAC); err != nil {
		return nil, errors.Join(fmt.Errorf("let %s listen to all nodes: %w", ifi.Name, err), unix.Close(socket))
	}
	return g, nil
}

func (g *groups) close() { unix.Close(g.socket) }

func (g *groups) join(vip netip.Addr) error {
	if g.joined[vip] {
		return nil
	}
	group, mac := nd.Group(vip)
	if err := g.listen(mac); err != nil {
		return fmt.Errorf("let %s listen to who asks for %v: %w", g.ifi.Name, vip, err)
	}
	m := unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(g.ifi.Index)}
	// Without IPv6 on the interface nothing can be reported; frames arrive all the same.
	_ = unix.SetsockoptIPv6Mreq(g.socket, unix.IPPROTO_IPV6, unix.IPV6_ADD_MEMBERSHIP, &m)
	g.joined[vip] = true
	return nil
}

// leave keeps the group where another virtual IP needs it.
func (g *groups) leave(vip netip.Addr) error {
	delete(g.joined, vip)
	group, mac := nd.Group(vip)
	for other := range g.joined {
		if _, same := nd.Group(other); same == mac {
			return nil
		}
	}
	m := unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(g.ifi.Index)}
	_ = unix.SetsockoptIPv6Mreq(g.socket, unix.IPPROTO_IPV6, unix.IPV6_DROP_MEMBERSHIP, &m)
	return g.ignore(mac)
}

// Forget makes an interface pass no more frames for virtual IPs of IPv6 that are
// announced there no longer: for when the data plane is taken out.
func Forget(iface string, vips []netip.Addr) error {
	ifi, err := net.InterfaceByName(iface)
	if err != nil || len(vips) == 0 {
		return nil // an interface that is gone passes nothing
	}
	g, err := openGroups(ifi)
	if err != nil {
		return err
	}
	defer g.close()
	errs := []error{g.ignore(nd.AllNodesMAC)}
	for _, vip := range vips {
		errs = append(errs, g.leave(vip))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("let %s forget the virtual IPs: %w", iface, err)
	}
	return nil
}

// listen makes frames to a MAC pass. EINVAL: the interface cannot be told, and passes all.
func (g *groups) listen(mac model.MAC) error {
	err := g.setMAC(unix.SIOCADDMULTI, mac)
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}

// ignore makes them pass no longer, if they do.
func (g *groups) ignore(mac model.MAC) error {
	err := g.setMAC(unix.SIOCDELMULTI, mac)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}

// setMAC adds or removes a multicast MAC of the interface.
func (g *groups) setMAC(request uintptr, mac model.MAC) error {
	var ifr struct {
		name   [unix.IFNAMSIZ]byte
		family uint16 // 0: the address is one of the interface's own kind
		addr   [14]byte
		_      [8]byte
	}
	copy(ifr.name[:unix.IFNAMSIZ-1], g.ifi.Name)
	copy(ifr.addr[:], mac[:])
	_, _, failed := unix.Syscall(unix.SYS_IOCTL, uintptr(g.socket), request, uintptr(unsafe.Pointer(&ifr)))
	if failed != 0 {
		return failed
	}
	return nil
}
