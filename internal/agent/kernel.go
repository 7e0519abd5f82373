package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"fairlead/internal/model"
)

const (
	retryFirst = 100 * time.Millisecond // after a failure; doubles
	retryMost  = 5 * time.Second
	// refresh is how often the data plane is reconciled without a cause: what
	// somebody else took out of the kernel comes back.
	refresh = 10 * time.Second
	// patience is how long a new daemon waits for the MAC addresses of adopted
	// servers. The data plane forwards to them meanwhile; a desired value
	// without them would only disturb it.
	patience = 3 * time.Second
)

// kernel reconciles the data plane with the desired value.
type kernel struct {
	plane DataPlane
	log   *slog.Logger

	want     model.Desired // that was applied, or tried, last
	tried    bool
	err      error // of the last try, or of reading it back
	failures int   // in a row
	next     time.Time
	at       time.Time     // just after the last Apply
	applied  model.Applied // read back after it
	applies  uint64        // counts the tries

	adopted map[string]model.Adopted // whose servers' MAC addresses are awaited
	until   time.Time                // no longer than this
}

// adopt begins with what an earlier daemon left.
func (k *kernel) adopt(applied model.Applied, now time.Time) {
	k.applied = applied
	k.adopted = applied.Directors
	k.until = now.Add(patience)
	k.next = now
}

// due is when reconcile has something to do though nothing changed.
func (k *kernel) due() time.Time {
	if k.waiting() {
		return k.until
	}
	return k.next
}

func (k *kernel) waiting() bool { return len(k.adopted) > 0 }

// reconcile applies the desired value when it changed, or when it is time to do
// so again. It reports whether it did; applied is then read anew.
func (k *kernel) reconcile(want model.Desired) bool {
	now := time.Now()
	if k.waiting() && now.Before(k.until) && unresolved(want, k.adopted) {
		return false
	}
	k.adopted = nil
	if k.tried && now.Before(k.next) && reflect.DeepEqual(k.want, want) {
		return false
	}
	err := k.plane.Apply(want)
	k.at = time.Now()
	k.want, k.tried = want, true
	k.applies++
	var unread error
	if k.applied, unread = k.plane.Applied(); unread != nil {
		k.applied, unread = model.Applied{}, fmt.Errorf("read back what was applied: %w", unread)
	}
	k.note(errors.Join(err, unread))
	return true
}

// unresolved tells whether all choices and holds are those that were adopted, and some
// server's MAC address is not known yet.
func unresolved(want model.Desired, adopted map[string]model.Adopted) bool {
	missing := false
	for _, d := range want.Directors {
		if was := adopted[d.Name]; d.Active != was.Active || d.Hold != was.Hold {
			return false // a decision: apply what can be applied
		}
		missing = missing || d.Active != "" && (!d.MAC.Known() || !d.Source.Known())
	}
	return missing
}

// note keeps the outcome of a try, and logs it when it is another than before.
func (k *kernel) note(err error) {
	was := k.err
	k.err = err
	if err == nil {
		if was != nil {
			k.log.Info("data plane is as desired again", "failures", k.failures)
		}
		k.failures = 0
		k.next = k.at.Add(refresh)
		return
	}
	k.failures++
	k.next = k.at.Add(backoff(k.failures))
	if was == nil || was.Error() != err.Error() {
		k.log.Error("data plane could not be brought to what is desired; it is tried again", "error", err)
	}
}

// backoff is the pause after that many failures in a row.
func backoff(failures int) time.Duration {
	pause := retryFirst
	for range failures - 1 {
		if pause *= 2; pause >= retryMost {
			return retryMost
		}
	}
	return pause
}
