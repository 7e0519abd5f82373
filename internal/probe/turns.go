package probe

import (
	"net/netip"
	"sync"
	"time"
)

// A server with many virtual IPs is not asked at all of them in every probe: a
// thousand servers with a hundred each would take all of the processor. They take
// turns, so that each is asked within a minute, or within an interval that is
// longer.
const (
	few     = 4           // virtual IPs of one probe, at least
	around  = time.Minute // until each has had its turn
	abreast = 16          // questions of one probe at virtual IPs at a time
)

// turns tells at which virtual IPs a probe asks. At all of them while not all are
// known to be well: from the start, or from a failure, to a probe that passed at
// all; those that failed first, so that a server that is not well costs little.
type turns struct {
	vips [][]question // of each virtual IP
	each int          // how many have their turn in a probe

	mu       sync.Mutex // guards the following: two probes may be under way
	next     int        // whose turn it is
	failed   map[netip.Addr]bool
	failures int       // probes that failed
	swept    int       // failures when the last probe began that passed at all; -1: none did
	looked   time.Time // when a probe asked at all of them last
}

// newTurns sorts the questions by their virtual IPs.
func newTurns(via []question, interval time.Duration) *turns {
	t := &turns{failed: make(map[netip.Addr]bool), swept: -1}
	at := make(map[netip.Addr]int)
	for _, q := range via {
		i, known := at[q.addr]
		if !known {
			i = len(t.vips)
			at[q.addr] = i
			t.vips = append(t.vips, nil)
		}
		t.vips[i] = append(t.vips[i], q)
	}
	probes := max(1, int(around/interval))
	t.each = max(few, (len(t.vips)+probes-1)/probes)
	return t
}

// share is what one probe asks at virtual IPs.
type share struct {
	turns    *turns
	first    []question // at those that failed when they were asked last
	then     []question
	all      bool // they are all there are
	failures int  // before the probe
}

// share is that of a probe that begins now. One that was ordered asks at all virtual
// IPs, but no more often than once in an interval: who orders it knows of some
// trouble, and may be a forger.
func (t *turns) share(ordered bool, interval time.Duration, now time.Time) share {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.vips)
	all := t.each >= n || t.swept != t.failures || ordered && now.Sub(t.looked) >= interval
	if all {
		t.looked = now
	}
	s := share{turns: t, all: all, failures: t.failures}
	for i, asked := range t.vips {
		switch its := (i - t.next + n) % n; {
		case t.failed[asked[0].addr]:
			s.first = append(s.first, asked...)
		case all || its < t.each:
			s.then = append(s.then, asked...)
		}
	}
	if !all {
		t.next = (t.next + t.each) % n
	}
	return s
}

// doubt takes that a server failed at a virtual IP.
func (t *turns) doubt(vip netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed[vip] = true
}

// trust takes that what failed before passed this time.
func (s share) trust() {
	s.turns.mu.Lock()
	defer s.turns.mu.Unlock()
	for _, q := range s.first {
		delete(s.turns.failed, q.addr)
	}
}

// ended takes the outcome of the probe.
func (s share) ended(ok bool) {
	s.turns.mu.Lock()
	defer s.turns.mu.Unlock()
	switch {
	case !ok:
		s.turns.failures++
	case s.all:
		s.turns.swept = max(s.turns.swept, s.failures)
	}
}
