package lab

import (
	"fmt"
	"time"

	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/workload"
	"fairlead/internal/model"
	"fairlead/internal/nfs"
)

// required is the work that must be done on each side of the switch.
var required = workload.Volume{Operations: 1000, Bytes: 64 << 20}

// slack is what a noisy machine may add to the times below; the goals are what
// a quiet one reaches.
const (
	slack     = 250 * time.Millisecond
	idleGoal  = 50 * time.Millisecond
	stallGoal = 50 * time.Millisecond
)

// measured is everything that a run saw.
type measured struct {
	opts     Options
	attached string        // how the director's programme hangs, observed
	limit    time.Duration // of the detection

	begun    clock.Instant
	injected clock.Instant // of the fault, or of the order
	resumed  clock.Instant // of the stopped server, Hang only
	sw       *model.Switch // nil: there was none
	ended    clock.Instant

	clients []workload.Seen
	idle    workload.Ending
	errors  []error
	totals  workload.Totals
}

// Result is what a run found. What was not measured is null, not 0.
type Result struct {
	Fault   Fault    `json:"fault"`
	NFS     Backend  `json:"nfs"`
	XDP     string   `json:"xdp"` // as observed
	Passed  bool     `json:"passed"`
	Reasons []string `json:"reasons"` // why it did not pass

	Detection      *Millis `json:"detection_ms"` // from the fault to the decision
	DetectionLimit Millis  `json:"detection_limit_ms"`
	Switch         *Millis `json:"switch_ms"` // from the decision to the new table
	Resets         *Millis `json:"resets_ms"` // from the decision to the last reset of the first round
	IdleReset      *Millis `json:"idle_reset_ms"`
	IdleEnd        string  `json:"idle_end"`                 // how the idle connection ended
	LongestStall   Millis  `json:"longest_stall_ms"`         // between two operations of one client
	StallFrom      Millis  `json:"longest_stall_from_ms"`    // its begin, counted from the fault
	SwitchStall    *Millis `json:"switch_stall_ms"`          // the longest one that the decision falls into
	StallAfter     *Millis `json:"stall_after_detection_ms"` // the same less the detection
	Backoff        *Millis `json:"client_backoff_ms"`        // refused clients waited so long after the decision

	ConnectionsKnown int `json:"connections_known"`
	ConnectionsReset int `json:"connections_reset"`

	Operations       int   `json:"operations"`
	OperationsBefore int   `json:"operations_before"`
	OperationsAfter  int   `json:"operations_after"`
	Bytes            int64 `json:"bytes"`
	BytesBefore      int64 `json:"bytes_before"`
	BytesAfter       int64 `json:"bytes_after"`

	ClientErrors   int      `json:"client_errors"`
	Errors         []string `json:"errors"`
	Reconnects     int      `json:"reconnects"`
	Repeated       int      `json:"repeated_after_reconnect"` // calls that found their work done
	Rewritten      int      `json:"rewritten_after_switch"`   // files, because a server had not made them stable
	BytesCompared  int64    `json:"bytes_compared"`
	BytesDifferent int64    `json:"bytes_different"`
}

// idleOpen is how an idle connection ended that did not.
const idleOpen = "still connected"

// Millis is a time in milliseconds, to the microsecond.
type Millis float64

func millis(d time.Duration) Millis { return Millis(float64(d.Microseconds()) / 1000) }

func measuredMillis(d time.Duration) *Millis {
	m := millis(d)
	return &m
}

func (m Millis) duration() time.Duration {
	return time.Duration(float64(m) * float64(time.Millisecond))
}

// result computes the figures and the verdict.
func (m measured) result() Result {
	r := Result{
		Fault: m.opts.Fault, NFS: m.opts.NFS, XDP: m.attached, Reasons: []string{}, Errors: []string{},
		DetectionLimit: millis(m.limit), BytesCompared: m.totals.Compared, BytesDifferent: m.totals.Different,
		Repeated: m.totals.Repeated, Rewritten: m.totals.Rewritten, ClientErrors: len(m.errors),
	}
	for _, err := range m.errors {
		r.Errors = append(r.Errors, err.Error())
	}
	m.count(&r)
	m.times(&r)
	r.Reasons = append(r.Reasons, m.judge(r)...)
	r.Passed = len(r.Reasons) == 0
	return r
}

