package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"fairlead/internal/model"
)

// printStatus shows a status to a person who was woken by it: what is wrong
// comes first.
func printStatus(w io.Writer, s model.Status, colour bool) error {
	p := &page{colour: colour}
	p.hang(s)
	p.alarms(s.Alarms)
	for _, d := range s.Directors {
		p.director(d, s.At)
	}
	if len(s.Directors) == 0 && len(s.Flows) == 0 {
		p.line("")
		p.line("Nothing is configured, so nothing is forwarded.")
		p.wrap("  do:  ", "write a flow and a director: on the web pages, or in the files, and then: fairlead reload")
	}
	p.flows(s.Flows)
	p.interfaces(s.Interfaces)
	p.verdicts(s.Verdicts)
	p.daemon(s)
	if _, err := io.WriteString(w, p.text.String()); err != nil {
		return fmt.Errorf("print the status: %w", err)
	}
	return nil
}

// hang says that what follows may be old, and that nobody watches.
func (p *page) hang(s model.Status) {
	d := hangs(s)
	if d == 0 {
		return
	}
	p.line("%s", p.paint(bold+red, "THE DAEMON HANGS: its last sign of life is "+ago(d)+" old"))
	p.wrap("  ! ", "Nobody checks the servers, and nobody switches when one dies. The data plane goes on forwarding to the servers that it has. What follows may be old.")
	p.wrap("  do:  ", "look at the daemon's log, then end it and start it again. It takes over what is there, and no packet is lost.")
	p.line("")
}

func (p *page) alarms(all []model.Alarm) {
	if len(all) == 0 {
		p.line("No alarms.")
		return
	}
	p.line("%s", p.paint(bold+red, strings.ToUpper(count(len(all), "alarm"))))
	for _, a := range all {
		p.wrap("  ! ", a.What)
		p.wrap("    why: ", a.Why)
		p.wrap("    do:  ", a.Do)
	}
}

func (p *page) director(d model.DirectorStatus, now time.Time) {
	p.line("")
	p.line("%s", p.paint(bold, fmt.Sprintf("Director %s: %s", d.Name, activity(d))))
	if d.Applied != d.Desired {
		text := orNone(d.Desired) + " should be active, but the data plane does not have it"
		if d.Why != "" {
			text += ": " + d.Why
		}
		p.wrap("  ! ", text)
	}
	p.underWay(d, now)
	since := ""
	if !d.Since.IsZero() {
		since = fmt.Sprintf(" since %s (%s)", d.Since.Format("2006-01-02 15:04:05 MST"), ago(now.Sub(d.Since)))
	}
	p.wrap("  epoch ", fmt.Sprintf("%d%s, reason: %s, failback: %s", d.Epoch, since, d.Reason, d.Failback))
	p.lastSwitch(d.LastSwitch)
	p.wrap("  ", fmt.Sprintf("%s, %d old; %s", count(int(d.Connections), "connection"), d.Old, traffic(d.Total)))
	if d.Mode != model.ModeGateway {
		p.wrap("  mode ", d.Mode.String())
	}
	if s := d.Persistence; s != nil {
		p.wrap("  persistence ", fmt.Sprintf("%s after a client's last connection, netmask /%d; %s", s.Timeout, s.Netmask, count(s.Templates, "template")))
	}
	if d.Note != "" {
		p.wrap("  note: ", d.Note)
	}
	p.servers(d.Servers, now)
}

// activity says who serves.
func activity(d model.DirectorStatus) string {
	if !d.Balanced {
		return orNone(d.Applied) + " is active"
	}
	n := 0
	for _, s := range d.Servers {
		if s.Active {
			n++
		}
	}
	return count(n, "server") + " share the connections by " + d.Scheduler.String()
}

