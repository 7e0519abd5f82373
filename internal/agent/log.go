package agent

import (
	"errors"
	"slices"

	"fairlead/internal/control"
	"fairlead/internal/model"
)

// logLoaded logs that a configuration came into force, and its warnings.
func (l *loop) logLoaded() {
	l.log.Info("configuration loaded", "generation", l.generation, "sources", l.settings.Sources)
	for _, w := range l.loaded.Warnings {
		l.logFinding(w)
	}
}

func (l *loop) logRefused(err error) {
	l.log.Error("configuration refused; the one before stays in force", "generation", l.generation, "error", err)
	var found *control.Error
	if errors.As(err, &found) {
		for _, d := range found.Diagnostics {
			l.logFinding(d)
		}
	}
}

func (l *loop) logFinding(d control.Diagnostic) {
	l.log.Warn("configuration "+d.Severity, "source", d.Source, "line", d.Line, "column", d.Column,
		"message", d.Message, "hint", d.Hint)
}

// logChanges logs the transitions between two views.
func (l *loop) logChanges(old, v view) {
	for _, d := range v.directors {
		i := slices.IndexFunc(old.directors, func(o model.DirectorStatus) bool { return o.Name == d.Name })
		var was []model.ServerStatus
		if i >= 0 {
			was = old.directors[i].Servers
		}
		for _, s := range d.Servers {
			l.logHealth(d.Name, was, s)
		}
	}
	for _, f := range v.flows {
		l.logVIPs(old, f)
	}
	for _, a := range v.alarms {
		if !slices.Contains(old.alarms, a) {
			l.log.Warn("alarm", "what", a.What, "why", a.Why, "do", a.Do)
		}
	}
	for _, a := range old.alarms {
		if !slices.Contains(v.alarms, a) {
			l.log.Info("alarm over", "what", a.What)
		}
	}
}

func (l *loop) logHealth(director string, was []model.ServerStatus, s model.ServerStatus) {
	i := slices.IndexFunc(was, func(w model.ServerStatus) bool { return w.Name == s.Name })
	if i >= 0 && was[i].Health == s.Health {
		return
	}
	if s.Health == model.HealthDown {
		l.log.Warn("server health", "director", director, "server", s.Name, "health", s.Health, "why", s.Why)
		return
	}
	l.log.Info("server health", "director", director, "server", s.Name, "health", s.Health)
}

func (l *loop) logVIPs(old view, f model.FlowStatus) {
	i := slices.IndexFunc(old.flows, func(o model.FlowStatus) bool { return o.Name == f.Name })
	for _, vip := range f.VIPs {
		if i >= 0 && slices.Contains(old.flows[i].VIPs, vip) {
			continue
		}
		l.log.Info("virtual IP", "flow", f.Name, "vip", vip.Addr, "state", vip.State, "why", vip.Why)
	}
}
