package decide

import (
	"fmt"
	"slices"
	"time"

	"fairlead/internal/model"
)

// drainTime is how long the connections of a draining server may last.
const drainTime = 10 * time.Minute

// share is a server's part in a balanced director. Each server has an epoch of
// its own, so that the end of one disturbs no connection of another.
type share struct {
	in    bool      // it gets new connections
	had   bool      // it gets none, but those that it had may last
	epoch uint64    // of its connections, unique in the director; 0: it never had any
	until time.Time // its connections are ended then; zero: they may last
}

// balance gives new connections to all servers that can take them, and to the
// sorry ones only when no regular one can. A server that is taken out keeps the
// connections that it has, unless it is lost or its time is over.
func (s *State) balance(d *director, at time.Time) []Action {
	regular := slices.ContainsFunc(d.servers, func(o server) bool {
		return !o.Sorry && (o.sound() || o.share.in && o.candidate() && !d.lost(o, at))
	})
	var actions []Action
	d.waiting = false
	for i := range d.servers {
		srv := &d.servers[i]
		sh := &srv.share
		lost := d.lost(*srv, at)
		want := srv.candidate() && (!srv.Sorry || !regular) && !lost && (sh.in || srv.sound())
		brief := srv.mark != model.MarkNone || srv.Sorry && regular // its connections may last for a while only
		over := brief && !sh.until.IsZero() && !at.Before(sh.until)
		switch {
		case want && !sh.in:
			actions = append(actions, d.enter(srv, at))
		case want:
			d.waiting = d.waiting || srv.health.Failed() && d.serves(func(o server) bool { return o.Name != srv.Name })
		case !sh.in && !sh.had:
		case lost || over || srv.mark == model.MarkDisabled:
			reason, why := srv.leaving(lost)
			actions = append(actions, s.shed(d, srv.Name, &srv.share, reason, why, at)...)
		case !brief:
			*sh = share{had: true, epoch: sh.epoch}
		case sh.until.IsZero():
			*sh = share{had: true, epoch: sh.epoch, until: at.Add(drainTime)}
		}
	}
	d.choice.reason = d.balancedReason()
	return actions
}

// lost tells whether a server is down and failed to answer while another one
// did. When all fell silent it is probably the director's own network, and the
// first one that answers again is no proof against the others: they are asked.
func (d *director) lost(srv server, at time.Time) bool {
	return srv.health.Failed() && d.serves(func(o server) bool {
		return o.Name != srv.Name && o.health.Answers(srv.health.Doubt(), at, d.Check) && !srv.health.Began.Before(o.health.Passing)
	})
}

// askAgain asks the servers that are down, but were not given up, since another one
// answers now.
func (d *director) askAgain(first *server, at time.Time) {
	for i := range d.servers {
		if srv := &d.servers[i]; srv != first && (srv.share.in || srv.share.had) && srv.health.Failed() {
			srv.health.Ask(at, false)
		}
	}
}

// serves tells whether a server that passes takes new connections or can.
func (d *director) serves(pass func(server) bool) bool {
	for _, srv := range d.servers {
		if pass(srv) && srv.sound() {
			return true
		}
	}
	return false
}

func (d *director) enter(srv *server, at time.Time) Told {
	reason := model.ReasonFailback
	switch {
	case srv.Sorry:
		reason = model.ReasonFailed
	case srv.share.epoch == 0:
		reason = model.ReasonFirst
	}
	if srv.share.epoch == 0 {
		d.choice.epoch++
		d.choice.since, srv.share.epoch = at, d.choice.epoch
	}
	srv.share = share{in: true, epoch: srv.share.epoch}
	return d.flipped(at, model.Switch{Epoch: srv.share.epoch, Reason: reason}, srv.Name, "%s gets connections: it is %s", srv.Name, srv.health.Text())
}

// leaving says why the connections of a server end.
func (s *server) leaving(lost bool) (model.Reason, string) {
	switch {
	case s.mark != model.MarkNone:
		return model.ReasonOperator, s.Name + " is " + s.mark.String()
	case lost:
		return model.ReasonFailed, "check failed: " + s.health.Why
	}
	return model.ReasonFailback, "a regular server is up, and the time to drain is over"
}

