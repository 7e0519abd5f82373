package main

import (
	"fmt"
	"net/netip"

	"fairlead/internal/flow"
	"fairlead/internal/model"
)

// to is a rule for every packet to an address.
func to(addr netip.Addr) model.Rule {
	return model.Rule{Dst: model.Cond[netip.Prefix]{Set: true, Value: netip.PrefixFrom(addr, addr.BitLen())}}
}

// service is a rule for one port of an address.
func service(addr netip.Addr, proto model.Proto, port uint16) model.Rule {
	r := to(addr)
	r.Proto = model.Cond[model.Proto]{Set: true, Value: proto}
	r.DstPort = model.Cond[model.Ports]{Set: true, Value: model.Ports{First: port, Last: port}}
	return r
}

// ruleSet are the rules of so many flows; the last one has the rule that the
// packets meet, the others have rules that they do not.
func ruleSet(flows int, last model.Rule, other func(i int) model.Rule, policy model.Policy) model.RuleSet {
	var cfg model.Config
	for i := range flows - 1 {
		f := model.Flow{Name: fmt.Sprintf("f%d", i), Policy: policy, Rules: []model.Rule{other(i)}}
		if policy == model.PolicyDirector {
			f.Director = directorName
		}
		cfg.Flows = append(cfg.Flows, f)
	}
	cfg.Flows = append(cfg.Flows, model.Flow{Name: "nfs", Policy: model.PolicyDirector, Director: directorName, Rules: []model.Rule{last}})
	return flow.Compile(cfg)
}

// plain is the one flow of a director: all packets to the virtual IP.
func plain() model.RuleSet { return ruleSet(1, to(vip), nil, model.PolicyDirector) }

// neighbour is an address that no packet goes to.
func neighbour(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 3, byte(i >> 8), byte(i)}) }

// crowds are rule sets with many flows, and a small one of each kind.
func crowds() []struct {
	what  string
	rules model.RuleSet
} {
	source := func(i int) model.Rule {
		return model.Rule{Src: model.Cond[netip.Prefix]{Set: true, Value: netip.PrefixFrom(neighbour(i), 32)}}
	}
	tcp := service(vip, model.ProtoTCP, model.NFSPort)
	return []struct {
		what  string
		rules model.RuleSet
	}{
		{"10,000 addresses", ruleSet(10000, to(vip), func(i int) model.Rule { return to(neighbour(i)) }, model.PolicyDirector)},
		{"a port", ruleSet(1, tcp, nil, model.PolicyDirector)},
		{"10,000 ports", ruleSet(10000, tcp, func(i int) model.Rule { return service(vip, model.ProtoTCP, uint16(10000+i)) }, model.PolicyDirector)},
		{"1 rule before", ruleSet(2, to(vip), source, model.PolicyDeny)},
		{"101 rules before", ruleSet(102, to(vip), source, model.PolicyDeny)},
		{"1,001 rules before", ruleSet(1002, to(vip), source, model.PolicyDeny)},
	}
}
