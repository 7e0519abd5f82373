package netstate

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"time"

	"fairlead/internal/model"
)

// entry is what is known of one neighbour that is kept.
type entry struct {
	way
	routed bool      // a router may lead to it
	iface  string    // the name of the interface
	mac    model.MAC // as last told
	told   bool      // anything was told at all
	fixed  bool      // an entry made by hand: not ours to ask about
	doubt  bool      // the MAC did not answer; now everybody is asked
	tried  bool      // its holder is being asked at its MAC
	mute   bool      // the kernel asked and nobody answered, as last told
	due    time.Time // when the kernel is to ask for it again
	why    string    // why it cannot be asked for; "" it can
}

// sighting is the state of one entry of the kernel's neighbour table.
type sighting struct {
	addr  netip.Addr
	link  int
	state state
	mac   model.MAC
}

// state is what a kernel's entry is worth.
type state uint8

const (
	gone   state = iota // there is no entry
	asking              // it is being resolved, for up to 3 s
	failed              // nobody answered
	valid               // its MAC can be used
	tried               // the same, and its holder is being asked at it
	fixed               // the same, and it was made by hand
)

func (s state) usable() bool { return s >= valid }

// see returns the entry after a sighting. A MAC is not given up lightly, as
// packets that flow depend on it: when its entry vanished, or its holder did not
// answer, everybody is asked at once, and only if that fails too is the MAC lost.
//
// That nobody answered is told at once, with the MAC, and holds until somebody
// does. A failed entry alone does not say so: one that is deleted by hand is
// called failed just before.
func (e entry) see(s sighting, now time.Time, refresh, retry time.Duration) entry {
	if s.link != e.link || s.addr != e.hop {
		return e // a leftover on an interface that no longer leads there
	}
	e.fixed = s.state == fixed
	asked := e.tried || e.doubt || !e.mac.Known()
	e.mute = e.mute && !s.state.usable() || s.state == failed && asked
	e.tried = s.state == tried
	switch s.state {
	case valid, tried, fixed:
		if !e.mac.Known() {
			e.due = now.Add(refresh)
		}
		e.mac, e.doubt = s.mac, false
	case failed, gone:
		switch {
		case !e.mac.Known():
			e.due = now.Add(retry)
		case !e.doubt:
			e.doubt, e.due = true, now
		case s.state == failed:
			e.mac, e.doubt, e.due = model.MAC{}, false, now.Add(retry)
		}
	}
	return e
}

// next is when an entry is to be asked for again. Known ones are jittered, so
// that the requests for many spread.
func (e entry) next(now time.Time, refresh, retry time.Duration) time.Time {
	if !e.mac.Known() || e.doubt {
		return now.Add(retry)
	}
	return now.Add(refresh - rand.N(refresh/10+1))
}

// see takes in one sighting: of the neighbours that it leads to.
func (l *loop) see(ctx context.Context, s sighting) error {
	for addr, e := range l.entries {
		if s.addr != e.hop || s.link != e.link {
			continue
		}
		next := e.see(s, time.Now(), l.refresh, l.retry)
		if err := l.put(ctx, addr, next, e, s.state.usable() || s.state == failed); err != nil {
			return err
		}
	}
	return nil
}

// put keeps an entry, and tells what is known of it if that is news or was never
// told.
func (l *loop) put(ctx context.Context, addr netip.Addr, e, old entry, certain bool) error {
	if e.mac == old.mac && e.mute == old.mute && (e.told || !certain) {
		l.entries[addr] = e
		return nil
	}
	e.told = true
	l.entries[addr] = e
	return l.tellOf(ctx, addr, e)
}

func (l *loop) tellOf(ctx context.Context, addr netip.Addr, e entry) error {
	n := model.Neighbour{Addr: addr, Iface: e.iface, MAC: e.mac, Failed: e.mute}
	if e.mac.Known() {
		n.Source, n.MTU = e.source, e.mtu
	}
	if e.hop != addr {
		n.Via = e.hop
	}
	return l.tell(ctx, Fact{Neighbour: &n})
}

