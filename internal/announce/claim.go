package announce

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"time"

	"fairlead/internal/arp"
	"fairlead/internal/model"
)

// Want is a virtual IP to take.
type Want struct {
	Addr      netip.Addr
	Iface     string    // where
	MAC       model.MAC // of that interface
	Held      bool      // an earlier run took it: announced without asking first
	Answering bool      // the data plane answers ARP for it
}

// door is where claims meet the network: an interface, by ARP or by neighbour
// discovery.
type door struct {
	iface string
	six   bool
}

func (d door) protocol() string {
	if d.six {
		return "neighbour discovery"
	}
	return "ARP"
}

func (w Want) door() door  { return door{w.Iface, w.Addr.Is6()} }
func (c claim) door() door { return c.want.door() }

const (
	probes   = 3 // in one round
	spacing  = 200 * time.Millisecond
	again    = 10 * time.Second // between two rounds while there is a conflict
	truce    = 10 * time.Second // between two defences (RFC 5227 section 2.4, DEFEND_INTERVAL)
	oblivion = time.Minute      // after which a rival that is silent counts as gone
	bursts   = 3                // announcements when the address is taken
	pace     = time.Second      // between them (RFC 5227: ANNOUNCE_INTERVAL 2 s)
)

// claim is what is known of one virtual IP. Its methods are pure: they return
// the claim as it is then, and the packets to send.
type claim struct {
	want     Want
	state    string // as in model.VIPStatus
	why      string
	cut      bool      // its interface cannot be used: nothing can be asked
	asked    int       // probes of the present round
	next     time.Time // the next step of a round; zero: none
	burst    int       // announcements still to come
	burstAt  time.Time // when the next does
	rival    time.Time // when one was last seen
	defended time.Time
}

// begin is a claim of its first instant.
func begin(w Want, now time.Time) claim {
	c := claim{want: w}
	if w.Held {
		return c.taken(now)
	}
	c.state, c.next = model.VIPProbing, now
	if !w.MAC.Known() {
		c.next = time.Time{}
		c.why = fmt.Sprintf("the MAC of %s is not known", w.Iface)
	}
	return c
}

// active tells whether packets of the address come to us: then it is told to
// the neighbours, and defended.
func (c claim) active() bool { return c.state == model.VIPAnnounced && c.want.Answering && !c.cut }

// edge begins a burst when the claim became active, and ends it when it no
// longer is.
func (c claim) edge(before bool, now time.Time) claim {
	switch {
	case !c.active():
		c.burst = 0
	case !before:
		c.burst, c.burstAt = bursts, now
	}
	return c
}

// taken is the claim when the address is ours.
func (c claim) taken(now time.Time) claim {
	before := c.active()
	c.state, c.why, c.asked, c.next = model.VIPAnnounced, "", 0, time.Time{}
	return c.edge(before, now)
}

// revise follows a change of what is wanted.
func (c claim) revise(w Want, now time.Time) claim {
	if w.Iface != c.want.Iface || w.MAC.Known() != c.want.MAC.Known() {
		cut := c.cut
		c = begin(w, now)
		c.cut = cut && w.Iface == c.want.Iface
		return c
	}
	before := c.active() && w.MAC == c.want.MAC // a new MAC is news to the neighbours
	c.want = w
	return c.edge(before, now)
}

// lose follows the loss of the interface. One that is merely down keeps what
// was taken; one that is gone takes it along.
func (c claim) lose(why string, gone bool, now time.Time) claim {
	if gone {
		c.want.Held = false
		c = begin(c.want, now)
	}
	c.cut, c.burst, c.asked = true, 0, 0
	if c.state == model.VIPProbing {
		c.why = why
	}
	return c
}

// regain follows the interface's return: what was asked is asked anew, and what
// is ours is told again.
func (c claim) regain(now time.Time) claim {
	if !c.cut {
		return c
	}
	c.cut = false
	switch {
	case c.state == model.VIPAnnounced:
		return c.edge(false, now)
	case c.state == model.VIPProbing && c.want.MAC.Known():
		c.why, c.next = "", now
	}
	return c
}

// tell begins a burst by order.
func (c claim) tell(now time.Time) claim { return c.edge(false, now) }

// hear follows an ARP packet.
func (c claim) hear(p arp.Packet, now time.Time) (claim, []arp.Packet) {
	if p.SenderMAC == c.want.MAC || c.cut {
		return c, nil
	}
	switch {
	case p.Sender == c.want.Addr && p.Op == arp.Reply:
		c.why = fmt.Sprintf("%s is answered by %s", c.want.Addr, p.SenderMAC)
	case p.Sender == c.want.Addr:
		c.why = fmt.Sprintf("%s is claimed by %s", c.want.Addr, p.SenderMAC)
	case p.Sender.IsUnspecified() && p.Target == c.want.Addr && c.state == model.VIPProbing:
		// Another host is about to take it (RFC 5227 section 2.1.1).
		c.why = fmt.Sprintf("%s is asked for by %s, which is about to take it", c.want.Addr, p.SenderMAC)
	default:
		return c, nil
	}
	c.state, c.rival = model.VIPConflict, now
	c.asked, c.next, c.burst = 0, now.Add(again+c.spread()), 0
	// An address that is answered for is defended by one announcement, but not
	// more often: two that defend it would fill the network (section 2.4 (c)).
	if !c.want.Answering || now.Sub(c.defended) < truce {
		return c, nil
	}
	c.defended = now
	return c, []arp.Packet{announcementOf(c.want.Addr, c.want.MAC)}
}

// spread keeps two hosts that want the same address from asking at the same
// time again and again.
func (c claim) spread() time.Duration {
	h := fnv.New32a()
	h.Write(c.want.MAC[:])
	return time.Duration(h.Sum32()%2000) * time.Millisecond
}

// deadline is when tick has something to do; zero: never. A burst and a round
// never meet: the one follows the other.
func (c claim) deadline() time.Time {
	switch {
	case c.cut:
		return time.Time{}
	case c.burst > 0:
		return c.burstAt
	}
	return c.next
}

// tick does what is due.
func (c claim) tick(now time.Time) (claim, []arp.Packet) {
	if d := c.deadline(); d.IsZero() || now.Before(d) {
		return c, nil
	}
	if c.burst > 0 {
		c.burst--
		c.burstAt = now.Add(pace)
		return c, announcementsOf(c.want.Addr, c.want.MAC)
	}
	if c.asked < probes {
		c.asked++
		c.next = now.Add(spacing)
		return c, []arp.Packet{probeOf(c.want.Addr, c.want.MAC)}
	}
	// Nobody answered a whole round. A rival of an address that we answer for all
	// the while may just be shy.
	if c.state == model.VIPConflict && c.want.Answering && now.Sub(c.rival) < oblivion {
		c.asked, c.next = 0, now.Add(again)
		return c, nil
	}
	return c.taken(now), nil
}

func (c claim) status() model.VIPStatus {
	return model.VIPStatus{Addr: c.want.Addr, State: c.state, Why: c.why}
}
