package vm

import (
	"context"
	"fmt"
	"slices"
	"time"

	"fairlead/vm/record"
)

// The faults that are measured. Each of the first two has a failback after it. A
// restart is no fault, but the clients have as much to do.
const (
	link     = "link"     // the server's cable is pulled
	kill     = "kill"     // the server's threads end; its kernel lives
	failback = "failback" // back to nfs-01, which works again
	restart  = "restart"  // a planned switch to nfs-02, whose promote hook starts NFS there anew
)

// breaking and mending are the commands of a fault, in the guest.
var (
	breaking = map[string]string{link: "ip link set nfs-01 down", kill: "echo 0 >/run/nfs-01.nfsd/threads"}
	mending  = map[string]string{link: "ip link set nfs-01 up", kill: "restart nfs-01"}
)

// result is what an application saw of one fault.
type result struct {
	director, fault string
	job             job
	stall           time.Duration // of the longest call
	detection       time.Duration // the part of it before the decision
	told            time.Duration // the part of it in which a server had told the client to wait
	rest            time.Duration // the longest that any call took after the decision, beside that
	decided         bool          // whether the instant of the decision is known
	calls, wrong    int           // of the application, in the whole run
	errors          []string      // likewise
}

// noticeable is a wait that is not taken for the noise of an emulated machine.
const noticeable = 250 * time.Millisecond

// mostAgain is how often a fault is rehearsed again.
const mostAgain = 2

// late tells whether a decision took longer than the clients' packets allow. The director
// can see only what clients send. When each of them has just got its request across and
// waits for the answer, none sends anything, and its own check must find the fault.
func late(results []result) bool {
	return slices.ContainsFunc(results, func(r result) bool {
		limit, ok := slowest[r.fault]
		return ok && r.detection > limit
	})
}

// slow tells whether an application had to wait too long after the decision. Then the
// fault is rehearsed twice more, and the median counts: an emulated machine on a busy
// host stands still now and then.
func slow(results []result) bool {
	return slices.ContainsFunc(results, func(r result) bool { return r.rest > longestRest })
}

// median returns, of each application, what it saw in the middle one of several tries.
func median(tries [][]result) []result {
	found := slices.Clone(tries[0])
	for i := range found {
		var all []result
		for _, t := range tries {
			all = append(all, t[i])
		}
		slices.SortFunc(all, func(a, b result) int { return int(a.rest - b.rest) })
		found[i] = all[len(all)/2]
	}
	return found
}

// rehearse runs faults through a director and returns what the applications saw.
func rehearse(ctx context.Context, s *site, d director, faults []string, progress func(string)) ([]result, error) {
	progress(d.name() + ": starting")
	if err := d.start(ctx, s); err != nil {
		return nil, err
	}
	if err := s.mount(ctx); err != nil {
		return nil, err
	}
	var results []result
	for _, fault := range faults {
		found, err := rehearseWell(ctx, s, d, fault, progress)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", d.name(), fault, err)
		}
		results = append(results, found...)
	}
	seen, err := s.unmount(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.name(), err)
	}
	for i := range results {
		r := seen[results[i].job]
		results[i].calls, results[i].wrong, results[i].errors = r.Calls, r.Wrong, r.Errors
	}
	return results, d.stop(ctx, s)
}

// rehearseWell rehearses a fault, and again where one try says too little. Only
// Fairlead has to keep a word.
func rehearseWell(ctx context.Context, s *site, d director, fault string, progress func(string)) ([]result, error) {
	var tries [][]result
	for again := 0; ; again++ {
		found, err := rehearseOne(ctx, s, d, fault, progress)
		if err != nil {
			return nil, err
		}
		last := again == mostAgain || d.name() != (fairlead{}).name() || fault == restart
		if fault == link && late(found) && !last {
			progress("nothing was sent that could stay unanswered; once more")
			continue
		}
		tries = append(tries, found)
		if last || len(tries) == 1 && !slow(found) {
			return median(tries), nil
		}
		progress("an application waited long after the decision; the median of three counts")
	}
}

func rehearseOne(ctx context.Context, s *site, d director, fault string, progress func(string)) ([]result, error) {
	if fault == restart {
		return rehearseRestart(ctx, s, d, progress)
	}
	return rehearseFault(ctx, s, d, fault, progress)
}

