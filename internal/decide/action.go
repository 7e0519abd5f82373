package decide

import (
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

// Reply answers an order; Err is "" when it was carried out.
type Reply struct {
	ID  uint64
	Err string
}

func (Switched) action() {}
func (ProbeNow) action() {}
func (Reply) action()    {}
