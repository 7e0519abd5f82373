package decide

import (
	"fmt"
	"strings"

	"fairlead/internal/health"
	"fairlead/internal/model"
)

// Alarms are what needs a person now. They follow from the state: an alarm
// ends when its cause does.
func (s State) Alarms() []model.Alarm {
	var all []model.Alarm
	for _, v := range s.rules.VIPs {
		all = append(all, s.vipAlarms(v)...)
	}
	for i := range s.directors {
		d := &s.directors[i]
		all = append(all, d.serverAlarms()...)
		all = append(all, d.copyAlarms()...)
		all = append(all, s.networkAlarms(d)...)
	}
	if s.lost != "" {
		all = append(all, model.Alarm{
			What: "the memory of the switches was lost",
			Why:  s.lost,
			Do:   "see that the right servers are active: fairlead status; the memory is written anew",
		})
	}
	if s.configured && s.silent() {
		all = append(all, model.Alarm{
			What: "after a switch, old connections will be met with silence",
			Why:  "the configuration says sysctl expire_nodest_conn=0, so clients may wait up to 15 minutes",
			Do:   "write sysctl expire_nodest_conn=1, then: fairlead reload",
		})
	}
	return all
}

func (s State) vipAlarms(v model.VIP) []model.Alarm {
	if iface, own := s.net.Owner(v.Addr); own {
		return []model.Alarm{{
			What: fmt.Sprintf("flow %s is not applied to %s", s.ways.owners[v.Addr].Flow, v.Addr),
			Why:  fmt.Sprintf("%s is an address of this machine, on %s; forwarding it away could lock you out", v.Addr, iface),
			Do:   fmt.Sprintf("remove %s from %s, or use another virtual IP", v.Addr, iface),
		}}
	}
	if st := s.vip(v.Addr); st.State == model.VIPConflict {
		if srv, ok := s.rival(st); ok {
			return []model.Alarm{{
				What: fmt.Sprintf("the real server %s answers ARP for the virtual IP %s", srv, v.Addr),
				Why:  st.Why + "; clients that hear it go past the director",
				Do:   fmt.Sprintf("on %s: fairlead realserver check --vip %s says why; or keep the address on lo only, and sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2", srv, v.Addr),
			}}
		}
		return []model.Alarm{{
			What: fmt.Sprintf("another machine answers for the virtual IP %s", v.Addr),
			Why:  st.Why,
			Do:   fmt.Sprintf("find that machine and take %s from it", v.Addr),
		}}
	}
	return nil
}

// rival is the real server that a conflict tells of, when it is one: the usual
// cause, and one that has a remedy of its own.
func (s State) rival(conflict model.VIPStatus) (server string, ok bool) {
	holders := s.net.Holders(func(m model.MAC) bool { return strings.Contains(conflict.Why, m.String()) })
	for _, a := range holders {
		for _, d := range s.directors {
			for _, srv := range d.servers {
				if srv.Addr == a {
					return srv.Name, true
				}
			}
		}
	}
	return "", false
}

// serverAlarms tell of the servers of a director and of its choice.
func (d *director) serverAlarms() []model.Alarm {
	now := d.active()
	switch {
	case d.turn.step != model.StepNone:
		return d.turnAlarms()
	case now != nil && now.health.Advisory != "" && now.health.Advisory != health.AdvisoryPass:
		return []model.Alarm{{
			What: fmt.Sprintf("%s, the active server of %s, does not answer probes", now.Name, d.Name),
			Why:  now.health.Advisory + "; it is not checked, so this decides nothing",
			Do:   fmt.Sprintf("look at %s; to use another server: fairlead switch %s/SERVER", now.Name, d.Name),
		}}
	case d.stay.kind != stayNone:
		return []model.Alarm{d.stayAlarm(now)}
	case d.Balanced() && d.choice.reason == model.ReasonFirst:
		return d.silentAlarm()
	case now == nil && d.choice.reason != model.ReasonWaiting:
		return []model.Alarm{{
			What: fmt.Sprintf("director %s has no server; packets to it are dropped", d.Name),
			Why:  d.vacancy(),
			Do:   fmt.Sprintf("bring a server of %s back; it is used as soon as its check passes", d.Name),
		}}
	case now != nil && !d.Balanced():
		return d.aloneAlarm(now)
	}
	return nil
}

