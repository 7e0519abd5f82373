package main

import (
	"fmt"
	"slices"
	"time"
	"unicode"

	"github.com/gdamore/tcell/v2"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// topPage is how far a page key goes, in servers.
const topPage = 10

// topIntervals are what the key r goes through.
func topIntervals() []time.Duration {
	return []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second}
}

// pressed is what becomes of the view by a key.
func (s topState) pressed(p topPressed) (topState, topAct) {
	switch {
	case p.key == tcell.KeyCtrlC:
		return s, topAct{quit: true}
	case s.help:
		s.help = false
		return s, topAct{}
	case s.question != nil:
		return s.confirmed(p)
	case s.typing:
		return s.typed(p), topAct{}
	case p.key == tcell.KeyRune:
		return s.chosen(p.char)
	}
	return s.moved(p.key), topAct{}
}

// confirmed carries an order out by y only: every other key leaves it.
func (s topState) confirmed(p topPressed) (topState, topAct) {
	order := s.question.order
	s.question, s.refused = nil, nil
	if p.key != tcell.KeyRune || p.char != 'y' {
		s.message = "Nothing was done."
		return s, topAct{}
	}
	s.running, s.message = &order, ""
	return s, topAct{order: &order}
}

// typed edits the filter.
func (s topState) typed(p topPressed) topState {
	switch p.key {
	case tcell.KeyEnter:
		s.typing = false
	case tcell.KeyEscape:
		s.typing, s.filter = false, ""
	case tcell.KeyBackspace, tcell.KeyBackspace2:
		if text := []rune(s.filter); len(text) > 0 {
			s.filter = string(text[:len(text)-1])
		}
	case tcell.KeyRune:
		if unicode.IsPrint(p.char) {
			s.filter += string(p.char)
		}
	}
	s.selected = s.near(0)
	return s
}

func (s topState) moved(key tcell.Key) topState {
	switch key {
	case tcell.KeyUp:
		s.selected = s.near(-1)
	case tcell.KeyDown:
		s.selected = s.near(1)
	case tcell.KeyPgUp:
		s.selected = s.near(-topPage)
	case tcell.KeyPgDn:
		s.selected = s.near(topPage)
	case tcell.KeyHome:
		s.selected = s.near(-1 << 30)
	case tcell.KeyEnd:
		s.selected = s.near(1 << 30)
	case tcell.KeyEscape:
		s.message, s.refused, s.filter = "", nil, ""
	}
	return s
}

func (s topState) chosen(char rune) (topState, topAct) {
	switch char {
	case 'q':
		return s, topAct{quit: true}
	case '?', 'h':
		s.help = true
	case 'j':
		return s.moved(tcell.KeyDown), topAct{}
	case 'k':
		return s.moved(tcell.KeyUp), topAct{}
	case 'f', '/':
		s.typing = true
	case 'p':
		s.paused = !s.paused
	case 'r':
		s.interval = nextInterval(s.interval)
	case 's':
		return s.ask(model.VerbSwitch), topAct{}
	case 'd':
		return s.ask(model.VerbDrain), topAct{}
	case 'x':
		return s.ask(model.VerbDisable), topAct{}
	case 'e':
		return s.ask(model.VerbEnable), topAct{}
	case 'F':
		return s.force(), topAct{}
	}
	return s, topAct{}
}

// nextInterval is the next longer one, or the shortest again.
func nextInterval(now time.Duration) time.Duration {
	all := topIntervals()
	if i := slices.IndexFunc(all, func(d time.Duration) bool { return d > now }); i >= 0 {
		return all[i]
	}
	return all[0]
}

// ask puts an order about the selected server to the user, with what it means.
func (s topState) ask(verb model.Verb) topState {
	s.refused, s.message = nil, ""
	d, found := s.director(s.selected.Director)
	i := slices.IndexFunc(d.Servers, func(one model.ServerStatus) bool { return one.Name == s.selected.Server })
	switch {
	case !found || i < 0:
		s.message = "No server is selected."
	case !s.lost.IsZero():
		s.message = "The daemon does not answer: no order can be given."
	case s.paused:
		s.message = "The view is paused: press p, and look again before you give an order."
	case s.running != nil:
		s.message = "An order is being carried out: wait for its outcome."
	case verb == model.VerbSwitch && d.Balanced:
		s.message = fmt.Sprintf("The servers of %s share its connections: there is nothing to switch.", d.Name)
	case verb == model.VerbSwitch && d.Servers[i].Active:
		s.message = fmt.Sprintf("%s is active already.", s.selected)
	default:
		s.question = &topQuestion{
			order:  api.Order{Verb: verb, Director: d.Name, Server: s.selected.Server},
			text:   meaning(verb, d, d.Servers[i]) + " (y/n)",
			active: d.Applied,
		}
	}
	return s
}

// meaning says what an order would do.
func meaning(verb model.Verb, d model.DirectorStatus, one model.ServerStatus) string {
	name, replaced := d.Name+"/"+one.Name, one.Active && !d.Balanced
	resets := resetsOf(one.Name, one.Connections)
	switch verb {
	case model.VerbSwitch:
		return fmt.Sprintf("Switch %s from %s to %s now? %s.", d.Name, orNone(d.Applied), one.Name, resetsOf(d.Name, d.Connections))
	case model.VerbDrain:
		text := fmt.Sprintf("Drain %s? It gets no new connections until it is enabled again.", name)
		if replaced {
			text += " It is active: another server takes over now. " + resets + "."
		}
		return text
	case model.VerbDisable:
		text := fmt.Sprintf("Disable %s? It is not used at all until it is enabled again. %s.", name, resets)
		if replaced {
			text += " It is active: another server takes over now."
		}
		return text
	case model.VerbEnable:
		return fmt.Sprintf("Enable %s? It may be used again; whether it is at once follows from its director's failback, which is %s.", name, d.Failback)
	}
	return ""
}

// resetsOf says which connections an order ends.
func resetsOf(name string, n uint64) string {
	if n == 0 {
		return name + " has no connection to reset"
	}
	if n == 1 {
		return fmt.Sprintf("The 1 connection of %s is reset, and its client connects again", name)
	}
	return fmt.Sprintf("The %s of %s are reset, and its clients connect again", count(int(n), "connection"), name)
}

// force asks once more about an order that was refused.
func (s topState) force() topState {
	if s.refused == nil {
		return s
	}
	order := *s.refused
	order.Force = true
	s.question = &topQuestion{
		order:  order,
		active: s.activeOf(order.Director),
		text: fmt.Sprintf("Force it: %s %s/%s? A hook that fails and a check that does not pass are passed over. A server that was not stopped may still write: this may cost data. (y/n)",
			order.Verb, order.Director, order.Server),
	}
	return s
}
