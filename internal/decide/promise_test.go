package decide

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"fairlead/internal/model"
)

// director judges the choice of one director after an event.
func (w *witness) director(d model.Director, before view, after *view, switches []model.Switch, e Event, reloaded bool) error {
	if after.epoch > 0 && after.epoch < before.epoch {
		return fmt.Errorf("epoch %d after %d", after.epoch, before.epoch)
	}
	if err := w.adopted(d, before, *after, e, reloaded); err != nil {
		return err
	}
	began := after.step != model.StepNone && after.step != model.StepOrder && (before.step == model.StepNone || before.to != after.to)
	direct := len(switches) == 1 && before.step == model.StepNone
	replayed := len(switches) == 1 && isStart(e, reloaded) && slices.ContainsFunc(w.memory.Directors, func(m model.Remembered) bool {
		return m.Name == d.Name && m.Epoch == switches[0].Epoch // decided before the restart, not applied then
	})
	if err := w.edge(before, *after, switches, e.When()); err != nil && !replayed {
		return err
	}
	switch {
	case replayed:
	case began && !isStart(e, reloaded):
		if err := w.move(d, before, model.Switch{To: after.to, Reason: after.why}, e, reloaded); err != nil {
			return fmt.Errorf("hold for %q → %q by %v: %w", before.active, after.to, after.why, err)
		}
	case direct:
		if err := w.move(d, before, switches[0], e, reloaded); err != nil {
			return fmt.Errorf("switch %q → %q by %v: %w", before.active, after.active, switches[0].Reason, err)
		}
	}
	if err := w.held(d, before, *after, switches, e, reloaded); err != nil {
		return err
	}
	if len(switches) == 1 && !replayed {
		if auto(switches[0].Reason) {
			after.auto = e.When()
		}
		o, _ := e.(Ordered)
		after.forced = after.active != "" && (before.force || o.Force) && !w.opinion(d.Name, after.active).usable()
		w.gone[d.Name] = false
	}
	if before.step != model.StepNone && after.step == model.StepNone {
		if _, reload := e.(Configured); len(switches) == 0 && !reload { // it was called off
			after.forced = !w.opinion(d.Name, after.active).usable()
		}
		return nil // it is judged anew in an instant
	}
	if replayed {
		return nil
	}
	if len(switches) == 0 {
		w.former[d.Name] = after.former
	}
	return w.level(d, after, e.When())
}

// adopted: a new daemon goes on with what the kernel and the memory hold.
func (w *witness) adopted(d model.Director, before, after view, e Event, reloaded bool) error {
	if !isStart(e, reloaded) {
		return nil
	}
	for _, m := range w.memory.Directors {
		if m.Name == d.Name && after.epoch < m.Epoch {
			return fmt.Errorf("epoch %d, but %d is remembered", after.epoch, m.Epoch)
		}
	}
	_, pinned := w.kernel[d.Name]
	target, kept := d.Server(before.to)
	for _, m := range w.memory.Directors {
		if m.Name == d.Name && m.Pending != nil {
			kept = kept && m.Pending.ToAddr == target.Addr.String()
		}
	}
	lost := e.(Configured).Lost != "" && !pinned && len(d.Servers) > 1
	switch {
	case (lost || before.step == model.StepOrder) && after.step != model.StepOrder:
		return errors.New("nobody knows which server holds the truth, but it is not on hold")
	case before.step != model.StepNone && before.step != model.StepOrder && after.step == model.StepOrder && kept:
		return errors.New("the switch under way was forgotten")
	}
	return nil
}

// isStart tells whether the event is the first of a daemon.
func isStart(e Event, reloaded bool) bool {
	_, ok := e.(Configured)
	return ok && !reloaded
}

func auto(r model.Reason) bool {
	return r == model.ReasonFailed || r == model.ReasonFailback || r == model.ReasonPreferred
}

// edge: the active server changes when the epoch grows by one, and exactly one
// action says so.
func (w *witness) edge(before, after view, switches []model.Switch, at time.Time) error {
	same := before.active == after.active && before.server.Addr == after.server.Addr
	switch len(switches) {
	case 0:
		if !same || after.epoch != before.epoch {
			return fmt.Errorf("%q, epoch %d became %q, epoch %d without a switch", before.active, before.epoch, after.active, after.epoch)
		}
		if before.active != "" && !after.since.Equal(before.since) {
			return fmt.Errorf("since changed without a switch, from %v to %v", before.since, after.since)
		}
		if before.active != "" && before.reason != after.reason {
			return fmt.Errorf("reason %v became %v without a switch", before.reason, after.reason)
		}
	case 1:
		sw := switches[0]
		if same || after.epoch != before.epoch+1 {
			return fmt.Errorf("%q, epoch %d became %q, epoch %d by one switch", before.active, before.epoch, after.active, after.epoch)
		}
		if sw.From != before.active || sw.To != after.active || sw.Epoch != after.epoch || sw.Reason != after.reason ||
			sw.At != at || after.since != at || sw.Why == "" {
			return fmt.Errorf("the switch %+v does not tell what happened", sw)
		}
	default:
		return fmt.Errorf("%d switches in one event", len(switches))
	}
	return nil
}

