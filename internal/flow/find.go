package flow

import (
	"math"

	"fairlead/internal/model"
)

// Match finds the rule that claims the packet as the data plane does. It must
// agree with the function Match, and takes as long whatever the number of rules. The
// director's own addresses are not known here.
func (l Layout) Match(p Packet) (model.FlowRule, bool) {
	best := Placed{Order: math.MaxInt}
	if i, known := l.addrs[p.Dst]; known {
		a := l.Addrs[i]
		s, served := l.service(a, p)
		switch {
		case served && s.Direct.sends(p):
			return s.Direct.Rule, true
		case !served && !(a.Services && p.later()) && a.Direct.sends(p):
			return a.Direct.Rule, true
		}
		best = l.first(s.List, p, best, false)
		best = l.first(a.List, p, best, !p.later())
	}
	best = l.first(l.General, p, best, false)
	return best.FlowRule, best.Order < math.MaxInt
}

// service is the service that a whole packet is for.
func (l Layout) service(a Addr, p Packet) (Service, bool) {
	if !a.Services || p.later() || !p.HasPorts {
		return Service{}, false
	}
	for _, proto := range ported {
		if i, ok := l.services[service{p.Dst, proto, p.DstPort}]; ok && proto.Number() == p.proto() {
			return l.Services[i], true
		}
	}
	return Service{}, false
}

func (d Direct) sends(p Packet) bool { return d.Is && (d.Iface == "" || d.Iface == p.Iface) }

// first is the first rule of a list that claims the packet, if it comes before
// the best one so far. Those of services may be left out.
func (l Layout) first(list Extent, p Packet, best Placed, whole bool) Placed {
	for at := list.First; at < list.First+list.N; {
		r := l.Rules[at]
		switch {
		case r.Order >= best.Order:
			return best
		case r.Service && whole || !holds(r.Rule, p):
			at++
		case l.ignored(r, p):
			at += r.Next
		default:
			return r
		}
	}
	return best
}

// ignored tells whether an ignore rule before a match rule exempts the packet.
func (l Layout) ignored(r Placed, p Packet) bool {
	for _, i := range l.Rules[r.Ignores.First:][:r.Ignores.N] {
		if holds(i.Rule, p) {
			return true
		}
	}
	return false
}
