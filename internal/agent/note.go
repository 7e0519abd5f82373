package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// enter takes an entry into the journal, and into the log as one line.
func (a *Agent) enter(e model.Event) {
	e.Mono = a.clock.at(e.At)
	e = a.parts.Journal.Append(e)
	level := slog.LevelInfo
	if e.Err != "" || e.Kind == model.EventAlarm {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{slog.String("text", e.Text)}
	for _, part := range []struct{ key, value string }{{"director", e.Director}, {"server", e.Server}, {"error", e.Err}} {
		if part.value != "" {
			attrs = append(attrs, slog.String(part.key, part.value))
		}
	}
	if e.Epoch != 0 {
		attrs = append(attrs, slog.Uint64("epoch", e.Epoch))
	}
	if e.Reason != model.ReasonNone {
		attrs = append(attrs, slog.Any("reason", e.Reason))
	}
	if e.Took != 0 {
		attrs = append(attrs, slog.Duration("took", e.Took))
	}
	a.log.LogAttrs(context.Background(), level, e.Kind.String(), attrs...)
}

// note holds an entry back until the present event is handled: no switch waits
// for who reads the log.
func (l *loop) note(e model.Event) { l.notes = append(l.notes, e) }

// enterNotes enters what was held back, in the order of its happening.
func (l *loop) enterNotes() {
	notes := l.notes
	l.notes = nil
	slices.SortStableFunc(notes, func(a, b model.Event) int { return a.At.Compare(b.At) })
	for _, e := range notes {
		l.enter(e)
	}
}

// noteStart begins the journal of this daemon.
func (l *loop) noteStart(at time.Time) {
	l.note(model.Event{At: at, Kind: model.EventStart, Text: fmt.Sprintf("fairlead %s began with the configuration %s",
		l.settings.Version, strings.Join(l.settings.Sources, " "))})
	l.logWarnings()
}

// noteReload tells of a configuration that came into force, or did not.
func (l *loop) noteReload(at time.Time, by model.Actor, refused error) {
	e := model.Event{At: at, Kind: model.EventReload, By: by.String(), Text: fmt.Sprintf("the configuration came into force as generation %d", l.generation)}
	if refused != nil {
		e.Text = fmt.Sprintf("the configuration was refused; generation %d stays in force", l.generation)
		e.Err = refused.Error()
		var found *api.Error
		if errors.As(refused, &found) {
			l.logFindings(found.Diagnostics)
		}
	} else {
		l.logWarnings()
	}
	l.note(e)
}

func (l *loop) logWarnings() { l.logFindings(l.loaded.Warnings) }

func (l *loop) logFindings(found []api.Diagnostic) {
	for _, d := range found {
		l.log.Warn("configuration "+d.Severity, "source", d.Source, "line", d.Line, "column", d.Column,
			"message", d.Message, "hint", d.Hint)
	}
}

// noteOrder tells what became of an order.
func (l *loop) noteOrder(o order, got outcome) {
	e := model.Event{At: time.Now(), Kind: model.EventOrder, Director: o.ref.Director, Server: o.ref.Server,
		Text: "ordered: " + o.String(), By: o.by.String()}
	if got.err != nil {
		e.Err = got.err.Error()
	}
	if s := got.done.Switch; s != nil {
		e.Epoch = s.Epoch
	}
	l.note(e)
}

// noteChanges tells the transitions between two views.
func (l *loop) noteChanges(old, v view) {
	flows := make(map[string][]model.VIPStatus, len(old.flows))
	for _, f := range old.flows {
		flows[f.Name] = f.VIPs
	}
	for _, f := range v.flows {
		was, known := flows[f.Name]
		l.noteVIPs(was, known, f, v.at)
	}
	before, present := subjects(old.alarms), subjects(v.alarms)
	for _, a := range v.alarms {
		if !before[a.What] {
			l.note(model.Event{At: v.at, Kind: model.EventAlarm, Text: a.What + ": " + a.Why + "; " + a.Do})
		}
	}
	for _, a := range old.alarms {
		if !present[a.What] {
			l.note(model.Event{At: v.at, Kind: model.EventAlarmOver, Text: "over: " + a.What})
		}
	}
}

// subjects are what alarms are about.
func subjects(alarms []model.Alarm) map[string]bool {
	all := make(map[string]bool, len(alarms))
	for _, a := range alarms {
		all[a.What] = true
	}
	return all
}

// noteVIPs tells what changed of a flow's virtual IPs, if it was known before.
func (l *loop) noteVIPs(was []model.VIPStatus, known bool, f model.FlowStatus, at time.Time) {
	for _, vip := range f.VIPs {
		if known && slices.Contains(was, vip) || !known && vip.State == model.VIPNotApplied {
			continue
		}
		text := fmt.Sprintf("virtual IP %s of flow %s: %s", vip.Addr, f.Name, vip.State)
		if vip.Why != "" {
			text += ": " + vip.Why
		}
		l.note(model.Event{At: at, Kind: model.EventVIP, Director: f.Director, Text: text})
	}
}
