package decide

import (
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/health"
	"fairlead/internal/model"
	"fairlead/internal/network"
)

// State is everything that is known and decided. The zero State is that of a
// first start. It is a value: Step returns a new one and leaves its input as it
// was, so what a State refers to is never written again.
type State struct {
	configured bool
	config     model.Config
	rules      model.RuleSet               // compiled from config
	ways       ways                        // of rules
	directors  []director                  // in the order of the configuration
	absent     map[string]model.Remembered // directors that the configuration no longer has
	net        network.Network
	calls      uint64 // the ID of the last hook that was asked for
	lost       string // why the memory on disk could not be read at the start
}

// director is a director's configuration with what was learnt and decided.
type director struct {
	model.Director
	servers []server // parallel to Director.Servers
	choice  choice
	turn    turn
	held    time.Time // the first client that waits for Release; zero: none
	heldFor string    // the server whose answer it waits for
	gone    time.Time // since when all servers are gone; zero: they are not
	stay    stay      // why a switch that would be due is held back
	waiting bool      // a switch would be due; a probe's result is awaited first
	until   time.Time // when time alone may change the judgement; zero: never
	again   time.Time // judge then: the event ended a switch, and there is one in an event
}

// server is a real server with its health.
type server struct {
	model.Server
	tests  []model.Test    // that checks make, with their ports
	via    []model.VIPTest // those that they make at the virtual IP too
	health health.Health
	mark   model.Mark
	share  share   // of a balanced director
	copy   replica // of a standby server
}

// choice is the active server of a director.
type choice struct {
	active string     // "": none
	addr   netip.Addr // of the active server when it was chosen
	epoch  uint64
	reason model.Reason // why it was chosen, even if that was before a restart
	source source       // where it was found at the start
	since  time.Time    // zero: there never was a choice
	last   model.Switch // the switch that led here; its epoch is 0 when there was none
	auto   time.Time    // the last switch by itself; zero: none
	forced bool         // ordered although its check does not pass: it stays until it has passed
	was    model.Server // active before there was none
}

// source is where a choice was found at the start.
type source uint8

const (
	decided    source = iota // here, or all of it is known
	fromKernel               // in the kernel only
	fromMemory               // on disk only
)

// clone returns a state whose directors and servers may be written.
func (s State) clone() State {
	s.directors = slices.Clone(s.directors)
	for i := range s.directors {
		s.directors[i].servers = slices.Clone(s.directors[i].servers)
		s.directors[i].again = time.Time{}
	}
	return s
}

// director returns the director of that name, nil when there is none.
func (s State) director(name string) *director {
	for i := range s.directors {
		if s.directors[i].Name == name {
			return &s.directors[i]
		}
	}
	return nil
}

// server returns the server of that name, nil when there is none.
func (d director) server(name string) *server {
	for i := range d.servers {
		if d.servers[i].Name == name {
			return &d.servers[i]
		}
	}
	return nil
}

// active returns the active server, nil when there is none or when the
// configuration no longer has it: the same name with another address is
// another server.
func (d director) active() *server {
	s := d.server(d.choice.active)
	if s == nil || s.Addr != d.choice.addr {
		return nil
	}
	return s
}

// former is the server that a switch leaves, also when the configuration no
// longer has it; its Name is "" when there is none.
func (d director) former() model.Server {
	switch now := d.active(); {
	case now != nil:
		return now.Server
	case d.choice.active == "":
		return d.choice.was
	}
	return model.Server{Name: d.choice.active, Addr: d.choice.addr}
}

// candidate tells whether the server may ever be chosen.
func (s server) candidate() bool { return s.Weight > 0 && s.mark == model.MarkNone }

func (s server) usable() bool { return s.candidate() && s.health.Usable() }
func (s server) sound() bool  { return s.candidate() && s.health.Sound() }

// kept tells whether the server may stay the active one.
func (s server) kept() bool { return s.candidate() && !s.health.Failed() }

// ref names a server of the director.
func (d director) ref(server string) model.ServerRef {
	return model.ServerRef{Director: d.Name, Server: server}
}