// aloneAlarm tells that the active server serves, but nobody could take over from it.
func (d *director) aloneAlarm(now *server) []model.Alarm {
	var down, names []string
	for _, srv := range d.servers {
		switch {
		case srv.Name == now.Name || !srv.candidate():
		case srv.health.Level != model.HealthDown:
			return nil
		default:
			names = append(names, srv.Name)
			down = append(down, srv.Name+" is "+srv.health.Text())
		}
	}
	if len(down) == 0 {
		return nil
	}
	return []model.Alarm{{
		What: fmt.Sprintf("director %s: no other server could take over from %s", d.Name, now.Name),
		Why:  strings.Join(down, "; "),
		Do:   fmt.Sprintf("repair %s; if %s fails before, the service stops", strings.Join(names, " or "), now.Name),
	}}
}

// silentAlarm tells that all servers of a balanced director fell silent.
func (d *director) silentAlarm() []model.Alarm {
	if d.serves(func(server) bool { return true }) {
		return nil // the others are being asked again
	}
	var down []string
	for _, srv := range d.servers {
		if srv.share.in && srv.health.Level == model.HealthDown {
			down = append(down, srv.Name+" is "+srv.health.Text())
		}
	}
	if len(down) == 0 {
		return nil
	}
	return []model.Alarm{{
		What: fmt.Sprintf("director %s: no server answers; those that were up last stay in use", d.Name),
		Why:  strings.Join(down, "; ") + "; it is perhaps the director's own network",
		Do:   fmt.Sprintf("look at the director's interface, or bring a server of %s back", d.Name),
	}}
}

// stayAlarm says why a director stays with a server that does not work, or is
// not the preferred one.
func (d *director) stayAlarm(now *server) model.Alarm {
	to := d.ref(d.stay.to)
	switch d.stay.kind {
	case stayStale:
		return d.staleAlarm(now)
	case stayNobody:
		return model.Alarm{
			What: fmt.Sprintf("director %s: no server answers; staying with %s", d.Name, now.Name),
			Why:  fmt.Sprintf("%s is %s; the others fell silent with it, so it is probably the director's own network", now.Name, now.health.Text()),
			Do:   "look at the director's interface, its cable and the switch; the service goes on as soon as a server answers",
		}
	case stayLastActive:
		return model.Alarm{
			What: fmt.Sprintf("director %s waits for %s until %s", d.Name, now.Name, clock(d.stay.until)),
			Why:  fmt.Sprintf("all servers were gone; %s was active last, and %s may hold older data", now.Name, d.stay.to),
			Do:   fmt.Sprintf("bring %s back; to take %s now: fairlead switch %s", now.Name, d.stay.to, to),
		}
	case stayHoldDown:
		return model.Alarm{
			What: fmt.Sprintf("director %s is left alone with %s until %s", d.Name, now.Name, clock(d.stay.until)),
			Why:  fmt.Sprintf("it switched by itself at %s, and holddown allows that once in %s", clock(d.choice.auto), d.HoldDown),
			Do:   fmt.Sprintf("see why the servers come and go; to switch now: fairlead switch %s", to),
		}
	case stayLonely, stayNone:
	}
	return model.Alarm{
		What: fmt.Sprintf("director %s: no other server is up; staying with %s", d.Name, now.Name),
		Why:  fmt.Sprintf("%s is %s", now.Name, now.health.Text()),
		Do:   fmt.Sprintf("bring a server of %s back; it is used as soon as its check passes", d.Name),
	}
}

// staleAlarm says why nobody takes the place of a server that does not work.
func (d *director) staleAlarm(now *server) model.Alarm {
	why, back := d.vacancy(), "bring a server with newer data back"
	if now != nil {
		why, back = fmt.Sprintf("%s is %s", now.Name, now.health.Text()), fmt.Sprintf("bring %s back", now.Name)
	}
	if now != nil && !now.candidate() {
		why = d.lonely(now)
	}
	why += "; " + d.lacksOf(d.stay.to)
	if to := d.server(d.stay.to); to != nil && to.copy.why != "" {
		why += "; " + to.copy.why
	}
	return model.Alarm{
		What: fmt.Sprintf("director %s: %s is not taken by itself, as its copy may be too old", d.Name, d.stay.to),
		Why:  why,
		Do:   fmt.Sprintf("%s; if its older data are better than none: fairlead switch %s", back, d.ref(d.stay.to)),
	}
}

