package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"

	"fairlead/internal/flow"
	"fairlead/internal/knock"
	"fairlead/internal/model"
)

// Reaction is how a port took a SYN.
type Reaction = knock.Reaction

// Limit is how long a whole look takes at most.
const Limit = 10 * time.Second

// Look looks at everything that a configuration names, from this machine, in the
// network namespace of the process. Progress is told what is looked at; it may be nil.
func Look(ctx context.Context, cfg model.Config, progress func(string)) Facts {
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	l := &looker{progress: progress}
	f := Facts{Directors: directors(cfg)}
	var work sync.WaitGroup
	for i := range f.Directors {
		d := &f.Directors[i]
		ask := question{nfs: d.NFS, servers: serverAddrs(d.Servers), vips: vipAddrs(d.VIPs)}
		if d.Tunnel {
			ask.vips = nil // no knock goes by a tunnel
		}
		for j := range d.Servers {
			work.Go(func() { l.server(ctx, ask, &d.Servers[j]) })
		}
		for j := range d.VIPs {
			work.Go(func() { l.vip(ctx, ask, &d.VIPs[j]) })
		}
	}
	work.Go(func() { f.Host = l.host(ctx, cfg) })
	work.Wait()
	f.Host.Links = l.links()
	return f
}

// question is what the looks at one director have in common. What each finds out is
// written into a part of its own.
type question struct {
	nfs           bool
	servers, vips []netip.Addr
}

// directors are those of a configuration, with their virtual IPs.
func directors(cfg model.Config) []Director {
	set := flow.Compile(cfg)
	var all []Director
	for _, c := range cfg.Directors {
		d := Director{Name: c.Name, NFS: c.ServesNFS(), Tunnel: c.Mode == model.ModeTunnel}
		for _, a := range flow.VIPsOf(set, c.Name) {
			d.VIPs = append(d.VIPs, VIP{Addr: a})
		}
		for _, s := range c.Servers {
			port := cmp.Or(s.Port, c.Check.Port)
			if port == 0 && d.NFS {
				port = model.NFSPort
			}
			d.Servers = append(d.Servers, Server{Name: s.Name, Addr: s.Addr, Port: port})
		}
		all = append(all, d)
	}
	return all
}

type looker struct {
	mu       sync.Mutex // guards the following
	progress func(string)
	used     []netlink.Link
}

func (l *looker) tell(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.progress != nil {
		l.progress(fmt.Sprintf(format, args...))
	}
}

// route finds the interface that leads to an address, and where frames leave it.
func route(addr netip.Addr) (link netlink.Link, from knock.From, router netip.Addr, err error) {
	routes, err := netlink.RouteGet(addr.AsSlice())
	if err != nil || len(routes) == 0 {
		return nil, from, router, fmt.Errorf("this machine has no route to %v", addr)
	}
	link, err = netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return nil, from, router, fmt.Errorf("find the interface towards %v: %w", addr, err)
	}
	router, _ = netip.AddrFromSlice(routes[0].Gw)
	from.Index = link.Attrs().Index
	from.Addr, _ = netip.AddrFromSlice(routes[0].Src)
	from.Addr = from.Addr.Unmap()
	copy(from.MAC[:], link.Attrs().HardwareAddr)
	if !from.Addr.IsValid() || from.Addr.Is4() != addr.Is4() || !from.MAC.Known() {
		return nil, from, router, fmt.Errorf("the interface %s has no address of that family or no MAC", link.Attrs().Name)
	}
	return link, from, router.Unmap(), nil
}

// vip asks who answers for a virtual IP, on each network that its director uses.
func (l *looker) vip(ctx context.Context, ask question, v *VIP) {
	l.tell("who answers %s for %v", protocol(v.Addr), v.Addr)
	asked := map[int]bool{}
	var all []model.MAC
	for _, addr := range append([]netip.Addr{v.Addr}, ask.servers...) {
		link, from, _, err := route(addr)
		if err != nil || asked[from.Index] {
			continue
		}
		if down(link) {
			v.Holders = unseen[[]model.MAC](isDown(link))
			return
		}
		asked[from.Index] = true
		holders, err := from.Who(ctx, v.Addr)
		if err != nil {
			v.Holders = unseen[[]model.MAC](plain(ctx, err))
			return
		}
		all = append(all, holders...)
	}
	v.Holders = seen(all)
	if len(asked) == 0 {
		v.Holders = unseen[[]model.MAC]("no interface leads to it")
	}
}

func serverAddrs(servers []Server) (list []netip.Addr) {
	for _, s := range servers {
		list = append(list, s.Addr)
	}
	return list
}

func vipAddrs(vips []VIP) (list []netip.Addr) {
	for _, v := range vips {
		list = append(list, v.Addr)
	}
	return list
}

