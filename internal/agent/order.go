package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/decide"
	"fairlead/internal/desk"
	"fairlead/internal/model"
)

// orderTime is how long an order may take beside the hooks that it waits for.
const orderTime = time.Minute

// An order asks the loop for something that an operator wants.
type order struct {
	by     model.Actor
	verb   model.Verb
	ref    model.ServerRef
	force  bool
	answer chan outcome // capacity 1: the loop never waits for who asked
}

func (o order) String() string {
	text := o.verb.String() + " " + o.ref.String()
	if o.force {
		text += " by force"
	}
	return text
}

type outcome struct {
	done api.Ordered
	err  error
}

// A load brings the loop a new configuration, or tells why there is none.
type load struct {
	by      model.Actor
	loaded  desk.Loaded
	refused error
	answer  chan uint64 // the generation in force; capacity 1
}

// Order gives an order and waits until it is carried out: a switch, until the
// data plane has it. A switch that still waits for its hooks when all of them
// must have ended goes on, but nobody waits for it any more.
func (a *Agent) Order(ctx context.Context, by model.Actor, wanted api.Order) (api.Ordered, error) {
	limit := orderTime + a.view.Load().hookTime[wanted.Director]
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ref := model.ServerRef{Director: wanted.Director, Server: wanted.Server}
	o := order{by: by, verb: wanted.Verb, ref: ref, force: wanted.Force, answer: make(chan outcome, 1)}
	select {
	case <-bounded.Done():
		return api.Ordered{}, bounded.Err()
	case a.orders <- o:
	}
	select {
	case got := <-o.answer:
		return got.done, got.err
	case <-bounded.Done():
		if ctx.Err() != nil {
			return api.Ordered{}, ctx.Err()
		}
		return api.Ordered{}, fmt.Errorf("%s: not carried out within %v; it is not given up: see fairlead status", o, limit)
	}
}

// hookTimes are the times that the hooks of each director may take together.
func hookTimes(cfg model.Config) map[string]time.Duration {
	all := make(map[string]time.Duration)
	for _, d := range cfg.Directors {
		for _, h := range []model.Hook{d.Fence, d.Promote} {
			if h.Command != "" {
				all[d.Name] += h.Timeout
			}
		}
	}
	return all
}

// take gives an order to the decisions.
func (l *loop) take(o order) {
	l.asked++
	l.awaiting[l.asked] = o
	l.handle(decide.Ordered{At: now(), ID: l.asked, Verb: o.verb, Ref: o.ref, Force: o.force})
}

// reply answers an order. A switch among the actions beside the reply is the
// order's; one that the kernel does not hold yet is answered with an error that
// says so.
func (l *loop) reply(a decide.Reply, beside []decide.Action) {
	o, ok := l.awaiting[a.ID]
	if !ok {
		return
	}
	delete(l.awaiting, a.ID)
	got := outcome{done: api.Ordered{Text: a.Text}}
	if a.Err != "" {
		got.err = errors.New(a.Err)
	} else if r, ok := l.switches[o.ref.Director]; ok && switches(beside, o.ref.Director) {
		done := r.Switch
		got.done.Switch = &done
		if r.AppliedMono == 0 {
			got.err = l.unapplied(o.ref.Director, r.To)
		}
	}
	l.noteOrder(o, got)
	o.answer <- got
}

// switches tells whether one of the actions is a switch of that director.
func switches(actions []decide.Action, director string) bool {
	return slices.ContainsFunc(actions, func(a decide.Action) bool {
		s, ok := a.(decide.Switched)
		return ok && s.Director == director
	})
}

// unapplied says why the data plane does not have a switch that was decided.
func (l *loop) unapplied(director, to string) error {
	why := l.kernel.err
	if why == nil {
		why = fmt.Errorf("the MAC address of %s is not known yet", to)
	}
	return fmt.Errorf("%s/%s was chosen, but the data plane does not have it yet: %w; it is tried again", director, to, why)
}

// Events hands the journal's entries to emit.
func (a *Agent) Events(ctx context.Context, since api.Since, follow bool, emit func(model.Event) error) error {
	if follow {
		return a.parts.Journal.Follow(ctx, since.Seq, func(e model.Event) error {
			if e.At.Before(since.At) {
				return nil
			}
			return emit(e)
		})
	}
	seq := since.Seq
	for ctx.Err() == nil {
		some := a.parts.Journal.Read(seq, page)
		if len(some) == 0 {
			return nil
		}
		for _, e := range some {
			seq = e.Seq
			if e.At.Before(since.At) {
				continue
			}
			if err := emit(e); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// page is how many entries of the journal are read at once.
const page = 1000

// refusal adds to an error of a reload what it means.
func refusal(err error) error {
	const means = "reload refused, nothing was changed: "
	var found *api.Error
	if !errors.As(err, &found) {
		return fmt.Errorf(means+"%w", err)
	}
	return &api.Error{Message: means + found.Message, Diagnostics: found.Diagnostics}
}

// Capture hands on what the data plane captures.
func (a *Agent) Capture(ctx context.Context, snaplen int, emit func(api.Packet) error) error {
	return a.parts.Plane.Capture(ctx, snaplen, emit)
}

// Status is a snapshot of everything: the loop's view, and what the kernel
// holds and counts at this moment.
func (a *Agent) Status() model.Status {
	v := a.view.Load()
	s := compose(*v, a.observer.look(v.applies))
	a.examiner.ready(s.Directors)
	s.Services, s.Turned = a.services(*v), a.heartbeat()
	return s
}
