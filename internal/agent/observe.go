package agent

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"fairlead/internal/model"
)

// lasts is how long an observation is handed out again: people who all
// watch the status do not cost the data plane more than one.
const lasts = 100 * time.Millisecond

// observation is what was read from the kernel at one moment. It is shared, and
// never changed.
type observation struct {
	at      time.Time
	applied model.Applied
	traffic model.Traffic
	err     error // something above could not be read
}

// observer reads the kernel when somebody asks, beside the loop: a walk of a
// large table must not delay a switch.
type observer struct {
	plane DataPlane

	mu      sync.Mutex // guards the following
	last    observation
	applies uint64 // that were known when last was read
}

// look returns what the kernel holds. applies counts the changes that the loop
// made: an observation from before the last one is not handed out.
func (o *observer) look(applies uint64) observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.applies == applies && !o.last.at.IsZero() && time.Since(o.last.at) < lasts {
		return o.last
	}
	o.last, o.applies = observe(o.plane), applies
	return o.last
}

func observe(plane DataPlane) observation {
	seen := observation{at: time.Now()}
	var failed [2]error
	if seen.applied, failed[0] = plane.Applied(); failed[0] != nil {
		failed[0] = fmt.Errorf("read what the data plane holds: %w", failed[0])
	}
	if seen.traffic, failed[1] = plane.Traffic(); failed[1] != nil {
		failed[1] = fmt.Errorf("read what the data plane counted: %w", failed[1])
	}
	seen.err = errors.Join(failed[:]...)
	return seen
}
