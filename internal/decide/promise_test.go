package decide

import (
	"errors"
	"fmt"
	"time"

	"fairlead/internal/model"
)

// director judges the choice of one director after an event.
func (w *witness) director(d model.Director, after view, switches []model.Switch, e Event, reloaded bool) error {
	before, had := w.views[d.Name]
	if !had {
		before = view{epoch: w.epochs[d.Name]}
		if after.epoch > 0 && after.epoch < before.epoch {
			return fmt.Errorf("returned with epoch %d, below its old %d", after.epoch, before.epoch)
		}
	}
	if !w.started || !reloaded && isConfigured(e) {
		// The kernel does not know the address under which it was chosen.
		before.server, _ = d.Server(before.active)
	}
	if err := w.edge(before, after, switches, e.When()); err != nil {
		return err
	}
	if len(switches) == 1 {
		if err := w.move(d, before, switches[0], e, reloaded); err != nil {
			return fmt.Errorf("switch %q → %q by %v: %w", before.active, after.active, switches[0].Reason, err)
		}
	}
	return w.level(d, after)
}

func isConfigured(e Event) bool { _, ok := e.(Configured); return ok }

// edge: the active server changes when the epoch grows by one, and exactly one
// action says so.
func (w *witness) edge(before, after view, switches []model.Switch, at time.Time) error {
	same := before.active == after.active && before.server.Addr == after.server.Addr
	switch len(switches) {
	case 0:
		if !same || after.epoch != before.epoch {
			return fmt.Errorf("%q, epoch %d became %q, epoch %d without a switch", before.active, before.epoch, after.active, after.epoch)
		}
		if !after.since.Equal(before.since) {
			return errors.New("since changed without a switch")
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

// move: the server that was taken may be taken, and the reason is true.
func (w *witness) move(d model.Director, before view, sw model.Switch, e Event, reloaded bool) error {
	to, ok := d.Server(sw.To)
	if ok && !w.usable(d, to) {
		return fmt.Errorf("%s is %v with weight %d", sw.To, w.health(d, to), to.Weight)
	}
	from, kept := d.Server(before.active)
	kept = kept && from.Addr == before.server.Addr
	_, ordered := e.(Ordered)
	if ordered != (sw.Reason == model.ReasonOperator) {
		return errors.New("the operator's reason is for orders, and only for them")
	}
	switch sw.Reason {
	case model.ReasonOperator:
	case model.ReasonFirst:
		return w.first(d, before, sw)
	case model.ReasonRemoved:
		if kept || sw.To == "" && w.anyUsable(d) {
			return errors.New("the active server was not removed, or another could be used")
		}
	case model.ReasonFailed:
		if !kept || w.health(d, from) != model.HealthDown {
			return errors.New("the active server is not down")
		}
		if first := w.servers[model.ServerRef{Director: d.Name, Server: from.Name}].failing(); sw.FirstAttempt != first {
			return fmt.Errorf("first attempt %v, want %v", sw.FirstAttempt, first)
		}
	case model.ReasonQuiescent:
		if !kept || from.Weight != 0 {
			return errors.New("the active server is not quiescent")
		}
	case model.ReasonFailback, model.ReasonPreferred:
		if d.ServesNFS() || before.reason == model.ReasonOperator {
			return errors.New("the active server should have been kept")
		}
		if !kept || (sw.Reason == model.ReasonPreferred) != reloaded {
			return errors.New("it is the wrong reason")
		}
		if !preferred(d, sw.To, from.Name) {
			return errors.New("the active server was the better one")
		}
	default:
		return errors.New("it is no reason for a switch")
	}
	return nil
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
		if h := w.health(d, s); s.Weight > 0 && h != model.HealthDown {
			return fmt.Errorf("%s was preferred and is %v", s.Name, h)
		}
	}
	return errors.New("it is not of this director")
}

func (w *witness) anyUsable(d model.Director) bool {
	for _, s := range d.Servers {
		if w.usable(d, s) {
			return true
		}
	}
	return false
}

// level: what must hold after every event, whatever happened before.
func (w *witness) level(d model.Director, v view) error {
	if v.active == "" {
		return w.vacant(d, v)
	}
	if v.epoch == 0 {
		return errors.New("an active server in epoch 0")
	}
	active, ok := d.Server(v.active)
	if !ok {
		return fmt.Errorf("the active server %s is not in the configuration", v.active)
	}
	h := w.health(d, active)
	for _, s := range rank(d.Servers) {
		if s.Name == active.Name || !w.usable(d, s) {
			if s.Name == active.Name && h != model.HealthDown && s.Weight > 0 {
				return nil // no better one is usable
			}
			continue
		}
		if h == model.HealthDown || active.Weight == 0 {
			return fmt.Errorf("stays with %s, which is %v with weight %d, although %s can be used", active.Name, h, active.Weight, s.Name)
		}
		if !d.ServesNFS() && v.reason != model.ReasonOperator {
			return fmt.Errorf("stays with %s although %s is better", active.Name, s.Name)
		}
	}
	return nil
}

// vacant: no server is active only while checks are awaited or none is usable.
func (w *witness) vacant(d model.Director, v view) error {
	want := model.ReasonNoServer
	for _, s := range rank(d.Servers) {
		h := w.health(d, s)
		if s.Weight == 0 || h == model.HealthDown {
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
