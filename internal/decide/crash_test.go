package decide

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/model"
)

// settle does with a new state what the daemon does: it saves the memory, then
// applies what is desired. Sometimes it dies before one of them.
func (w *witness) settle(s State, dice *world) (crashed bool) {
	if dice.chance(1) {
		return true
	}
	w.memory = s.Memory()
	if dice.chance(1) {
		return true
	}
	w.kernel = map[string]model.Adopted{}
	for _, d := range s.Desired().Directors {
		a := model.Adopted{Active: d.Active, Addr: d.Addr, Epoch: d.Epoch, Reason: d.Reason, Hold: d.Hold}
		if d.Since != 0 {
			a.Since = time.Unix(0, d.Since).UTC()
		}
		if d.Balanced {
			a.Servers = map[string]uint64{}
			for _, srv := range d.Servers {
				a.Servers[srv.Name] = srv.Epoch
			}
		}
		w.kernel[d.Name] = a
	}
	return false
}

// restart is the first event of a new daemon. Sometimes the machine was started
// anew too, and sometimes the memory is torn.
func (w *witness) restart(c Configured, dice *world) Configured {
	if dice.chance(20) {
		w.kernel = map[string]model.Adopted{}
	}
	if dice.chance(10) {
		c.Lost, w.memory = "state.json is torn", model.Memory{}
	}
	c.Adopted, c.Memory = maps.Clone(w.kernel), w.memory
	w.forget()
	for name, h := range w.holds {
		if c.Lost != "" { // nobody can tell any more who was being promoted
			clear(h.begun)
			h.unsure = h.unsure && slices.ContainsFunc(c.Config.Directors, func(d model.Director) bool { return d.Name == name })
		}
		if h.at.After(c.At.At) { // the clock stepped back meanwhile
			h.at = c.At.At
		}
	}
	for name, k := range w.kernel {
		w.views[name] = view{active: k.Active, server: model.Server{Name: k.Active, Addr: k.Addr}, epoch: k.Epoch, reason: k.Reason, since: k.Since}
	}
	for _, m := range w.memory.Directors {
		w.recall(m)
	}
	for name, v := range w.views {
		if auto(v.reason) {
			v.auto = v.since
		}
		if w.kernel[name].Hold && v.epoch == w.latest(name) && v.step == model.StepNone {
			v.step = model.StepOrder
		}
		w.views[name] = v
	}
	return c
}

// forget drops what only the old daemon knew.
func (w *witness) forget() {
	w.servers, w.links, w.epochs = map[model.ServerRef]*record{}, map[string]model.Link{}, map[string]uint64{}
	w.calls, w.waiting, w.clients, w.gone = map[uint64]RunHook{}, map[uint64]bool{}, map[string]client{}, map[string]bool{}
	w.views, w.marks = map[string]view{}, map[model.ServerRef]model.Mark{}
	w.started, w.absent = false, map[string]view{}
	w.copies = map[model.ServerRef]*copied{}
	for name, h := range w.ended {
		if w.holds[name] == nil {
			w.holds[name] = h
		}
	}
}

// latest is the highest epoch that is known of a director.
func (w *witness) latest(name string) uint64 { return max(w.epochs[name], w.kernel[name].Epoch) }

// recall takes what the memory has of a director, where it is not behind.
func (w *witness) recall(m model.Remembered) {
	k, pinned := w.kernel[m.Name]
	v := w.views[m.Name]
	if !pinned {
		addr, _ := netip.ParseAddr(m.Addr)
		v = view{active: m.Active, server: model.Server{Name: m.Active, Addr: addr}, epoch: m.Epoch, reason: m.Reason, since: m.Since}
		w.gone[m.Name] = m.Active != ""
	}
	if p := m.Pending; p != nil && m.Epoch >= k.Epoch {
		v.step, v.to, v.why = p.Step, p.To, p.Reason
	}
	w.views[m.Name] = v
	w.epochs[m.Name] = m.Epoch
}
