package agent

import (
	"log/slog"
	"reflect"
	"time"

	"fairlead/internal/model"
)

const (
	// saveAgain is the pause after a failure to remember.
	saveAgain = 5 * time.Second
	// saveSlow is what makes a disk worth a line in the log: every switch waits
	// for it.
	saveSlow = 50 * time.Millisecond
)

// remembrance keeps on disk what must survive. A disk that fails is an alarm;
// it never stops a switch.
type remembrance struct {
	store Memory
	log   *slog.Logger

	saved model.Memory
	known bool // the disk holds saved
	err   error
	next  time.Time // of the next try after a failure
}

// keep saves what must survive, when that is another thing than before. It is
// called before the data plane learns of a decision, so that the memory is never
// behind the kernel.
func (r *remembrance) keep(want model.Memory) {
	same := reflect.DeepEqual(r.saved, want)
	begin := time.Now()
	if same && (r.known || begin.Before(r.next)) {
		return
	}
	was := r.err
	r.err = r.store.Save(want)
	r.saved, r.known = want, r.err == nil
	end := time.Now()
	r.next = end.Add(saveAgain)
	if took := end.Sub(begin); took > saveSlow {
		r.log.Warn("the state directory is slow; every switch waits for it", "took", took)
	}
	if r.err == nil && was != nil {
		r.log.Info("the state directory can be written again")
	}
}

// due is when a failed try is to be repeated; zero: none failed.
func (r *remembrance) due() time.Time {
	if r.err == nil {
		return time.Time{}
	}
	return r.next
}

// alarms say that a reboot would forget.
func (r *remembrance) alarms() []model.Alarm {
	if r.err == nil {
		return nil
	}
	return []model.Alarm{{
		What: "the switch is not remembered: a reboot would forget which server holds the newest data",
		Why:  r.err.Error(),
		Do:   "make the state directory writable; it is tried again every 5 s",
	}}
}
