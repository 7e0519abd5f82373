package decide

import (
	"fmt"
	"strings"
	"time"

	"fairlead/internal/model"
)

// order carries out an operator's order, or says why not.
func (s *State) order(e Ordered) []Action {
	refused := func(err string) []Action { return []Action{Reply{ID: e.ID, Err: err}} }
	d := s.director(e.Ref.Director)
	if d == nil {
		var names []string
		for _, d := range s.directors {
			names = append(names, d.Name)
		}
		return refused(fmt.Sprintf("there is no director %q; %s", e.Ref.Director, have("the configuration has", names)))
	}
	srv := d.server(e.Ref.Server)
	if srv == nil {
		var names []string
		for _, s := range d.servers {
			names = append(names, s.Name)
		}
		return refused(fmt.Sprintf("director %s has no server %q; %s", d.Name, e.Ref.Server, have("it has", names)))
	}
	if d.Balanced() && e.Verb == model.VerbSwitch {
		return refused(fmt.Sprintf("the servers of %s share its connections; to take one out: fairlead drain or disable %s/SERVER", d.Name, d.Name))
	}
	switch e.Verb {
	case model.VerbDrain:
		return s.markServer(d, srv, model.MarkDraining, e)
	case model.VerbDisable:
		return s.markServer(d, srv, model.MarkDisabled, e)
	case model.VerbEnable:
		text := srv.Name + " may be used again"
		if srv.mark == model.MarkNone {
			text = srv.Name + " was neither disabled nor draining; nothing changed"
		}
		srv.mark = model.MarkNone
		return []Action{Reply{ID: e.ID, Text: text}}
	case model.VerbSwitch:
	}
	if err := d.refusal(srv, e.Force); err != "" {
		return refused(err)
	}
	v := verdict{to: srv.Name, reason: model.ReasonOperator, why: "ordered by an operator", order: e.ID, force: e.Force}
	if d.outdated(*srv) && d.former().Name != "" {
		v.why += ", although " + d.lacks(*srv)
	}
	switch d.turn.step {
	case model.StepNone:
		return s.begin(d, v, e.When())
	case model.StepOrder:
		return s.settle(d, v, srv, e.When())
	case model.StepFence, model.StepPromote, model.StepVerify:
	}
	return s.redirect(d, v, srv, e.When())
}

// refusal says why a switch to that server is not possible, "" when it is.
func (d *director) refusal(srv *server, force bool) string {
	step := d.turn.step
	switch {
	case step == model.StepNone && d.active() == srv:
		return fmt.Sprintf("%s is the active server of %s already; nothing changed", srv.Name, d.Name)
	case step != model.StepNone && d.active() == srv || d.turn.to.Name == srv.Name:
		return "" // to call a switch off, or to try again, needs no health
	case srv.Weight == 0:
		return fmt.Sprintf("%s has weight 0; not switched", srv.Name)
	case srv.mark != model.MarkNone:
		return fmt.Sprintf("%s is %s; not switched; first: fairlead enable %s", srv.Name, srv.mark, d.ref(srv.Name))
	case !srv.usable() && !force && d.Promote.Command == "":
		return fmt.Sprintf("%s is %s; not switched", srv.Name, srv.health.Text())
	}
	return ""
}

// settle ends the wait for an operator's word: that server holds the truth. Its
// promote hook runs even if it was active before, since it may have been fenced.
// A server whose promotion had begun is fenced like an active one.
func (s *State) settle(d *director, v verdict, srv *server, at time.Time) []Action {
	old := d.turn.old
	if old.Name == "" {
		old = d.former()
	}
	t := turn{to: srv.Server, unsure: true, old: old, reason: v.reason, why: v.why, order: v.order, force: v.force}
	t.spare()
	return s.hold(d, t, at)
}

// redirect takes an order during a switch: the same server tries the failed step
// again, or goes on without it by force; another begins the switch anew. A server
// whose promotion had begun is fenced then like an active one.
func (s *State) redirect(d *director, v verdict, srv *server, at time.Time) []Action {
	actions := d.refuse("a later order took its place: switch to " + srv.Name)
	was := d.turn
	if was.to.Name == srv.Name {
		d.turn.order, d.turn.force = v.order, was.force || v.force
		switch {
		case was.failed != "" && v.force:
			return append(actions, s.proceed(d, was.step+1, at)...)
		case was.failed != "":
			return append(actions, s.proceed(d, was.step, at)...)
		case was.step == model.StepVerify && v.force:
			return append(actions, s.flip(d, at)...)
		}
		return actions
	}
	t := turn{to: srv.Server, unsure: was.unsure, old: was.old, fenced: was.fenced, reason: v.reason, why: v.why, order: v.order, force: v.force}
	t.sw.Held, t.sw.Fenced = was.sw.Held, was.sw.Fenced
	if was.promoting {
		t.old, t.fenced = was.to, false
	}
	t.spare()
	return append(actions, s.hold(d, t, at)...)
}

// markServer takes a server out of use until it is enabled again. The active one
// is left for the best other.
func (s *State) markServer(d *director, srv *server, mark model.Mark, e Ordered) []Action {
	if d.Balanced() {
		return d.markShare(srv, mark, e)
	}
	text := fmt.Sprintf("%s is %s until: fairlead enable %s", srv.Name, mark, d.ref(srv.Name))
	if d.turn.step != model.StepNone && d.turn.to.Name == srv.Name {
		return []Action{Reply{ID: e.ID, Err: fmt.Sprintf("a switch to %s is under way; first switch to another server", srv.Name)}}
	}
	if d.active() != srv || d.turn.step != model.StepNone || srv.mark != model.MarkNone {
		srv.mark = mark
		return []Action{Reply{ID: e.ID, Text: text}}
	}
	best, ok := d.other(srv, e.Force)
	switch {
	case !ok && !e.Force:
		return []Action{Reply{ID: e.ID, Err: fmt.Sprintf("no other server of %s can be used%s; %s is not %s", d.Name, d.olderWords(srv), srv.Name, mark)}}
	case !ok:
		srv.mark = mark
		return []Action{Reply{ID: e.ID, Text: text + "; it stays active until another server can be used"}}
	}
	srv.mark = mark
	return s.begin(d, verdict{to: best, reason: model.ReasonOperator, why: srv.Name + " is " + mark.String(), order: e.ID, force: e.Force}, e.When())
}

// other is the best server beside the active one, for an order.
func (d *director) other(now *server, force bool) (string, bool) {
	fresh := func(s server) bool { return s.Name != now.Name && !d.outdated(s) }
	best, ok := d.choose(func(s server) bool { return fresh(s) && s.sound() })
	if !ok && (force || d.Promote.Command != "") {
		best, ok = d.choose(func(s server) bool { return fresh(s) && s.usable() })
	}
	if !ok && d.Promote.Command != "" {
		best, ok = d.choose(func(s server) bool { return fresh(s) && s.candidate() })
	}
	return best, ok
}

// olderWords says which servers could be used, were their data new enough.
func (d *director) olderWords(now *server) string {
	stale, ok := d.choose(func(s server) bool { return s.Name != now.Name && s.usable() && d.outdated(s) })
	if !ok {
		return ""
	}
	return fmt.Sprintf(": %s; to take it all the same: fairlead switch %s", d.lacksOf(stale), d.ref(stale))
}

func have(what string, names []string) string {
	if len(names) == 0 {
		return what + " none"
	}
	return what + " " + strings.Join(names, ", ")
}
