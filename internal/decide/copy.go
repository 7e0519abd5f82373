package decide

import (
	"fmt"
	"time"

	"fairlead/internal/health"
	"fairlead/internal/model"
)

// replica is what is known of the copy that a standby server has of the active
// one's data.
type replica struct {
	level model.Freshness
	since time.Time     // of the level
	heard time.Time     // the last result, of whatever kind
	at    time.Time     // the last measurement; zero: there was none
	upto  time.Time     // it had all that was written until then
	lag   time.Duration // behind the newest heartbeat then
	stale bool          // a programme said so
	why   string        // of the last result
}

// measured takes a result. One of before a switch says nothing: it was compared with
// another server.
func (s *State) measured(r model.Measured) {
	d := s.director(r.Ref.Director)
	if d == nil || !d.standsBy(r.Ref.Server) || d.active().Name != r.Active {
		return
	}
	c := &d.server(r.Ref.Server).copy
	if !r.At.After(c.heard) {
		return
	}
	c.heard, c.why = r.At, r.Err
	if r.OK {
		c.at, c.upto, c.lag, c.stale = r.At, r.Upto, r.Lag, r.Stale
	}
}

// standsBy tells whether the copy of that server is measured: it is another one than
// the active server, which there is.
func (d *director) standsBy(name string) bool {
	now, srv := d.active(), d.server(name)
	return !d.Sync.Off() && !d.Balanced() && now != nil && srv != nil && now != srv
}

// weigh brings what is known of the copies up to this time. While there is no active
// server nothing is written that they could lack: what was known holds on.
func (s *State) weigh(at time.Time) []Action {
	var actions []Action
	for i := range s.directors {
		d := &s.directors[i]
		if d.Sync.Off() || d.Balanced() || d.active() == nil {
			continue
		}
		for j := range d.servers {
			srv := &d.servers[j]
			c := &srv.copy
			was, level := c.level, d.freshness(*srv, at)
			if was == level {
				continue
			}
			c.level, c.since = level, at
			if was > model.FreshnessUnknown || level > model.FreshnessUnknown && was == model.FreshnessUnknown {
				actions = append(actions, d.tellCopy(srv, at)...)
			}
		}
	}
	return actions
}

// tellCopy tells of a new level, but that nobody asks any more.
func (d *director) tellCopy(srv *server, at time.Time) []Action {
	text := ""
	switch srv.copy.level {
	case model.FreshnessNone:
		return nil
	case model.FreshnessUnknown, model.FreshnessTooOld:
		text = d.lacks(*srv)
	case model.FreshnessMeasured, model.FreshnessFresh:
		text = fmt.Sprintf("the copy of %s is %s behind %s", srv.Name, span(srv.copy.lag), d.choice.active)
		if srv.copy.level == model.FreshnessFresh {
			text += fmt.Sprintf(", which maxlag %s allows", d.Sync.MaxLag)
		}
	}
	told := d.tell(at, model.EventCopy, srv.Name, "%s", text)
	if srv.copy.level == model.FreshnessUnknown || srv.copy.level == model.FreshnessTooOld {
		told.Event.Err = srv.copy.why
	}
	return []Action{told}
}

// freshness is what is known of a server's copy at a time. A copy only gets newer,
// so a measurement holds on; but the longer ago it was, the more may have been written
// since that the copy lacks. Nothing is written any more once the active server has failed.
func (d *director) freshness(srv server, at time.Time) model.Freshness {
	c, limit := srv.copy, d.Sync.MaxLag
	if !d.standsBy(srv.Name) {
		return model.FreshnessNone
	}
	end := at
	if failing := d.active().health.Failing; !failing.IsZero() && failing.Before(end) {
		end = failing
	}
	switch {
	case c.at.IsZero():
		return model.FreshnessUnknown
	case c.stale || limit > 0 && c.lag > limit:
		return model.FreshnessTooOld
	case limit == 0 && end.Sub(c.at) > d.overlooked(), limit > 0 && end.Sub(c.upto) > limit+d.overlooked():
		return model.FreshnessUnknown
	case limit == 0:
		return model.FreshnessMeasured
	}
	return model.FreshnessFresh
}

