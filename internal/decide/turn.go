package decide

import (
	"fmt"
	"slices"
	"time"

	"fairlead/internal/health"
	"fairlead/internal/model"
)

// The verification of a promoted server.
const (
	verifyEvery = 200 * time.Millisecond // from one probe to the next
	verifySlack = 200 * time.Millisecond // for the result of the only probe of an unchecked server
	verifyLong  = 30 * time.Second       // until it is an alarm
)

// turn is a switch under way: the steps that lead to the flip. While it lasts
// the director is on hold. The zero turn is none.
type turn struct {
	step   model.Step
	since  time.Time    // of the step
	to     model.Server // the server that becomes active
	old    model.Server // the server to fence; its Name is "" when there is none
	reason model.Reason
	why    string

	fenced    bool   // the fence hook of old succeeded
	promoting bool   // the promote hook of to was begun
	force     bool   // a hook that fails is passed over
	unsure    bool   // begun by an operator's word where nobody knew who holds the truth
	resumed   bool   // found at the start: its step is to begin anew
	order     uint64 // to answer; 0: none
	call      uint64 // the hook that is awaited; 0: none
	failed    string // why the step's hook failed; an order must say how to go on
	asked     time.Time
	late      bool         // the verification takes long
	sw        model.Switch // what is known of it so far
}

// begin carries out a verdict: by steps where hooks are to run, else at once.
// A first choice needs none: the server's check passes, so it serves already.
func (s *State) begin(d *director, v verdict, at time.Time) []Action {
	t := turn{to: model.Server{Name: v.to}, old: d.former(), reason: v.reason, why: v.why, order: v.order, force: v.force, since: at}
	if to := d.server(v.to); to != nil {
		t.to = to.Server
	}
	t.spare()
	if was := d.active(); was != nil {
		t.sw.Suspected = was.health.Suspected
		if v.reason == model.ReasonFailed {
			t.sw.FirstAttempt = was.health.Failing
		}
	}
	fence := t.old.Name != "" && d.Fence.Command != ""
	promote := (t.old.Name != "" || t.order != 0) && d.Promote.Command != ""
	d.stay, d.waiting, d.until = stay{}, false, time.Time{}
	if v.to == "" || !fence && !promote {
		d.turn = t
		return s.flip(d, at)
	}
	return s.hold(d, t, at)
}

// hold begins the steps of a turn.
func (s *State) hold(d *director, t turn, at time.Time) []Action {
	if t.sw.Held.IsZero() {
		t.sw.Held = at
	}
	d.turn = t
	told := d.told(at, model.EventHold, t.to.Name, "switching from %s to %s: %s; new connections are kept waiting", orNone(t.old.Name), t.to.Name, t.why)
	if t.to.Name == d.choice.active {
		told.Event.Text = fmt.Sprintf("going back to %s: %s; new connections are kept waiting", t.to.Name, t.why)
	}
	return append([]Action{told}, s.proceed(d, model.StepFence, at)...)
}

// spare fences no server that is to be promoted.
func (t *turn) spare() {
	if t.old.Name == t.to.Name && (t.old.Addr == t.to.Addr || !t.old.Addr.IsValid()) {
		t.old = model.Server{}
	}
}

func orNone(name string) string {
	if name == "" {
		return "no server"
	}
	return name
}

// proceed enters the first step from this one on that has something to do.
func (s *State) proceed(d *director, from model.Step, at time.Time) []Action {
	t := &d.turn
	t.call, t.failed, t.resumed, t.since = 0, "", false, at
	switch {
	case from <= model.StepFence && t.old.Name != "" && !t.fenced && d.Fence.Command != "":
		t.step = model.StepFence
		return s.call(d, model.HookFence, d.Fence, at)
	case from <= model.StepPromote && d.Promote.Command != "":
		t.step, t.promoting = model.StepPromote, true
		return s.call(d, model.HookPromote, d.Promote, at)
	case from <= model.StepVerify && t.promoting && !t.force:
		t.step = model.StepVerify
		return s.verify(d, at)
	}
	return s.flip(d, at)
}

// call asks for a hook.
func (s *State) call(d *director, kind model.HookKind, hook model.Hook, at time.Time) []Action {
	t := &d.turn
	s.calls++
	t.call = s.calls
	event, of := t.hook()
	return []Action{
		d.told(at, event, of, "the %s hook of %s begins", kind, of),
		RunHook{ID: t.call, Kind: kind, Hook: hook, Director: d.Name, VIPs: s.vipsOf(d), Old: t.old, New: t.to,
			Epoch: d.choice.epoch + 1, Reason: t.reason, Why: t.why},
	}
}

// hook is the event and the server of the step's hook.
func (t turn) hook() (event model.EventKind, server string) {
	if t.step == model.StepFence {
		return model.EventFence, t.old.Name
	}
	return model.EventPromote, t.to.Name
}

