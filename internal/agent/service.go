package agent

import (
	"fmt"
	"time"

	"fairlead/internal/model"
)

// services are the parts of the daemon, with what is known of each.
func (a *Agent) services(v view) []model.ServiceStatus {
	return []model.ServiceStatus{
		{Name: "flow", Title: "Flow manager", State: running(v.failed), Why: told(v.failed, count(len(v.flows), "flow")+" on "+count(len(v.ifaces), "interface"))},
		{Name: "lvs", Title: "LVS", State: running(v.failed), Why: told(v.failed, count(len(v.directors), "director"))},
		{Name: "check", Title: "Health checks", State: model.ServiceRunning, Why: told("", count(v.probed, "server")+" probed")},
		{Name: "memory", Title: "Memory of the switches", State: running(v.forgetful), Why: v.forgetful},
		journalService(a.parts.Journal.Err()),
		a.parts.Web.Status(),
		a.parts.Notifier.Status(),
	}
}

func running(failed string) string {
	if failed != "" {
		return model.ServiceFailed
	}
	return model.ServiceRunning
}

// told is why something failed, or else what it does.
func told(failed, does string) string {
	if failed != "" {
		return failed
	}
	return does
}

// count says how many there are of something.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func journalService(err error) model.ServiceStatus {
	s := model.ServiceStatus{Name: "journal", Title: "Journal", State: model.ServiceRunning}
	if err != nil {
		s.State, s.Why = model.ServiceFailed, err.Error()
	}
	return s
}

// heartbeat is when the loop was last seen to turn.
func (a *Agent) heartbeat() time.Time {
	return a.clock.start.Add(time.Duration(a.turned.Load() - a.clock.base))
}

// Changed is closed at the next change of the view that is more than a counter.
func (a *Agent) Changed() <-chan struct{} { return *a.changed.Load() }

// announceChange wakes who waits for a change.
func (a *Agent) announceChange() {
	next := make(chan struct{})
	close(*a.changed.Swap(&next))
}
