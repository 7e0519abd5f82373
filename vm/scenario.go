package vm

import (
	"context"
	"fmt"
	"slices"
	"time"

	"fairlead/vm/record"
)

// The faults that are measured, each with the failback after it.
const (
	link     = "link"     // the server's cable is pulled
	kill     = "kill"     // the server's threads end; its kernel lives
	failback = "failback" // back to nfs-01, which works again
)

// breaking and mending are the commands of a fault, in the guest.
var (
	breaking = map[string]string{link: "ip link set nfs-01 down", kill: "echo 0 >/run/nfs-01.nfsd/threads"}
	mending  = map[string]string{link: "ip link set nfs-01 up", kill: "restart nfs-01"}
)

// result is what the applications saw of one fault.
type result struct {
	director, fault, version string
	stall                    time.Duration // of the longest call
	detection                time.Duration // the part of it before the decision
	rest                     time.Duration // the longest that any call took after it
	decided                  bool          // whether the instant of the decision is known
	calls, wrong             int           // of the application, in the whole run
	errors                   []string      // likewise
}

// noticeable is a wait that is not taken for the noise of an emulated machine.
const noticeable = 250 * time.Millisecond

// mostAgain is how often a cut cable is rehearsed again. The director can see only
// what clients send. When each of them has just got its request across and waits for
// the answer, none sends anything, and its own check must find the fault.
const mostAgain = 2

// late tells whether a decision took longer than the clients' packets allow.
func late(results []result) bool {
	return slices.ContainsFunc(results, func(r result) bool {
		limit, ok := slowest[r.fault]
		return ok && r.director == (fairlead{}).name() && r.detection > limit
	})
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
		found, err := rehearseOne(ctx, s, d, fault, progress)
		for range mostAgain {
			if err != nil || fault != link || !late(found) {
				break
			}
			progress("nothing was sent that could stay unanswered; once more")
			found, err = rehearseOne(ctx, s, d, fault, progress)
		}
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
		r := seen[results[i].version]
		results[i].calls, results[i].wrong, results[i].errors = r.Calls, r.Wrong, r.Errors
	}
	return results, d.stop(ctx, s)
}

// rehearseOne breaks nfs-01 just after a check, which is the worst instant, and
// mends it when everything works again, which leads to the failback.
func rehearseOne(ctx context.Context, s *site, d director, fault string, progress func(string)) ([]result, error) {
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
	switched, err := s.at(ctx, "true")
	if err != nil {
		return nil, err
	}
	seen := map[string]record.Record{}
	err = await(ctx, 90*time.Second, "the applications work again", func() (bool, error) {
		for _, v := range versions {
			r, err := s.record(ctx, v)
			seen[v] = r
			if err != nil || !r.Calm(switched.Before, noticeable) {
				return false, err
			}
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	_, decided, err := d.active(ctx, s)
	if err != nil {
		return nil, err
	}
	var results []result
	for _, v := range versions {
		longest := seen[v].Longest(since)
		r := result{director: d.name(), fault: fault, version: v, stall: longest.Took(), decided: decided > since}
		if r.decided {
			r.detection, r.rest = max(0, time.Duration(decided-longest.Begin)), seen[v].Rest(decided)
		}
		progress(fmt.Sprintf("  %-4s waited %s s", v, seconds(r.stall)))
		results = append(results, r)
	}
	return results, nil
}

// seconds prints a duration; one that was too short to be listed is told as such.
func seconds(d time.Duration) string {
	if d < record.Slow {
		return fmt.Sprintf("<%.2f", record.Slow.Seconds())
	}
	return fmt.Sprintf("%.2f", d.Seconds())
}
