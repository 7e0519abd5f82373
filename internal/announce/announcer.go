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
// neighbours are told. The first of an address counts.
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
		ports:     map[door]*port{},
		indices:   map[door]int{},
		broken:    map[door]time.Time{},
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
	ports   map[door]*port
	indices map[door]int       // of the interfaces as they were last used
	broken  map[door]time.Time // when to try an interface again that failed
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
	p := l.ports[c.door()]
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
		if l.ports[c.door()] == nil {
			pause = min(pause, l.broken[c.door()].Sub(now))
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
		l.leave(vip)
		delete(l.claims, vip)
		delete(l.told, vip)
	}

	used := make(map[door]bool)
	kept := make(map[netip.Addr]bool)
	for _, w := range wants {
		if kept[w.Addr] {
			continue
		}
		kept[w.Addr], used[w.door()] = true, true
		c, ok := l.claims[w.Addr]
		switch {
		case !ok:
			c = begin(w, now)
		case c.want != w:
			if c.want.Iface != w.Iface {
				l.leave(w.Addr)
			}
			c = c.revise(w, now)
		}
		l.claims[w.Addr] = c
	}
	for door, p := range l.ports {
		if !used[door] {
			p.close()
			delete(l.ports, door)
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
		door := c.door()
		now := time.Now()
		if p := l.ports[door]; p != nil {
			l.regain(p, c, now)
			continue
		}
		if now.Before(l.broken[door]) {
			continue
		}
		p, err := openPort(door)
		if err != nil {
			l.fail(door, err)
			continue
		}
		if old, ok := l.indices[door]; ok && old != p.index {
			l.cut(door, errGone) // another interface of that name
		}
		l.ports[door], l.indices[door] = p, p.index
		delete(l.broken, door)
		l.readers.Go(func() { p.read(ctx, l.heard) })
		l.regain(p, l.claims[c.want.Addr], now)
	}
}

// regain lets a claim use its port, which listens where its address is asked for.
func (l *loop) regain(p *port, c claim, now time.Time) {
	if err := p.join(c.want.Addr); err != nil {
		l.drop(p, err)
		return
	}
	l.claims[c.want.Addr] = c.regain(now)
}

// leave stops listening where an address is asked for that is no longer ours.
func (l *loop) leave(vip netip.Addr) {
	c, ok := l.claims[vip]
	if p := l.ports[c.door()]; ok && p != nil {
		if err := p.leave(vip); err != nil {
			l.log.Warn("an interface still listens for a virtual IP that is gone", "iface", p.iface, "vip", vip.String(), "error", err)
		}
	}
}

// drop gives a port up that failed.
func (l *loop) drop(p *port, err error) {
	if l.ports[p.door] != p {
		return // it was given up already
	}
	p.close()
	delete(l.ports, p.door)
	if _, known := find(p.iface); known != nil {
		err = known // plainer words
	}
	l.fail(p.door, err)
}

// fail notes that an interface cannot be used now.
func (l *loop) fail(door door, err error) {
	if l.broken[door].IsZero() {
		l.log.Warn("an interface cannot be used for "+door.protocol(), "iface", door.iface, "error", err)
	}
	l.broken[door] = time.Now().Add(retry)
	l.cut(door, err)
}

func (l *loop) cut(door door, err error) {
	for vip, c := range l.claims {
		if c.door() == door {
			l.claims[vip] = c.lose(err.Error(), errors.Is(err, errGone), time.Now())
		}
	}
}

func (l *loop) hear(h heard) {
	if h.err != nil {
		l.drop(h.port, h.err)
		return
	}
	if l.ports[h.port.door] != h.port {
		return
	}
	for _, c := range l.claims {
		if c.door() == h.port.door {
			l.act(c.hear(h.arp, time.Now()))
		}
	}
}
