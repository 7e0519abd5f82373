package probe

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"time"
)

// handful is how many new targets begin at once. More of them spread.
const handful = 16

// longest is the time over which the first probes of many new targets spread, unless
// they would ask more than atOnce questions: nobody wants to wait longer for what he
// has just configured.
const (
	longest = time.Second
	atOnce  = 10_000
)

// entry is how a target enters its schedule.
type entry struct {
	first time.Time     // of the slots
	early time.Duration // by how much the second comes before its interval is over
}

// entryOf is the entry of one of n targets that are set together, by its rank
// among them. A handful begins at once, and then spreads over a tenth of the
// interval. Many begin evenly over the whole interval, so that the packets of
// thousands never come in a burst; where that would take too long, they begin
// within a second, or in the time that so many questions take, and spread with the
// second probe.
func entryOf(t Target, rank, n, questions int, now time.Time) entry {
	if n <= handful {
		return entry{now, phase(t)}
	}
	spread := min(t.Interval, max(longest, longest*time.Duration(questions)/atOnce))
	e := entry{first: now.Add(time.Duration(float64(spread) / float64(n) * float64(rank)))}
	if spread < t.Interval {
		// Multiples of the golden ratio spread evenly, for any n and in any part.
		_, part := math.Modf(float64(rank) * math.Phi)
		e.early = time.Duration(part * float64(t.Interval))
	}
	return e
}

// phase is by how much the second probe of one of a handful comes early: up to a
// tenth of the interval. It depends on the target alone: the schedule of a run
// can be repeated.
func phase(t Target) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(t.Ref.String()))
	h.Write([]byte(t.Addr.String()))
	for _, test := range t.Tests {
		h.Write(binary.BigEndian.AppendUint16(nil, test.Port))
	}
	return t.Interval / 10 * time.Duration(h.Sum32()%1024) / 1024
}
