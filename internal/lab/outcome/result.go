package outcome

import (
	"time"

	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/workload"
	"fairlead/internal/nfs"
)

// Figures are what was measured of one switch. What was not measured is null,
// not 0.
type Figures struct {
	To             string  `json:"to"`           // the server; "": there was no switch
	Detection      *Millis `json:"detection_ms"` // from the fault to the decision
	DetectionLimit Millis  `json:"detection_limit_ms"`
	Switch         *Millis `json:"switch_ms"` // from the decision to the new table
	Resets         *Millis `json:"resets_ms"` // from the decision to the last reset of the first round
	IdleReset      *Millis `json:"idle_reset_ms"`
	IdleEnd        string  `json:"idle_end"`                 // how the idle connection ended
	SwitchStall    *Millis `json:"switch_stall_ms"`          // the longest one that the decision falls into
	StallAfter     *Millis `json:"stall_after_detection_ms"` // the same less the detection
	Backoff        *Millis `json:"client_backoff_ms"`        // refused clients waited so long after the decision

	ConnectionsKnown int `json:"connections_known"`
	ConnectionsReset int `json:"connections_reset"`
	Replayed         int `json:"syns_replayed"`
}

// Result is what a run found.
type Result struct {
	Fault   Fault    `json:"fault"`
	NFS     Backend  `json:"nfs"`
	Check   Timing   `json:"check"`
	XDP     string   `json:"xdp"` // as observed
	Passed  bool     `json:"passed"`
	Reasons []string `json:"reasons"` // why it did not pass
	// OnlyLate: it did not pass only because something took too long.
	OnlyLate bool `json:"only_late"`

	Figures               // of the first switch
	Switches    []Figures `json:"switches"`
	SwitchCount int       `json:"switch_count"` // by the director's own count

	LongestStall Millis `json:"longest_stall_ms"`      // between two operations of one client
	StallFrom    Millis `json:"longest_stall_from_ms"` // its begin, counted from the fault

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

	Crowd *Crowd `json:"crowd"` // null: there was none
	Visit *Visit `json:"visit"` // null: nobody looked at the pages

	// What was on the servers' cables.
	Captured       []int    `json:"packets_captured"` // of each server
	CapturedData   []int    `json:"packets_with_clients_data"`
	CaptureDrops   int      `json:"capture_drops"`
	ConnsCaptured  int      `json:"connections_captured"`
	ConnsSplit     int      `json:"connections_on_two_servers"`
	DataAstray     int      `json:"data_on_wrong_server"` // packets
	CaptureReasons []string `json:"capture_examples"`
}

// idleOpen is how an idle connection ended that did not.
const idleOpen = "still connected"

// Millis is a time in milliseconds, to the microsecond.
type Millis float64

// InMillis converts a time that was measured.
func InMillis(d time.Duration) *Millis {
	m := millis(d)
	return &m
}

func millis(d time.Duration) Millis { return Millis(float64(d.Microseconds()) / 1000) }

func (m Millis) duration() time.Duration {
	return time.Duration(float64(m) * float64(time.Millisecond))
}

// Result computes the figures and the verdict.
func (m Measured) Result() Result {
	r := Result{
		Fault: m.Fault, NFS: m.NFS, Check: m.Check, XDP: m.Attached, SwitchCount: m.Switches, Crowd: m.Crowd, Visit: m.Visit, Errors: []string{}, Switches: []Figures{},
		BytesCompared: m.Totals.Compared, BytesDifferent: m.Totals.Different,
		Repeated: m.Totals.Repeated, Rewritten: m.Totals.Rewritten, ClientErrors: len(m.Errors),
		Captured: m.Witness.Packets, CapturedData: m.Witness.Data, CaptureDrops: m.Drops, ConnsCaptured: m.Witness.Connections,
		ConnsSplit: m.Witness.Split, DataAstray: m.Witness.Astray, CaptureReasons: append([]string{}, m.Witness.Examples...),
		Figures: Figures{DetectionLimit: millis(m.Limit), IdleEnd: m.idleFrom(m.Injected).name()},
	}
	for _, err := range m.Errors {
		r.Errors = append(r.Errors, err.Error())
	}
	m.count(&r)
	for _, t := range m.Turns {
		if t.Switch != nil {
			r.Switches = append(r.Switches, m.figures(t))
		}
	}
	if len(r.Switches) > 0 {
		r.Figures = r.Switches[0]
	}
	bad := m.judge(r)
	r.Reasons = append(append([]string{}, bad.wrong...), bad.late...)
	r.Passed, r.OnlyLate = len(r.Reasons) == 0, len(bad.wrong) == 0 && len(bad.late) > 0
	return r
}

// count adds the work up.
func (m Measured) count(r *Result) {
	var all, before, after workload.Volume
	for _, c := range m.Clients {
		all = all.Plus(c.Between(m.Begun, m.Ended))
		before = before.Plus(c.Between(m.Begun, m.Injected))
		if m.Resumed != 0 {
			after = after.Plus(c.Between(m.Resumed, m.Ended))
		}
		if g := c.Stall(); millis(g.Length()) > r.LongestStall {
			r.LongestStall, r.StallFrom = millis(g.Length()), millis(g.From.Since(m.Injected))
		}
		r.Reconnects += c.Events[nfs.Reconnected]
	}
	r.Operations, r.Bytes = all.Operations, all.Bytes
	r.OperationsBefore, r.BytesBefore = before.Operations, before.Bytes
	r.OperationsAfter, r.BytesAfter = after.Operations, after.Bytes
}

// figures compares the instants of a switch with those of the clients.
func (m Measured) figures(t Turn) Figures {
	sw, decided := t.Switch, clock.Instant(t.Switch.DecidedMono)
	detection := decided.Since(t.Done)
	f := Figures{To: sw.To, Detection: InMillis(detection), DetectionLimit: millis(t.Limit),
		ConnectionsKnown: sw.Known, ConnectionsReset: sw.Reset, Replayed: sw.Replayed}
	if sw.AppliedMono != 0 {
		f.Switch = InMillis(clock.Instant(sw.AppliedMono).Since(decided))
	}
	if sw.ResetMono != 0 {
		f.Resets = InMillis(clock.Instant(sw.ResetMono).Since(decided))
	}
	idle := m.idleFrom(t.Done)
	f.IdleEnd = idle.name()
	if idle.At >= decided {
		f.IdleReset = InMillis(idle.At.Since(decided))
	}
	var backoff, stall time.Duration
	for _, c := range m.Clients {
		backoff = max(backoff, c.Backoff(decided))
		stall = max(stall, c.StallOver(decided).Length())
	}
	f.Backoff, f.SwitchStall = InMillis(backoff), InMillis(stall)
	f.StallAfter = InMillis(max(0, stall-detection))
	return f
}

// ending is how an idle connection ended.
type ending workload.Ending

func (e ending) name() string {
	if e.At == 0 {
		return idleOpen
	}
	return e.Kind.String()
}

// idleFrom is the first end of an idle connection from an instant on: the client
// connects it anew each time.
func (m Measured) idleFrom(at clock.Instant) ending {
	for _, e := range m.Idle {
		if e.At >= at {
			return ending(e)
		}
	}
	return ending{}
}