// rehearseFault breaks nfs-01 just after a check, which is the worst instant, and
// mends it when everything works again, which leads to the failback.
func rehearseFault(ctx context.Context, s *site, d director, fault string, progress func(string)) ([]result, error) {
	if _, err := s.run(ctx, "await_check nfs-01"); err != nil {
		return nil, fmt.Errorf("wait for a check of nfs-01: %w", err)
	}
	progress(fmt.Sprintf("%s: %s of nfs-01", d.name(), fault))
	broken, err := s.at(ctx, "%s", breaking[fault])
	if err != nil {
		return nil, err
	}
	results, err := measure(ctx, s, d, fault, "nfs-02", broken.Before, progress)
	if err != nil {
		return nil, err
	}
	mended, err := s.run(ctx, "%s", mending[fault])
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, mended)
	}
	now, err := s.at(ctx, "true")
	if err != nil {
		return nil, err
	}
	began, err := d.giveBack(ctx, s, now.Before)
	if err != nil {
		return nil, err
	}
	what := failback
	if fault != link {
		what += " (" + fault + ")"
	}
	back, err := measure(ctx, s, d, what, "nfs-01", began, progress)
	return append(results, back...), err
}

// measure waits until a server is active and all applications work again, and tells
// how long they could not since an instant.
func measure(ctx context.Context, s *site, d director, fault, server string, since int64, progress func(string)) ([]result, error) {
	err := await(ctx, 60*time.Second, server+" is active", func() (bool, error) {
		active, _, err := d.active(ctx, s)
		return active == server, err
	})
	if err != nil {
		return nil, err
	}
	seen, err := calm(ctx, s)
	if err != nil {
		return nil, err
	}
	_, decided, err := d.active(ctx, s)
	if err != nil {
		return nil, err
	}
	var g grace
	if fault == restart {
		if g, err = s.grace(ctx); err != nil {
			return nil, err
		}
		progress(fmt.Sprintf("  the grace period took %s s; %d calls were refused", seconds(g.took()), g.refused))
	}
	postponed, err := s.postponed(ctx)
	if err != nil {
		return nil, err
	}
	if postponed > 0 {
		progress(fmt.Sprintf("  a server asked the client on v3 to come again in %s s: %d times", seconds(postponement), postponed))
	}
	var results []result
	for _, j := range s.jobs {
		r := judge(d.name(), fault, j, seen[j], since, decided, excuse(j.version, g, postponed))
		progress(fmt.Sprintf("  %-11s on %-4s waited %s s", j.kind, j.version, seconds(r.stall)))
		results = append(results, r)
	}
	return results, nil
}

// excuse is the part of a call in which a server had told the client to wait: in a
// grace period, or, with version 3, which has no state that one could concern, by
// postponing a call.
func excuse(version string, g grace, postponed int) func(record.Call) time.Duration {
	if version == "v3" {
		return waitsFor(postponed)
	}
	return g.waited
}

// judge tells what an application saw since an instant, of a fault on which somebody
// decided at another one. excused is the part of a call in which a server had told the
// client to wait.
func judge(director, fault string, j job, seen record.Record, since, decided int64, excused func(record.Call) time.Duration) result {
	longest := seen.Longest(since)
	r := result{director: director, fault: fault, job: j, stall: longest.Took(), told: excused(longest), decided: decided > since}
	if r.decided {
		r.detection = max(0, time.Duration(decided-longest.Begin))
		r.rest = seen.Rest(decided, excused)
	}
	return r
}

// calm waits until all applications work, and returns what they saw until then.
func calm(ctx context.Context, s *site) (map[job]record.Record, error) {
	now, err := s.at(ctx, "true")
	if err != nil {
		return nil, err
	}
	seen := map[job]record.Record{}
	var last job // that does not work yet
	err = await(ctx, 90*time.Second, "the applications work again", func() (bool, error) {
		for _, j := range s.jobs {
			r, err := s.record(ctx, j)
			seen[j], last = r, j
			if err != nil || !r.Calm(now.Before, noticeable) {
				return false, err
			}
		}
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w; the %s on %s: %+v", err, last.kind, last.version, seen[last].Workers)
	}
	return seen, nil
}

// seconds prints a duration; one that was too short to be listed is told as such.
func seconds(d time.Duration) string {
	if d < record.Slow {
		return fmt.Sprintf("<%.2f", record.Slow.Seconds())
	}
	return fmt.Sprintf("%.2f", d.Seconds())
}
