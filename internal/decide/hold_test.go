package decide

import (
	"errors"
	"fmt"
	"time"

	"fairlead/internal/model"
)

// hold is what a witness knows of a switch under way, over restarts too: the
// hooks are outside of the daemon.
type hold struct {
	fenced   map[string]bool // servers whose fence hook succeeded and that were not promoted since
	forced   bool            // an operator said to go on without a hook
	passed   bool            // a fence hook failed, and its policy let the switch go on
	unsure   bool            // nobody knew which server holds the truth
	need     bool            // a fence hook had to succeed, ever since the switch began
	begun    map[string]bool // servers whose promotion began and that were not fenced since
	promoted string          // the server whose promote hook succeeded last
	at       time.Time       // and when
}

func (w *witness) hold(director string) *hold {
	h := w.holds[director]
	if h == nil {
		h = &hold{fenced: map[string]bool{}, begun: map[string]bool{}, need: true}
		w.holds[director] = h
	}
	return h
}

// who is a machine: the same name at another address is another one.
func who(s model.Server) string { return s.Name + " " + s.Addr.String() }

// ordered takes note of an operator's force.
func (w *witness) ordered(e Ordered) {
	if _, ok := w.views[e.Ref.Director]; ok && e.Force {
		w.hold(e.Ref.Director).forced = true
	}
}

// hookEnded takes the end of the hook that the state waits for.
func (w *witness) hookEnded(s State, e HookEnded) {
	call, ok := w.calls[e.ID]
	d := s.director(call.Director)
	if !ok || d == nil || d.turn.call != e.ID {
		return
	}
	h := w.hold(call.Director)
	cfg, _ := w.directorOf(call.Director)
	switch {
	case call.Kind == model.HookFence && e.Err == "":
		h.fenced[who(call.Old)] = true
		delete(h.begun, who(call.Old))
	case call.Kind == model.HookFence:
		h.passed = h.passed || cfg.Fence.Policy == model.HookTry
	case e.Err == "" || cfg.Promote.Policy == model.HookTry:
		h.promoted, h.at = call.New.Name, e.When()
	}
	delete(w.calls, e.ID)
}

// hooks: a server is promoted only after the active one was fenced.
func (w *witness) hooks(runs []RunHook) error {
	for _, r := range runs {
		w.calls[r.ID] = r
		d, _ := w.directorOf(r.Director)
		h, v := w.hold(r.Director), w.views[r.Director]
		if r.Kind == model.HookFence {
			if r.Old.Name == "" || r.Old.Name == r.New.Name && r.Old.Addr == r.New.Addr {
				return fmt.Errorf("fences %q for %q", r.Old.Name, r.New.Name)
			}
			continue
		}
		need := d.Fence.Command != "" && d.Fence.Policy == model.HookRequire && h.need && !h.forced && !h.passed
		if need && v.active != "" && who(v.server) != who(r.New) && !h.fenced[who(v.server)] && v.epoch > 0 {
			return fmt.Errorf("promotes %s before %s was fenced", r.New.Name, v.active)
		}
		for other := range h.begun {
			if need && other != who(r.New) {
				return fmt.Errorf("promotes %s although %s was promoted and not fenced since", r.New.Name, other)
			}
		}
		h.promoted = ""
		delete(h.fenced, who(r.New))
	}
	return nil
}

// performed takes note of what was asked for, unless the daemon died before.
func (w *witness) performed(runs []RunHook) {
	for _, r := range runs {
		if r.Kind == model.HookPromote {
			w.hold(r.Director).begun[who(r.New)] = true
		}
	}
}

// held: what a switch by steps promises.
func (w *witness) held(d model.Director, before, after view, switches []model.Switch, e Event, reloaded bool) error {
	h := w.hold(d.Name)
	h.need = h.need && d.Fence.Command != "" && d.Fence.Policy == model.HookRequire
	defer func() {
		if after.step == model.StepNone {
			w.ended[d.Name] = h
			delete(w.holds, d.Name)
		}
	}()
	start := isStart(e, reloaded)
	if after.step == model.StepOrder { // that is why an operator must say
		h.unsure = true
	}
	given := before.step != model.StepNone && !start && h.unsure
	if given && (len(switches) == 0 && after.step == model.StepNone && after.active == "" || len(switches) == 1 && switches[0].Reason == model.ReasonFirst) {
		return errors.New("a first choice is made, or would be, although nobody knows which server holds the truth")
	}
	o, ordered := e.(Ordered)
	ordered = ordered && o.Ref.Director == d.Name
	if before.step == model.StepOrder && after.step != model.StepOrder && !start && !(ordered && o.Verb == model.VerbSwitch) {
		return errors.New("nobody said which server holds the truth")
	}
	if len(switches) == 0 || start || switches[0].To == "" {
		return nil
	}
	sw := switches[0]
	if before.step == model.StepNone {
		need := sw.From != "" && (d.Fence.Command != "" || d.Promote.Command != "")
		if need && !ordered {
			return fmt.Errorf("switched %q → %q without its hooks", sw.From, sw.To)
		}
		return nil
	}
	if h.need && !h.forced && !h.passed && sw.From != "" && !h.fenced[who(before.server)] {
		return fmt.Errorf("%s became active before %s was fenced", sw.To, sw.From)
	}
	return w.verified(d, h, sw, e)
}

