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
	Tests    []model.Test    // with their ports; all must pass
	Via      []model.VIPTest // those that are also made at a virtual IP on the server
	Source   netip.Addr      // the probes' source address; invalid: the kernel's choice
	Interval time.Duration   // from the start of one probe to the start of the next
	Timeout  time.Duration   // of one probe
	Advisory bool            // the result is shown but decides nothing; probed all the same
}

// Equal tells whether two targets are probed alike.
func (t Target) Equal(u Target) bool {
	return t.Ref == u.Ref && t.Addr == u.Addr && t.Source == u.Source && t.Interval == u.Interval &&
		t.Timeout == u.Timeout && t.Advisory == u.Advisory && slices.Equal(t.Tests, u.Tests) && slices.Equal(t.Via, u.Via)
}

// question is one test, and of whom it asks.
type question struct {
	model.Test
	ref    model.ServerRef
	addr   netip.Addr
	by     netip.Addr // the server that has the virtual IP addr; invalid: addr is the server's own
	source netip.Addr
	label  string // the test, for its results
	at     string // the address, with the port if there is one
	within time.Duration
	met    *bool         // set when a connection came about; nil: nobody wants to know
	runs   chan struct{} // holds one for each programme of execcheck that runs
}

// to is the address and port that the question is put to.
func (q question) to() netip.AddrPort { return netip.AddrPortFrom(q.addr, q.Port) }

// questions are those of one probe of the target: at its own address, and then at the
// virtual IPs on it.
func (t Target) questions() (own, via []question) {
	for _, test := range t.Tests {
		own = append(own, t.question(test, t.Addr))
	}
	for _, v := range t.Via {
		q := t.question(v.Test, v.VIP)
		q.by = t.Addr
		via = append(via, q)
	}
	return own, via
}

func (t Target) question(test model.Test, addr netip.Addr) question {
	q := question{Test: test, ref: t.Ref, addr: addr, source: t.Source, label: test.String(), at: addr.String(), within: t.Timeout}
	if test.Kind == model.CheckExec {
		q.runs = make(chan struct{}, most)
	} else if test.Port != 0 {
		q.at += ":" + strconv.Itoa(int(test.Port))
	}
	return q
}
