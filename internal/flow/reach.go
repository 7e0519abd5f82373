package flow

import "fairlead/internal/model"

// Reaches tells whether the rules of a virtual IP lead clients' packets of a
// protocol to a director, by this port; port 0: by whatever port. Where they come
// from does not matter: some client's do.
func Reaches(v model.VIP, director string, proto model.Proto, port uint16) bool {
	exempt := "" // the flow that an ignore rule ended for every client
	for _, r := range v.Rules {
		if r.Flow == exempt || !wants(r.Rule, proto, port) {
			continue
		}
		switch {
		case r.Rule.Ignore && !r.Rule.Src.Set && !r.Rule.SrcPort.Set && !r.Rule.Iface.Set:
			exempt = r.Flow
		case !r.Rule.Ignore && r.Director == director:
			return true
		}
	}
	return false
}

// wants tells whether a rule may hold for packets of a protocol to a port.
func wants(r model.Rule, proto model.Proto, port uint16) bool {
	if r.Proto.Set && r.Proto.Value != model.ProtoAny && (r.Proto.Value == proto) == r.Proto.Not {
		return false
	}
	ports := r.DstPort.Value
	inside := port >= ports.First && port <= ports.Last
	switch {
	case proto == model.ProtoICMP:
		return !r.DstPort.Set
	case port == 0:
		return r.Ignore || !r.DstPort.Set // an ignore rule may take the port away
	}
	return !r.DstPort.Set || inside != r.DstPort.Not
}
