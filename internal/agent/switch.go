package agent

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/decide"
	"fairlead/internal/model"
	"fairlead/internal/rounds"
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
}

// settled tells whether the kernel was seen to hold a director's choice as it is
// desired. One that is not desired is settled.
func (l *loop) settled(director string) bool {
	for _, d := range l.desired.Directors {
		if d.Name == director {
			held, ok := l.kernel.applied.Directors[director]
			return ok && held.Active == d.Active && held.Epoch == d.Epoch && held.Hold == d.Hold && shared(d, held)
		}
	}
	return true
}

// shared tells whether the servers of a balanced director have the epochs that
// they should have.
func shared(d model.DesiredDirector, held model.Adopted) bool {
	return !d.Balanced || !slices.ContainsFunc(d.Servers, func(s model.DesiredServer) bool {
		return s.Epoch > 0 && held.Servers[s.Name] != s.Epoch
	})
}

// confirm compares the switches with what the kernel holds. Those that it has
// taken are stamped, and their resets begin.
func (l *loop) confirm() {
	for _, d := range l.desired.Directors {
		r, ok := l.switches[d.Name]
		if !ok || r.AppliedMono != 0 || r.Epoch != d.Epoch || !l.settled(d.Name) {
			continue
		}
		r.AppliedMono = l.clock.at(l.kernel.at)
		r.resetting = true
		l.switches[d.Name] = r
		l.note(model.Event{At: l.kernel.at, Kind: model.EventApplied, Director: d.Name, Server: r.To, Epoch: r.Epoch, Reason: r.Reason,
			Text: appliedText(r), Took: time.Duration(r.AppliedMono - r.DecidedMono)})
		l.parts.Metrics.Switched(d.Name, r.Switch, false)
		l.awaitReturn(d.Name, r.Switch)
		l.rounds.Start(l.job(d, r.silent))
	}
}

func appliedText(r record) string {
	if r.To == "" {
		return fmt.Sprintf("the data plane sends nothing to %s any more", orNone(r.From))
	}
	return "the data plane forwards to " + r.To
}

func orNone(server string) string {
	if server == "" {
		return "no server"
	}
	return server
}

// job is the series of resets that a director's choice makes due.
func (l *loop) job(d model.DesiredDirector, silent bool) rounds.Job {
	return rounds.Job{Director: d.Name, Epoch: d.Epoch, Iface: l.way(d), Silent: silent}
}

// way is the interface towards the servers of a director; "" when it is not
// known. Of several with the same address, a bridge and its port for example,
// it is the one in the servers' network.
func (l *loop) way(d model.DesiredDirector) string {
	way := ""
	for _, name := range slices.Sorted(maps.Keys(l.links)) {
		link := l.links[name]
		if !d.Source.Known() || link.MAC != d.Source {
			continue
		}
		if way == "" || slices.ContainsFunc(link.Addrs, func(p netip.Prefix) bool { return p.Contains(d.Addr) }) {
			way = name
		}
	}
	return way
}

// resume takes up the resets of a director whose last switch an earlier daemon
// made: it may have died before it sent them all.
func (l *loop) resume(name string) {
	if r, ok := l.switches[name]; ok && (r.resetting || r.AppliedMono == 0) {
		return // confirm begins them
	}
	for _, d := range l.desired.Directors {
		if d.Name == name {
			l.rounds.Start(l.job(d, d.Silent))
		}
	}
}

// report takes what a round of resets did into the record of its switch.
func (l *loop) report(r rounds.Report) {
	if r.Err != nil {
		l.log.Error("resets failed", "director", r.Director, "epoch", r.Epoch, "error", r.Err)
	}
	s, ok := l.switches[r.Director]
	if !ok || s.Epoch != r.Epoch {
		return // of a switch before the last one, or before this daemon
	}
	e := model.Event{At: time.Now(), Director: r.Director, Server: s.From, Epoch: r.Epoch, Reason: s.Reason}
	if s.ResetMono == 0 && !r.SentAt.IsZero() {
		s.ResetMono = l.clock.at(r.SentAt)
		e.At, e.Kind, e.Took = r.SentAt, model.EventReset, time.Duration(s.ResetMono-s.DecidedMono)
		e.Text = "no old connection was left to reset"
		if r.Known > 0 {
			e.Text = fmt.Sprintf("resets are sent for %d of %d old connections", r.Reset, r.Known)
		}
		l.noteRound(e, r)
	}
	s.Known, s.Reset, s.Ended, s.ServerReset = r.Known, r.Reset, r.Ended, r.Servers
	l.switches[r.Director] = s
	if r.Last {
		l.parts.Metrics.Switched(r.Director, s.Switch, true)
		e.At, e.Kind, e.Took = time.Now(), model.EventDone, time.Since(s.At)
		e.Text = "the switch is over"
		if r.Known > 0 {
			e.Text = fmt.Sprintf("the switch is over: %d of %d old connections have ended", r.Ended, r.Known)
		}
		l.noteRound(e, r)
	}
	l.publish(time.Now())
	l.enterNotes()
}

// noteRound tells of resets, but not that the first choice of all had nobody to
// reset.
func (l *loop) noteRound(e model.Event, r rounds.Report) {
	if e.Server != "" || r.Known > 0 {
		l.note(e)
	}
}
