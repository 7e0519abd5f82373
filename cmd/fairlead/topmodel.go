package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gdamore/tcell/v2"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// topEvents is how many entries of the journal the view keeps.
const topEvents = 200

// topState is what the live view knows and what its user chose. It is a value:
// step makes the next one of it, and lines the picture.
type topState struct {
	now      time.Time
	interval time.Duration
	status   model.Status
	rates    map[model.ServerRef]topRate // never changed; a director's has no server
	events   []model.Event               // the newest last; never changed in place

	lost     time.Time // since when the daemon does not answer; zero: it does
	lostWhy  string
	forwards string // what the data plane does meanwhile

	selected model.ServerRef
	filter   string
	typing   bool // the filter is being typed
	paused   bool
	help     bool

	question *topQuestion // waits for y or n
	running  *api.Order   // was given, and has no outcome yet
	refused  *api.Order   // may be forced
	message  string       // of the last order
}

// topRate is traffic per second.
type topRate struct{ packets, bytes float64 }

// topQuestion is an order that its user has not confirmed yet.
type topQuestion struct {
	order  api.Order
	text   string
	active string // the director's active server when it was asked: the text depends on it
}

// What happens to the view.
type (
	topAnswered struct { // the daemon told its status
		at     time.Time
		status model.Status
	}
	topUnanswered struct { // or did not
		at       time.Time
		why      string
		forwards string
	}
	topTicked  struct{ at time.Time }
	topPressed struct {
		key  tcell.Key
		char rune
	}
	topOrdered struct { // the outcome of an order
		order api.Order
		done  api.Ordered
		err   error
	}
)

// topAct is what the view's user wants done.
type topAct struct {
	quit  bool
	order *api.Order
}

// step is what becomes of the view by an event.
func (s topState) step(event any) (topState, topAct) {
	switch e := event.(type) {
	case topAnswered:
		return s.answered(e), topAct{}
	case topUnanswered:
		if s.lost.IsZero() {
			s.lost = e.at
			s.question = nil
		}
		s.now, s.lostWhy, s.forwards = e.at, e.why, e.forwards
	case topTicked:
		s.now = e.at
	case model.Event:
		s.events = withEvent(s.events, e)
	case topOrdered:
		return s.ordered(e), topAct{}
	case topPressed:
		return s.pressed(e)
	}
	return s, topAct{}
}

func (s topState) answered(e topAnswered) topState {
	s.now, s.lost, s.lostWhy = e.at, time.Time{}, ""
	if s.paused {
		return s
	}
	s.rates = ratesOf(s.status, e.status)
	s.status = e.status
	if q := s.question; q != nil && s.activeOf(q.order.Director) != q.active {
		s.question = nil
		s.message = fmt.Sprintf("Not asked any more: the active server of %s has changed meanwhile.", q.order.Director)
	}
	s.selected = s.near(0)
	return s
}

// ratesOf compares two statuses. A counter that went back tells nothing.
func ratesOf(before, after model.Status) map[model.ServerRef]topRate {
	seconds := after.At.Sub(before.At).Seconds()
	if seconds <= 0 || before.At.IsZero() || before.Blind != "" || after.Blind != "" {
		return nil
	}
	old := map[model.ServerRef]model.Counter{}
	for ref, c := range countersOf(before) {
		old[ref] = c
	}
	rates := map[model.ServerRef]topRate{}
	for ref, c := range countersOf(after) {
		if was, ok := old[ref]; ok && c.Packets >= was.Packets && c.Bytes >= was.Bytes {
			rates[ref] = topRate{float64(c.Packets-was.Packets) / seconds, float64(c.Bytes-was.Bytes) / seconds}
		}
	}
	return rates
}

// countersOf gives the counters of directors and servers.
func countersOf(s model.Status) map[model.ServerRef]model.Counter {
	all := map[model.ServerRef]model.Counter{}
	for _, d := range s.Directors {
		all[model.ServerRef{Director: d.Name}] = d.Total
		for _, one := range d.Servers {
			all[model.ServerRef{Director: d.Name, Server: one.Name}] = one.Total
		}
	}
	return all
}

// withEvent adds an entry, unless it is there already: after an interruption the
// journal is read again from the last one on.
func withEvent(all []model.Event, e model.Event) []model.Event {
	known := func(k model.Event) bool { return k.Seq == e.Seq && k.At.Equal(e.At) }
	if slices.ContainsFunc(all, known) {
		return all
	}
	return append(slices.Clone(all[max(0, len(all)-topEvents+1):]), e)
}

// activeOf is the server that the kernel has for a director.
func (s topState) activeOf(director string) string {
	d, _ := s.director(director)
	return d.Applied
}

func (s topState) director(name string) (model.DirectorStatus, bool) {
	i := slices.IndexFunc(s.status.Directors, func(d model.DirectorStatus) bool { return d.Name == name })
	if i < 0 {
		return model.DirectorStatus{}, false
	}
	return s.status.Directors[i], true
}

// shows tells whether the filter lets a server through.
func (s topState) shows(d model.DirectorStatus, one model.ServerStatus) bool {
	if s.filter == "" {
		return true
	}
	text := fmt.Sprintf("%s/%s %s %s", d.Name, one.Name, one.Addr, serverState(one))
	return strings.Contains(strings.ToLower(text), strings.ToLower(s.filter))
}

// near is the server that is so many rows away from the selected one.
func (s topState) near(rows int) model.ServerRef {
	var all []model.ServerRef
	for _, d := range s.status.Directors {
		for _, one := range d.Servers {
			if s.shows(d, one) {
				all = append(all, model.ServerRef{Director: d.Name, Server: one.Name})
			}
		}
	}
	if len(all) == 0 {
		return model.ServerRef{}
	}
	at := slices.Index(all, s.selected)
	return all[min(max(max(at, 0)+rows, 0), len(all)-1)]
}

// ordered notes the outcome of an order. Force is offered only for what was
// refused without it.
func (s topState) ordered(e topOrdered) topState {
	s.running, s.refused = nil, nil
	name := fmt.Sprintf("%s %s/%s", e.order.Verb, e.order.Director, e.order.Server)
	if e.err == nil {
		s.message = "Done: " + name + "."
		if sw := e.done.Switch; sw != nil {
			s.message = fmt.Sprintf("Done: %s switched from %s to %s, epoch %d.", e.order.Director, orNone(sw.From), orNone(sw.To), sw.Epoch)
		} else if e.done.Text != "" {
			s.message = "Done: " + e.done.Text
		}
		return s
	}
	var told *api.Error
	if !errors.As(e.err, &told) || told.Status != http.StatusConflict {
		s.message = fmt.Sprintf("Not carried out: %s: %v", name, e.err)
		return s
	}
	s.message = "Refused: " + told.Message
	if !e.order.Force && e.order.Verb != model.VerbEnable {
		s.refused = &e.order
	}
	return s
}
