package decide

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/model"
)

// Memory is what must survive the daemon and the machine. It is saved before
// the desired value is applied, so it is never behind the kernel.
func (s State) Memory() model.Memory {
	var m model.Memory
	for i := range s.directors {
		m.Directors = append(m.Directors, s.directors[i].remembered().Remembered)
	}
	for _, r := range s.absent {
		m.Directors = append(m.Directors, r)
	}
	slices.SortFunc(m.Directors, func(a, b model.Remembered) int { return cmp.Compare(a.Name, b.Name) })
	return m
}

// remembered is what is kept of a director.
type remembered struct{ model.Remembered }

func (d director) remembered() remembered {
	c := d.choice
	r := model.Remembered{Name: d.Name, Active: c.active, Epoch: c.epoch, Reason: c.reason,
		Why: c.last.Why, From: c.last.From, Since: c.since}
	if c.addr.IsValid() {
		r.Addr = c.addr.String()
	}
	if t := d.turn; t.step != model.StepNone {
		r.Pending = &model.Pending{To: t.to.Name, Old: t.old.Name, Step: t.step, Reason: t.reason, Why: t.why, Since: t.since, Unsure: t.unsure}
		if t.to.Addr.IsValid() {
			r.Pending.ToAddr = t.to.Addr.String()
		}
		if t.old.Addr.IsValid() {
			r.Pending.OldAddr = t.old.Addr.String()
		}
	}
	for _, s := range d.servers {
		if s.mark != model.MarkNone {
			r.Marks = append(r.Marks, model.Marked{Server: s.Name, Mark: s.mark})
		}
	}
	slices.SortFunc(r.Marks, func(a, b model.Marked) int { return cmp.Compare(a.Server, b.Server) })
	return remembered{r}
}

// recall keeps what was found of all directors, so that the epochs of those
// that the configuration does not have go on too.
func (s *State) recall(e Configured) {
	s.lost = e.Lost
	for _, m := range e.Memory.Directors {
		s.absent[m.Name] = m
	}
	for name, a := range e.Adopted {
		r, known := s.absent[name]
		switch {
		case !known, a.Epoch > r.Epoch:
			s.absent[name] = pinned(name, a, r.Marks)
		case a.Hold && a.Epoch == r.Epoch && r.Pending == nil:
			r.Pending = &model.Pending{Step: model.StepOrder, Since: e.When()}
			s.absent[name] = r
		}
	}
}

// pinned is what the kernel holds of a director, as it is remembered.
func pinned(name string, a model.Adopted, marks []model.Marked) model.Remembered {
	r := model.Remembered{Name: name, Active: a.Active, Epoch: a.Epoch, Reason: a.Reason, Why: "found in the kernel at start", Since: a.Since, Marks: marks}
	if a.Addr.IsValid() {
		r.Addr = a.Addr.String()
	}
	if a.Hold {
		r.Pending = &model.Pending{Step: model.StepOrder, Since: a.Since}
	}
	return r
}

// resume takes the marks that were known of a director of that name.
func (d *director) resume(r model.Remembered) {
	for _, m := range r.Marks {
		if srv := d.server(m.Server); srv != nil {
			srv.mark = m.Mark
		}
	}
}

