package decide

import (
	"fmt"
	"time"

	"fairlead/internal/health"
	"fairlead/internal/model"
	"fairlead/internal/schedule"
)

// verdict is what a director should do with its active server. Without a move
// the reason still matters while no server was ever chosen.
type verdict struct {
	move    bool
	to      string // "": to none
	reason  model.Reason
	why     string    // the reason in words
	stay    stay      // a switch would be due, but is held back
	waiting bool      // a switch would be due; a probe's result is awaited first
	until   time.Time // judge again then
	order   uint64    // of an order: to answer it
	force   bool      // of an order
}

// stay says why a director stays with a server that it should leave.
type stay struct {
	kind  stayKind
	to    string    // the server that would be taken; "": there is none
	until time.Time // zero: until something changes
}

type stayKind uint8

const (
	stayNone       stayKind = iota
	stayLonely              // no other server can be used
	stayNobody              // all servers fell silent together
	stayLastActive          // all servers were gone: the last one is waited for
	stayHoldDown            // it switched by itself not long ago
	stayStale               // the other may lack newer data
)

// judge decides whether the director changes its active server. It looks at
// levels only, so an event that comes twice changes nothing.
func (d *director) judge(at time.Time, reloaded bool) verdict {
	if d.choice.active == "" {
		return d.start()
	}
	now := d.active()
	if now != nil && now.health.Usable() {
		d.gone, d.choice.forced = time.Time{}, false
	}
	switch {
	case now == nil:
		best, _ := d.choose(func(s server) bool { return s.usable() && !d.outdated(s) })
		return verdict{move: true, to: best, reason: model.ReasonRemoved, why: d.removal()}
	case now.health.Failed() && !d.choice.forced:
		return d.failed(now, at)
	case !now.candidate():
		return d.leave(now)
	}
	return d.preferred(now, at, reloaded)
}

// failed is the verdict on an active server that is down. Another is taken only
// when it is known to answer: when nobody does, it is probably the director's
// own network, and to go back and forth would only cost the connections.
func (d *director) failed(now *server, at time.Time) verdict {
	v := verdict{move: true, reason: model.ReasonFailed, why: "check failed: " + now.health.Why}
	doubt := now.health.Doubt()
	other := func(s server) bool { return s.Name != now.Name && s.candidate() }
	fresh := func(s server) bool { return other(s) && !d.outdated(s) }
	var ok bool
	v.to, ok = d.choose(func(s server) bool { return fresh(s) && s.health.Answers(doubt, at, d.Check) })
	if better, _ := d.choose(func(s server) bool { return fresh(s) && s.sound() }); ok && better != v.to {
		return verdict{waiting: true} // it was asked; to take two servers in a row costs the connections twice
	}
	if ok {
		return d.patient(now, v, d.server(v.to).health.SoundSince(), at)
	}
	if _, coming := d.choose(func(s server) bool { return fresh(s) && s.health.Level != model.HealthDown }); coming {
		return verdict{waiting: true}
	}
	promotable := func(s server) bool { return d.Promote.Command != "" && !d.together(*now, s) } // a check can pass only after the promotion
	if v.to, ok = d.choose(func(s server) bool { return fresh(s) && promotable(s) }); ok {
		return d.patient(now, v, d.gone, at)
	}
	if stale, ok := d.choose(func(s server) bool { return other(s) && (s.health.Level != model.HealthDown || promotable(s)) }); ok {
		return verdict{stay: stay{kind: stayStale, to: stale}}
	}
	if d.gone.IsZero() {
		d.gone = at
	}
	for _, s := range d.servers {
		if other(s) && d.together(*now, s) {
			return verdict{stay: stay{kind: stayNobody}}
		}
	}
	return verdict{stay: stay{kind: stayLonely}}
}

// together tells whether two servers that are down fell silent at about the
// same time.
func (d *director) together(a, b server) bool {
	gap := a.health.Failing.Sub(b.health.Failing).Abs()
	return b.health.Level == model.HealthDown && gap <= health.Interval(d.Check)+health.Timeout(d.Check)
}

// patient holds back the switch to a server that was usable only since then,
// when all were gone before: the one that was active last may hold newer data.
// And it must have failed to answer after the other one answered again.
func (d *director) patient(now *server, v verdict, since, at time.Time) verdict {
	if d.gone.IsZero() {
		return d.paced(v, at)
	}
	if end := since.Add(d.LastActive); at.Before(end) {
		return verdict{stay: stay{stayLastActive, v.to, end}, until: end}
	}
	if now.health.Began.Before(d.server(v.to).health.Passing) {
		return verdict{waiting: true}
	}
	return d.paced(v, at)
}

