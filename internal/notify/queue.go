package notify

import (
	"slices"
	"time"

	"fairlead/internal/model"
)

// room is how many events wait for one target at most.
const room = 500

// waiting is an event on its way to one target.
type waiting struct {
	event model.Event
	since time.Time
}

// queue holds what waits for one target, the oldest first.
type queue struct {
	all     []*waiting
	dropped int // from a full queue, and not told yet
}

// add takes an event in. When there is no room, the oldest of the least important
// goes.
func (q *queue) add(e model.Event, now time.Time) {
	q.all = append(q.all, &waiting{e, now})
	if len(q.all) <= room {
		return
	}
	least := 0
	for i, w := range q.all {
		if importance(w.event.Kind) < importance(q.all[least].event.Kind) {
			least = i
		}
	}
	q.all = slices.Delete(q.all, least, least+1)
	q.dropped++
}

// remove takes out what was delivered, or given up.
func (q *queue) remove(gone []*waiting) {
	q.all = slices.DeleteFunc(q.all, func(w *waiting) bool { return slices.Contains(gone, w) })
}

// older are those that wait since before an instant.
func (q *queue) older(than time.Time) []*waiting {
	var old []*waiting
	for _, w := range q.all {
		if w.since.Before(than) {
			old = append(old, w)
		}
	}
	return old
}

// importance orders the kinds of events by what it costs not to hear of them.
func importance(k model.EventKind) int {
	switch k {
	case model.EventAlarm, model.EventStay, model.EventFlip:
		return 3
	case model.EventHealth, model.EventFinding, model.EventMended, model.EventAlarmOver, model.EventStart, model.EventStop,
		model.EventCopy:
		return 2
	case model.EventReload, model.EventOrder, model.EventVIP, model.EventHold, model.EventFence, model.EventPromote, model.EventVerify,
		model.EventApplied, model.EventReset, model.EventDone:
		return 1
	case model.EventSuspect, model.EventAudit:
		return 0
	}
	return 0
}
