package vm

import (
	"fmt"
	"strings"
	"time"

	"fairlead/vm/record"
)

// The marks that Fairlead has to reach.
const (
	longestRest = 500 * time.Millisecond // from the decision until everything works again
	better      = 5                      // times shorter than keepalived's stall
)

// slowest is how long Fairlead may take to notice a fault: the clients' own traffic
// tells it, long before the next check. One that vanished has to miss a probe, of 2 s.
var slowest = map[string]time.Duration{link: 3 * time.Second, kill: time.Second}

// compared are the rows that have to be better than keepalived's. The failback of
// v3 is not among them: IPVS resets that connection with its next packet, and the
// rest is up to the client.
var compared = [][2]string{{link, "v3"}, {link, "v4.1"}, {kill, "v3"}, {kill, "v4.1"}, {failback, "v4.1"}}

// table prints the results of Fairlead beside those of the other system.
func table(results []result) string {
	var b strings.Builder
	b.WriteString("                         Fairlead                keepalived    times\n")
	b.WriteString("fault           NFS      stall  = detection +    rest    + IPVS   better\n")
	for _, r := range results {
		if r.director != (fairlead{}).name() {
			continue
		}
		other, times := "-  ", "-"
		if o, ok := find(results, ipvs{}.name(), r.fault, r.version); ok {
			other, times = seconds(o.stall)+" s", fmt.Sprintf("%.1f", ratio(o, r))
		}
		fmt.Fprintf(&b, "%-15s %-5s%7s s %9.2f s %7s s %9s %8s\n", r.fault, r.version,
			seconds(r.stall), r.detection.Seconds(), seconds(r.rest), other, times)
	}
	return b.String()
}

func find(results []result, director, fault, version string) (result, bool) {
	for _, r := range results {
		if r.director == director && r.fault == fault && r.version == version {
			return r, true
		}
	}
	return result{}, false
}

// ratio tells how many times longer another stall is. A stall that was too short to
// be listed counts as the shortest that would have been.
func ratio(other, ours result) float64 {
	return float64(other.stall) / float64(max(ours.stall, record.Slow))
}

// broken lists what Fairlead promises and these results do not keep.
func broken(results []result) (found []string) {
	complain := func(r result, format string, args ...any) {
		found = append(found, fmt.Sprintf("%s, %s: ", r.fault, r.version)+fmt.Sprintf(format, args...))
	}
	for _, r := range results {
		if r.director != (fairlead{}).name() {
			continue
		}
		if !r.decided {
			complain(r, "fairlead does not tell when it decided")
		}
		if limit, ok := slowest[r.fault]; ok && r.detection > limit {
			complain(r, "the decision took %s s, want at most %s", seconds(r.detection), seconds(limit))
		}
		if r.rest > longestRest {
			complain(r, "the application waited %s s after the decision, want at most %s", seconds(r.rest), seconds(longestRest))
		}
		if len(r.errors) > 0 {
			complain(r, "of %d calls of the application, %d failed, the first with: %s", r.calls, len(r.errors), r.errors[0])
		}
		if r.wrong > 0 {
			complain(r, "the application read %d wrong bytes", r.wrong)
		}
	}
	for _, c := range compared {
		ours, ok := find(results, fairlead{}.name(), c[0], c[1])
		other, okToo := find(results, ipvs{}.name(), c[0], c[1])
		switch {
		case !ok || !okToo:
			found = append(found, fmt.Sprintf("%s, %s: not measured with both systems", c[0], c[1]))
		case other.stall <= longestRest: // nobody notices either
		case ratio(other, ours) < better:
			complain(ours, "the stall of %s s is %.1f times shorter than keepalived's of %s s, want %d times",
				seconds(ours.stall), ratio(other, ours), seconds(other.stall), better)
		}
	}
	return found
}