// hookEnded takes the outcome of the hook that is awaited. The answer of any
// other is too late.
func (s *State) hookEnded(e HookEnded) []Action {
	i := slices.IndexFunc(s.directors, func(d director) bool { return d.turn.call != 0 && d.turn.call == e.ID })
	if i < 0 {
		return nil
	}
	d, at := &s.directors[i], e.When()
	t := &d.turn
	event, of := t.hook()
	hook, next, kind := d.Fence, model.StepPromote, model.HookFence
	if t.step == model.StepPromote {
		hook, next, kind = d.Promote, model.StepVerify, model.HookPromote
	}
	t.call = 0
	ended := d.told(at, event, of, "the %s hook of %s succeeded", kind, of)
	ended.Event.Took = at.Sub(t.since)
	switch {
	case e.Err == "" && t.step == model.StepFence:
		t.fenced, t.sw.Fenced = true, at
	case e.Err == "":
		t.sw.Promoted = at
	default:
		ended.Event.Err = e.Err
		if hook.Policy == model.HookRequire && !t.force {
			ended.Event.Text = fmt.Sprintf("the %s hook of %s failed; the switch stays on hold", kind, of)
			t.failed = e.Err
			return append([]Action{ended}, d.refuse(fmt.Sprintf("the %s hook of %s failed: %s; the switch to %s stays on hold", kind, of, e.Err, t.to.Name))...)
		}
		ended.Event.Text = fmt.Sprintf("the %s hook of %s failed; the switch goes on without it", kind, of)
	}
	return append([]Action{ended}, s.proceed(d, next, at)...)
}

// verify asks for the check of the promoted server. A server that is not
// checked is asked once, so that people see the answer.
func (s *State) verify(d *director, at time.Time) []Action {
	t := &d.turn
	to := d.server(t.to.Name)
	checked := to.health.Level != model.HealthUnchecked
	switch {
	case !checked && len(to.tests) == 0:
		told := d.told(at, model.EventVerify, to.Name, "%s has no check and no port to ask; the switch goes on", to.Name)
		return append([]Action{told}, s.flip(d, at)...)
	case !checked:
		t.asked = at
		return []Action{d.told(at, model.EventVerify, to.Name, "%s is not checked; it is asked once", to.Name),
			ProbeNow{Ref: d.ref(to.Name), Timeout: health.ShortTimeout(d.Check)}}
	}
	t.asked = at
	return []Action{d.told(at, model.EventVerify, to.Name, "the check of %s is awaited", to.Name),
		ProbeNow{Ref: d.ref(to.Name), Timeout: health.Timeout(d.Check)}}
}

// verified takes a result of the server that was promoted.
func (s *State) verified(d *director, r model.ProbeResult, at time.Time) []Action {
	t := &d.turn
	to := d.server(t.to.Name)
	switch {
	case t.step != model.StepVerify || r.Ref.Server != t.to.Name || r.At.Add(-r.Latency).Before(t.since):
		return nil
	case r.OK:
		t.sw.Verified = r.At
		told := d.told(at, model.EventVerify, t.to.Name, "%s passed its check", t.to.Name)
		told.Event.Took = at.Sub(t.since)
		return append([]Action{told}, s.flip(d, at)...)
	case to.health.Level == model.HealthUnchecked:
		told := d.told(at, model.EventVerify, t.to.Name, "%s did not answer; it is not checked, so the switch goes on", t.to.Name)
		told.Event.Err, told.Event.Took = r.Err, at.Sub(t.since)
		return append([]Action{told}, s.flip(d, at)...)
	}
	return nil
}

// turning does what is due in a switch under way.
func (s *State) turning(d *director, at time.Time) []Action {
	t := &d.turn
	if t.resumed {
		told := d.told(at, model.EventHold, t.to.Name, "the switch to %s goes on after the restart: %s", t.to.Name, t.why)
		return append([]Action{told}, s.proceed(d, t.step, at)...)
	}
	if t.step != model.StepVerify || at.Before(t.deadline(d)) {
		return nil
	}
	if d.server(t.to.Name).health.Level == model.HealthUnchecked {
		told := d.told(at, model.EventVerify, t.to.Name, "no answer of %s; it is not checked, so the switch goes on", t.to.Name)
		return append([]Action{told}, s.flip(d, at)...)
	}
	t.late = !at.Before(t.since.Add(verifyLong))
	t.asked = at
	return []Action{ProbeNow{Ref: d.ref(t.to.Name), Timeout: health.Timeout(d.Check)}}
}

// deadline is when something is due in the turn; zero: never.
func (t turn) deadline(d *director) time.Time {
	switch {
	case t.step != model.StepVerify:
		return time.Time{}
	case d.server(t.to.Name).health.Level == model.HealthUnchecked:
		return t.asked.Add(health.ShortTimeout(d.Check) + verifySlack)
	}
	return t.asked.Add(verifyEvery)
}

