package workload

import (
	"sync"
	"time"

	"fairlead/internal/lab/clock"
	"fairlead/internal/nfs"
)

// Sample is one completed operation of a client.
type Sample struct {
	At    clock.Instant // of its completion
	Bytes int64         // of file data that it carried
}

// Delay tells that a client puts its next attempt to connect off, by its own
// rule: it was refused, or cut off without an answer, shortly before.
type Delay struct {
	At, Until clock.Instant
}

// track is what one client saw, in order.
type track struct {
	mu      sync.Mutex // guards the following
	samples []Sample
	delays  []Delay
	events  map[nfs.EventKind]int
}

// done notes a completed operation.
func (t *track) done(bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.samples = append(t.samples, Sample{clock.Now(), int64(bytes)})
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
		at := clock.Now()
		t.delays = append(t.delays, Delay{at, at.Add(e.Wait)})
	}
}

// Seen is what one client saw, in order; a copy that no longer changes.
type Seen struct {
	Samples []Sample
	Delays  []Delay
	Events  map[nfs.EventKind]int
}

func (t *track) seen() Seen {
	t.mu.Lock()
	defer t.mu.Unlock()
	events := map[nfs.EventKind]int{}
	for k, n := range t.events {
		events[k] = n
	}
	return Seen{t.samples[:len(t.samples):len(t.samples)], t.delays[:len(t.delays):len(t.delays)], events}
}

// last is the instant of the last completed operation, 0 when there was none.
func (s Seen) last() clock.Instant {
	if len(s.Samples) == 0 {
		return 0
	}
	return s.Samples[len(s.Samples)-1].At
}

// first is the instant of the first operation completed after an instant, 0
// when there was none.
func (s Seen) first(after clock.Instant) clock.Instant {
	for _, c := range s.Samples {
		if c.At > after {
			return c.At
		}
	}
	return 0
}

// Volume is an amount of work.
type Volume struct {
	Operations int
	Bytes      int64
}

// Plus is the sum.
func (v Volume) Plus(w Volume) Volume {
	return Volume{v.Operations + w.Operations, v.Bytes + w.Bytes}
}

// Reaches tells whether v is at least w in both respects.
func (v Volume) Reaches(w Volume) bool { return v.Operations >= w.Operations && v.Bytes >= w.Bytes }

// Between is what was completed after from and not after to.
func (s Seen) Between(from, to clock.Instant) Volume {
	var v Volume
	for _, c := range s.Samples {
		if c.At > from && c.At <= to {
			v = v.Plus(Volume{1, c.Bytes})
		}
	}
	return v
}

// Gap is the time between two operations of a client, completed one after the
// other.
type Gap struct{ From, To clock.Instant }

// Length is how long the gap lasted.
func (g Gap) Length() time.Duration { return g.To.Since(g.From) }

// Stall is the longest gap.
func (s Seen) Stall() Gap {
	return s.longest(func(Gap) bool { return true })
}

// StallOver is the gap that an instant falls into.
func (s Seen) StallOver(at clock.Instant) Gap {
	return s.longest(func(g Gap) bool { return g.From <= at && at < g.To })
}

func (s Seen) longest(wanted func(Gap) bool) Gap {
	var longest Gap
	for i := 1; i < len(s.Samples); i++ {
		if g := (Gap{s.Samples[i-1].At, s.Samples[i].At}); wanted(g) && g.Length() > longest.Length() {
			longest = g
		}
	}
	return longest
}

// Backoff is how long after the decision the client still waited because of
// what had happened before it.
func (s Seen) Backoff(decided clock.Instant) time.Duration {
	var longest time.Duration
	for _, d := range s.Delays {
		if d.At <= decided {
			longest = max(longest, d.Until.Since(decided))
		}
	}
	return longest
}
