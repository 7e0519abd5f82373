package decide

import (
	"time"

	"fairlead/internal/model"
)

// Event is something that happened. Step is the only consumer.
type Event interface {
	When() time.Time
}

// At is the instant of an event; every event embeds it.
type At struct{ At time.Time }

func (a At) When() time.Time { return a.At }

// Configured: a checked configuration was loaded. Adopted is what was found in
// the kernel at start, by director; nil after the start.
type Configured struct {
	At
	Config  model.Config
	Adopted map[string]model.Adopted
}

// Probed: a probe of a server ended.
type Probed struct {
	At
	Result model.ProbeResult
}

// Neighbours: the MAC of a server became known, changed or was lost (zero).
type Neighbours struct {
	At
	Neighbour model.Neighbour
}

// Linked: an interface appeared or changed; Gone: it vanished.
type Linked struct {
	At
	Link model.Link
	Gone bool
}

// VIPSeen: the state of a virtual IP's announcement changed.
type VIPSeen struct {
	At
	VIP model.VIPStatus
}

// Ordered: an operator orders a switch. Step answers with a Reply action.
type Ordered struct {
	At
	ID  uint64
	Ref model.ServerRef
}

// Ticked: the instant that Deadline named has come.
type Ticked struct{ At }