// overlooked is how long the active server may have been gone, or the newest
// heartbeat have been under way, in the best of health: a measurement is made once in an
// interval, and takes a while, and so does the check.
func (d *director) overlooked() time.Duration {
	return 2*d.Sync.Interval + 2*d.Sync.Timeout() + health.Interval(d.Check) + health.Timeout(d.Check)
}

// outdated tells whether a server is not known to have data that are new enough to
// be served without an order. What was active last needs no copy. At a first start nobody
// was active: then the regular servers are believed.
func (d *director) outdated(s server) bool {
	if d.Sync.MaxLag == 0 || d.Sync.Off() || d.Balanced() {
		return false
	}
	switch former := d.former(); {
	case former.Name == "":
		return s.Sorry
	case former.Addr == s.Addr:
		return false
	}
	return s.copy.level != model.FreshnessFresh
}

// forget drops what is known of the copies of servers that a switch concerns: the one
// that was left has no copy yet, and the one that was taken needs none.
func (d *director) forget(names ...string) {
	for _, name := range names {
		if srv := d.server(name); srv != nil {
			srv.copy = replica{}
		}
	}
}

// lacks says in words what keeps a server from being taken by itself.
func (d *director) lacks(s server) string {
	c := s.copy
	switch {
	case c.level == model.FreshnessTooOld && c.stale && c.lag == 0:
		return fmt.Sprintf("the copy of %s is too old: its programme says so", s.Name)
	case c.level == model.FreshnessTooOld:
		return fmt.Sprintf("the copy of %s is too old: it lacks what was written in the last %s, and maxlag is %s", s.Name, span(c.lag), d.Sync.MaxLag)
	case c.at.IsZero():
		return fmt.Sprintf("nobody knows how old the copy of %s is: it was not measured since %s", s.Name, d.sinceWhen())
	}
	return fmt.Sprintf("nobody knows how old the copy of %s is by now: it was measured last at %s, and was %s behind then", s.Name, clock(c.at), span(c.lag))
}

// lacksOf is the same of the server of that name.
func (d *director) lacksOf(name string) string {
	if s := d.server(name); s != nil {
		return d.lacks(*s)
	}
	return "the configuration no longer has " + name
}

// sinceWhen is since when measurements count.
func (d *director) sinceWhen() string {
	if d.choice.active == "" {
		return "there is no active server to compare with"
	}
	return fmt.Sprintf("%s became active, or the daemon began", d.choice.active)
}

// span is a time as people read it: to the second from 10 s on.
func span(t time.Duration) string {
	if t >= 10*time.Second {
		return t.Round(time.Second).String()
	}
	return t.Round(100 * time.Millisecond).String()
}

// copyAlarms tell of standby servers that could not take over.
func (d *director) copyAlarms() []model.Alarm {
	if d.Sync.MaxLag == 0 || d.stay.kind == stayStale || d.turn.step != model.StepNone {
		return nil // or the alarm of the switch tells it
	}
	var all []model.Alarm
	for _, s := range d.servers {
		c := s.copy
		if !s.usable() || c.level != model.FreshnessTooOld && (c.level != model.FreshnessUnknown || c.heard.IsZero()) {
			continue
		}
		why := d.lacks(s)
		if c.why != "" {
			why += "; " + c.why
		}
		all = append(all, model.Alarm{
			What: fmt.Sprintf("director %s: %s is not fresh enough to take over by itself", d.Name, s.Name),
			Why:  why,
			Do:   fmt.Sprintf("look at the replication from %s to %s, and at option synccheck; to take %s all the same: fairlead switch %s", d.choice.active, s.Name, s.Name, d.ref(s.Name)),
		})
	}
	return all
}

// copyStatus is what people are shown of a server's copy; nil: nobody asks.
func (d *director) copyStatus(s server) *model.CopyStatus {
	c := s.copy
	if c.level == model.FreshnessNone {
		return nil
	}
	return &model.CopyStatus{Freshness: c.level, Since: c.since, Lag: c.lag, Measured: c.at, Why: c.why}
}
