package lab

import (
	"time"

	"golang.org/x/sys/unix"
)

// instant is a reading of CLOCK_MONOTONIC in nanoseconds. It may be compared
// with readings of other processes on the machine; 0 means never.
type instant int64

// now reads the clock.
func now() instant {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // the clock is always there: see clock_gettime(2)
	}
	return instant(t.Nano())
}

func (i instant) add(d time.Duration) instant { return i + instant(d) }

// since is the time from an earlier instant.
func (i instant) since(earlier instant) time.Duration { return time.Duration(i - earlier) }
