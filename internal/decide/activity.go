package decide

import (
	"fmt"

	"fairlead/internal/model"
	"fairlead/internal/schedule"
)

// verdict is what a director should do with its active server. Without a move
// the reason still matters while no server was ever chosen.
type verdict struct {
	move   bool
	to     string // "": to none
	reason model.Reason
	why    string // the reason in words
}

// judge decides whether the director changes its active server. It looks at
// levels only, so an event that comes twice changes nothing.
func (d *director) judge(reloaded bool) verdict {
	if d.choice.active == "" {
		return d.start()
	}
	best, ok := d.best()
	now := d.active()
	switch {
	case now == nil:
		return verdict{true, best, model.ReasonRemoved, d.removal()}
	case !ok:
		return verdict{} // nobody could do better: stay
	case now.health == model.HealthDown:
		return verdict{true, best, model.ReasonFailed, "check failed: " + now.why}
	case now.Weight == 0:
		return verdict{true, best, model.ReasonQuiescent, now.Name + " has weight 0"}
	case best == now.Name || d.held():
		return verdict{}
	case reloaded:
		return verdict{true, best, model.ReasonPreferred, "the configuration prefers " + best}
	}
	return verdict{true, best, model.ReasonFailback, fmt.Sprintf("%s is %s and preferred", best, d.server(best).state())}
}

// held tells whether the active server stays although a better one is usable:
// a server that returns may hold old data where NFS is served, and what an
// operator ordered lasts while it works.
func (d *director) held() bool {
	return d.ServesNFS() || d.choice.reason == model.ReasonOperator
}

// start makes a choice where there is none. It waits while a server that would
// be preferred may still turn out to be up: a sorry server for the regular
// ones, and a regular one for those before it.
func (d *director) start() verdict {
	first := d.choice.reason != model.ReasonRemoved
	name, ok := d.choose(func(s server) bool { return s.health != model.HealthDown })
	switch {
	case !ok:
		if first {
			d.choice.reason = model.ReasonNoServer
		}
		return verdict{}
	case d.server(name).health == model.HealthUnknown:
		if first {
			d.choice.reason = model.ReasonWaiting
		}
		return verdict{}
	case first:
		return verdict{true, name, model.ReasonFirst, name + " is " + d.server(name).state()}
	}
	return verdict{true, name, model.ReasonRemoved, fmt.Sprintf("%s is %s, the server before was removed", name, d.server(name).state())}
}

// best is the server that the director should use. The active server counts
// until its check says that it is down: after a restart it is still unknown.
func (d *director) best() (string, bool) {
	active := d.active()
	return d.choose(func(s server) bool {
		return s.usable() || active != nil && s.Name == active.Name && s.health != model.HealthDown
	})
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

// state says a server's health, as a predicate.
func (s server) state() string {
	switch s.health {
	case model.HealthUnknown:
		return "not known yet: no check has ended"
	case model.HealthUp:
		return "up"
	case model.HealthDown:
		return "down: " + s.why
	case model.HealthUnchecked:
		return "not checked"
	}
	return s.health.String()
}
