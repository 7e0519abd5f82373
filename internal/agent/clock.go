package agent

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic translates instants into readings of CLOCK_MONOTONIC, which other
// processes of the machine can compare with their own.
type monotonic struct {
	start time.Time
	base  int64 // CLOCK_MONOTONIC at start, ns
}

func readMonotonic() monotonic {
	var ts unix.Timespec
	start := time.Now()
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("read CLOCK_MONOTONIC: " + err.Error()) // it has no way to fail on Linux
	}
	return monotonic{start: start, base: ts.Nano()}
}

// at is the reading at t, ns. Go's own monotonic reading within t is of the
// same clock, so a step of the wall clock does not matter.
func (m monotonic) at(t time.Time) int64 { return m.base + int64(t.Sub(m.start)) }
