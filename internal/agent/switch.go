package agent

import (
	"time"

	"fairlead/internal/decide"
	"fairlead/internal/model"
)

// record is what is known of a director's last switch. resetting: its resets
// were begun.
type record struct {
	model.Switch
	silent    bool
	resetting bool
}

// record notes a switch that was decided and is still to be applied.
func (l *loop) record(at time.Time, s decide.Switched) {
	r := record{Switch: s.Switch, silent: s.Silent}
	r.DecidedMono = l.clock.at(at)
	l.switches[s.Director] = r
	l.log.Info("switch decided", "director", s.Director, "from", r.From, "to", r.To,
		"reason", r.Reason, "why", r.Why, "epoch", r.Epoch)
}

// confirm compares the switches with what the kernel holds. Those that it has
// taken are stamped, and their resets begin.
func (l *loop) confirm(applied model.Applied) {
	for name, r := range l.switches {
		held, ok := applied.Directors[name]
		if r.AppliedMono != 0 || !ok || held.Active != r.To || held.Epoch != r.Epoch {
			continue
		}
		r.AppliedMono = l.clock.at(l.kernel.at)
		r.resetting = true
		l.switches[name] = r
		l.log.Info("switch applied", "director", name, "to", r.To, "epoch", r.Epoch,
			"took", time.Duration(r.AppliedMono-r.DecidedMono))
		l.rounds.start(job{director: name, epoch: r.Epoch, silent: r.silent})
	}
}

// resume takes up the resets of a director whose last switch an earlier daemon
// made: it may have died before it sent them all.
func (l *loop) resume(name string) {
	if r, ok := l.switches[name]; ok && r.resetting {
		return
	}
	for _, d := range l.state.Desired().Directors {
		if d.Name == name {
			l.rounds.start(job{director: name, epoch: d.Epoch, silent: d.Silent})
		}
	}
}

// report takes what a round of resets did into the record of its switch.
func (l *loop) report(r report) {
	if r.err != nil {
		l.log.Error("resets failed", "director", r.director, "epoch", r.epoch, "error", r.err)
	}
	s, ok := l.switches[r.director]
	if !ok || s.Epoch != r.epoch {
		return // of a switch before the last one, or before this daemon
	}
	if s.ResetMono == 0 && !r.sentAt.IsZero() {
		s.ResetMono = l.clock.at(r.sentAt)
	}
	if r.known > 0 && s.Reset == 0 && r.reset > 0 {
		l.log.Info("old connections reset", "director", r.director, "epoch", r.epoch, "known", r.known, "reset", r.reset)
	}
	s.Known, s.Reset, s.Ended = r.known, r.reset, r.ended
	l.switches[r.director] = s
	if r.last && r.known > 0 {
		l.log.Info("old connections ended", "director", r.director, "epoch", r.epoch,
			"known", r.known, "reset", r.reset, "ended", r.ended)
	}
	l.publish(time.Now())
}
