// Package clock reads the machine's monotonic clock. Unlike package time's, its
// readings may be compared with those of other processes. It knows nothing of
// the time of day.
package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Instant is a reading of CLOCK_MONOTONIC in nanoseconds. It may be compared
// with readings of other processes on the machine; 0 means never.
type Instant int64

// Now reads the clock.
func Now() Instant {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // the clock is always there: see clock_gettime(2)
	}
	return Instant(t.Nano())
}

// Add is the instant a time later.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d) }

// Since is the time from an earlier instant.
func (i Instant) Since(earlier Instant) time.Duration { return time.Duration(i - earlier) }