// plain is why something failed.
func plain(ctx context.Context, err error) string {
	if ctx.Err() != nil {
		return "the time ran out"
	}
	return err.Error()
}

// server looks at one server, in the order in which one thing needs another.
func (l *looker) server(ctx context.Context, ask question, s *Server) {
	link, from, router, err := route(s.Addr)
	if err != nil {
		s.MAC = unseen[model.MAC](err.Error())
		return
	}
	s.Link, s.MTU, s.Routed = link.Attrs().Name, link.Attrs().MTU, router
	l.use(link)
	if down(link) {
		s.MAC = unseen[model.MAC](isDown(link))
		return
	}
	if s.Routed.IsValid() {
		s.MAC = unseen[model.MAC]("it is behind a router")
		return
	}
	l.tell("%s: %s", s.Name, protocol(s.Addr))
	mac, found, err := from.Find(ctx, s.Addr)
	if err != nil {
		s.MAC = unseen[model.MAC](plain(ctx, err))
		return
	}
	s.MAC = seen(mac) // unknown: nobody answered
	switch {
	case !found:
		return
	case s.Addr.Is6():
		s.six(ask)
		return
	}
	var work sync.WaitGroup
	work.Go(func() { l.path(ctx, from, s) })
	work.Go(func() { s.Clock = clock(ctx, from, s) })
	work.Go(func() { l.doors(ctx, from, ask, s) })
	work.Wait()
}

// six says of a server of IPv6 that no more of it was looked at.
func (s *Server) six(ask question) {
	const why = "of IPv6 only who answers neighbour discovery can be asked for yet"
	s.Full, s.Clock, s.Own = unseen[bool](why), unseen[Clock](why), unseen[Door](why)
	s.VIPs = map[netip.Addr]Seen[Door]{}
	for _, v := range ask.vips {
		s.VIPs[v] = unseen[Door](why)
	}
}

// protocol is the one that asks who has an address.
func protocol(addr netip.Addr) string {
	if addr.Is6() {
		return "neighbour discovery"
	}
	return "ARP"
}

// use remembers an interface that leads to a server.
func (l *looker) use(link netlink.Link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.ContainsFunc(l.used, func(k netlink.Link) bool { return k.Attrs().Index == link.Attrs().Index }) {
		l.used = append(l.used, link)
	}
}

// path asks whether a frame of full length arrives, once a short one does.
func (l *looker) path(ctx context.Context, from knock.From, s *Server) {
	l.tell("%s: frames of %d bytes", s.Name, s.MTU)
	for _, size := range []int{64, s.MTU} {
		answered, err := from.Echo(ctx, s.MAC.Value, s.Addr, size)
		switch {
		case err != nil:
			s.Full = unseen[bool](plain(ctx, err))
			return
		case !answered && size < s.MTU:
			s.Full = unseen[bool]("it answers no ping")
			return
		}
		s.Full = seen(answered)
	}
}

func clock(ctx context.Context, from knock.From, s *Server) Seen[Clock] {
	ahead, within, known, err := from.Clock(ctx, s.MAC.Value, s.Addr)
	if err != nil {
		return unseen[Clock](plain(ctx, err))
	}
	if !known {
		return unseen[Clock]("it answers no ICMP timestamp request")
	}
	return seen(Clock{ahead, within})
}

// doors knocks at the server's port, at its own address and at each virtual IP.
func (l *looker) doors(ctx context.Context, from knock.From, ask question, s *Server) {
	s.VIPs = map[netip.Addr]Seen[Door]{}
	if s.Port == 0 {
		s.Own = unseen[Door]("the configuration names no port for it")
		return
	}
	at := func(addr netip.Addr) Seen[Door] {
		l.tell("%s: port %d at %v", s.Name, s.Port, addr)
		took, mss, err := from.Port(ctx, s.MAC.Value, netip.AddrPortFrom(addr, s.Port))
		if err != nil {
			return unseen[Door](plain(ctx, err))
		}
		return seen(Door{took, mss})
	}
	s.Own = at(s.Addr)
	for _, v := range ask.vips {
		if v.Is4() {
			s.VIPs[v] = at(v)
			if dropped(v, from.Index) {
				s.Strict = append(s.Strict, v)
			}
		}
	}
	if ask.nfs && s.Own.Known && s.Own.Value.Took == knock.Accepted {
		s.NFS = l.nfs(ctx, s)
	}
}

// Examine looks at everything and tells what will bite.
func Examine(ctx context.Context, cfg model.Config, progress func(string)) model.Diagnosis {
	start := time.Now()
	found, missed := Judge(Look(ctx, cfg, progress))
	return model.Diagnosis{At: start, Took: time.Since(start), Findings: append([]model.Finding{}, found...), Unseen: append([]model.Unseen{}, missed...)}
}