// shed ends the connections of one server: they are of an older epoch now.
func (s *State) shed(d *director, name string, sh *share, reason model.Reason, why string, at time.Time) []Action {
	d.choice.epoch++
	*sh = share{epoch: d.choice.epoch}
	sw := model.Switch{From: name, Reason: reason, Why: why, Epoch: d.choice.epoch, At: at}
	if srv := d.server(name); srv != nil && reason == model.ReasonFailed {
		sw.FirstAttempt, sw.Suspected = srv.health.Failing, srv.health.Suspected
	}
	d.choice.since, d.choice.last, d.held = at, sw, time.Time{}
	told := d.flipped(at, sw, name, "%s gets no connections any more: %s", name, why)
	return []Action{told, Switched{Director: d.Name, Switch: sw, Silent: s.silent()}, Release{Director: d.Name}}
}

func (d *director) balancedReason() model.Reason {
	reason := model.ReasonNoServer
	for _, srv := range d.servers {
		switch {
		case srv.share.in:
			return model.ReasonFirst
		case srv.candidate() && srv.health.Level == model.HealthUnknown:
			reason = model.ReasonWaiting
		}
	}
	return reason
}

// rebalance carries the state over a reload that may have turned a director
// with one active server into a balanced one, or back, or taken servers from it.
func (s *State) rebalance(d, old *director, at time.Time) []Action {
	var actions []Action
	if !d.Balanced() {
		if old != nil && old.Balanced() {
			d.choice = choice{epoch: d.choice.epoch}
			for i := range d.servers {
				d.servers[i].share = share{}
			}
		}
		return nil
	}
	if now := d.active(); now != nil {
		now.share = share{in: true, epoch: d.choice.epoch}
	}
	actions = d.refuse("the director is balanced now")
	d.turn, d.stay, d.waiting, d.until, d.gone = turn{}, stay{}, false, time.Time{}, time.Time{}
	d.choice = choice{epoch: d.choice.epoch, since: d.choice.since, last: d.choice.last}
	if old == nil {
		return actions
	}
	for _, was := range old.servers {
		now := d.server(was.Name)
		switch {
		case now != nil && now.Addr == was.Addr && was.share.epoch > 0:
			now.share = was.share
		case (now == nil || now.Addr != was.Addr) && (was.share.in || was.share.had):
			var none share
			actions = append(actions, s.shed(d, was.Name, &none, model.ReasonRemoved, "the configuration no longer has "+was.Name+" as it was", at)...)
		}
	}
	return actions
}

// adoptBalanced takes the servers' epochs that were found in the kernel.
func (d *director) adoptBalanced(a model.Adopted, m model.Remembered) {
	d.choice = choice{epoch: max(a.Epoch, m.Epoch), since: a.Since}
	for i := range d.servers {
		srv := &d.servers[i]
		if epoch := a.Servers[srv.Name]; epoch > 0 {
			srv.share = share{in: true, epoch: epoch}
		} else if a.Active == srv.Name && a.Addr == srv.Addr {
			srv.share = share{in: true, epoch: a.Epoch}
		}
	}
}

// markShare takes a server of a balanced director out of use.
func (d *director) markShare(srv *server, mark model.Mark, e Ordered) []Action {
	if !e.Force && srv.share.in && !d.serves(func(o server) bool { return o.Name != srv.Name }) {
		return []Action{Reply{ID: e.ID, Err: fmt.Sprintf("no other server of %s can be used; %s is not %s", d.Name, srv.Name, mark)}}
	}
	text := fmt.Sprintf("%s is %s until: fairlead enable %s", srv.Name, mark, d.ref(srv.Name))
	if mark == model.MarkDraining && (srv.share.in || srv.share.had) {
		text += fmt.Sprintf("; its connections may last until %s", clock(e.When().Add(drainTime)))
	}
	srv.mark = mark
	return []Action{Reply{ID: e.ID, Text: text}}
}