// move: the server that is to be taken may be taken, and the reason is true.
func (w *witness) move(d model.Director, before view, sw model.Switch, e Event, reloaded bool) error {
	at := e.When()
	to, ok := d.Server(sw.To)
	if ok && !w.allowed(d, to) && sw.To != before.active {
		return fmt.Errorf("%s has weight %d and is %v", sw.To, to.Weight, w.record(d.Name, to.Name).mark)
	}
	o, ordered := e.(Ordered)
	ordered = ordered && o.Ref.Director == d.Name && o.Verb != model.VerbEnable
	if ok && !w.usable(d, to) && d.Promote.Command == "" && !o.Force && sw.To != before.active {
		return fmt.Errorf("%s is %v", sw.To, w.opinion(d.Name, to.Name).health)
	}
	from, kept := d.Server(before.active)
	kept = kept && from.Addr == before.server.Addr
	named := ordered && (o.Verb == model.VerbSwitch && o.Ref.Server == sw.To)
	if ok && !named && sw.To != before.active && w.outdated(d, to) {
		return fmt.Errorf("the copy of %s is not known to be new enough, and nobody ordered to take it", sw.To)
	}
	if auto(sw.Reason) && !at.Before(before.auto) && at.Before(before.auto.Add(d.HoldDown)) {
		return fmt.Errorf("it is the second switch by itself within %v, after %v", d.HoldDown, at.Sub(before.auto))
	}
	if ordered && o.Verb == model.VerbSwitch && o.Ref.Server == sw.To && sw.Reason != model.ReasonOperator {
		return errors.New("an order has another reason")
	}
	switch sw.Reason {
	case model.ReasonOperator:
		if marked := kept && w.record(d.Name, from.Name).mark != model.MarkNone; !ordered && !marked {
			return errors.New("no operator ordered it")
		}
	case model.ReasonFirst:
		return w.first(d, before, sw)
	case model.ReasonRemoved:
		if kept || sw.To == "" && w.anyUsable(d) {
			return errors.New("the active server was not removed, or another could be used")
		}
	case model.ReasonFailed:
		return w.failover(d, before, from, to, kept, at, sw)
	case model.ReasonQuiescent:
		if !kept || from.Weight != 0 {
			return errors.New("the active server is not quiescent")
		}
	case model.ReasonFailback, model.ReasonPreferred:
		if d.Failback == model.FailbackManual || before.reason == model.ReasonOperator {
			return errors.New("the active server should have been kept")
		}
		if !kept || (sw.Reason == model.ReasonPreferred) != reloaded {
			return errors.New("it is the wrong reason")
		}
		if !preferred(d, sw.To, from.Name) || !w.sound(d, to) {
			return errors.New("the active server was the better one")
		}
		if up := w.opinion(d.Name, to.Name).soundSince(); d.Failback == model.FailbackDelay && at.Before(up.Add(d.FailbackDelay)) {
			return fmt.Errorf("it has been up for %v only", at.Sub(up))
		}
	default:
		return errors.New("it is no reason for a switch")
	}
	return nil
}

// failover: the active server is down, the other one is known to answer, and
// when all were gone the one that was active last had its time to return.
func (w *witness) failover(d model.Director, before view, from, to model.Server, kept bool, at time.Time, sw model.Switch) error {
	if !kept {
		return errors.New("the active server is not there")
	}
	o, other := w.opinion(d.Name, from.Name), w.opinion(d.Name, to.Name)
	switch {
	case !o.failed():
		return errors.New("the active server is not down")
	case before.forced:
		return errors.New("an operator chose the server although its check did not pass")
	case len(sw.From) > 0 && sw.FirstAttempt != o.failing:
		return fmt.Errorf("first attempt %v, want %v", sw.FirstAttempt, o.failing)
	case d.Promote.Command != "" && !w.answers(d, to, doubt(o), at):
		if other.health != model.HealthDown {
			return fmt.Errorf("%s may still answer", to.Name)
		}
	case !w.answers(d, to, doubt(o), at):
		return fmt.Errorf("nobody knows whether %s answers", to.Name)
	case w.gone[d.Name] && at.Before(other.soundSince().Add(d.LastActive)):
		return fmt.Errorf("all servers were gone, and %s is usable for %v only", to.Name, at.Sub(other.soundSince()))
	case w.gone[d.Name] && o.began.Before(other.passing):
		return fmt.Errorf("all servers were gone; %s answers again, and %s was not asked since", to.Name, from.Name)
	}
	return nil
}