// adopt follows a call of Keep.
func (l *loop) adopt(ctx context.Context) error {
	l.mu.Lock()
	keep := l.keep
	l.mu.Unlock()
	for addr, routed := range keep {
		e := l.entries[addr]
		if e.routed != routed {
			e.routed, e.due = routed, time.Time{}
		}
		l.entries[addr] = e
	}
	for addr := range l.entries {
		if _, want := keep[addr]; !want {
			delete(l.entries, addr)
		}
	}
	return l.ask(ctx)
}

// ask lets the kernel ask for every neighbour that is due.
func (l *loop) ask(ctx context.Context) error {
	var moved []netip.Addr
	for addr, e := range l.entries {
		if e.due.After(time.Now()) {
			continue
		}
		to, err := l.kernel.lead(addr, e.routed)
		if err == nil && to.mtu == 0 {
			to.mtu = l.mtuOf(to.link)
		}
		if err == nil && (to.link != e.link || to.hop != e.hop) {
			moved = append(moved, addr)
			err = l.move(ctx, addr, e, to)
		} else {
			if err == nil && to != e.way {
				e.way, e.told = to, false
			}
			err = l.askFor(ctx, addr, e, err)
		}
		if err != nil {
			return err
		}
	}
	if moved == nil {
		return nil
	}
	// What the kernel knows already makes no notice, and an entry that was made
	// by hand must be known as such before it is asked about.
	if err := l.readNeighbours(ctx); err != nil {
		return err
	}
	for _, addr := range moved {
		e := l.entries[addr]
		e.due = time.Time{}
		l.entries[addr] = e
	}
	return l.ask(ctx)
}

// move begins anew with an entry to which another interface leads now.
func (l *loop) move(ctx context.Context, addr netip.Addr, e entry, to way) error {
	if l.dirty || l.nameOf(to.link) == "" { // the route may be ahead of the notices
		if err := l.readLinks(ctx); err != nil {
			return err
		}
	}
	if to.mtu == 0 {
		to.mtu = l.mtuOf(to.link)
	}
	l.entries[addr] = entry{way: to, routed: e.routed, iface: l.nameOf(to.link)}
	if e.mac.Known() {
		return l.tellOf(ctx, addr, entry{way: e.way, iface: e.iface})
	}
	return nil
}

// askFor asks for one neighbour, unless no interface leads to it: failed says
// why.
func (l *loop) askFor(ctx context.Context, addr netip.Addr, old entry, failed error) error {
	e := old
	if failed == nil && !e.fixed {
		failed = l.kernel.resolve(e.hop, e.link, e.mac.Known() && !e.doubt)
	}
	e.why = ""
	if failed != nil {
		e.mac, e.doubt, e.mute, e.why = model.MAC{}, false, false, failed.Error()
	}
	if e.why != "" && e.why != old.why {
		l.log.Warn("the MAC of a neighbour cannot be asked for", "addr", addr.String(), "why", e.why)
	}
	e.due = e.next(time.Now(), l.refresh, l.retry)
	return l.put(ctx, addr, e, old, failed != nil || !e.told && e.mac.Known())
}

// readNeighbours reads the kernel's table. What it lacks is gone.
func (l *loop) readNeighbours(ctx context.Context) error {
	table, err := l.kernel.readNeighbours()
	if err != nil {
		return err
	}
	missing := make(map[netip.Addr]bool, len(l.entries))
	for addr := range l.entries {
		missing[addr] = true
	}
	for _, s := range table {
		for addr, e := range l.entries {
			if s.addr == e.hop && s.link == e.link {
				delete(missing, addr)
			}
		}
		if err := l.see(ctx, s); err != nil {
			return err
		}
	}
	for addr := range missing {
		if e := l.entries[addr]; e.link == 0 {
			continue
		} else if err := l.see(ctx, sighting{addr: e.hop, link: e.link}); err != nil {
			return err
		}
	}
	return nil
}

// hurry makes those neighbours due that a changed interface may concern: the
// unknown ones, as it may lead to them, and those whose interface has another
// name now.
func (l *loop) hurry(now time.Time) {
	for addr, e := range l.entries {
		if e.link != 0 && l.nameOf(e.link) != e.iface {
			e.link, e.due = 0, now
		}
		if !e.mac.Known() {
			e.due = now
		}
		l.entries[addr] = e
	}
}
