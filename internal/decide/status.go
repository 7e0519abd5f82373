package decide

import (
	"fmt"
	"strings"

	"fairlead/internal/flow"
	"fairlead/internal/model"
)

// Config is the configuration in force.
func (s State) Config() model.Config { return s.config }

// Status is what people are shown of the directors: what is desired, and the
// health of the servers. What is applied and observed is not known here.
func (s State) Status() []model.DirectorStatus {
	var all []model.DirectorStatus
	for i := range s.directors {
		all = append(all, s.status(&s.directors[i]))
	}
	return all
}

func (s State) status(d *director) model.DirectorStatus {
	st := model.DirectorStatus{
		Name:    d.Name,
		Desired: d.choice.active,
		Epoch:   d.choice.epoch,
		Reason:  d.choice.reason,
		Since:   d.choice.since,
		Note:    d.note(),

		Balanced:  d.Balanced(),
		Scheduler: d.Scheduler,
		Failback:  d.Failback,
		Mode:      d.Mode,
		MaxLag:    d.Sync.MaxLag,
	}
	if p := d.Persistence; p.Timeout > 0 && d.Balanced() {
		st.Persistence = &model.Persisting{Timeout: p.Timeout, Netmask: p.Bits}
	}
	if d.turn.step != model.StepNone {
		st.Step, st.StepSince, st.To = d.turn.step, d.turn.since, d.turn.to.Name
	}
	if d.choice.source == fromKernel {
		st.Reason = model.ReasonAdopted
	}
	if d.choice.last.Epoch > 0 {
		last := d.choice.last
		st.LastSwitch = &last
	}
	iface := s.way(d)
	for _, srv := range d.servers {
		st.Servers = append(st.Servers, model.ServerStatus{
			Name:      srv.Name,
			Addr:      srv.Addr,
			Port:      srv.Port,
			Weight:    srv.Weight,
			Sorry:     srv.Sorry,
			Mark:      srv.mark,
			Health:    srv.health.Level,
			Why:       srv.health.Why,
			Since:     srv.health.Since,
			Advisory:  srv.health.Advisory,
			LastProbe: srv.health.Probed,
			Latency:   srv.health.Latency,
			MAC:       s.reach(d, srv, iface).MAC,
			Copy:      d.copyStatus(srv),
		})
	}
	return st
}

// note tells people what they may want to do about the choice.
func (d *director) note() string {
	best, ok := d.best()
	now := d.active()
	switch {
	case d.Balanced() && d.choice.reason == model.ReasonFirst:
		return ""
	case d.turn.step != model.StepNone:
		return d.turn.note()
	case d.stay.kind != stayNone:
		return d.stayText(d.stay)
	case now == nil:
		return d.vacancy()
	case d.choice.source == fromMemory && now.health.Level == model.HealthUnknown:
		return now.Name + " is kept from the memory on disk; its check has not passed yet"
	case !ok || !now.candidate():
		return d.lonely(now)
	case best == now.Name:
		return ""
	}
	what := fmt.Sprintf("%s is %s and preferred", best, d.server(best).health.Text())
	if d.choice.last.From == best && d.choice.reason == model.ReasonFailed {
		what = best + " is up again"
	}
	if d.outdated(*d.server(best)) {
		what += ", but " + d.lacksOf(best)
	}
	return fmt.Sprintf("%s; to return: fairlead switch %s", what, d.ref(best))
}

// note says what a switch under way waits for.
func (t turn) note() string {
	switch {
	case t.step == model.StepOrder:
		return t.why
	case t.failed != "":
		return fmt.Sprintf("the switch to %s is on hold: its %s hook failed: %s", t.to.Name, t.step, t.failed)
	}
	return fmt.Sprintf("switching to %s: %s", t.to.Name, t.step)
}

// lonely is the note of an active server that nobody could replace.
func (d *director) lonely(now *server) string {
	switch {
	case now.mark != model.MarkNone:
		return fmt.Sprintf("%s is %s, but no other server is up; staying with it", now.Name, now.mark)
	case now.Weight == 0:
		return now.Name + " has weight 0, but no other server is up; staying with it"
	}
	return ""
}

// vacancy is the note of a director without an active server.
func (d *director) vacancy() string {
	if len(d.servers) == 0 {
		return "it has no server"
	}
	var states []string
	waiting := "no server can be chosen"
	for _, s := range d.servers {
		switch {
		case s.Weight == 0:
			states = append(states, s.Name+" has weight 0")
			continue
		case s.mark != model.MarkNone:
			states = append(states, s.Name+" is "+s.mark.String())
			continue
		case s.health.Level == model.HealthUnknown:
			waiting = "waiting for checks"
		}
		states = append(states, s.Name+" is "+s.health.Text())
	}
	return waiting + ": " + strings.Join(states, "; ")
}

// Flows is what people are shown of the flows: what is desired, and the states
// of their virtual IPs.
func (s State) Flows() []model.FlowStatus {
	var all []model.FlowStatus
	for _, f := range s.config.Flows {
		st := model.FlowStatus{Name: f.Name, Policy: f.Policy, Director: f.Director}
		seen := map[string]bool{}
		for _, r := range f.Rules {
			vip, ok := flow.VIP(r)
			if !ok || seen[vip.String()] || !s.claims(vip) {
				continue
			}
			seen[vip.String()] = true
			st.VIPs = append(st.VIPs, s.vip(vip))
		}
		all = append(all, st)
	}
	return all
}