// turn is the instant from which work counts as done after the fault; 0: never.
func (m measured) turn() clock.Instant {
	switch {
	case m.opts.Fault == Hang:
		return m.resumed
	case m.sw == nil:
		return 0
	}
	return clock.Instant(m.sw.AppliedMono)
}

// count adds the work up.
func (m measured) count(r *Result) {
	var all, before, after workload.Volume
	for _, c := range m.clients {
		all = all.Plus(c.Between(m.begun, m.ended))
		before = before.Plus(c.Between(m.begun, m.injected))
		if turn := m.turn(); turn != 0 {
			after = after.Plus(c.Between(turn, m.ended))
		}
		if g := c.Stall(); millis(g.Length()) > r.LongestStall {
			r.LongestStall, r.StallFrom = millis(g.Length()), millis(g.From.Since(m.injected))
		}
		r.Reconnects += c.Events[nfs.Reconnected]
	}
	r.Operations, r.Bytes = all.Operations, all.Bytes
	r.OperationsBefore, r.BytesBefore = before.Operations, before.Bytes
	r.OperationsAfter, r.BytesAfter = after.Operations, after.Bytes
}

// times compares the instants of the switch with those of the clients.
func (m measured) times(r *Result) {
	r.IdleEnd = idleOpen
	if m.idle.At != 0 {
		r.IdleEnd = m.idle.Kind.String()
	}
	if m.sw == nil {
		return
	}
	decided := clock.Instant(m.sw.DecidedMono)
	detection := decided.Since(m.injected)
	r.Detection = measuredMillis(detection)
	r.ConnectionsKnown, r.ConnectionsReset = m.sw.Known, m.sw.Reset
	if m.sw.AppliedMono != 0 {
		r.Switch = measuredMillis(clock.Instant(m.sw.AppliedMono).Since(decided))
	}
	if m.sw.ResetMono != 0 {
		r.Resets = measuredMillis(clock.Instant(m.sw.ResetMono).Since(decided))
	}
	if m.idle.At >= decided {
		r.IdleReset = measuredMillis(m.idle.At.Since(decided))
	}
	var backoff, stall time.Duration
	for _, c := range m.clients {
		backoff = max(backoff, c.Backoff(decided))
		stall = max(stall, c.StallOver(decided).Length())
	}
	r.Backoff, r.SwitchStall = measuredMillis(backoff), measuredMillis(stall)
	r.StallAfter = measuredMillis(max(0, stall-detection))
}

// judge lists what is not as it should be.
func (m measured) judge(r Result) (reasons []string) {
	fail := func(bad bool, format string, args ...any) {
		if bad {
			reasons = append(reasons, fmt.Sprintf(format, args...))
		}
	}
	fail(r.ClientErrors > 0, "the client saw %d errors", r.ClientErrors)
	fail(r.BytesDifferent > 0, "%d of %d bytes differ", r.BytesDifferent, r.BytesCompared)
	fail(r.BytesCompared == 0, "nothing was compared")
	fail(!workload.Volume{Operations: r.OperationsBefore, Bytes: r.BytesBefore}.Reaches(required), "too little was done before the fault")
	fail(!workload.Volume{Operations: r.OperationsAfter, Bytes: r.BytesAfter}.Reaches(required), "too little was done after it")
	if m.opts.Fault == Hang {
		fail(m.sw != nil, "the director switched, although a TCP check cannot see a server that hangs")
		return reasons
	}
	if m.sw == nil {
		return append(reasons, "the director did not switch")
	}
	fail(r.Detection.duration() > m.limit+slack, "the detection took longer than %v", m.limit)
	fail(r.Switch == nil, "the data plane never took the switch")
	fail(r.Resets == nil, "no resets were sent")
	if m.opts.Fault != Kill { // there the dead server's kernel ends the connections
		fail(r.IdleReset == nil || m.idle.Kind != nfs.Reset, "the idle connection was not reset by the switch: %s", r.IdleEnd)
		fail(r.IdleReset != nil && r.IdleReset.duration() > slack, "the idle connection was reset later than %v after the decision", slack)
		fail(*r.SwitchStall == 0, "the clients did nothing before or after the switch")
		fail(r.StallAfter.duration() > slack, "a client stalled longer than the detection and %v", slack)
	}
	return reasons
}