// underWay shows where a switch stands, and who waits for it.
func (p *page) underWay(d model.DirectorStatus, now time.Time) {
	if what := awaited(d); what != "" {
		if !d.StepSince.IsZero() {
			what += " (for " + ago(now.Sub(d.StepSince)) + ")"
		}
		p.wrap("  … ", what)
	}
	if d.Held > 0 {
		p.wrap("  … ", count(d.Held, "connection attempt")+" kept, to be sent on")
	}
}

func (p *page) lastSwitch(s *model.Switch) {
	if s == nil {
		return
	}
	text := fmt.Sprintf("from %s to %s", orNone(s.From), orNone(s.To))
	if s.Why != "" {
		text += ": " + s.Why
	}
	p.wrap("  last switch: ", text)
	var took []string
	if s.AppliedMono > 0 {
		took = append(took, "applied after "+millis(time.Duration(s.AppliedMono-s.DecidedMono)))
	}
	switch {
	case s.ResetMono > 0 && s.Known == 0:
		took = append(took, "no connection to reset")
	case s.ResetMono > 0:
		took = append(took, fmt.Sprintf("%d of %s reset after %s, %d ended",
			s.Reset, count(s.Known, "connection"), millis(time.Duration(s.ResetMono-s.DecidedMono)), s.Ended))
	}
	if s.Replayed > 0 {
		took = append(took, count(s.Replayed, "kept connection attempt")+" sent on")
	}
	if s.ServerReset > 0 {
		took = append(took, fmt.Sprintf("%d reset at %s too", s.ServerReset, orNone(s.From)))
	}
	if len(took) > 0 {
		p.wrap("    ", strings.Join(took, "; "))
	}
	p.milestones(*s)
}

// milestones shows what led to a switch, each with its time before it.
func (p *page) milestones(s model.Switch) {
	var all []string
	for _, m := range []struct {
		what string
		at   time.Time
	}{
		{"suspected", s.Suspected}, {"first failed probe", s.FirstAttempt}, {"on hold", s.Held},
		{"fenced", s.Fenced}, {"promoted", s.Promoted}, {"verified", s.Verified},
	} {
		if !m.at.IsZero() {
			all = append(all, fmt.Sprintf("%s %s before", m.what, millis(s.At.Sub(m.at))))
		}
	}
	if len(all) > 0 {
		p.wrap("    ", strings.Join(all, ", "))
	}
}

func (p *page) servers(all []model.ServerStatus, now time.Time) {
	if len(all) == 0 {
		return
	}
	name := len("server")
	for _, s := range all {
		name = max(name, len(s.Name))
	}
	p.line("    %-*s  %-9s  %6s  %7s  %10s", name, "server", "health", "conns", "packets", "bytes")
	for _, s := range all {
		mark := " "
		if s.Active {
			mark = "*"
		}
		health := p.paint(healthColour(s.Health), fmt.Sprintf("%-9s", s.Health))
		p.line("  %s %-*s  %s  %6s  %7s  %10s", mark, name, s.Name, health,
			short(s.Connections), short(s.Total.Packets), size(s.Total.Bytes))
		p.wrap("      ", strings.Join(details(s, now), ", "))
		if s.Why != "" {
			p.wrap("      why: ", s.Why)
		}
		if s.NotReady != "" {
			p.wrap("      not ready: ", s.NotReady)
		}
		if s.Copy != nil {
			p.wrap("      copy: ", copyText(*s.Copy, now))
		}
		if s.VIPNote != "" {
			p.wrap("      note: ", s.VIPNote)
		}
		if s.Advisory != "" {
			p.wrap("      probed while active: ", s.Advisory)
		}
	}
}

// copyText says how far a standby server's copy is behind.
func copyText(c model.CopyStatus, now time.Time) string {
	text := c.Freshness.String() + ", never measured"
	if !c.Measured.IsZero() {
		text = c.Freshness.String() + fmt.Sprintf(", %s behind when measured %s ago", lag(c.Lag), ago(now.Sub(c.Measured)))
	}
	if c.Why != "" {
		text += ": " + c.Why
	}
	return text
}