// turnAlarms tell of a switch that does not get on.
func (d *director) turnAlarms() []model.Alarm {
	t := d.turn
	again := "fairlead switch " + d.ref(t.to.Name).String()
	switch {
	case t.step == model.StepOrder:
		var ways []string
		for _, s := range d.servers {
			ways = append(ways, d.ref(s.Name).String())
		}
		return []model.Alarm{{
			What: fmt.Sprintf("director %s is on hold: no packet is forwarded", d.Name),
			Why:  t.why,
			Do:   "say which server has the newest data: fairlead switch " + strings.Join(ways, " or "),
		}}
	case t.failed != "":
		_, of := t.hook()
		return []model.Alarm{{
			What: fmt.Sprintf("director %s is on hold: the %s hook of %s failed", d.Name, t.step, of),
			Why:  t.failed,
			Do:   fmt.Sprintf("mend it, then try again: %s; or go on without it: %s --force", again, again),
		}}
	case t.late:
		return []model.Alarm{{
			What: fmt.Sprintf("director %s is on hold: %s was promoted, but its check does not pass", d.Name, t.to.Name),
			Why:  fmt.Sprintf("%s is %s", t.to.Name, d.server(t.to.Name).health.Text()),
			Do:   fmt.Sprintf("look at %s; the switch goes on as soon as its check passes; to go on at once: %s --force", t.to.Name, again),
		}}
	}
	return nil
}

func (s State) networkAlarms(d *director) []model.Alarm {
	if !s.used(d) {
		return nil
	}
	iface, ok := s.iface(d)
	if !ok {
		return []model.Alarm{{
			What: fmt.Sprintf("director %s has no interface", d.Name),
			Why:  "its flows name none, and no interface is in the network of its virtual IP or of its servers",
			Do:   "name the interface in the flow: match iface eth0 dst …",
		}}
	}
	l, ok := s.net.Link(iface)
	switch {
	case !ok:
		return []model.Alarm{{
			What: fmt.Sprintf("interface %s of director %s does not exist", iface, d.Name),
			Why:  "the system has no interface of that name",
			Do:   fmt.Sprintf("create %s, or correct the name in the flow", iface),
		}}
	case !l.Up:
		return []model.Alarm{{
			What: fmt.Sprintf("interface %s of director %s is down", iface, d.Name),
			Why:  "it is switched off or has no carrier",
			Do:   fmt.Sprintf("switch %s on and look at its cable", iface),
		}}
	}
	now := d.active()
	if now != nil && s.severed(d, now.Addr) {
		return []model.Alarm{{
			What: fmt.Sprintf("director %s: its servers cannot be checked", d.Name),
			Why:  fmt.Sprintf("%s has no %s address, and no other interface is in the network of %s", iface, model.FamilyOf(now.Addr), now.Addr),
			Do:   fmt.Sprintf("give %s its address back", iface),
		}}
	}
	if now == nil || s.reach(d, *now, iface).MAC.Known() {
		return nil
	}
	if d.Mode == model.ModeTunnel {
		return []model.Alarm{{
			What: fmt.Sprintf("director %s: packets for %s cannot be sent", d.Name, now.Name),
			Why:  fmt.Sprintf("no way to %s is known on %s: it does not answer ARP there, nor does a router that leads to it", now.Addr, iface),
			Do:   fmt.Sprintf("see that a route by %s leads to %s: ip route get %s", iface, now.Addr, now.Addr),
		}}
	}
	return []model.Alarm{{
		What: fmt.Sprintf("director %s: packets for %s cannot be sent", d.Name, now.Name),
		Why:  fmt.Sprintf("the MAC address of %s is not known on %s", now.Addr, iface),
		Do:   fmt.Sprintf("see that %s is on and in the network of %s", now.Name, iface),
	}}
}
