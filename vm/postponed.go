package vm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"fairlead/vm/record"
)

// postponement is how long the kernel's client waits when a server answers a call of
// version 3 with NFS3ERR_JUKEBOX (RFC 1813, section 2.6), which asks it to come again later. Linux's
// server gives that answer to calls whose thread is ended while it works on them.
const postponement = 5 * time.Second

// postponed reads how many calls on the v3 mount were postponed since it was asked last.
func (s *site) postponed(ctx context.Context) (int, error) {
	text, err := s.run(ctx, "probe in client cat /proc/self/mountstats")
	if err != nil {
		return 0, err
	}
	all, err := readDelays(text, "/mnt/v3")
	n := all - s.delays
	s.delays = all
	return n, err
}

// delaysAt is the place of the count among those of a mount's events.
const delaysAt = 24

// readDelays reads from a process's mountstats how often a server asked a mount's
// client to come again later.
func readDelays(stats, mount string) (int, error) {
	_, of, found := strings.Cut(stats, " mounted on "+mount+" ")
	_, events, found2 := strings.Cut(of, "events:")
	line, _, _ := strings.Cut(events, "\n")
	fields := strings.Fields(line)
	if !found || !found2 || len(fields) <= delaysAt {
		return 0, errors.New("read the mount's statistics: " + mount + " has no counts of events")
	}
	n, err := strconv.Atoi(fields[delaysAt])
	if err != nil {
		return 0, fmt.Errorf("read the mount's statistics: %w", err)
	}
	return n, nil
}

// waitsFor tells how much of a call is due to postponements, if there were any. A part
// of the call may be missing: what was before the decision.
func waitsFor(postponed int) func(record.Call) time.Duration {
	return func(c record.Call) time.Duration {
		if postponed > 0 && c.Took() >= postponement-slowest[kill] {
			return min(postponement, c.Took())
		}
		return 0
	}
}
