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

// Configured: a checked configuration was loaded. The rest is what was found at
// the start, and nil or empty after it.
type Configured struct {
	At
	Config  model.Config
	Adopted map[string]model.Adopted // in the kernel, by director
	Memory  model.Memory             // on disk
	// Lost says why the memory on disk cannot be read; "": it was read, or this
	// is a first start.
	Lost string
}

// Probed: a probe of a server ended.
type Probed struct {
	At
	Result model.ProbeResult
}

// Measured: it was measured how old the copy of a standby server is, or it could
// not be.
type Measured struct {
	At
	Result model.Measured
}

// Suspected: something hints that a server is gone, for example that its
// clients' packets are not answered. Held: a SYN is kept until it is known.
type Suspected struct {
	At
	Ref  model.ServerRef
	Why  string
	Held bool
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

// Ordered: an operator gives an order. Step answers with a Reply action: at once
// when it is refused or done, else when the switch it began was decided.
type Ordered struct {
	At
	ID   uint64
	Verb model.Verb
	Ref  model.ServerRef
	// Force: a switch goes on without a hook that fails, and to a server whose
	// check does not pass.
	Force bool
}

// HookEnded: a hook that RunHook asked for has ended. Err is "" when it
// succeeded.
type HookEnded struct {
	At
	ID  uint64
	Err string
}

// Ticked: the instant that Deadline named has come.
type Ticked struct{ At }
