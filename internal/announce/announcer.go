package announce

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"fairlead/internal/arp"
	"fairlead/internal/model"
)

// retry is the time between two attempts to use an interface that fails.
const retry = time.Second

// Announcer takes a set of virtual IPs that may change at any time. Its methods
// may be called from any goroutine, also before Run.
type Announcer struct {
	seen chan<- model.VIPStatus
	log  *slog.Logger
	wake chan struct{} // capacity 1: something below changed

	mu     sync.Mutex // guards the following
	wants  []Want
	orders []netip.Addr
	ended  []netip.Addr // were not wanted for a while, perhaps a short one
}

// New returns an Announcer that sends every change of a virtual IP's state to
// seen. None is dropped: the Announcer waits until it is taken.
func New(seen chan<- model.VIPStatus, log *slog.Logger) *Announcer {
	return &Announcer{seen: seen, log: log, wake: make(chan struct{}, 1)}
}

// Set replaces the virtual IPs. One that is no longer wanted is forgotten
// without a word, and begins anew should it return. When Answering becomes true of an announced one, the
// neighbours are told. The first of an address counts; IPv6 is left alone.
func (a *Announcer) Set(wants []Want) {
	a.mu.Lock()
	for _, old := range a.wants {
		if !slices.ContainsFunc(wants, func(w Want) bool { return w.Addr == old.Addr }) {
			a.ended = append(a.ended, old.Addr)
		}
	}
	a.wants = slices.Clone(wants)
	a.mu.Unlock()
	a.stir()
}

// Burst tells the neighbours of a virtual IP again, if it is announced and
// answered for. The return of its interface needs no order: it does the same.
func (a *Announcer) Burst(vip netip.Addr) {
	a.mu.Lock()
	a.orders = append(a.orders, vip)
	a.mu.Unlock()
	a.stir()
}

func (a *Announcer) stir() {
	select {
	case a.wake <- struct{}{}:
	default: // Run will look anyway
	}
}

// Run works until ctx ends, in the network namespace of the calling thread.
// What was announced stays so: nothing is withdrawn.
func (a *Announcer) Run(ctx context.Context) error {
	l := &loop{
		Announcer: a,
		heard:     make(chan heard, 64),
		claims:    map[netip.Addr]claim{},
		told:      map[netip.Addr]model.VIPStatus{},
		ports:     map[string]*port{},
		indices:   map[string]int{},
		broken:    map[string]time.Time{},
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		for _, p := range l.ports {
			p.close()
		}
		l.readers.Wait()
	}()
	for {
		if err := l.step(ctx); err != nil {
			return err
		}
	}
}

// loop is one Run.
type loop struct {
	*Announcer
	heard   chan heard
	readers sync.WaitGroup
	claims  map[netip.Addr]claim
	told    map[netip.Addr]model.VIPStatus
	ports   map[string]*port
	indices map[string]int       // of the interfaces as they were last used
	broken  map[string]time.Time // when to try an interface again that failed
}

// step does all that is due, tells what changed, and waits.
func (l *loop) step(ctx context.Context) error {
	l.open(ctx)
	now := time.Now()
	for vip, c := range l.claims {
		if d := c.deadline(); !d.IsZero() && !d.After(now) {
			l.act(c.tick(now))
		}
		if err := l.tell(ctx, vip); err != nil {
			return err
		}
	}
	timer := time.NewTimer(l.pause(time.Now()))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	case <-l.wake:
		l.adopt(time.Now())
	case h := <-l.heard:
		l.hear(h)
	}
	return nil
}

// act keeps a claim and sends its packets. A port that cannot send is given up:
// a question that was not asked must not count as unanswered.
func (l *loop) act(c claim, packets []arp.Packet) {
	l.claims[c.want.Addr] = c
	p := l.ports[c.want.Iface]
	for _, a := range packets {
		if p == nil {
			return
		}
		if err := p.send(a); err != nil {
			l.drop(p, err)
			return
		}
	}
}

