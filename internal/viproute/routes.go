package viproute

import (
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

const (
	// protocol is by whom rules and routes were made (rtnetlink(7)); nobody else is
	// known to use the number.
	protocol = 70
	// priority is that of the rules: after the one of local addresses, before all
	// that people usually have.
	priority = 70
)

// Routes are the rules and routes of one daemon in the network namespace where they
// were opened. Its methods may be called from several goroutines, Apply from one at
// a time.
type Routes struct {
	handle *netlink.Handle
	metric int // of the daemon's routes
}

// Open opens a netlink socket. Owner names the daemon, the same after a restart.
func Open(owner string) (*Routes, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	return &Routes{h, int(crc32.ChecksumIEEE([]byte(owner))>>1) + 1}, nil
}

// Close closes the socket. What was applied stays.
func (r *Routes) Close() error {
	r.handle.Close()
	return nil
}

// Apply makes the paths that are wanted, and takes all others of this daemon away. It
// returns why a path is not to be had, in plain words.
func (r *Routes) Apply(paths []model.Path) map[model.Path]string {
	why := make(map[model.Path]string)
	have, err := r.read()
	if err != nil {
		for _, p := range paths {
			why[p] = err.Error()
		}
		return why
	}
	want := newHeld()
	exits := make(map[string]exit)
	for _, p := range paths {
		if err := r.want(&want, exits, p); err != nil {
			why[p] = err.Error()
		}
	}
	failed := r.change(plan(have, want))
	led := make(map[uint32]bool) // marks by which one path is in force
	for _, p := range paths {
		if why[p] != "" || led[p.Mark()] {
			continue
		}
		if err := r.Check(p); err != nil {
			why[p] = errors.Join(failed[p.Mark()], err).Error()
		} else {
			led[p.Mark()] = failed[p.Mark()] == nil
		}
	}
	return why
}

// exit is what is known of an interface, as long as one Apply takes.
type exit struct {
	index  int
	err    error
	strict bool // the kernel lets in packets only from where its own would go
}

func (r *Routes) exit(iface string) exit {
	link, err := r.handle.LinkByName(iface)
	if err != nil {
		return exit{err: fmt.Errorf("this machine has no interface %s", iface)}
	}
	return exit{index: link.Attrs().Index, strict: max(filterOf("all"), filterOf(iface)) == 1}
}

// want adds a path to what is wanted.
func (r *Routes) want(all *held, exits map[string]exit, p model.Path) error {
	by, known := exits[p.Iface]
	if !known {
		by = r.exit(p.Iface)
		exits[p.Iface] = by
	}
	if by.err != nil {
		return by.err
	}
	if by.strict && p.VIP.Is4() { // IPv6 has no such filter
		if err := r.answersPass(p); err != nil {
			return err
		}
	}
	all.rules[rule{p.Mark(), p.Server.Is6()}] = true
	all.routes[route{p.Mark(), p.VIP, p.Server, by.index}] = true
	return nil
}

// answersPass tells whether the kernel lets in a packet from the virtual IP where it
// has a strict rp_filter.
func (r *Routes) answersPass(p model.Path) error {
	routes, err := r.handle.RouteGet(p.VIP.AsSlice())
	if err != nil || len(routes) == 0 {
		return fmt.Errorf("rp_filter=1 drops the answers from %s, to which no route leads: set net.ipv4.conf.%s.rp_filter=2", p.VIP, p.Iface)
	}
	link, err := r.handle.LinkByIndex(routes[0].LinkIndex)
	if err == nil && link.Attrs().Name != p.Iface {
		return fmt.Errorf("rp_filter=1 drops the answers from %s on %s, since the way there is by %s: set net.ipv4.conf.%s.rp_filter=2",
			p.VIP, p.Iface, link.Attrs().Name, p.Iface)
	}
	return nil
}

// filterOf is the rp_filter of an interface; 0 where it cannot be read.
func filterOf(iface string) int {
	text, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv4/conf", iface, "rp_filter"))
	if err != nil {
		return 0
	}
	return map[string]int{"1": 1, "2": 2}[strings.TrimSpace(string(text))]
}

// Check tells whether the kernel sends what has a path's mark by that path.
func (r *Routes) Check(p model.Path) error {
	routes, err := r.handle.RouteGetWithOptions(p.VIP.AsSlice(), &netlink.RouteGetOptions{Mark: p.Mark()})
	if err != nil {
		return fmt.Errorf("ask for the route to %s by %s: %w", p.VIP, p.Server, err)
	}
	if len(routes) > 0 && routes[0].Gw.Equal(p.Server.AsSlice()) {
		return nil
	}
	return fmt.Errorf("the route to %s by %s is not in force: see ip rule and ip route show table %d", p.VIP, p.Server, p.Mark())
}

// Remove takes away all that a daemon ever applied in this network namespace.
func Remove(owner string) error {
	r, err := Open(owner)
	if err != nil {
		return err
	}
	defer r.Close()
	have, err := r.read()
	if err != nil {
		return err
	}
	var all []error
	for _, err := range r.change(plan(have, newHeld())) {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// read reads what there is of this daemon's, the rules of all, and where other daemons' are.
func (r *Routes) read() (held, error) {
	have := newHeld()
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		if err := r.readFamily(&have, family); err != nil {
			return have, err
		}
	}
	return have, nil
}

func (r *Routes) readFamily(have *held, family int) error {
	rules, err := whole(func() ([]netlink.Rule, error) { return r.handle.RuleList(family) })
	if err != nil {
		return fmt.Errorf("read the routing rules: %w", err)
	}
	for _, one := range rules {
		if one.Protocol == protocol && one.Family == family {
			have.rules[rule{one.Mark, family == netlink.FAMILY_V6}] = true
		}
	}
	ours := &netlink.Route{Protocol: protocol}
	routes, err := whole(func() ([]netlink.Route, error) {
		return r.handle.RouteListFiltered(family, ours, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return fmt.Errorf("read the routes: %w", err)
	}
	for _, one := range routes {
		if one.Dst == nil {
			continue
		}
		vip, ok := netip.AddrFromSlice(one.Dst.IP)
		via, _ := netip.AddrFromSlice(one.Gw)
		switch {
		case one.Priority != r.metric:
			have.others[uint32(one.Table)] = true
		case ok:
			have.routes[route{uint32(one.Table), vip.Unmap(), via.Unmap(), one.LinkIndex}] = true
		}
	}
	return nil
}

// attempts is how often a dump that a change interrupted is tried.
const attempts = 10

// whole repeats a dump until no change interrupted it.
func whole[T any](dump func() ([]T, error)) ([]T, error) {
	for i := 1; ; i++ {
		all, err := dump()
		if !errors.Is(err, netlink.ErrDumpInterrupted) || i == attempts {
			return all, err
		}
	}
}

// change carries out a plan, and returns the first failure of each mark.
func (r *Routes) change(ops []op) map[uint32]error {
	failed := make(map[uint32]error)
	for _, o := range ops {
		mark, err := r.one(o)
		if err != nil && failed[mark] == nil {
			failed[mark] = err
		}
	}
	return failed
}

func (r *Routes) one(o op) (mark uint32, err error) {
	if o.rule != nil {
		one := netlink.NewRule()
		one.Family, one.Mark, one.Table, one.Priority, one.Protocol = unix.AF_INET, o.rule.mark, int(o.rule.mark), priority, protocol
		if o.rule.six {
			one.Family = unix.AF_INET6
		}
		if o.add {
			err := r.handle.RuleAdd(one)
			if errors.Is(err, unix.EEXIST) {
				err = nil // another daemon was faster
			}
			return o.rule.mark, named("add a routing rule", err)
		}
		return o.rule.mark, named("delete a routing rule", r.handle.RuleDel(one))
	}
	one := &netlink.Route{
		Table: int(o.route.table), Protocol: protocol, Priority: r.metric, LinkIndex: o.route.link, Gw: o.route.via.AsSlice(),
		Dst:   &net.IPNet{IP: o.route.vip.AsSlice(), Mask: net.CIDRMask(o.route.vip.BitLen(), o.route.vip.BitLen())},
		Flags: int(netlink.FLAG_ONLINK), Scope: netlink.SCOPE_UNIVERSE,
	}
	if o.add {
		return o.route.table, named("add a route", r.handle.RouteReplace(one))
	}
	return o.route.table, named("delete a route", r.handle.RouteDel(one))
}

func named(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