// verified: after a promotion the server is taken only when its check passed,
// and on hold only an event that can end it does.
func (w *witness) verified(d model.Director, h *hold, sw model.Switch, e Event) error {
	r := w.record(d.Name, sw.To)
	unchecked := r != nil && r.asked[3] == false
	switch e.(type) {
	case HookEnded, Probed, Ordered, Configured:
	default:
		if !unchecked {
			return fmt.Errorf("%T ended the hold", e)
		}
	}
	if d.Promote.Command == "" || h.forced || unchecked || h.promoted != sw.To {
		return nil
	}
	if o := r.opinion(); o.passes == 0 || o.began.Before(h.at) {
		return fmt.Errorf("%s became active before its check passed", sw.To)
	}
	return nil
}

// released: clients that wait are let go in time, and not while a switch holds.
func (w *witness) released(d model.Director, before, after view, at time.Time, actions []Action) error {
	released := false
	for _, r := range only[Release](actions) {
		released = released || r.Director == d.Name
	}
	holding := before.step != model.StepNone && after.step != model.StepNone
	switch c := w.clients[d.Name]; {
	case released && holding:
		return errors.New("clients are let go while the switch holds")
	case released || after.step != model.StepNone:
		delete(w.clients, d.Name)
	case !c.since.IsZero() && at.After(c.since.Add(min(d.Check.Timeout, 3*time.Second)+time.Second)):
		return fmt.Errorf("a client waits since %v", c.since)
	}
	return nil
}

// told: an entry of the journal says what happened, and to what.
func (w *witness) told(all []Told) error {
	for _, t := range all {
		w.kinds[t.Event.Kind] = true
		if t.Event.Text == "" || t.Event.Director == "" || t.Event.At.IsZero() {
			return fmt.Errorf("the entry %+v says too little", t.Event)
		}
		if t.Event.Kind == model.EventFlip && (t.Event.Reason == model.ReasonNone || t.Event.Epoch == 0) {
			return fmt.Errorf("the flip %+v does not say why, or of which epoch it is", t.Event)
		}
	}
	return nil
}

// replies: each order is answered once: at once, or when its switch ends.
func (w *witness) replies(s State, actions []Action) error {
	for _, r := range only[Reply](actions) {
		if !w.waiting[r.ID] {
			return fmt.Errorf("reply %v to no order", r)
		}
		if r.Err == "" && r.Text == "" {
			return fmt.Errorf("reply %v says nothing", r)
		}
		delete(w.waiting, r.ID)
	}
	pending := map[uint64]bool{}
	for _, d := range s.directors {
		pending[d.turn.order] = d.turn.order != 0
	}
	for id := range w.waiting {
		if !pending[id] {
			return fmt.Errorf("order %d is not answered", id)
		}
	}
	return nil
}

// kept: what is remembered is what was decided, and never behind the kernel.
func (w *witness) kept(s State) error {
	for _, m := range s.Memory().Directors {
		if k := w.kernel[m.Name]; k.Epoch > m.Epoch {
			return fmt.Errorf("director %s: epoch %d is remembered, the kernel has %d", m.Name, m.Epoch, k.Epoch)
		}
		v, ok := w.views[m.Name]
		if ok && !v.balanced && (m.Active != v.active || m.Epoch != v.epoch || (m.Pending != nil) != (v.step != model.StepNone)) {
			return fmt.Errorf("director %s: %+v is remembered, want %+v", m.Name, m, v)
		}
	}
	for name, k := range w.kernel {
		if _, ok := w.views[name]; !ok && w.epochs[name] < k.Epoch {
			return fmt.Errorf("director %s: epoch %d of the kernel is forgotten", name, k.Epoch)
		}
	}
	return nil
}
