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
var compared = []row{
	{link, application, "v3"}, {link, application, "v4.1"},
	{kill, application, "v3"}, {kill, application, "v4.1"},
	{failback, application, "v4.1"},
}

// row names a row of the table: what one application saw of a fault.
type row struct{ fault, kind, version string }

func (r result) row() row { return row{r.fault, r.job.kind, r.job.version} }

func (r row) String() string { return r.what() + ", " + r.version }

// what names the fault, and the application if it is not the usual one.
func (r row) what() string {
	if r.kind == opener {
		return r.fault + ", opens"
	}
	return r.fault
}

// table prints the results of Fairlead beside those of the other system.
func table(results []result) string {
	var b strings.Builder
	b.WriteString("                        Fairlead, s                   keepalived  times\n")
	b.WriteString("fault           NFS     stall = detection +  told +  rest + IPVS, s  better\n")
	for _, r := range results {
		if r.director != (fairlead{}).name() {
			continue
		}
		wait, other, times := "-", "-", "-"
		if r.told > 0 {
			wait = seconds(r.told)
		}
		if o, ok := find(results, ipvs{}.name(), r.row()); ok {
			other, times = seconds(o.stall), fmt.Sprintf("%.1f", ratio(o, r))
		}
		fmt.Fprintf(&b, "%-15s %-5s %7s %11.2f %7s %7s %9s %7s\n", r.row().what(), r.job.version,
			seconds(r.stall), r.detection.Seconds(), wait, seconds(r.rest), other, times)
	}
	return b.String()
}

func find(results []result, director string, which row) (result, bool) {
	for _, r := range results {
		if r.director == director && r.row() == which {
			return r, true
		}
	}
	return result{}, false
}

// own is the part of a stall that no server asked for.
func (r result) own() time.Duration { return r.stall - r.told }

// ratio tells how many times longer another stall is, beside what servers asked for.
// A stall that was too short to be listed counts as the shortest that would have been.
func ratio(other, ours result) float64 {
	return float64(other.own()) / float64(max(ours.own(), record.Slow))
}

// broken lists what Fairlead promises and these results do not keep.
func broken(results []result) (found []string) {
	for _, r := range results {
		if r.director != (fairlead{}).name() {
			continue
		}
		for _, words := range r.broken() {
			found = append(found, r.row().String()+": "+words)
		}
	}
	for _, which := range compared {
		ours, ok := find(results, fairlead{}.name(), which)
		other, okToo := find(results, ipvs{}.name(), which)
		switch {
		case !ok || !okToo:
			found = append(found, which.String()+": not measured with both systems")
		case other.own() <= longestRest: // nobody notices either
		case ratio(other, ours) < better:
			found = append(found, fmt.Sprintf("%v: the stall of %s s is %.1f times shorter than keepalived's of %s s, want %d times",
				which, seconds(ours.stall), ratio(other, ours), seconds(other.stall), better))
		}
	}
	for _, v := range versions {
		if which := (row{restart, application, v}); !measured(results, which) {
			found = append(found, which.String()+": not measured")
		}
	}
	// Less would say that nothing was restarted, or that nobody had to wait for it.
	opens := row{restart, opener, "v4.1"}
	if r, _ := find(results, fairlead{}.name(), opens); r.told < shortestGrace/2 {
		found = append(found, fmt.Sprintf("%v: the application waited %s s in a grace period of %s s: it was not measured", opens, seconds(r.told), seconds(shortestGrace)))
	}
	return found
}

func measured(results []result, which row) bool {
	_, ok := find(results, fairlead{}.name(), which)
	return ok
}

// broken lists what one row does not keep.
func (r result) broken() (found []string) {
	complain := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if !r.decided {
		complain("fairlead does not tell when it decided")
	}
	if limit, ok := slowest[r.fault]; ok && r.detection > limit {
		complain("the decision took %s s, want at most %s", seconds(r.detection), seconds(limit))
	}
	if r.rest > longestRest {
		complain("the application waited %s s after the decision, want at most %s", seconds(r.rest), seconds(longestRest))
	}
	if len(r.errors) > 0 {
		complain("of %d calls of the application, %d failed, the first with: %s", r.calls, len(r.errors), r.errors[0])
	}
	if r.wrong > 0 {
		complain("the application read %d wrong bytes", r.wrong)
	}
	return found
}
