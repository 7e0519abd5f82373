package api

import (
	"context"
	"log/slog"
	"net/http"
	"slices"

	"fairlead/internal/model"
)

// Core is what the control socket needs of a daemon at least.
type Core interface {
	Status() model.Status
	Reload(ctx context.Context, by model.Actor) (Reloaded, error)
	Order(ctx context.Context, by model.Actor, order Order) (Ordered, error)
	Events(ctx context.Context, since Since, follow bool, emit func(model.Event) error) error
	Capture(ctx context.Context, snaplen int, emit func(Packet) error) error
}

// forCore serves all routes for a Daemon, and those that a Core can answer for
// any other.
func forCore(d Core, log *slog.Logger) http.Handler {
	if whole, ok := d.(Daemon); ok {
		return NewHandler(whole, log, who)
	}
	some := slices.DeleteFunc(table(), func(r route) bool {
		return !slices.Contains([]string{"/api/v1/status", "/api/v1/reload", "/api/v1/order", "/api/v1/events", "/api/v1/capture"}, r.Pattern)
	})
	return newHandler(coreDaemon{Core: d}, log, who, some)
}

// A coreDaemon has nothing behind the methods that no route calls.
type coreDaemon struct {
	Core
	rest
}

// rest are the methods of a Daemon that a Core lacks.
type rest interface {
	Changed() <-chan struct{}
	Restart(ctx context.Context, by model.Actor, service string) error
	Connections(ctx context.Context, query ConnectionQuery) (Connections, error)
	History(ref model.ServerRef) ([]Probed, error)
	Audit(by model.Actor, text string, failed error)
	Configurations
}
