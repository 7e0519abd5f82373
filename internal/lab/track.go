package lab

import (
	"sync"
	"time"

	"fairlead/internal/nfs"
)

// sample is one completed operation of a client.
type sample struct {
	at    instant // of its completion
	bytes int64   // of file data that it carried
}

// delay tells that a client puts its next attempt to connect off, by its own
// rule: it was refused, or cut off without an answer, shortly before.
type delay struct {
	at, until instant
}

// track is what one client saw, in order.
type track struct {
	mu      sync.Mutex // guards the following
	samples []sample
	delays  []delay
	events  map[nfs.EventKind]int
}

// done notes a completed operation.
func (t *track) done(bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.samples = append(t.samples, sample{now(), int64(bytes)})
}

// event notes what happened to the connection.
func (t *track) event(e nfs.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.events == nil {
		t.events = map[nfs.EventKind]int{}
	}
	t.events[e.Kind]++
	if e.Wait > 0 {
		at := now()
		t.delays = append(t.delays, delay{at, at.add(e.Wait)})
	}
}

// seen is a copy of a track that no longer changes.
type seen struct {
	samples []sample
	delays  []delay
	events  map[nfs.EventKind]int
}

func (t *track) seen() seen {
	t.mu.Lock()
	defer t.mu.Unlock()
	events := map[nfs.EventKind]int{}
	for k, n := range t.events {
		events[k] = n
	}
	return seen{t.samples[:len(t.samples):len(t.samples)], t.delays[:len(t.delays):len(t.delays)], events}
}

// volume is an amount of work.
type volume struct {
	operations int
	bytes      int64
}

func (v volume) plus(w volume) volume {
	return volume{v.operations + w.operations, v.bytes + w.bytes}
}

// reaches tells whether v is at least w in both respects.
func (v volume) reaches(w volume) bool { return v.operations >= w.operations && v.bytes >= w.bytes }

// between is what was completed after from and not after to.
func (s seen) between(from, to instant) volume {
	var v volume
	for _, c := range s.samples {
		if c.at > from && c.at <= to {
			v = v.plus(volume{1, c.bytes})
		}
	}
	return v
}

// stall is the longest time between two operations completed one after the
// other.
func (s seen) stall() time.Duration {
	var longest time.Duration
	for i := 1; i < len(s.samples); i++ {
		longest = max(longest, s.samples[i].at.since(s.samples[i-1].at))
	}
	return longest
}

// backoff is how long after the decision the client still waited because of
// what had happened before it.
func (s seen) backoff(decided instant) time.Duration {
	var longest time.Duration
	for _, d := range s.delays {
		if d.at <= decided {
			longest = max(longest, d.until.since(decided))
		}
	}
	return longest
}
