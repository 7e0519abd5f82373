package outcome

import (
	"fmt"
	"strings"
	"time"

	"fairlead/internal/lab/workload"
	"fairlead/internal/nfs"
)

// slack is what a noisy machine may add to the times below; the goals are what
// a quiet one reaches.
const (
	slack     = 250 * time.Millisecond
	idleGoal  = 50 * time.Millisecond
	stallGoal = 50 * time.Millisecond
	crowdGoal = time.Second
	// crashAway is how long the director's programme may be away meanwhile: most of
	// its start is the kernel's proof of its data plane.
	crashAway = time.Second
	shownGoal = time.Second
)

// reasons collects what is not as it should be.
type reasons struct {
	wrong []string
	late  []string // what took too long: a busy machine may be the cause
}

func (r *reasons) when(bad bool, format string, args ...any) {
	if bad {
		r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
	}
}

func (r *reasons) whenLate(late bool, format string, args ...any) {
	if late {
		r.late = append(r.late, fmt.Sprintf(format, args...))
	}
}

// judge finds what is not as it should be.
func (m Measured) judge(r Result) (bad reasons) {
	bad.when(r.ClientErrors > 0, "the client saw %d errors", r.ClientErrors)
	bad.when(r.BytesDifferent > 0, "%d of %d bytes differ", r.BytesDifferent, r.BytesCompared)
	bad.when(r.BytesCompared == 0, "nothing was compared")
	bad.when(!workload.Volume{Operations: r.OperationsBefore, Bytes: r.BytesBefore}.Reaches(Required), "too little was done before the fault")
	bad.when(!workload.Volume{Operations: r.OperationsAfter, Bytes: r.BytesAfter}.Reaches(Required), "too little was done after it")
	m.judgeCables(&bad, r)
	m.judgeSwitches(&bad, r)
	m.judgeCrowd(&bad)
	m.judgeVisit(&bad)
	bad.wrong = append(bad.wrong, m.Wrong...)
	return bad
}

// judgeCables is about what the witness saw.
func (m Measured) judgeCables(bad *reasons, r Result) {
	bad.when(r.CaptureDrops > 0, "the witness missed %d packets", r.CaptureDrops)
	bad.when(r.ConnsSplit > 0, "%d connections were seen on two servers", r.ConnsSplit)
	bad.when(r.DataAstray > 0, "%d packets with clients' data came to a server whose turn it was not", r.DataAstray)
	used := map[string]bool{First: true}
	for _, s := range r.Switches {
		used[s.To] = true
	}
	for i, name := range []string{First, Second} {
		seen := i < len(r.CapturedData) && r.CapturedData[i] > 0
		bad.when(used[name] && !seen, "the witness saw no clients' data on %s", name)
	}
}

// judgeCrowd is about the idle connections.
func (m Measured) judgeCrowd(bad *reasons) {
	c := m.Crowd
	if c == nil {
		return
	}
	bad.when(c.Before != c.Asked, "the crowd had %d connections, not %d", c.Before, c.Asked)
	bad.when(c.Reset != c.Asked, "%d of the crowd's connections were reset, not %d", c.Reset, c.Asked)
	bad.when(c.After > 0, "%d of the crowd's connections still stand", c.After)
	goal := crowdGoal
	if m.Fault == Crash {
		goal += crashAway
	}
	bad.whenLate(c.Last != nil && c.Last.duration() > goal, "the last of the crowd was reset later than %v after the decision", goal)
}

// judgeVisit is about what the pages showed.
func (m Measured) judgeVisit(bad *reasons) {
	v := m.Visit
	if v == nil {
		return
	}
	bad.when(v.Walked == nil, "the walk-through did not end")
	bad.when(v.Shown == nil, "the Overview never showed the switch")
	bad.when(len(v.Trouble) > 0, "the browser complained of the pages: %s", strings.Join(v.Trouble, "; "))
	bad.when(len(v.Pictures) == 0, "there are no pictures of the pages")
	bad.whenLate(v.Shown != nil && v.Shown.duration() > shownGoal, "the Overview showed the switch later than %v after the decision", shownGoal)
}

// judgeSwitches is about the switches that the scenario wants.
func (m Measured) judgeSwitches(bad *reasons, r Result) {
	want := m.Fault.Scenario().To
	switch {
	case m.Fault == Crash: // each may be done or not
		return
	case m.Fault == Hang:
		bad.when(m.Switches > 0, "the director switched, although a TCP check cannot see a server that hangs")
		return
	case len(want) == 0:
		bad.when(m.Switches > 0, "the director switched %d times, although no server was left to switch to", m.Switches)
		return
	}
	for i, to := range want {
		if i >= len(r.Switches) {
			bad.when(true, "the director did not switch to %s", to)
			return
		}
		bad.when(r.Switches[i].To != to, "the director switched to %s, not to %s", r.Switches[i].To, to)
		m.judgeSwitch(bad, r.Switches[i])
	}
	bad.when(m.Switches != len(want), "the director switched %d times, not %d", m.Switches, len(want))
}

// judgeSwitch is about one switch.
func (m Measured) judgeSwitch(bad *reasons, f Figures) {
	bad.whenLate(f.Detection.duration() > f.DetectionLimit.duration()+slack, "the detection took longer than %v", f.DetectionLimit.duration())
	bad.when(f.Switch == nil, "the data plane never took the switch to %s", f.To)
	bad.when(f.Resets == nil, "no resets were sent")
	limit := m.patience()
	bad.when(*f.SwitchStall == 0, "the clients did nothing before or after the switch")
	bad.whenLate(f.StallAfter.duration() > limit, "a client stalled longer than the detection and %v", limit)
	if f.To == Second && m.ownEnd() {
		return
	}
	bad.when(f.IdleReset == nil || f.IdleEnd != nfs.Reset.String(), "the idle connection was not reset by the switch: %s", f.IdleEnd)
	bad.whenLate(f.IdleReset != nil && f.IdleReset.duration() > limit, "the idle connection was reset later than %v after the decision", limit)
}

// patience is how long after the decision a client may wait for its reset.
func (m Measured) patience() time.Duration {
	if m.Crowd != nil { // it waits with the others
		return crowdGoal
	}
	return slack
}

// ownEnd tells whether the kernel of the first server itself ended the
// connections, because the process died.
func (m Measured) ownEnd() bool { return m.Fault == Kill || m.Fault == Double }
