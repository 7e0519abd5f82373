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
	// saveWait is how long a switch waits for the disk at most.
	saveWait = time.Second
)

// remembrance keeps on disk what must survive. A disk that fails or hangs is an
// alarm; it never stops a switch.
type remembrance struct {
	store Memory
	log   *slog.Logger

	want   model.Memory // the newest
	saved  model.Memory // that was tried last
	known  bool         // the disk holds saved
	err    error
	next   time.Time  // of the next try after a failure
	flight bool       // a Save is under way; there is never more than one
	begun  time.Time  // when it began
	done   chan error // how it ended; room for one
}

// keep saves what must survive, when that is another thing than before. It is
// called before the data plane learns of a decision, so that the memory is not
// behind the kernel; but it waits for saveWait at most.
func (r *remembrance) keep(want model.Memory) {
	r.want = want
	if r.flight {
		select {
		case err := <-r.done:
			r.ended(err)
		default:
			return // it was waited for; the newest value is saved after it
		}
	}
	same := reflect.DeepEqual(r.saved, want)
	begin := time.Now()
	if same && (r.known || begin.Before(r.next)) {
		return
	}
	r.saved, r.known, r.flight, r.begun = want, false, true, begin
	go func() { r.done <- r.store.Save(want) }()
	if !r.wait() {
		r.log.Error("the state directory does not answer; the switches go on without it", "waited", saveWait)
	}
}

// wait waits for the Save under way, and tells whether it has ended.
func (r *remembrance) wait() bool {
	patience := time.NewTimer(saveWait)
	defer patience.Stop()
	select {
	case err := <-r.done:
		r.ended(err)
		return true
	case <-patience.C:
		return false
	}
}

// ended takes the outcome of a Save.
func (r *remembrance) ended(err error) {
	was, took := r.err, time.Since(r.begun)
	r.flight, r.err, r.known = false, err, err == nil
	r.next = time.Now().Add(saveAgain)
	if took > saveSlow {
		r.log.Warn("the state directory is slow; every switch waits for it", "took", took)
	}
	if err == nil && was != nil {
		r.log.Info("the state directory can be written again")
	}
}

// last saves what is not saved yet when the daemon ends. A Save that hangs is
// left behind.
func (r *remembrance) last() {
	if !r.flight || r.wait() {
		r.keep(r.want)
	}
}

// due is when a failed try is to be repeated; zero: none failed.
func (r *remembrance) due() time.Time {
	if r.err == nil || r.flight {
		return time.Time{}
	}
	return r.next
}

// alarms say that a reboot would forget.
func (r *remembrance) alarms() []model.Alarm {
	var why string
	switch {
	case r.flight:
		why = "the disk has not answered since " + r.begun.Format("15:04:05")
	case r.err != nil:
		why = r.err.Error()
	default:
		return nil
	}
	return []model.Alarm{{
		What: "the switch is not remembered: a reboot would forget which server holds the newest data",
		Why:  why,
		Do:   "make the state directory writable; it is tried again every 5 s",
	}}
}