// doubt is the first failure or hint.
func doubt(o opinion) time.Time {
	if o.suspected.IsZero() || !o.failing.IsZero() && o.failing.Before(o.suspected) {
		return o.failing
	}
	return o.suspected
}

// rank sorts the servers of a director from the most to the least preferred.
func rank(servers []model.Server) []model.Server {
	servers = slices.Clone(servers)
	slices.SortStableFunc(servers, func(a, b model.Server) int {
		switch {
		case a.Sorry != b.Sorry && b.Sorry:
			return -1
		case a.Sorry != b.Sorry:
			return 1
		case a.Sorry:
			return 0
		}
		return b.Weight - a.Weight
	})
	return servers
}

// preferred tells whether the configuration prefers a server to another.
func preferred(d model.Director, name, other string) bool {
	for _, s := range rank(d.Servers) {
		if s.Name == name || s.Name == other {
			return s.Name == name
		}
	}
	return false
}

// first: no server is taken while one that is preferred may be up.
func (w *witness) first(d model.Director, before view, sw model.Switch) error {
	if before.active != "" {
		return errors.New("it is not the first choice")
	}
	for _, s := range rank(d.Servers) {
		if s.Name == sw.To {
			return nil
		}
		if h := w.opinion(d.Name, s.Name).health; w.allowed(d, s) && h != model.HealthDown && !w.outdated(d, s) {
			return fmt.Errorf("%s was preferred and is %v", s.Name, h)
		}
	}
	return errors.New("it is not of this director")
}

func (w *witness) anyUsable(d model.Director) bool {
	return slices.ContainsFunc(d.Servers, func(s model.Server) bool { return w.usable(d, s) && !w.outdated(d, s) })
}

// level: what must hold after every event, whatever happened before.
func (w *witness) level(d model.Director, v *view, at time.Time) error {
	switch {
	case v.step != model.StepNone:
		return nil
	case v.active == "":
		return w.vacant(d, *v)
	case v.epoch == 0:
		return errors.New("an active server in epoch 0")
	}
	active, ok := d.Server(v.active)
	if !ok || active.Addr != v.server.Addr {
		return fmt.Errorf("the active server %s is not in the configuration", v.active)
	}
	o := w.opinion(d.Name, active.Name)
	if o.usable() {
		v.forced, w.gone[d.Name] = false, false
	}
	paced := !at.Before(v.auto) && at.Before(v.auto.Add(d.HoldDown))
	left, anybody, asked := false, false, false // the active one stands before; another one may be usable; a better one is asked
	for _, s := range rank(d.Servers) {
		if s.Name == active.Name {
			left = true
			continue
		}
		other := w.opinion(d.Name, s.Name)
		together := o.failing.Sub(other.failing).Abs() <= d.Check.Interval+d.Check.Timeout
		anybody = anybody || w.allowed(d, s) && (other.health != model.HealthDown || d.Promote.Command != "" && !together)
		settled := d.Failback == model.FailbackManual || d.Failback == model.FailbackDelay || v.reason == model.ReasonOperator || paced || v.forced
		switch {
		case w.outdated(d, s): // it stays
		case o.failed() && w.sound(d, s) && !w.answers(d, s, doubt(o), at):
			asked = true
		case o.failed() && !asked && !v.forced && !paced && !w.gone[d.Name] && w.answers(d, s, doubt(o), at):
			return fmt.Errorf("stays with %s, which is down, although %s answers", active.Name, s.Name)
		case !o.failed() && !w.allowed(d, active) && w.sound(d, s):
			return fmt.Errorf("stays with %s, which is not to be used, although %s can be used", active.Name, s.Name)
		case !left && !settled && !o.failed() && w.sound(d, s):
			return fmt.Errorf("stays with %s although %s is better", active.Name, s.Name)
		}
	}
	if o.failed() && !v.forced && !anybody {
		w.gone[d.Name] = true
	}
	return nil
}

// vacant: no server is active only while checks are awaited or none is usable.
func (w *witness) vacant(d model.Director, v view) error {
	want := model.ReasonNoServer
	for _, s := range rank(d.Servers) {
		h := w.opinion(d.Name, s.Name).health
		if !w.allowed(d, s) || h == model.HealthDown || w.outdated(d, s) {
			continue
		}
		if h != model.HealthUnknown {
			return fmt.Errorf("has no active server although %s can be used", s.Name)
		}
		want = model.ReasonWaiting
		break
	}
	if v.reason != want && v.reason != model.ReasonRemoved {
		return fmt.Errorf("has no active server by %v, want %v", v.reason, want)
	}
	return nil
}