// paced holds back a switch by itself too soon after another one. One that is
// remembered from the future was before the clock stepped back: it holds nothing.
func (d *director) paced(v verdict, at time.Time) verdict {
	if end := d.choice.auto.Add(d.HoldDown); !at.Before(d.choice.auto) && at.Before(end) {
		return verdict{stay: stay{stayHoldDown, v.to, end}, until: end}
	}
	return v
}

// leave is the verdict on an active server that is not to be used any more.
func (d *director) leave(now *server) verdict {
	other := func(s server) bool { return s.Name != now.Name && s.sound() }
	best, ok := d.choose(func(s server) bool { return other(s) && !d.outdated(s) })
	stale, old := d.choose(other)
	switch {
	case !ok && old:
		return verdict{stay: stay{kind: stayStale, to: stale}}
	case !ok:
		return verdict{} // nobody could do better: stay
	case now.mark != model.MarkNone:
		return verdict{move: true, to: best, reason: model.ReasonOperator, why: now.Name + " is " + now.mark.String()}
	}
	return verdict{move: true, to: best, reason: model.ReasonQuiescent, why: now.Name + " has weight 0"}
}

// preferred is the verdict on an active server that works. What an operator
// ordered lasts, and a director that fails back by order only stays.
func (d *director) preferred(now *server, at time.Time, reloaded bool) verdict {
	best, ok := d.choose(func(s server) bool { return s.Name == now.Name && s.kept() || s.sound() && !d.outdated(s) })
	if !ok || best == now.Name || d.Failback == model.FailbackManual || d.choice.reason == model.ReasonOperator || d.choice.forced {
		return verdict{}
	}
	to := d.server(best)
	v := verdict{move: true, to: best, reason: model.ReasonFailback, why: best + " is " + to.health.Text() + " and preferred"}
	if reloaded {
		v.reason, v.why = model.ReasonPreferred, "the configuration prefers "+best
	}
	if end := to.health.SoundSince().Add(d.FailbackDelay); d.Failback == model.FailbackDelay && at.Before(end) {
		return verdict{until: end}
	}
	return d.paced(v, at)
}

// start makes a choice where there is none. It waits while a server that would
// be preferred may still turn out to be up: a sorry server for the regular
// ones, and a regular one for those before it.
func (d *director) start() verdict {
	first := d.choice.reason != model.ReasonRemoved
	may := func(s server) bool { return s.health.Level != model.HealthDown && s.candidate() }
	name, ok := d.choose(func(s server) bool { return may(s) && !d.outdated(s) })
	switch {
	case !ok:
		if first {
			d.choice.reason = model.ReasonNoServer
		}
		if stale, old := d.choose(func(s server) bool { return may(s) && s.usable() }); old {
			return verdict{stay: stay{kind: stayStale, to: stale}}
		}
		return verdict{}
	case d.server(name).health.Level == model.HealthUnknown:
		if first {
			d.choice.reason = model.ReasonWaiting
		}
		return verdict{}
	}
	state := name + " is " + d.server(name).health.Text()
	if first {
		return verdict{move: true, to: name, reason: model.ReasonFirst, why: state}
	}
	return verdict{move: true, to: name, reason: model.ReasonRemoved, why: state + ", the server before was removed"}
}

// best is the server that the director should use. The active server counts
// until its check says that it is down: after a restart it is still unknown.
func (d *director) best() (string, bool) {
	active := d.active()
	return d.choose(func(s server) bool { return s.sound() || active != nil && s.Name == active.Name && s.kept() })
}

// choose returns the best of the servers that pass.
func (d *director) choose(pass func(server) bool) (string, bool) {
	all := make([]schedule.Candidate, len(d.servers))
	for i, s := range d.servers {
		all[i] = schedule.Candidate{Name: s.Name, Weight: s.Weight, Sorry: s.Sorry, Usable: pass(s)}
	}
	return schedule.Choose(all)
}

// removal says how the configuration lost the active server.
func (d *director) removal() string {
	if s := d.server(d.choice.active); s != nil {
		return fmt.Sprintf("the address of %s changed to %s", s.Name, s.Addr)
	}
	return "the configuration no longer has " + d.choice.active
}

// text says in words why a director stays.
func (d *director) stayText(s stay) string {
	switch s.kind {
	case stayNobody:
		return fmt.Sprintf("no server answers; staying with %s: it is probably the director's own network", d.choice.active)
	case stayLonely:
		return "no other server is up; staying with " + d.choice.active
	case stayLastActive:
		return fmt.Sprintf("waiting for %s, which was active last, until %s; %s may hold older data", d.choice.active, clock(s.until), s.to)
	case stayHoldDown:
		return fmt.Sprintf("left alone until %s: it switched by itself at %s", clock(s.until), clock(d.choice.auto))
	case stayStale:
		return fmt.Sprintf("%s is not taken by itself: %s", s.to, d.lacksOf(s.to))
	}
	return ""
}

func clock(t time.Time) string { return t.Format("15:04:05") }
