package agent

import (
	"context"
	"fmt"
	"time"

	"fairlead/internal/model"
)

const (
	// countEvery is how often is counted what the data plane could not do.
	countEvery = 10 * time.Second
	// lossShown is how long a loss stays an alarm.
	lossShown = time.Minute
)

// tally is what the data plane could not do so far.
type tally struct {
	lost    uint64 // sightings that it could not hand over
	refused uint64 // connections that found no room in its table
}

// losses are one of its numbers, watched.
type losses struct {
	count uint64    // so far
	begun bool      // the first count was taken: what was before is no news
	at    time.Time // of the last growth that was seen
}

// countLosses tells the loop now and then what the data plane could not do.
func (a *Agent) countLosses(ctx context.Context) error {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		seen := a.observer.look(a.view.Load().applies)
		if seen.err == nil {
			select {
			case a.losses <- tally{seen.traffic.Lost, seen.traffic.Table.Refused}:
			case <-ctx.Done():
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// loss takes a tally.
func (l *loop) loss(t tally) {
	l.lost.take(t.lost)
	l.crowded.take(t.refused)
	if !l.lost.at.IsZero() || !l.crowded.at.IsZero() {
		l.publish(time.Now())
		l.enterNotes()
	}
}

// take takes a count. A data plane that was made anew counts from zero.
func (l *losses) take(count uint64) {
	if l.begun && count > l.count {
		l.at = time.Now()
	}
	l.count, l.begun = count, true
}

// lately tells whether it grew not long ago.
func (l losses) lately(now time.Time) bool { return !l.at.IsZero() && now.Sub(l.at) <= lossShown }

func crowdedAlarms(l losses, now time.Time) []model.Alarm {
	if !l.lately(now) {
		return nil
	}
	return []model.Alarm{{
		What: "the connection table is full: connections that find no room are not known at a switch",
		Why:  fmt.Sprintf("%d connections found no room so far, the last of them in the last minute", l.count),
		Do:   "after fairlead detach, start the daemon with a larger --connections; if few clients are expected, see who connects: fairlead capture",
	}}
}

func lostAlarms(l losses, now time.Time) []model.Alarm {
	if !l.lately(now) {
		return nil
	}
	return []model.Alarm{{
		What: "the data plane sees more than the daemon can take in: connection attempts may wait for their next try",
		Why:  fmt.Sprintf("%d hints and kept frames were lost so far, the last of them in the last minute", l.count),
		Do:   "see who sends so many connection attempts: fairlead capture",
	}}
}

// journalAlarms say that the journal is not kept.
func journalAlarms(err error) []model.Alarm {
	if err == nil {
		return nil
	}
	return []model.Alarm{{
		What: "the journal is not kept on disk: a restart would forget its last entries",
		Why:  err.Error(),
		Do:   "make the state directory writable; it is tried again by itself",
	}}
}
