// Package health is what the probes of one server, and hints from the traffic,
// say of it: whether it is up, since when and why, and when to ask it again. It
// does not probe, it does not know what the server is used for, and it does not
// choose among servers.
package health

import (
	"time"

	"fairlead/internal/model"
)

// A failure is confirmed by a probe soon after it, not by the next one of the
// schedule. With these figures the worst case from a server's death to the
// decision is
//
//	interval + timeout + (fall-1) × (confirmAfter + min(timeout, confirmTimeout))
//
// and with a hint from the traffic, which counts like one failure, timeout.
const (
	confirmAfter   = 50 * time.Millisecond // from a failure to its confirmation
	confirmTimeout = time.Second           // of a confirmation, at most
)

// Hints come as often as clients repeat themselves. These bounds keep a server
// that is quiet or merely loses packets from being hammered.
const (
	askGap  = 100 * time.Millisecond // between two probes that hints ask for
	passGap = 250 * time.Millisecond // after a pass, while no client is kept waiting
)

// A client that is kept waiting may just have lost its connection because the
// server's process dies. Its kernel may end connections some time before it stops
// to accept new ones (Linux's NFS server: 50 ms), so a pass right after says
// little. The server is asked soon, and if that passed once more before its pass lets
// the client go.
const (
	glance = 10 * time.Millisecond  // from the hint to the first question
	Settle = 110 * time.Millisecond // to the one whose pass counts
)

// The values of a check that says nothing: an unchecked server has none.
const (
	defaultInterval = 10 * time.Second
	defaultTimeout  = 3 * time.Second
)

// AdvisoryPass is shown of an unchecked server whose last probe passed.
const AdvisoryPass = "passes"

// Interval is the time from the start of one probe to the start of the next.
func Interval(c model.Check) time.Duration {
	if c.Interval <= 0 {
		return defaultInterval
	}
	return c.Interval
}

// Timeout is the time that a probe has.
func Timeout(c model.Check) time.Duration {
	if c.Timeout <= 0 {
		return defaultTimeout
	}
	return c.Timeout
}

// ShortTimeout is the time of a probe that somebody waits for.
func ShortTimeout(c model.Check) time.Duration { return min(Timeout(c), confirmTimeout) }

// Health is what is known of one server. The zero Health knows nothing.
type Health struct {
	Level    model.Health
	Since    time.Time // of the level
	Why      string    // the error of the last result, "" after a pass
	Advisory string    // the last result of an unchecked server while it was active

	Passes, Failures int       // consecutive results
	Passing, Failing time.Time // the first of them
	Suspected        time.Time // the first hint since the last pass; zero: none

	Probed  time.Time     // the last result that counted
	Began   time.Time     // when its probe began
	Passed  time.Time     // the last pass
	Heard   time.Time     // results up to here are old or were of another check
	Latency time.Duration // of the last result

	counted time.Time // when the last failure that counts was known
	confirm time.Time // when to ask for the next confirmation; zero: none is due
	urgent  time.Time // when to ask because of a hint; zero: none is due
	asked   time.Time // when it was asked out of turn last
	awaited time.Time // the first question out of turn since the last result; zero: none
	hinted  time.Time // the last hint
}

// New is the health of a server whose results count from now on.
func New(checked bool, at time.Time) Health {
	h := Health{Since: at, Heard: at}
	if !checked {
		h.Level = model.HealthUnchecked
	}
	return h
}

// Usable tells whether the server may be used.
func (h Health) Usable() bool {
	return h.Level == model.HealthUp || h.Level == model.HealthUnchecked
}

// Sound tells whether the server may be used and its last probe passed.
func (h Health) Sound() bool { return h.Usable() && h.Failures == 0 }

// Failed tells whether the server is down and not on its way back.
func (h Health) Failed() bool { return h.Level == model.HealthDown && h.Passes == 0 }

// SoundSince is the time from which on the server was usable without a failure.
func (h Health) SoundSince() time.Time {
	if h.Passing.After(h.Since) {
		return h.Passing
	}
	return h.Since
}

// Doubt is the first failure or hint since the last pass; zero: no doubt.
func (h Health) Doubt() time.Time {
	if h.Failing.IsZero() || !h.Suspected.IsZero() && h.Suspected.Before(h.Failing) {
		return h.Suspected
	}
	return h.Failing
}

// Answers tells whether the server is known to have answered lately: its last
// probe passed, and began after the doubt in another server or is not older
// than an interval, unless it was asked since and its answer is
// awaited for longer than one that lives would take. An unchecked server is taken as it is.
func (h Health) Answers(doubt, at time.Time, c model.Check) bool {
	if h.Level == model.HealthUnchecked {
		return true
	}
	silent := !h.awaited.IsZero() && at.Sub(h.awaited) > Timeout(c)/2
	return h.Sound() && (!h.Began.Before(doubt) || !silent && at.Sub(h.Probed) <= Interval(c))
}

// AnsweredAfter tells whether the last probe passed and began no earlier.
func (h Health) AnsweredAfter(at time.Time) bool { return h.Passes > 0 && !h.Began.Before(at) }

