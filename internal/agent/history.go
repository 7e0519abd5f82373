package agent

import (
	"maps"
	"sync"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// historyLength is how many probes of a server are kept: 20 minutes of the
// note's check.
const historyLength = 120

// history keeps what the last probes of each server found.
type history struct {
	mu    sync.Mutex // guards the following
	rings map[model.ServerRef]*ring
}

// ring is the last probes of a server; next is where the oldest stands, once it
// is full.
type ring struct {
	probes []api.Probed
	next   int
}

// add keeps the outcome of a probe.
func (h *history) add(r model.ProbeResult) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rings == nil {
		h.rings = make(map[model.ServerRef]*ring)
	}
	one := h.rings[r.Ref]
	if one == nil {
		one = &ring{}
		h.rings[r.Ref] = one
	}
	p := api.Probed{At: r.At, OK: r.OK, Latency: r.Latency, Error: r.Err, Tests: append([]model.TestResult{}, r.Tests...)}
	if len(one.probes) < historyLength {
		one.probes = append(one.probes, p)
		return
	}
	one.probes[one.next] = p
	one.next = (one.next + 1) % historyLength
}

// of is what the last probes of a server found, the oldest first.
func (h *history) of(ref model.ServerRef) []api.Probed {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.rings[ref]
	if one == nil {
		return []api.Probed{}
	}
	return append(append([]api.Probed{}, one.probes[one.next:]...), one.probes[:one.next]...)
}

// keep drops the servers that a configuration does not have.
func (h *history) keep(cfg model.Config) {
	have := make(map[model.ServerRef]bool)
	for _, d := range cfg.Directors {
		for _, s := range d.Servers {
			have[model.ServerRef{Director: d.Name, Server: s.Name}] = true
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.rings, func(ref model.ServerRef, _ *ring) bool { return !have[ref] })
}
