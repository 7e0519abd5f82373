package agent

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// Doctor looks at a whole set-up: see package doctor.
type Doctor func(ctx context.Context, cfg model.Config) model.Diagnosis

// examiner keeps what the doctor said last, and lets it look once at a time.
type examiner struct {
	looking chan struct{} // holds the one token of the look under way

	mu     sync.Mutex // guards the following
	config model.Config
	last   *model.Diagnosis
}

// keep takes a configuration that came into force. What was said of another one is
// forgotten.
func (e *examiner) keep(cfg model.Config) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.config, e.last = cfg, nil
}

func (e *examiner) diagnosis() (model.Config, *model.Diagnosis) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.config, e.last
}

// Diagnosis is what the doctor said last.
func (a *Agent) Diagnosis() (model.Diagnosis, error) {
	if _, last := a.examiner.diagnosis(); last != nil {
		return *last, nil
	}
	return model.Diagnosis{}, fmt.Errorf("nobody has looked yet, since the configuration came into force: %w", api.ErrNotFound)
}

// Examine looks at the set-up now, and enters in the journal what is new and what
// is mended. One look is under way at a time; who comes meanwhile waits.
func (a *Agent) Examine(ctx context.Context, by model.Actor) (model.Diagnosis, error) {
	select {
	case a.examiner.looking <- struct{}{}:
		defer func() { <-a.examiner.looking }()
	case <-ctx.Done():
		return model.Diagnosis{}, fmt.Errorf("wait for the look under way: %w", ctx.Err())
	}
	cfg, before := a.examiner.diagnosis()
	now := a.parts.Doctor(ctx, cfg)
	if err := ctx.Err(); err != nil {
		return model.Diagnosis{}, fmt.Errorf("look at the set-up: %w", err)
	}
	a.examiner.mu.Lock()
	a.examiner.last = &now
	a.examiner.mu.Unlock()
	if before == nil {
		before = &model.Diagnosis{}
	}
	appeared, gone := now.Since(*before)
	for _, f := range appeared {
		a.enter(model.Event{At: time.Now(), Kind: model.EventFinding, Director: f.Director, Server: f.Server, By: by.String(),
			Text: fmt.Sprintf("the doctor found (%v): %s", f.Kind, f.What), Err: f.Why})
	}
	for _, f := range gone {
		a.enter(model.Event{At: time.Now(), Kind: model.EventMended, Director: f.Director, Server: f.Server, By: by.String(),
			Text: fmt.Sprintf("the doctor no longer finds (%v): %s", f.Kind, f.What)})
	}
	if len(appeared)+len(gone) > 0 {
		a.announceChange()
	}
	return now, nil
}

// ready says of each server what keeps it from taking over, as the doctor saw it.
func (e *examiner) ready(directors []model.DirectorStatus) {
	_, last := e.diagnosis()
	if last == nil {
		return
	}
	for i, d := range directors {
		for j, s := range d.Servers {
			at := slices.IndexFunc(last.Findings, func(f model.Finding) bool { return f.Director == d.Name && f.Server == s.Name && f.Kind.Unready() })
			if at >= 0 {
				directors[i].Servers[j].NotReady = last.Findings[at].What
			}
		}
	}
}
