package metrics

import (
	"slices"
	"strings"

	"fairlead/internal/model"
)

// forwarded is the verdict that every flow is shown with, so that a rate can be
// taken from its first packet on.
const forwarded = "forward"

func (m *shape) daemon(e emitter, s model.Status) {
	e.instant(m.start, s.Since)
	e.instant(m.heartbeat, s.Turned)
	e.gauge(m.generation, float64(s.Generation))
	e.gauge(m.alarms, float64(len(s.Alarms)))
	e.flag(m.readable, s.Blind == "")
	for _, part := range s.Services {
		for _, state := range []string{model.ServiceRunning, model.ServiceFailed, model.ServiceOff} {
			e.flag(m.service, part.State == state, part.Name, state)
		}
	}
}

func (m *shape) plane(e emitter, s model.Status) {
	for _, i := range s.Interfaces {
		e.flag(m.ifaceUp, i.Up, i.Name)
	}
	if s.Blind != "" {
		return
	}
	for _, i := range s.Interfaces {
		e.flag(m.ifaceApplied, i.Applied != "", i.Name)
	}
	for _, verdict := range withForward(s.Verdicts) {
		e.counter(m.packets, s.Verdicts[verdict].Packets, verdict)
		e.counter(m.bytes, s.Verdicts[verdict].Bytes, verdict)
	}
	e.gauge(m.tableSlots, float64(s.Table.Size))
	e.gauge(m.tableUsed, float64(s.Table.Used))
	e.gauge(m.tableEnded, float64(s.Table.Ended))
	e.gauge(m.tableMemory, float64(s.Table.Bytes))
	e.counter(m.tableRefused, s.Table.Refused)
}

func (m *shape) flows(e emitter, s model.Status) {
	if s.Blind != "" {
		return
	}
	states := map[string]int{}
	for _, f := range byName(s.Flows, func(f model.FlowStatus) string { return f.Name }) {
		for _, v := range f.VIPs {
			states[v.State]++
		}
		e.flag(m.flowSet, f.Applied, f.Name)
		for _, verdict := range withForward(f.Verdicts) {
			e.counter(m.flowPackets, f.Verdicts[verdict].Packets, f.Name, verdict)
			e.counter(m.flowBytes, f.Verdicts[verdict].Bytes, f.Name, verdict)
		}
	}
	for _, state := range []string{model.VIPProbing, model.VIPAnnounced, model.VIPConflict, model.VIPNotApplied} {
		e.gauge(m.vips, float64(states[state]), state)
	}
}

// withForward are the verdicts that happened, and forward.
func withForward(counts map[string]model.Counter) []string {
	names := append(make([]string, 0, len(counts)+1), forwarded)
	for name := range counts {
		if name != forwarded {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// byName sorts what has a name. The registry sorts too, and what comes sorted
// costs it a fifth less time.
func byName[T any](all []T, name func(T) string) []T {
	return slices.SortedFunc(slices.Values(all), func(a, b T) int { return strings.Compare(name(a), name(b)) })
}

func (m *shape) director(e emitter, d model.DirectorStatus, blind bool) {
	mode, scheduler := "active-passive", ""
	if d.Balanced {
		mode, scheduler = "balanced", d.Scheduler.String()
	}
	e.gauge(m.dirInfo, 1, d.Name, mode, d.Failback.String(), scheduler, d.Mode.String())
	e.flag(m.dirSwitching, d.Step != model.StepNone, d.Name)
	e.gauge(m.dirHeld, float64(d.Held), d.Name)
	e.gauge(m.dirEpoch, float64(d.Epoch), d.Name)
	e.instant(m.dirLast, d.Since, d.Name)
	if !blind {
		e.flag(m.dirSync, inSync(d), d.Name)
		e.flag(m.dirServed, d.Applied != "" || slices.ContainsFunc(d.Servers, isActive), d.Name)
		e.gauge(m.dirConnections, float64(d.Connections), d.Name)
		e.gauge(m.dirOld, float64(d.Old), d.Name)
		if d.Persistence != nil {
			e.gauge(m.dirTemplates, float64(d.Persistence.Templates), d.Name)
		}
	}
	for _, s := range byName(d.Servers, func(s model.ServerStatus) string { return s.Name }) {
		m.server(e, d, s, blind)
	}
}

func isActive(s model.ServerStatus) bool { return s.Active }

// inSync tells whether the kernel has what was decided. A balanced director has
// no single choice: it has to share if anybody could take a share.
func inSync(d model.DirectorStatus) bool {
	if !d.Balanced {
		return d.Desired == d.Applied
	}
	usable := func(s model.ServerStatus) bool {
		return s.Mark == model.MarkNone && s.Weight > 0 && s.Health != model.HealthDown && !s.Sorry
	}
	return slices.ContainsFunc(d.Servers, isActive) || !slices.ContainsFunc(d.Servers, usable)
}

func (m *shape) server(e emitter, d model.DirectorStatus, s model.ServerStatus, blind bool) {
	role := "regular"
	if s.Sorry {
		role = "sorry"
	}
	e.gauge(m.serverInfo, 1, d.Name, s.Name, s.Addr.String(), role)
	for _, h := range []model.Health{model.HealthUp, model.HealthDown, model.HealthUnknown, model.HealthUnchecked} {
		e.flag(m.serverHealth, s.Health == h, d.Name, s.Name, h.String())
	}
	e.instant(m.serverSince, s.Since, d.Name, s.Name)
	e.instant(m.serverProbed, s.LastProbe, d.Name, s.Name)
	if !d.Balanced {
		e.flag(m.serverDesired, s.Name == d.Desired, d.Name, s.Name)
	}
	e.gauge(m.serverWeight, float64(s.Weight), d.Name, s.Name)
	e.flag(m.serverMarked, s.Mark != model.MarkNone, d.Name, s.Name)
	if c := s.Copy; c != nil {
		for _, f := range []model.Freshness{model.FreshnessUnknown, model.FreshnessMeasured, model.FreshnessFresh, model.FreshnessTooOld} {
			e.flag(m.serverCopy, c.Freshness == f, d.Name, s.Name, f.String())
		}
		if e.instant(m.serverMeasured, c.Measured, d.Name, s.Name); !c.Measured.IsZero() {
			e.gauge(m.serverLag, c.Lag.Seconds(), d.Name, s.Name)
		}
	}
	if blind {
		return
	}
	e.flag(m.serverActive, s.Active, d.Name, s.Name)
	e.gauge(m.serverConnections, float64(s.Connections), d.Name, s.Name)
	e.counter(m.serverPackets, s.Total.Packets, d.Name, s.Name)
	e.counter(m.serverBytes, s.Total.Bytes, d.Name, s.Name)
}