// adopt takes what was found of a director at the start: the newer of what the
// kernel and the memory hold. A switch that was under way begins its step anew.
func (s *State) adopt(d *director, e Configured) []Action {
	a, pinned := e.Adopted[d.Name]
	i := slices.IndexFunc(e.Memory.Directors, func(m model.Remembered) bool { return m.Name == d.Name })
	var m model.Remembered
	if i >= 0 {
		m = e.Memory.Directors[i]
	}
	if d.Balanced() {
		d.adoptBalanced(a, m)
		return nil
	}
	var actions []Action
	switch {
	case m.Epoch > a.Epoch:
		d.fromMemory(m)
		if m.Active != "" && !pinned {
			d.choice.source, d.gone = fromMemory, e.When()
		}
		if pinned { // the daemon ended between the decision and its application
			actions = append(actions, d.flipped(e.When(), d.choice.last, m.Active, "%s became active before the restart: %s", m.Active, m.Why),
				Switched{Director: d.Name, Switch: d.choice.last, Silent: s.silent()})
			d.again = e.When().Add(time.Millisecond)
		}
	case pinned:
		d.fromKernel(a)
		if i >= 0 && m.Epoch == a.Epoch && m.Active == a.Active {
			d.fromMemory(m)
		}
	}
	nothing := d.choice.active == "" && d.choice.epoch == 0
	switch p := m.Pending; {
	case p != nil && m.Epoch >= a.Epoch:
		actions = append(actions, d.pending(*p, e)...)
	case a.Hold && m.Epoch <= a.Epoch, e.Lost != "" && nothing && len(d.servers) > 1:
		d.turn = nobodyKnows(e.When())
	}
	return actions
}

func (d *director) fromKernel(a model.Adopted) {
	d.choice = choice{active: a.Active, epoch: a.Epoch, reason: a.Reason, since: a.Since}
	if a.Active == "" {
		return
	}
	d.choice.source = fromKernel
	d.choice.addr = a.Addr
	if s := d.server(a.Active); s != nil && !a.Addr.IsValid() {
		d.choice.addr = s.Addr
	}
	d.choice.last = model.Switch{To: a.Active, Reason: a.Reason, Epoch: a.Epoch, At: a.Since,
		Why: "found in the kernel at start"}
	d.choice.auto = automatic(a.Reason, d.choice.last)
}

func (d *director) fromMemory(m model.Remembered) {
	addr := d.choice.addr // of the kernel, when it is the same choice
	d.choice = choice{active: m.Active, epoch: m.Epoch, reason: m.Reason, since: m.Since}
	if m.Epoch == 0 {
		return
	}
	d.choice.last = model.Switch{From: m.From, To: m.Active, Reason: m.Reason, Why: m.Why, Epoch: m.Epoch, At: m.Since}
	d.choice.auto = automatic(m.Reason, d.choice.last)
	if m.Active == "" {
		d.choice.was = model.Server{Name: m.From}
		return
	}
	if a, err := netip.ParseAddr(m.Addr); err == nil {
		addr = a
	}
	if s := d.server(m.Active); s != nil && !addr.IsValid() {
		addr = s.Addr
	}
	d.choice.addr = addr
}

// pending takes up a switch that was under way.
func (d *director) pending(p model.Pending, e Configured) []Action {
	t := turn{step: p.Step, since: e.When(), reason: p.Reason, why: p.Why, resumed: true}
	t.unsure = p.Unsure
	was, old := model.Server{Name: p.To}, model.Server{Name: p.Old}
	was.Addr, _ = netip.ParseAddr(p.ToAddr) // invalid: not known
	old.Addr, _ = netip.ParseAddr(p.OldAddr)
	to := d.server(p.To)
	if to != nil && was.Addr.IsValid() && was.Addr != to.Addr {
		to = nil // the same name with another address is another server
	}
	switch {
	case p.Step == model.StepOrder && old.Name != "":
		d.turn = halfway(e.When(), old)
		return nil
	case p.Step == model.StepOrder:
		d.turn = nobodyKnows(e.When())
		return nil
	case to == nil:
		d.turn = turn{to: was, old: old, promoting: p.Step > model.StepFence, unsure: p.Unsure}
		return d.abandon(e.When(), "the configuration no longer has "+p.To+" as it was")
	}
	t.to, t.old = to.Server, old
	if old := d.server(p.Old); old != nil && old.Addr == t.old.Addr {
		t.old = old.Server
	}
	t.spare()
	t.fenced = p.Step > model.StepFence
	t.promoting = p.Step > model.StepFence
	t.sw = model.Switch{Held: p.Since}
	d.turn = t
	return nil
}
