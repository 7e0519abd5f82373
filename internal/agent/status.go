package agent

import (
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"fairlead/internal/model"
)

// A view is what the loop knows after an event. It is never changed: the loop
// makes a new one.
type view struct {
	at         time.Time
	since      time.Time
	generation uint64
	version    string
	sources    []string
	attach     model.AttachMode
	ifaces     []string // that should carry the programme
	rules      model.RuleSet
	links      map[string]model.Link
	directors  []model.DirectorStatus
	flows      []model.FlowStatus
	alarms     []model.Alarm
	failed     string // why the kernel is not as desired; "": no failure
	refused    string // why the last reload was refused
	applies    uint64
	sharing    map[model.ServerRef]bool // those that should get new connections of balanced directors
	forgetful  string                   // why the switches are not remembered; "": they are
	probed     int                      // servers that are probed
	hookTime   map[string]time.Duration // that the hooks of each director may take together
}

// publish makes what the loop knows visible, and tells what changed.
func (l *loop) publish(at time.Time) {
	v := &view{
		at:         at,
		since:      l.since,
		generation: l.generation,
		version:    l.settings.Version,
		sources:    l.settings.Sources,
		attach:     l.settings.Attach,
		ifaces:     l.desired.Rules.Ifaces,
		rules:      l.desired.Rules,
		links:      maps.Clone(l.links),
		directors:  l.recorded(l.state.Status()),
		flows:      l.state.Flows(),
		alarms:     l.state.Alarms(),
		refused:    l.refused,
		applies:    l.kernel.applies,
		sharing:    sharing(l.desired),
		hookTime:   l.hookTime,
		probed:     len(l.targets),
	}
	if forgotten := l.memory.alarms(); len(forgotten) > 0 {
		v.forgetful = forgotten[0].Why
	}
	if l.kernel.err != nil {
		v.failed = l.kernel.err.Error()
	}
	v.alarms = slices.Concat(v.alarms, v.own(), l.pathAlarms(v.directors), l.memory.alarms(), lostAlarms(l.lost, at), crowdedAlarms(l.crowded, at), journalAlarms(l.parts.Journal.Err()))
	old := l.view.Swap(v)
	if old == nil {
		old = &view{}
	}
	l.noteChanges(*old, *v)
	if differs(*old, *v) {
		l.announceChange()
	}
}

// sharing are the servers that should get new connections of balanced directors.
func sharing(want model.Desired) map[model.ServerRef]bool {
	all := make(map[model.ServerRef]bool)
	for _, d := range want.Directors {
		for _, s := range d.Servers {
			if d.Balanced && s.Weight > 0 && s.MAC.Known() {
				all[model.ServerRef{Director: d.Name, Server: s.Name}] = true
			}
		}
	}
	return all
}

// recorded puts in the records of the switches, how many clients wait, and where
// servers are checked.
func (l *loop) recorded(directors []model.DirectorStatus) []model.DirectorStatus {
	for i, d := range directors {
		directors[i].Held = l.keeper.Count(d.Name)
		for j, s := range d.Servers {
			if s.Health != model.HealthUnchecked {
				w := l.viaOf(model.ServerRef{Director: d.Name, Server: s.Name})
				d.Servers[j].CheckedVIPs, d.Servers[j].VIPNote = w.vips, w.note
			}
		}
		if r, ok := l.switches[d.Name]; ok && r.Epoch == d.Epoch {
			last := r.Switch
			directors[i].LastSwitch = &last
		}
	}
	return directors
}

// own are the alarms that do not follow from the decisions.
func (v view) own() []model.Alarm {
	var all []model.Alarm
	if v.failed != "" {
		all = append(all, model.Alarm{
			What: "the data plane is not as desired",
			Why:  v.failed,
			Do:   "it is tried again by itself; if it stays so, look at the kernel's log with dmesg",
		})
	}
	if v.refused != "" {
		all = append(all, model.Alarm{
			What: "the last reload was refused; the configuration before it stays in force",
			Why:  v.refused,
			Do:   "see what is wrong with: fairlead check --host -f " + strings.Join(v.sources, " -f ") + "; then: fairlead reload",
		})
	}
	return all
}