// Advise takes the result of a probe that decides nothing.
func (h *Health) Advise(r model.ProbeResult) {
	h.heard(r)
	h.Advisory = AdvisoryPass
	if !r.OK {
		h.Advisory = r.Err
	}
}

// Count takes the result of a probe.
func (h *Health) Count(r model.ProbeResult, c model.Check) {
	h.heard(r)
	if r.OK {
		h.pass(r, c)
	} else {
		h.fail(r, c)
	}
}

func (h *Health) heard(r model.ProbeResult) {
	h.Heard, h.Probed, h.Latency = r.At, r.At, r.Latency
	h.Began = r.At.Add(-r.Latency)
	h.awaited = time.Time{}
}

// pass counts a probe that passed. A server that is down returns after some
// passes in a row, each at its regular time.
func (h *Health) pass(r model.ProbeResult, c model.Check) {
	h.Passes++
	if h.Passes == 1 {
		h.Passing = r.At
	}
	h.Passed = r.At
	h.Failures, h.Failing, h.confirm = 0, time.Time{}, time.Time{}
	if !h.Began.Before(h.hinted) {
		h.Suspected, h.urgent = time.Time{}, time.Time{}
	} else if h.hinted.After(r.At) {
		h.Ask(h.hinted, true)
	}
	if h.Level == model.HealthDown && h.Passes < c.Rise {
		return
	}
	h.Why = ""
	h.become(model.HealthUp, r.At)
}

// fail counts a probe that failed and asks for its confirmation until there
// are enough failures in a row. A question out of turn may overlap a regular probe:
// the outage of an instant fails both, so only a probe that began after the last
// failure counts. Confirmations do, which keeps the worst case above.
func (h *Health) fail(r model.ProbeResult, c model.Check) {
	h.Passes, h.Passing = 0, time.Time{}
	h.Why = r.Err
	if h.Failures > 0 && h.Began.Before(h.counted) {
		return // its confirmation is due or under way
	}
	h.counted = r.At
	h.Failures++
	if h.Failures == 1 {
		h.Failing = r.At
	}
	h.confirm = time.Time{}
	switch {
	case h.Level == model.HealthDown:
	case h.signs() >= c.Fall:
		h.become(model.HealthDown, r.At)
	default:
		h.confirm = r.At.Add(confirmAfter)
	}
}

// signs are the failures in a row; a hint counts like one more.
func (h *Health) signs() int {
	if h.Suspected.IsZero() {
		return h.Failures
	}
	return h.Failures + 1
}

func (h *Health) become(level model.Health, at time.Time) {
	if h.Level != level {
		h.Level, h.Since = level, at
	}
}

// Suspect takes a hint that the server is gone. Waiting: a client is kept
// waiting until it is known. First: it is the first hint since the last pass.
func (h *Health) Suspect(at time.Time, waiting bool) (first bool) {
	first = h.Suspected.IsZero()
	if first {
		h.Suspected = at
	}
	h.hinted = at
	if waiting {
		h.hinted = at.Add(Settle)
		at = at.Add(glance)
	}
	h.Ask(at, waiting)
	return first
}

// Ask wants a probe out of turn, as soon as the bounds allow it: that of passes
// is kept here, that of questions when it is due.
func (h *Health) Ask(at time.Time, waiting bool) {
	when := at
	if ago := at.Sub(h.Passed); !waiting && ago >= 0 && ago < passGap {
		when = h.Passed.Add(passGap)
	}
	if h.urgent.IsZero() || when.Before(h.urgent) {
		h.urgent = when
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Due tells whether a probe out of turn is due, and its timeout. It is told
// once.
func (h *Health) Due(at time.Time, c model.Check) (timeout time.Duration, due bool) {
	if ago := at.Sub(h.asked); !h.urgent.IsZero() && ago >= 0 && ago < askGap {
		h.urgent = later(h.urgent, h.asked.Add(askGap))
	}
	if due := !h.urgent.IsZero() && !h.urgent.After(at); due {
		h.urgent, h.asked = time.Time{}, at
		timeout = Timeout(c)
	}
	if due := !h.confirm.IsZero() && !h.confirm.After(at); due {
		h.confirm, h.urgent, h.asked = time.Time{}, time.Time{}, at
		timeout = max(timeout, ShortTimeout(c))
	}
	if timeout > 0 && h.awaited.IsZero() {
		h.awaited = at
	}
	return timeout, timeout > 0
}

// Deadline is when a probe out of turn is due next; zero: none.
func (h Health) Deadline() time.Time {
	if h.confirm.IsZero() || !h.urgent.IsZero() && h.urgent.Before(h.confirm) {
		return h.urgent
	}
	return h.confirm
}

// Text says the level as a predicate.
func (h Health) Text() string {
	switch h.Level {
	case model.HealthUnknown:
		return "not known yet: no check has ended"
	case model.HealthUp:
		return "up"
	case model.HealthDown:
		return "down: " + h.Why
	case model.HealthUnchecked:
		return "not checked"
	}
	return h.Level.String()
}
