// Package record holds what an application saw of its file system: how many calls
// it made, which took long, and what went wrong. They are values, and a few
// questions about them.
//
// It makes no calls itself, and does not judge how long is too long.
package record

import "time"

// Slow is what a call takes at least to be listed. An emulated, busy machine needs
// some milliseconds for every call.
const Slow = 50 * time.Millisecond

// Record is what one application saw. Instants are readings of CLOCK_MONOTONIC, in
// nanoseconds.
type Record struct {
	Calls   int               `json:"calls"`
	Errors  []string          `json:"errors"` // of calls that failed
	Wrong   int               `json:"wrong_bytes"`
	Slow    []Call            `json:"slow"`    // the calls that took Slow or longer, but for those under way
	Workers []Call            `json:"workers"` // of each worker: the call under way, or else the last one
	Sums    map[string]string `json:"sums"`    // SHA-256 of each file, as it must be; at the end
	At      int64             `json:"at_ns"`   // of this record
}

// Call is one operation of a worker.
type Call struct {
	Worker int    `json:"worker"`
	What   string `json:"what"`
	Begin  int64  `json:"begin_ns"`
	End    int64  `json:"end_ns"` // 0: under way
}

// Took is how long a call took.
func (c Call) Took() time.Duration { return time.Duration(c.End - c.Begin) }

// Ended reports whether the application has ended, and compared everything.
func (r Record) Ended() bool { return r.Sums != nil }

// settled is how long nobody may wait for calm.
const settled = 3 * time.Second

// Calm reports whether every worker that works at all has begun a call after an
// instant, and none has waited for the given time in the last three seconds, which
// are all after that instant.
func (r Record) Calm(after int64, wait time.Duration) bool {
	since := r.At - int64(settled)
	if since < after {
		return false
	}
	for _, c := range r.all() {
		if c.Took() >= wait && c.End > since {
			return false
		}
	}
	for _, c := range r.Workers {
		if c.Worker != Idle && c.Begin <= after {
			return false
		}
	}
	return true
}

// Idle is the worker that only holds a file open until the end.
const Idle = 0

// Longest returns the longest call that ended after an instant, or is under way.
func (r Record) Longest(after int64) (longest Call) {
	for _, c := range r.all() {
		if c.End > after && c.Took() > longest.Took() {
			longest = c
		}
	}
	return longest
}

// Rest is the longest that any call took after an instant: the part before it does
// not count, nor what is excused of it.
func (r Record) Rest(after int64, excused func(Call) time.Duration) (rest time.Duration) {
	for _, c := range r.all() {
		c.Begin = max(c.Begin, after)
		rest = max(rest, c.Took()-excused(c))
	}
	return rest
}

// all lists the slow calls, with those under way as if they ended now.
func (r Record) all() []Call {
	found := append([]Call(nil), r.Slow...)
	for _, c := range r.Workers {
		if c.End == 0 && c.Begin != 0 {
			c.End = r.At
			found = append(found, c)
		}
	}
	return found
}
