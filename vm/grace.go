package vm

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"fairlead/vm/record"
)

// shortestGrace is the shortest grace period that the kernel's server can be given,
// and what those here have.
const shortestGrace = 10 * time.Second

// grace is the grace period of a server that was started anew: who had files open
// may reclaim them, and nobody can open others.
type grace struct {
	began, ended int64 // CLOCK_MONOTONIC, in nanoseconds
	refused      int   // calls that were answered with NFS4ERR_GRACE
}

func (g grace) took() time.Duration { return time.Duration(g.ended - g.began) }

// readGrace reads the kernel's trace. There must be one grace period in it.
func readGrace(trace string) (g grace, err error) {
	for line := range strings.Lines(trace) {
		fields := strings.Fields(line)
		for i, word := range fields {
			switch word {
			case "nfsd_grace_start:":
				if g.began != 0 {
					return g, errors.New("read the kernel's trace: it has two grace periods")
				}
				g.began, err = traceInstant(fields[i-1])
			case "nfsd_grace_complete:":
				g.ended, err = traceInstant(fields[i-1])
			case "nfsd_compound_status:":
				g.refused++
			}
			if err != nil {
				return g, err
			}
		}
	}
	if g.began == 0 || g.ended < g.began {
		return g, errors.New("read the kernel's trace: it has no grace period that began and ended")
	}
	return g, nil
}

// traceInstant reads seconds and microseconds, with a colon behind them.
func traceInstant(word string) (int64, error) {
	s, err := strconv.ParseFloat(strings.TrimSuffix(word, ":"), 64)
	if err != nil {
		return 0, fmt.Errorf("read an instant in the kernel's trace: %w", err)
	}
	return int64(math.Round(s*1e6)) * 1e3, nil
}

// waited is the part of a call that lay in the period. The client of an open that was
// refused asks again after pauses that double, so for it the period is over when
// it asks for the first time afterwards.
func (g grace) waited(c record.Call) time.Duration {
	to := min(c.End, g.ended)
	if c.What == "open" && c.Begin < g.ended {
		to = c.End
	}
	return max(0, time.Duration(to-max(c.Begin, g.began)))
}
