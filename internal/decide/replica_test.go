package decide

import (
	"time"

	"fairlead/internal/model"
)

// copied is what a witness knows of a server's copy.
type copied struct {
	results []model.Measured // that count, since its copy began to matter
	heard   time.Time
	old     bool // while there is no active server: the last verdict
}

// sync draws how copies are measured, mostly not at all.
func (w *world) sync() model.Sync {
	if w.chance(50) {
		return model.Sync{}
	}
	y := model.Sync{File: "/srv/beat", Interval: time.Duration(1+w.dice.IntN(5)) * time.Second}
	if w.chance(80) {
		y.MaxLag = time.Duration(2+w.dice.IntN(20)) * time.Second
	}
	return y
}

// measurement is one of a standby server, mostly.
func (w *world) measurement(s State) Event {
	r := model.Measured{Ref: w.ref(), At: w.now, OK: w.chance(90)}
	for range 5 { // mostly of a standby server
		if d := s.director(r.Ref.Director); d != nil && d.standsBy(r.Ref.Server) && d.Sync.MaxLag > 0 {
			break
		}
		r.Ref = w.ref()
	}
	if d := s.director(r.Ref.Director); d != nil {
		r.Active = d.choice.active
	}
	if w.chance(10) {
		r.Active = "s0"
	}
	if w.chance(5) {
		r.At = r.At.Add(-time.Duration(w.dice.IntN(10)) * time.Second)
	}
	if !r.OK {
		r.Err = "no answer"
		return Measured{At{w.now}, r}
	}
	if w.chance(30) {
		r.Lag = time.Duration(w.dice.IntN(80)) * time.Second
	}
	r.Stale = w.chance(20)
	r.Upto = r.At.Add(-r.Lag - time.Duration(w.dice.IntN(5000))*time.Millisecond)
	if w.chance(10) { // the newest heartbeat is an old one
		r.Upto = r.Upto.Add(-time.Duration(w.dice.IntN(200)) * time.Second)
	}
	return Measured{At{w.now}, r}
}

func (w *witness) seeFormer(s State) {
	w.former = map[string]model.Server{}
	for _, d := range s.directors {
		w.former[d.Name] = d.former()
	}
}

// copy is the record of a server's copy.
func (w *witness) copy(ref model.ServerRef) *copied {
	if w.copies[ref] == nil {
		w.copies[ref] = &copied{old: true}
	}
	return w.copies[ref]
}

func (w *witness) measured(r model.Measured) {
	d, ok := w.directorOf(r.Ref.Director)
	_, has := d.Server(r.Ref.Server)
	now, kept := d.Server(w.views[r.Ref.Director].active)
	kept = kept && now.Addr == w.views[r.Ref.Director].server.Addr
	if !ok || !has || !kept || d.Balanced() || d.Sync.Off() || now.Name == r.Ref.Server || now.Name != r.Active {
		return
	}
	c := w.copy(r.Ref)
	if !r.At.After(c.heard) {
		return
	}
	if c.heard = r.At; r.OK {
		c.results = append(c.results, r)
	}
}

// keepCopies: a new configuration changes nothing of the same server, measured alike.
func (w *witness) keepCopies(after model.Config) {
	kept := map[model.ServerRef]*copied{}
	for ref, c := range w.copies {
		old, _ := w.directorOf(ref.Director)
		was, _ := old.Server(ref.Server)
		for _, d := range after.Directors {
			if now, ok := d.Server(ref.Server); ok && d.Name == ref.Director && now.Addr == was.Addr && d.Sync.Measuring() == old.Sync.Measuring() {
				kept[ref] = c
			}
		}
	}
	w.copies = kept
}

// switched: after a switch the copies of the two servers are not known.
func (w *witness) switched(views map[string]view) {
	for name, after := range views {
		before := w.views[name]
		if before.epoch != after.epoch && !after.balanced {
			delete(w.copies, model.ServerRef{Director: name, Server: before.active})
			delete(w.copies, model.ServerRef{Director: name, Server: after.active})
		}
	}
}

// weigh keeps the verdicts that hold while there is no active server.
func (w *witness) weigh(at time.Time) {
	for _, d := range w.config.Directors {
		v := w.views[d.Name]
		now, kept := d.Server(v.active)
		if !kept || now.Addr != v.server.Addr {
			continue
		}
		for _, s := range d.Servers {
			c := w.copy(model.ServerRef{Director: d.Name, Server: s.Name})
			c.old = s.Name == now.Name || w.lags(d, now, c, at)
		}
	}
}

// lags tells whether a copy may lack more than maxlag allows.
func (w *witness) lags(d model.Director, now model.Server, c *copied, at time.Time) bool {
	if len(c.results) == 0 {
		return true
	}
	last := c.results[len(c.results)-1]
	written := at // the last instant when the active server may have taken data
	if failing := w.opinion(d.Name, now.Name).failing; !failing.IsZero() && failing.Before(at) {
		written = failing
	}
	grace := 2*d.Sync.Interval + 2*max(time.Second, min(5*time.Second, d.Sync.Interval)) + d.Check.Interval + d.Check.Timeout
	return last.Stale || last.Lag > d.Sync.MaxLag || written.Sub(last.Upto) > d.Sync.MaxLag+grace
}

// outdated tells whether a server may be taken by order only.
func (w *witness) outdated(d model.Director, s model.Server) bool {
	former := w.former[d.Name]
	switch {
	case d.Sync.Off() || d.Sync.MaxLag == 0 || d.Balanced():
		return false
	case former.Name == "":
		return s.Sorry
	case former.Addr == s.Addr:
		return false
	}
	return w.copy(model.ServerRef{Director: d.Name, Server: s.Name}).old
}
