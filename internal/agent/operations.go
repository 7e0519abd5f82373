package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/desk"
	"fairlead/internal/model"
)

// mostConnections is how many connections one answer may have.
const mostConnections = 10_000

// Connections lists the connections that the data plane knows, by client.
func (a *Agent) Connections(ctx context.Context, query api.ConnectionQuery) (api.Connections, error) {
	limit := query.Limit
	if limit <= 0 {
		limit = api.DefaultConnections
	}
	limit = min(limit, mostConnections)
	found := api.Connections{}
	for c := range a.parts.Plane.Connections() {
		if found.Known++; found.Known%1024 == 0 && ctx.Err() != nil {
			return api.Connections{}, ctx.Err()
		}
		one := listed(c)
		if !selects(query, one) {
			continue
		}
		found.Matched++
		// Sorted now and then, not at the end: a million may match.
		if found.Connections = append(found.Connections, one); len(found.Connections) >= 4*limit {
			found.Connections = first(found.Connections, limit)
		}
	}
	found.Connections = first(found.Connections, limit)
	return found, nil
}

func listed(c model.Connection) api.Connection {
	state := "open"
	switch {
	case c.Ended:
		state = "ended"
	case c.Old:
		state = "old"
	}
	return api.Connection{Client: c.Client, VIP: c.VIP, Director: c.Director, Server: c.Server, State: state, Age: c.Age}
}

func selects(q api.ConnectionQuery, c api.Connection) bool {
	return (q.Director == "" || q.Director == c.Director) && (q.Server == "" || q.Server == c.Server) &&
		(q.State == "" || q.State == c.State) && (!q.Client.IsValid() || q.Client.Contains(c.Client.Addr()))
}

// first are the first connections by client, at most so many.
func first(all []api.Connection, limit int) []api.Connection {
	slices.SortFunc(all, func(a, b api.Connection) int {
		if n := a.Client.Compare(b.Client); n != 0 {
			return n
		}
		return a.VIP.Compare(b.VIP)
	})
	return append([]api.Connection{}, all[:min(len(all), limit)]...)
}

// History is what the last probes of a server found, the oldest first.
func (a *Agent) History(ref model.ServerRef) ([]api.Probed, error) {
	for _, d := range a.view.Load().directors {
		if d.Name == ref.Director && slices.ContainsFunc(d.Servers, func(s model.ServerStatus) bool { return s.Name == ref.Server }) {
			return a.history.of(ref), nil
		}
	}
	return nil, fmt.Errorf("there is no server %s: %w", ref, api.ErrNotFound)
}

// Audit enters in the journal what somebody did or tried.
func (a *Agent) Audit(by model.Actor, text string, failed error) {
	e := model.Event{At: time.Now(), Kind: model.EventAudit, By: by.String(), Text: text}
	if failed != nil {
		e.Err = failed.Error()
	}
	a.enter(e)
}

// Reload reads the configuration again. An error changes nothing; it is an
// *api.Error with all findings when they are the cause.
func (a *Agent) Reload(ctx context.Context, by model.Actor) (api.Reloaded, error) {
	a.loading.Lock()
	defer a.loading.Unlock()
	loaded, err := a.parts.Desk.Load()
	if err != nil {
		err = refusal(err)
	}
	generation, failed := a.force(ctx, by, loaded, err)
	return api.Reloaded{Generation: generation, Warnings: loaded.Warnings}, errors.Join(err, failed)
}

// force brings a configuration into force, or notes why there is none. The
// caller holds a.loading.
func (a *Agent) force(ctx context.Context, by model.Actor, loaded desk.Loaded, refused error) (uint64, error) {
	l := load{by: by, loaded: loaded, refused: refused, answer: make(chan uint64, 1)}
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case a.loads <- l:
	}
	var generation uint64
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case generation = <-l.answer:
	}
	if refused == nil {
		a.keepVersion(loaded, generation, by)
	}
	return generation, nil
}

// keepVersion tells the desk what is in force.
func (a *Agent) keepVersion(loaded desk.Loaded, generation uint64, by model.Actor) {
	if err := a.parts.Desk.InForce(loaded, generation, by); err != nil {
		a.log.Warn("the configuration is in force, but not kept as a version", "error", err)
	}
}

// Apply writes documents and brings them into force.
func (a *Agent) Apply(ctx context.Context, by model.Actor, match string, docs []model.Document) (api.AppliedConfiguration, error) {
	a.loading.Lock()
	defer a.loading.Unlock()
	done, err := a.apply(ctx, by, match, docs)
	if err != nil {
		a.Audit(by, "tried to apply a configuration; nothing was changed", err)
		return api.AppliedConfiguration{}, err
	}
	return done, nil
}

func (a *Agent) apply(ctx context.Context, by model.Actor, match string, docs []model.Document) (api.AppliedConfiguration, error) {
	loaded, version, err := a.parts.Desk.Write(by, match, docs)
	if err != nil {
		return api.AppliedConfiguration{}, err
	}
	// What is written comes into force, also when nobody waits for the answer.
	sure, cancel := context.WithTimeout(context.WithoutCancel(ctx), orderTime)
	defer cancel()
	generation, err := a.force(sure, by, loaded, nil)
	if err != nil {
		return api.AppliedConfiguration{}, fmt.Errorf("bring the configuration into force: it is written, but the daemon did not take it: %w; order a reload", err)
	}
	a.Audit(by, fmt.Sprintf("applied the configuration: version %d, generation %d", version.ID, generation), nil)
	return api.AppliedConfiguration{Generation: generation, Hash: version.Hash, Version: version.ID, Warnings: loaded.Warnings}, nil
}

// Restore brings a version into force again.
func (a *Agent) Restore(ctx context.Context, by model.Actor, match string, id uint64) (api.AppliedConfiguration, error) {
	version, err := a.parts.Desk.Version(ctx, id)
	if err != nil {
		return api.AppliedConfiguration{}, err
	}
	return a.Apply(ctx, by, match, version.Documents)
}

// Restart brings a service up anew. Those of the data plane do so without a
// packet lost: the configuration is read again, and what the kernel lacks is put
// there.
func (a *Agent) Restart(ctx context.Context, by model.Actor, service string) error {
	if !slices.ContainsFunc(a.Status().Services, func(s model.ServiceStatus) bool { return s.Name == service }) {
		return fmt.Errorf("restart %q: there is no such service: %w", service, api.ErrNotFound)
	}
	_, err := a.Reload(ctx, by)
	a.Audit(by, "restarted the service "+service, err)
	return err
}

// news follows the journal from the start of this daemon on: nobody is notified
// twice of what was before.
func (a *Agent) news(ctx context.Context, since uint64, emit func(model.Event) error) error {
	return a.parts.Journal.Follow(ctx, since, func(e model.Event) error {
		if e.At.Before(a.clock.start) {
			return nil
		}
		return emit(e)
	})
}