// flip ends the turn: its server becomes the active one. It is the only place
// that changes an active server.
func (s *State) flip(d *director, at time.Time) []Action {
	t := d.turn
	d.turn, d.held, d.gone = turn{}, time.Time{}, time.Time{}
	d.again = at.Add(time.Millisecond)
	was := d.active()
	if was != nil && was.Name == t.to.Name {
		return s.stayed(d, t, at)
	}
	sw := t.sw
	sw.From, sw.To, sw.Reason, sw.Why, sw.Epoch, sw.At = d.choice.active, t.to.Name, t.reason, t.why, d.choice.epoch+1, at
	next := choice{active: t.to.Name, addr: t.to.Addr, epoch: sw.Epoch, reason: t.reason, since: at, last: sw, auto: d.choice.auto}
	if was != nil {
		was.health.Advisory = ""
	}
	if t.to.Name == "" {
		next.was = d.former()
	}
	if !automatic(t.reason, sw).IsZero() {
		next.auto = at
	}
	if to := d.server(t.to.Name); to != nil {
		next.forced = t.force && !to.health.Usable()
	}
	told := d.flipped(at, sw, sw.To, "%s is active instead of %s: %s", orNone(sw.To), orNone(sw.From), sw.Why)
	d.forget(d.choice.active, t.to.Name)
	d.choice = next
	actions := []Action{told, Switched{Director: d.Name, Switch: sw, Silent: s.silent()}, Release{Director: d.Name}}
	if t.order != 0 {
		actions = append(actions, Reply{ID: t.order, Text: fmt.Sprintf("%s is the active server of %s now", sw.To, d.Name)})
	}
	return actions
}

// stayed ends a turn that led back to the active server.
func (s *State) stayed(d *director, t turn, at time.Time) []Action {
	d.choice.forced = !d.active().health.Usable()
	actions := []Action{d.tell(at, model.EventStay, t.to.Name, "the switch was called off; %s stays active: %s", t.to.Name, t.why), Release{Director: d.Name}}
	if t.order != 0 {
		actions = append(actions, Reply{ID: t.order, Text: fmt.Sprintf("the switch was called off; %s stays the active server of %s", t.to.Name, d.Name)})
	}
	return actions
}

// nobodyKnows is the hold until an operator says which server to use.
func nobodyKnows(at time.Time) turn {
	return turn{step: model.StepOrder, since: at, why: "nobody knows which server holds the truth"}
}

// halfway is that hold after a switch that was given up when the promotion of a
// server had begun: that one may write too, so it is to be fenced first.
func halfway(at time.Time, promoted model.Server) turn {
	return turn{step: model.StepOrder, since: at, old: promoted,
		why: fmt.Sprintf("the switch was given up when the promotion of %s had begun; it may be writing too", promoted.Name)}
}

// begun is the server beside the active one whose promotion has begun in the
// turn, and that was not fenced since; its Name is "" when there is none.
func (d *director) begun() model.Server {
	t, former := d.turn, d.former()
	same := t.old.Name == former.Name && (t.old.Addr == former.Addr || !t.old.Addr.IsValid() || !former.Addr.IsValid())
	switch {
	case t.promoting:
		return t.to
	case t.fenced || same:
		return model.Server{}
	}
	return t.old
}

// abandon gives a turn up; what to do is judged anew, or an operator must say it
// again.
func (d *director) abandon(at time.Time, why string) []Action {
	actions := append([]Action{d.tell(at, model.EventStay, d.turn.to.Name, "the switch to %s was given up: %s", d.turn.to.Name, why)}, d.refuse(why)...)
	switch half := d.begun(); {
	case half.Name != "":
		d.turn = halfway(at, half)
		return actions
	case d.turn.unsure:
		d.turn = nobodyKnows(at)
		return actions
	}
	d.turn = turn{}
	if d.held.IsZero() {
		d.held, d.heldFor = at, d.choice.active // the clients that were kept waiting
	}
	if now := d.active(); now != nil {
		now.health.Ask(at, true)
	}
	return actions
}

// refuse answers the order that waits for the turn.
func (d *director) refuse(why string) []Action {
	id := d.turn.order
	d.turn.order = 0
	if id == 0 {
		return nil
	}
	return []Action{Reply{ID: id, Err: why}}
}

// automatic is when a switch happened, when it was one by itself.
func automatic(r model.Reason, sw model.Switch) time.Time {
	switch r {
	case model.ReasonFailed, model.ReasonFailback, model.ReasonPreferred:
		return sw.At
	}
	return time.Time{}
}

// tell is an entry of the journal.
func (d *director) tell(at time.Time, kind model.EventKind, server, format string, args ...any) Told {
	return Told{model.Event{At: at, Kind: kind, Director: d.Name, Server: server, Text: fmt.Sprintf(format, args...)}}
}

// flipped is the entry of a switch that was decided.
func (d *director) flipped(at time.Time, sw model.Switch, server, format string, args ...any) Told {
	t := d.tell(at, model.EventFlip, server, format, args...)
	t.Event.Epoch, t.Event.Reason = sw.Epoch, sw.Reason
	return t
}

// told is an entry that belongs to the switch under way.
func (d *director) told(at time.Time, kind model.EventKind, server, format string, args ...any) Told {
	t := d.tell(at, kind, server, format, args...)
	t.Event.Epoch, t.Event.Reason = d.choice.epoch+1, d.turn.reason
	return t
}
