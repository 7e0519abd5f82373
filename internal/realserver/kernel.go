package realserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead/internal/rpc"
)

// Link is an interface of this machine.
type Link struct {
	Name      string
	Loopback  bool
	NoARP     bool
	Up        bool
	Addresses []Addr
}

// silent tells that nobody is answered on the interface itself, so that it may
// have a virtual IP.
func (l Link) silent() bool { return l.Loopback || l.NoARP }

// Addr is an address of an interface.
type Addr struct {
	Prefix netip.Prefix
	Unsure bool // IPv6: its duplicate address detection has not passed
}

// Way is how packets go to an address.
type Way struct {
	Dev     string
	Gateway string // "" for none
	Missing string // why there is none
}

// kernel is the running network of this machine, or of a namespace.
type kernel interface {
	links() ([]Link, error)
	setting(name string) (string, bool, error) // false: there is no such
	set(name, text string) error
	raise(dev string, up bool) error
	addAddress(p netip.Prefix, dev string) error
	removeAddress(p netip.Prefix, dev string) error
	way(to netip.Addr) (Way, error)
	services() ([]rpc.Mapping, error) // that rpcbind knows
}

// running is the network of the calling thread's namespace.
type running struct{}

const settings = "/proc/sys"

func (running) links() ([]Link, error) {
	found, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("read the interfaces: %w", err)
	}
	var all []Link
	for _, f := range found {
		a := f.Attrs()
		l := Link{Name: a.Name, Loopback: a.RawFlags&unix.IFF_LOOPBACK != 0,
			NoARP: a.RawFlags&unix.IFF_NOARP != 0, Up: a.RawFlags&unix.IFF_UP != 0}
		addrs, err := netlink.AddrList(f, netlink.FAMILY_ALL)
		if err != nil {
			return nil, fmt.Errorf("read the addresses of %s: %w", a.Name, err)
		}
		for _, one := range addrs {
			ip, ok := netip.AddrFromSlice(one.IP)
			if bits, _ := one.Mask.Size(); ok {
				l.Addresses = append(l.Addresses, Addr{
					Prefix: netip.PrefixFrom(ip.Unmap(), bits),
					Unsure: one.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0,
				})
			}
		}
		all = append(all, l)
	}
	return all, nil
}

func (running) setting(name string) (string, bool, error) {
	b, err := os.ReadFile(filepath.Join(settings, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return strings.TrimSpace(string(b)), err == nil, err
}

func (running) set(name, text string) error {
	f, err := os.OpenFile(filepath.Join(settings, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func (running) raise(dev string, up bool) error {
	link, err := netlink.LinkByName(dev)
	switch {
	case err != nil:
		return err
	case up:
		return netlink.LinkSetUp(link)
	}
	return netlink.LinkSetDown(link)
}

// addAddress adds it without duplicate address detection: every real server has
// the same one.
func (running) addAddress(p netip.Prefix, dev string) error {
	link, err := netlink.LinkByName(dev)
	if err != nil {
		return err
	}
	a := kernelAddress(p)
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	if err := netlink.AddrAdd(link, a); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

func (running) removeAddress(p netip.Prefix, dev string) error {
	link, err := netlink.LinkByName(dev)
	if err != nil {
		return err
	}
	if err := netlink.AddrDel(link, kernelAddress(p)); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return err
	}
	return nil
}

func kernelAddress(p netip.Prefix) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
}

func (running) way(to netip.Addr) (Way, error) {
	routes, err := netlink.RouteGet(to.AsSlice())
	if err == nil && len(routes) == 0 {
		err = unix.ENETUNREACH
	}
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
		return Way{Missing: err.Error()}, nil
	}
	if err != nil {
		return Way{}, fmt.Errorf("ask for the route to %s: %w", to, err)
	}
	if routes[0].Type == unix.RTN_LOCAL {
		return Way{Missing: "it is an address of this machine"}, nil
	}
	link, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return Way{}, fmt.Errorf("ask for the route to %s: %w", to, err)
	}
	w := Way{Dev: link.Attrs().Name}
	if routes[0].Gw != nil {
		w.Gateway = routes[0].Gw.String()
	}
	return w, nil
}