// tell sends a state that has changed.
func (l *loop) tell(ctx context.Context, vip netip.Addr) error {
	status := l.claims[vip].status()
	if l.told[vip] == status {
		return nil
	}
	select {
	case l.seen <- status:
		l.told[vip] = status
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pause is the time until something is due.
func (l *loop) pause(now time.Time) time.Duration {
	pause := time.Hour
	for vip, c := range l.claims {
		if d := c.deadline(); !d.IsZero() {
			pause = min(pause, d.Sub(now))
		}
		if l.told[vip] != c.status() {
			pause = 0
		}
		if l.ports[c.want.Iface] == nil {
			pause = min(pause, l.broken[c.want.Iface].Sub(now))
		}
	}
	return max(pause, 0)
}

// adopt follows calls of Set and Burst.
func (l *loop) adopt(now time.Time) {
	l.mu.Lock()
	wants, orders, ended := l.wants, l.orders, l.ended
	l.orders, l.ended = nil, nil
	l.mu.Unlock()
	for _, vip := range ended {
		delete(l.claims, vip)
		delete(l.told, vip)
	}

	used := make(map[string]bool)
	kept := make(map[netip.Addr]bool)
	for _, w := range wants {
		if kept[w.Addr] || !w.Addr.Is4() {
			continue
		}
		kept[w.Addr], used[w.Iface] = true, true
		c, ok := l.claims[w.Addr]
		switch {
		case !ok:
			c = begin(w, now)
		case c.want != w:
			c = c.revise(w, now)
		}
		l.claims[w.Addr] = c
	}
	for iface, p := range l.ports {
		if !used[iface] {
			p.close()
			delete(l.ports, iface)
		}
	}
	for _, vip := range orders {
		if c, ok := l.claims[vip]; ok {
			l.claims[vip] = c.tell(now)
		}
	}
}

// open opens the ports that are missing. Until its port is open a claim is cut:
// it neither asks nor tells.
func (l *loop) open(ctx context.Context) {
	for _, c := range l.claims {
		iface := c.want.Iface
		now := time.Now()
		if p := l.ports[iface]; p != nil {
			l.claims[c.want.Addr] = c.regain(now)
			continue
		}
		if now.Before(l.broken[iface]) {
			continue
		}
		p, err := openPort(iface)
		if err != nil {
			l.fail(iface, err)
			continue
		}
		if old, ok := l.indices[iface]; ok && old != p.index {
			l.cut(iface, errGone) // another interface of that name
		}
		l.ports[iface], l.indices[iface] = p, p.index
		delete(l.broken, iface)
		l.readers.Go(func() { p.read(ctx, l.heard) })
		l.claims[c.want.Addr] = l.claims[c.want.Addr].regain(now)
	}
}

// drop gives a port up that failed.
func (l *loop) drop(p *port, err error) {
	if l.ports[p.iface] != p {
		return // it was given up already
	}
	p.close()
	delete(l.ports, p.iface)
	if _, known := find(p.iface); known != nil {
		err = known // plainer words
	}
	l.fail(p.iface, err)
}

// fail notes that an interface cannot be used now.
func (l *loop) fail(iface string, err error) {
	if l.broken[iface].IsZero() {
		l.log.Warn("an interface cannot be used for ARP", "iface", iface, "error", err)
	}
	l.broken[iface] = time.Now().Add(retry)
	l.cut(iface, err)
}

func (l *loop) cut(iface string, err error) {
	for vip, c := range l.claims {
		if c.want.Iface == iface {
			l.claims[vip] = c.lose(err.Error(), errors.Is(err, errGone), time.Now())
		}
	}
}

func (l *loop) hear(h heard) {
	if h.err != nil {
		l.drop(h.port, h.err)
		return
	}
	if l.ports[h.port.iface] != h.port {
		return
	}
	for _, c := range l.claims {
		if c.want.Iface == h.port.iface {
			l.act(c.hear(h.arp, time.Now()))
		}
	}
}
