package decide

import (
	"fmt"
	"strings"

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
		all = append(all, s.networkAlarms(d)...)
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
	if iface, own := s.owner(v.Addr); own {
		return []model.Alarm{{
			What: fmt.Sprintf("flow %s is not applied to %s", v.Rules[0].Flow, v.Addr),
			Why:  fmt.Sprintf("%s is an address of this machine, on %s; forwarding it away could lock you out", v.Addr, iface),
			Do:   fmt.Sprintf("remove %s from %s, or use another virtual IP", v.Addr, iface),
		}}
	}
	if st := s.vip(v.Addr); st.State == model.VIPConflict {
		if srv, ok := s.rival(st); ok {
			return []model.Alarm{{
				What: fmt.Sprintf("the real server %s answers ARP for the virtual IP %s", srv, v.Addr),
				Why:  st.Why + "; clients that hear it go past the director",
				Do:   fmt.Sprintf("on %s: keep the address on lo only, and sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2", srv),
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
	for _, n := range s.neighbours {
		if !strings.Contains(conflict.Why, n.MAC.String()) {
			continue
		}
		for _, d := range s.directors {
			for _, srv := range d.servers {
				if srv.Addr == n.Addr {
					return srv.Name, true
				}
			}
		}
	}
	return "", false
}

func (d *director) serverAlarms() []model.Alarm {
	_, usable := d.choose(server.usable)
	now := d.active()
	switch {
	case now != nil && now.advisory != "" && now.advisory != advisoryPass:
		return []model.Alarm{{
			What: fmt.Sprintf("%s, the active server of %s, does not answer probes", now.Name, d.Name),
			Why:  now.advisory + "; it is not checked, so this decides nothing",
			Do:   fmt.Sprintf("look at %s; to use another server: fairlead switch %s/SERVER", now.Name, d.Name),
		}}
	case usable:
		return nil
	case now != nil && now.health == model.HealthDown:
		return []model.Alarm{{
			What: fmt.Sprintf("director %s: no other server is up; staying with %s", d.Name, now.Name),
			Why:  fmt.Sprintf("%s is %s", now.Name, now.state()),
			Do:   fmt.Sprintf("bring a server of %s back; it is used as soon as its check passes", d.Name),
		}}
	case now == nil && d.choice.reason != model.ReasonWaiting:
		return []model.Alarm{{
			What: fmt.Sprintf("director %s has no server; packets to it are dropped", d.Name),
			Why:  d.vacancy(),
			Do:   fmt.Sprintf("bring a server of %s back; it is used as soon as its check passes", d.Name),
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
	l, ok := s.link(iface)
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
			Why:  fmt.Sprintf("%s has no IPv4 address, and no other interface is in the network of %s", iface, now.Addr),
			Do:   fmt.Sprintf("give %s its address back", iface),
		}}
	}
	if now == nil || s.mac(now.Addr, iface).Known() {
		return nil
	}
	return []model.Alarm{{
		What: fmt.Sprintf("director %s: packets for %s cannot be sent", d.Name, now.Name),
		Why:  fmt.Sprintf("the MAC address of %s is not known on %s", now.Addr, iface),
		Do:   fmt.Sprintf("see that %s is on and in the network of %s", now.Name, iface),
	}}
}