// compose puts desired, applied and observed side by side. What the kernel did
// not tell stays empty, and an alarm says so.
func compose(v view, seen observation) model.Status {
	s := model.Status{
		At:         seen.at,
		Version:    v.version,
		PID:        os.Getpid(),
		Since:      v.since,
		Generation: v.generation,
		Sources:    v.sources,
		Verdicts:   seen.traffic.Verdicts,
		Table:      seen.traffic.Table,
		Alarms:     append([]model.Alarm{}, v.alarms...),
		// Who reads the JSON finds empty lists, never null.
		Flows:     []model.FlowStatus{},
		Directors: []model.DirectorStatus{},
		Services:  []model.ServiceStatus{},
	}
	if s.Verdicts == nil {
		s.Verdicts = map[string]model.Counter{}
	}
	if seen.err != nil {
		s.Blind = seen.err.Error()
		s.Alarms = append(s.Alarms, model.Alarm{
			What: "what the kernel holds is not known; it is shown as empty",
			Why:  seen.err.Error(),
			Do:   "if it stays so, restart the daemon; the data plane forwards meanwhile",
		})
	}
	s.Interfaces = interfaces(v, seen.applied)
	for _, f := range v.flows {
		s.Flows = append(s.Flows, observedFlow(f, seen))
	}
	for _, d := range v.directors {
		s.Directors = append(s.Directors, observedDirector(d, v, seen))
	}
	return s
}

// interfaces are those that should carry the programme, and those that do.
func interfaces(v view, applied model.Applied) []model.InterfaceStatus {
	names := slices.AppendSeq(slices.Clone(v.ifaces), maps.Keys(applied.Ifaces))
	slices.Sort(names)
	all := []model.InterfaceStatus{}
	for _, name := range slices.Compact(names) {
		i := model.InterfaceStatus{Name: name, Desired: v.attach, Up: v.links[name].Up}
		if held, ok := applied.Ifaces[name]; ok {
			i.Applied, i.Why = held.Mode.String(), held.Why
		} else if _, ok := v.links[name]; !ok {
			i.Why = "this machine has no such interface"
		} else {
			i.Why = v.failed
		}
		all = append(all, i)
	}
	return all
}

// observedFlow adds what the kernel has of a flow. It is applied when it has a
// rule there and all its virtual IPs.
func observedFlow(f model.FlowStatus, seen observation) model.FlowStatus {
	f.Applied = seen.applied.Flows[f.Name]
	f.VIPs = append([]model.VIPStatus{}, f.VIPs...)
	for i, vip := range f.VIPs {
		held, ok := seen.applied.VIPs[vip.Addr]
		f.Applied = f.Applied && ok
		switch {
		case !ok:
			f.VIPs[i].State = model.VIPNotApplied
			if vip.State == model.VIPAnnounced {
				f.VIPs[i].Why = "the data plane does not have it"
			}
		case vip.State == model.VIPAnnounced && !held.Announce:
			f.VIPs[i].State = model.VIPNotApplied
			f.VIPs[i].Why = "the data plane does not answer ARP for it yet"
		}
	}
	if f.Verdicts = seen.traffic.Flows[f.Name]; f.Verdicts == nil {
		f.Verdicts = map[string]model.Counter{}
	}
	for _, c := range f.Verdicts {
		f.Total = f.Total.Add(c)
	}
	return f
}

// observedDirector adds what the kernel has of a director.
func observedDirector(d model.DirectorStatus, v view, seen observation) model.DirectorStatus {
	held := seen.applied.Directors[d.Name]
	d.Applied = held.Active
	if d.Applied != d.Desired && d.Why == "" {
		d.Why = v.failed
	}
	d.Servers = append([]model.ServerStatus{}, d.Servers...)
	if p := d.Persistence; p != nil {
		d.Persistence = &model.Persisting{Timeout: p.Timeout, Netmask: p.Netmask, Templates: seen.traffic.Templates[d.Name]}
	}
	for i, s := range d.Servers {
		ref := model.ServerRef{Director: d.Name, Server: s.Name}
		conns := seen.traffic.Conns[ref]
		s.Active = s.Name == d.Applied || held.Epoch == d.Epoch && v.sharing[ref]
		s.Connections = conns.Present
		s.Total = seen.traffic.Servers[ref]
		d.Servers[i] = s
		d.Connections += conns.Present
		d.Old += conns.Old
		d.Total = d.Total.Add(s.Total)
	}
	return d
}
