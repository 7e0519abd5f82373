package probe

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"fairlead/internal/model"
)

// Target is one server to probe.
type Target struct {
	Ref      model.ServerRef
	Addr     netip.Addr
	Tests    []model.Test  // with their ports; all must pass
	Source   netip.Addr    // the probes' source address; invalid: the kernel's choice
	Interval time.Duration // from the start of one probe to the start of the next
	Timeout  time.Duration // of one probe
	Advisory bool          // the result is shown but decides nothing; probed all the same
}

// Equal tells whether two targets are probed alike.
func (t Target) Equal(u Target) bool {
	return t.Ref == u.Ref && t.Addr == u.Addr && t.Source == u.Source && t.Interval == u.Interval &&
		t.Timeout == u.Timeout && t.Advisory == u.Advisory && slices.Equal(t.Tests, u.Tests)
}

// question is one test, and of whom it asks.
type question struct {
	model.Test
	ref    model.ServerRef
	addr   netip.Addr
	source netip.Addr
	label  string // the test, for its results
	at     string // the address, with the port if there is one
	within time.Duration
	runs   chan struct{} // holds one for each programme of execcheck that runs
}

// to is the address and port that the question is put to.
func (q question) to() netip.AddrPort { return netip.AddrPortFrom(q.addr, q.Port) }

// questions are those of one probe of the target.
func (t Target) questions() []question {
	all := make([]question, len(t.Tests))
	for i, test := range t.Tests {
		all[i] = question{Test: test, ref: t.Ref, addr: t.Addr, source: t.Source, label: test.String(), at: t.Addr.String(), within: t.Timeout}
		if test.Kind == model.CheckExec {
			all[i].runs = make(chan struct{}, most)
		}
		if test.Port != 0 && test.Kind != model.CheckExec {
			all[i].at += ":" + strconv.Itoa(int(test.Port))
		}
	}
	return all
}
