package outcome

import (
	"time"

	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/witness"
	"fairlead/internal/lab/workload"
	"fairlead/internal/model"
)

// Required is the work that must be done before the first fault, and after the
// last one.
var Required = workload.Volume{Operations: 1000, Bytes: 64 << 20}

// Turn is something that was done to the service, and the switch that followed.
type Turn struct {
	Done   clock.Instant // the fault, or the order
	Limit  time.Duration // of the time until the decision
	Switch *model.Switch // nil: there was none
}

// Measured is everything that a run saw.
type Measured struct {
	Fault    Fault
	NFS      Backend
	Check    Timing
	Attached string        // how the director's programme hangs, observed
	Limit    time.Duration // of a detection by the check alone

	Begun    clock.Instant
	Injected clock.Instant // of the first fault or order
	Turns    []Turn
	Resumed  clock.Instant // from here on work counts as done after the last fault; 0: never
	Ended    clock.Instant
	Switches int // that the director counted
	Wrong    []string

	Clients []workload.Seen
	Idle    []workload.Ending // of the idle connections, in order
	Errors  []error
	Totals  workload.Totals

	Witness witness.Report
	Drops   int // packets that the witness missed

	Crowd *Crowd // nil: there was none
	Visit *Visit // nil: nobody looked at the pages
}

// Visit is what somebody with a browser saw of the director's pages.
type Visit struct {
	Walked   *Millis  `json:"walked_ms"`  // the note's walk-through, from an empty configuration to one in force
	Shown    *Millis  `json:"shown_ms"`   // from the decision until the Overview showed the new server; null: it did not
	Trouble  []string `json:"complaints"` // of the browser's console
	Pictures []string `json:"pictures"`   // files
}

// Crowd is what was seen of many idle connections.
type Crowd struct {
	Asked     int     `json:"asked"`
	Before    int     `json:"before"` // stood before the switch, as the client's kernel counts
	Reset     int     `json:"reset"`
	Otherwise int     `json:"ended_otherwise"`
	After     int     `json:"after"`           // stand still, as the kernel counts
	Last      *Millis `json:"last_reset_ms"`   // from the decision until the last client saw its reset
	CPU       Millis  `json:"director_cpu_ms"` // of the director's programme, from the fault on
	Memory    int64   `json:"director_memory"` // bytes at most
}
