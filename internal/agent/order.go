package agent

import (
	"context"
	"errors"
	"fmt"

	"fairlead/internal/control"
	"fairlead/internal/model"
)

// An order asks the loop for a switch.
type order struct {
	ref    model.ServerRef
	answer chan outcome // capacity 1: the loop never waits for who asked
}

type outcome struct {
	done model.Switch
	err  error
}

// A load brings the loop a new configuration, or tells why there is none.
type load struct {
	loaded  Loaded
	refused error
	answer  chan uint64 // the generation in force; capacity 1
}

// Switch orders a switch and waits until the data plane has it.
func (a *Agent) Switch(ctx context.Context, ref model.ServerRef) (model.Switch, error) {
	o := order{ref: ref, answer: make(chan outcome, 1)}
	select {
	case <-ctx.Done():
		return model.Switch{}, ctx.Err()
	case a.orders <- o:
	}
	select {
	case <-ctx.Done():
		return model.Switch{}, ctx.Err()
	case got := <-o.answer:
		return got.done, got.err
	}
}

// Reload reads the configuration again. An error changes nothing; it is a
// *control.Error with all findings when they are the cause.
func (a *Agent) Reload(ctx context.Context) (control.Reloaded, error) {
	a.loading.Lock()
	defer a.loading.Unlock()
	loaded, err := a.parts.Loader.Load()
	if err != nil {
		err = refusal(err)
	}
	l := load{loaded: loaded, refused: err, answer: make(chan uint64, 1)}
	select {
	case <-ctx.Done():
		return control.Reloaded{}, ctx.Err()
	case a.loads <- l:
	}
	select {
	case <-ctx.Done():
		return control.Reloaded{}, ctx.Err()
	case generation := <-l.answer:
		return control.Reloaded{Generation: generation, Warnings: loaded.Warnings}, err
	}
}

// refusal adds to an error of a reload what it means.
func refusal(err error) error {
	const means = "reload refused, nothing was changed: "
	var found *control.Error
	if !errors.As(err, &found) {
		return fmt.Errorf(means+"%w", err)
	}
	return &control.Error{Message: means + found.Message, Diagnostics: found.Diagnostics}
}

// Capture hands on what the data plane captures.
func (a *Agent) Capture(ctx context.Context, snaplen int, emit func(control.Packet) error) error {
	return a.parts.Plane.Capture(ctx, snaplen, emit)
}

// Status is a snapshot of everything: the loop's view, and what the kernel
// holds and counts at this moment.
func (a *Agent) Status() model.Status {
	v := a.view.Load()
	return compose(*v, a.observer.look(v.applies))
}