// lag is how far behind a copy is: to the second, unless it is short.
func lag(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// healthColour is the colour of a health. Only what was measured is green.
func healthColour(h model.Health) string {
	switch h {
	case model.HealthUp:
		return green
	case model.HealthDown:
		return red
	case model.HealthUnknown, model.HealthUnchecked:
		return yellow
	}
	return plain
}

// details are the rest of what there is to say of a server.
func details(s model.ServerStatus, now time.Time) []string {
	addr := s.Addr.String()
	if s.Port != 0 {
		addr = fmt.Sprintf("%s:%d", addr, s.Port)
	}
	mac := "MAC unknown"
	if s.MAC.Known() {
		mac = s.MAC.String()
	}
	all := []string{addr, mac, fmt.Sprintf("weight %d", s.Weight)}
	if s.Sorry {
		all = append(all, "sorry")
	}
	if s.Mark != model.MarkNone {
		all = append(all, s.Mark.String())
	}
	if s.Health != model.HealthUnchecked && !s.Since.IsZero() {
		all = append(all, fmt.Sprintf("%s for %s", s.Health, ago(now.Sub(s.Since))))
	}
	if !s.LastProbe.IsZero() {
		probe := fmt.Sprintf("probed %s ago", ago(now.Sub(s.LastProbe)))
		if s.Latency > 0 {
			probe += " in " + millis(s.Latency)
		}
		if s.CheckedVIPs != "" {
			probe += ", also at " + s.CheckedVIPs
		}
		all = append(all, probe)
	}
	return all
}

func (p *page) flows(all []model.FlowStatus) {
	if len(all) == 0 {
		return
	}
	p.line("")
	p.line("%s", p.paint(bold, "Flows"))
	for _, f := range all {
		to := f.Policy.String()
		if f.Director != "" {
			to += " " + f.Director
		}
		p.wrap("  ", fmt.Sprintf("%s, %s: %s", f.Name, to, traffic(f.Total)))
		for _, v := range f.VIPs {
			text := v.State
			if v.Why != "" {
				text += ": " + v.Why
			}
			p.wrap(fmt.Sprintf("    %-15s ", v.Addr), text)
		}
	}
}

func (p *page) interfaces(all []model.InterfaceStatus) {
	if len(all) == 0 {
		return
	}
	p.line("")
	p.line("%s", p.paint(bold, "Interfaces"))
	for _, i := range all {
		state := "down"
		if i.Up {
			state = "up"
		}
		mode := i.Applied
		if mode == "" {
			mode = "not attached"
		}
		text := fmt.Sprintf("%s, %s (wanted %s)", state, mode, i.Desired)
		if i.Why != "" {
			text += ": " + i.Why
		}
		p.wrap(fmt.Sprintf("  %-15s ", i.Name), text)
	}
}

func (p *page) verdicts(all map[string]model.Counter) {
	if !slices.ContainsFunc(slices.Collect(maps.Values(all)), func(c model.Counter) bool { return c.Packets > 0 }) {
		return
	}
	p.line("")
	p.line("%s", p.paint(bold, "Packets by verdict"))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if c := all[name]; c.Packets > 0 {
			p.line("  %-28s %8s packets  %10s", name, short(c.Packets), size(c.Bytes))
		}
	}
}

func (p *page) daemon(s model.Status) {
	p.line("")
	ended := ""
	if s.Table.Ended > 0 {
		ended = " (" + short(s.Table.Ended) + " by ended connections)"
	}
	p.wrap("Connection table: ", fmt.Sprintf("%s of %s slots used%s, %s of memory, %s refused",
		short(s.Table.Used), short(s.Table.Size), ended, size(s.Table.Bytes), short(s.Table.Refused)))
	p.wrap("Daemon: ", fmt.Sprintf("fairlead %s, process %d, running for %s, configuration %s, generation %d",
		s.Version, s.PID, ago(s.At.Sub(s.Since)), strings.Join(s.Sources, " "), s.Generation))
}
