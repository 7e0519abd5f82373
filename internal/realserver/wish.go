package realserver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// VIP is a virtual IP and the interface that has it.
type VIP struct {
	Addr netip.Addr `json:"addr"`
	Dev  string     `json:"dev"`
}

// prefix is the address alone, without a network around it.
func (v VIP) prefix() netip.Prefix { return netip.PrefixFrom(v.Addr, v.Addr.BitLen()) }

// Wish is what a real server should be.
type Wish struct {
	VIPs     []VIP   `json:"vips"`
	Persist  Manager `json:"persist"` // "" for not at all
	NFSPorts bool    `json:"nfs_ports"`
}

func (w Wish) empty() bool { return len(w.VIPs) == 0 && w.Persist == "" && !w.NFSPorts }

// with adds virtual IPs; one that is there already moves to the interface.
func (w Wish) with(addrs []netip.Addr, dev string) Wish {
	w = w.without(addrs)
	for _, a := range addrs {
		if v := (VIP{a, dev}); !slices.Contains(w.VIPs, v) {
			w.VIPs = append(w.VIPs, v)
		}
	}
	return w
}

func (w Wish) without(addrs []netip.Addr) Wish {
	w.VIPs = slices.DeleteFunc(slices.Clone(w.VIPs), func(v VIP) bool { return slices.Contains(addrs, v.Addr) })
	return w
}

// devs are the interfaces that have a virtual IP of the family.
func (w Wish) devs(v4 bool) []string {
	var all []string
	for _, v := range w.VIPs {
		if v.Addr.Is4() == v4 && !slices.Contains(all, v.Dev) {
			all = append(all, v.Dev)
		}
	}
	return all
}

// CheckVIP says why an address cannot be a virtual IP.
func CheckVIP(a netip.Addr) error {
	what := ""
	switch {
	case a.Zone() != "":
		what = "it names an interface"
	case a.Is4In6():
		what = "write it as IPv4, " + a.Unmap().String()
	case a.IsUnspecified():
		what = "it stands for no address"
	case a.IsLoopback():
		what = "it never leaves a machine"
	case a.IsMulticast():
		what = "it is a multicast address"
	case a.IsLinkLocalUnicast():
		what = "it is a link-local address"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		what = "it is the broadcast address"
	}
	if what == "" {
		return nil
	}
	return fmt.Errorf("%s cannot be a virtual IP: %s", a, what)
}

// refuse says why a wish cannot be carried out on a machine with these interfaces.
// noV6 are the interfaces without IPv6.
func refuse(w Wish, links []Link, noV6 []string) error {
	for _, v := range w.VIPs {
		if err := refuseVIP(v, links); err != nil {
			return fmt.Errorf("%s on %s: %w", v.Addr, v.Dev, err)
		}
		if v.Addr.Is6() && slices.Contains(noV6, v.Dev) {
			return fmt.Errorf("%s on %s: IPv6 is off there; put it on first: sysctl -w net.ipv6.conf.%s.disable_ipv6=0",
				v.Addr, v.Dev, dotted(v.Dev))
		}
	}
	return nil
}

func refuseVIP(v VIP, links []Link) error {
	dev := slices.IndexFunc(links, func(l Link) bool { return l.Name == v.Dev })
	if dev < 0 {
		var names []string
		for _, l := range links {
			if l.silent() {
				names = append(names, l.Name)
			}
		}
		return fmt.Errorf("there is no such interface; these could have it: %s", strings.Join(names, ", "))
	}
	if !links[dev].silent() {
		return fmt.Errorf("%s is a real interface: the server would answer ARP for the virtual IP there. Use --dev lo", v.Dev)
	}
	for _, l := range links {
		for _, a := range l.Addresses {
			if a.Prefix.Addr() != v.Addr {
				continue
			}
			remove := fmt.Sprintf("ip address del %s dev %s", a.Prefix, l.Name)
			if !l.silent() {
				return fmt.Errorf("it is an address of the real interface %s, which answers ARP for it. "+
					"If it is this server's own address, it cannot be the virtual IP; if not, take it off first: %s", l.Name, remove)
			}
			if l.Name == v.Dev && !a.Prefix.IsSingleIP() {
				return fmt.Errorf("it is there as %s, which makes the whole network this machine's own. Take it off first: %s", a.Prefix, remove)
			}
		}
	}
	return nil
}
