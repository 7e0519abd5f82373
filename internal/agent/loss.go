package agent

import (
	"context"
	"fmt"
	"time"

	"fairlead/internal/model"
)

const (
	// countEvery is how often lost sightings are counted.
	countEvery = 10 * time.Second
	// lossShown is how long a loss stays an alarm.
	lossShown = time.Minute
)

// losses are the sightings that the data plane could not hand over.
type losses struct {
	count uint64 // so far
	begun bool   // the first count was taken: what was lost before is no news
	at    time.Time
}

// countLosses tells the loop now and then how many sightings were lost.
func (a *Agent) countLosses(ctx context.Context) error {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		seen := a.observer.look(a.view.Load().applies)
		if seen.err == nil {
			select {
			case a.losses <- seen.traffic.Lost:
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

// loss takes a count. A data plane that was made anew counts from zero.
func (l *loop) loss(count uint64) {
	if l.lost.begun && count > l.lost.count {
		l.lost.at = time.Now()
	}
	l.lost.count, l.lost.begun = count, true
	if !l.lost.at.IsZero() {
		l.publish(time.Now())
		l.enterNotes()
	}
}

func (l losses) alarms(now time.Time) []model.Alarm {
	if l.at.IsZero() || now.Sub(l.at) > lossShown {
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
