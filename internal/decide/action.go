package decide

import (
	"net/netip"
	"time"

	"fairlead/internal/model"
)

// Action is an edge: something to do once, beside the reconciliation of the
// desired value. Where its outcome matters, an event answers it.
type Action interface{ action() }

// Switched: a director changed its active server. The agent applies the new
// desired value first, then resets the connections of older epochs (unless
// Silent), and keeps the record.
type Switched struct {
	Director string
	Switch   model.Switch
	Silent   bool
}

// ProbeNow: probe this server at once instead of after its interval, with this
// timeout.
type ProbeNow struct {
	Ref     model.ServerRef
	Timeout time.Duration
}

// RunHook: run a hook; HookEnded with the same ID answers. A newer one of the
// same director supersedes it: the older one is ended, and its answer ignored.
type RunHook struct {
	ID       uint64
	Kind     model.HookKind
	Hook     model.Hook
	Director string
	VIPs     []netip.Addr // of the director's flows
	Old, New model.Server // Old.Name "": there was none
	Epoch    uint64       // of the switch under way
	Reason   model.Reason
	Why      string
}

// Release: the SYNs that were kept for a director go on, to the server that is
// active when they are sent.
type Release struct{ Director string }

// Told: an entry for the journal and the log. Seq and Mono are filled by them.
type Told struct{ Event model.Event }

// Reply answers an order; Err is "" when it was carried out. Text says more
// where there is more to say.
type Reply struct {
	ID   uint64
	Text string
	Err  string
}

func (Switched) action() {}
func (ProbeNow) action() {}
func (RunHook) action()  {}
func (Release) action()  {}
func (Told) action()     {}
func (Reply) action()    {}
