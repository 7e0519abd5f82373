package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"fairlead/internal/flow"
	"fairlead/internal/model"
)

// relations reports what only the whole configuration shows to be wrong.
func (c *checker) relations() {
	c.virtualIPs()
	c.translations()
	c.mixed()
	c.places()
	c.interfaces()
	c.heartbeats()
}

// advice warns of what is right and yet cannot be meant.
func (c *checker) advice() {
	c.unusedDirectors()
	c.unfenced()
	c.uselessIgnores()
	c.shadows()
}

// sortedDirectors lists the names of the directors, as far as they are supported.
func (c *checker) sortedDirectors() []string {
	all := slices.Sorted(maps.Keys(c.directorNames))
	return all[:min(len(all), maxDirectors)]
}

// unusedDirectors warns of directors that no flow leads to.
func (c *checker) unusedDirectors() {
	used := make(map[string]bool)
	for _, f := range c.flows {
		used[f.flow.Director] = true
	}
	for _, d := range c.directors {
		if !used[d.director.Name] {
			c.warn(d.name, "write a flow: flow "+d.director.Name+" director "+d.director.Name,
				"no flow leads to director %s", d.director.Name)
		}
	}
}

// virtualIPs checks that no flow claims the address of a server.
func (c *checker) virtualIPs() {
	servers := make(map[netip.Addr]Word)
	for _, d := range c.directors {
		for i, s := range d.director.Servers {
			servers[s.Addr] = d.servers[i].name
		}
	}
	for _, f := range c.flows {
		if f.flow.Policy != model.PolicyDirector {
			continue
		}
		for i, r := range f.flow.Rules {
			if server, clash := servers[r.Dst.Value.Addr()]; clash && r.Dst.Set && r.Dst.Value.IsSingleIP() && !r.Dst.Not {
				c.fail(f.rules[i].dst, "a virtual IP is an address of its own",
					"flow %s claims %s, the address of server %s (%s)", f.name.Text, r.Dst.Value.Addr(), server.Text, server.Pos)
			}
		}
	}
}

// translations refuses what asks for another port than the clients': only the MACs of a
// packet change in mode gateway, and nothing in mode tunnel. A server's port that clients
// reach, too, is the one that is checked.
func (c *checker) translations() {
	rules := make(map[string][]model.Rule) // by director
	for _, f := range c.flows {
		if f.flow.Policy == model.PolicyDirector {
			rules[f.flow.Director] = append(rules[f.flow.Director], f.flow.Rules...)
		}
	}
	for _, d := range c.directors {
		for i, s := range d.director.Servers {
			if s.Port == 0 || d.servers[i].wrong {
				continue
			}
			if ports := otherPorts(rules[d.director.Name], s.Port); ports != "" {
				c.fail(d.servers[i].addr, "leave the port out; write check port "+fmt.Sprint(s.Port)+" if it is the one to check",
					"server %s has port %d, but clients reach director %s at port %s only: mode %s cannot translate ports",
					s.Name, s.Port, d.director.Name, ports, d.director.Mode)
			}
		}
	}
}

// otherPorts are the ports that rules name, if each names one and none is that of the
// server.
func otherPorts(rules []model.Rule, port uint16) string {
	const most = 5 // are named
	var named []string
	seen := make(map[uint16]bool)
	for _, r := range rules {
		if r.Ignore {
			continue
		}
		first := r.DstPort.Value.First
		if !r.DstPort.Set || r.DstPort.Not || first != r.DstPort.Value.Last || first == port {
			return ""
		}
		if !seen[first] && len(named) < most {
			named = append(named, fmt.Sprint(first))
		}
		seen[first] = true
	}
	text := strings.Join(named, ", ")
	if more := len(seen) - len(named); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// places checks that the data plane has room for the rules.
func (c *checker) places() {
	if len(c.flows) == 0 || len(c.flows) > maxFlows { // reported
		return
	}
	var cfg model.Config
	for _, f := range c.flows {
		cfg.Flows = append(cfg.Flows, f.flow)
	}
	layout := flow.Lay(flow.Compile(cfg))
	for _, t := range []struct {
		has, most int
		what      string
	}{
		{len(layout.Addrs), maxVIPs, "addresses after dst"},
		{countSix(layout.Addrs), maxVIPs6, "IPv6 addresses after dst"},
		{len(layout.Services), maxServices, "ports of one address"},
		{len(layout.Rules), maxRules, "rules"},
	} {
		if t.has > t.most {
			c.fail(c.flows[len(c.flows)-1].name, fmt.Sprintf("at most %d are supported", t.most), "too many %s, in all flows: %d", t.what, t.has)
		}
	}
}

func countSix(all []flow.Addr) int {
	n := 0
	for _, a := range all {
		if a.Addr.Is6() {
			n++
		}
	}
	return n
}

// families checks that a tunnel leads to each server, and that checks can be made as
// they are told to be: by ARP of IPv4 only, and from an address of the servers' family.
func (r *directorReader) families() {
	check := r.draft.director.Check
	for i, s := range r.draft.director.Servers {
		at := r.draft.servers[i].addr
		switch arp := slices.ContainsFunc(check.Tests, func(t model.Test) bool { return t.Kind == model.CheckARP }); {
		case !s.Addr.IsValid():
		case r.draft.director.Mode == model.ModeTunnel && s.Addr.Is6():
			r.fail(at, "use its IPv4 address, or mode gateway", "mode tunnel cannot reach server %s: its tunnels are of IPv4 only", s.Name)
		case arp && s.Addr.Is6():
			r.fail(at, "use option icmpcheck", "option arpcheck cannot ask server %s: ARP is of IPv4 only", s.Name)
		case check.Source.IsValid() && check.Source.Is4() != s.Addr.Is4():
			r.fail(r.checks["source"], "leave it out, or name an address of the family of the servers", "server %s cannot be asked from %s: its address %s is of %s", s.Name, check.Source, s.Addr, model.FamilyOf(s.Addr))
		}
	}
}

// mixed reports virtual IPs of IPv6 that mode tunnel cannot serve, and warns of those
// that checks do not reach, since they go by a server's address of the same family.
func (c *checker) mixed() {
	directors := make(map[string]directorDraft)
	for _, d := range c.directors {
		directors[d.director.Name] = d
	}
	for _, f := range c.flows {
		d, known := directors[f.flow.Director]
		if f.flow.Policy != model.PolicyDirector || !known {
			continue
		}
		for i, r := range f.flow.Rules {
			vip, single := flow.VIP(r)
			if dst := r.Dst.Value; d.director.Mode == model.ModeTunnel && !r.Ignore && r.Dst.Set && !r.Dst.Not && dst.Addr().Is6() {
				c.fail(f.rules[i].dst, "use mode gateway", "director %s has mode tunnel, which takes IPv4 packets only", d.director.Name)
				continue
			}
			at := slices.IndexFunc(d.director.Servers, func(s model.Server) bool { return single && s.Addr.IsValid() && s.Addr.Is4() != vip.Is4() })
			if at >= 0 && !d.director.Check.Own && d.director.Mode == model.ModeGateway && !Failed(c.diags) {
				c.warn(f.rules[i].dst, "give servers addresses of its family, or write check via own",
					"checks do not reach the virtual IP %s on server %s, whose address is of %s", vip, d.director.Servers[at].Name, model.FamilyOf(d.director.Servers[at].Addr))
			}
		}
	}
}

// uselessIgnores warns of ignore rules that exempt nothing.
func (c *checker) uselessIgnores() {
	for _, f := range c.flows {
		n := len(flow.Effective(f.flow))
		if f.flow.Policy == model.PolicySkip || n == 0 { // none: reported already
			continue
		}
		for _, r := range f.rules[n:] {
			c.warn(r.keyword, "rules are tried in order: write it before the match rule",
				"this ignore rule exempts nothing: no match rule of flow %s follows it", f.name.Text)
		}
	}
}

// interfaces reports a director whose flows name more than one interface.
func (c *checker) interfaces() {
	first := make(map[string]Word)
	for _, f := range c.flows {
		if f.flow.Policy != model.PolicyDirector {
			continue
		}
		for i, r := range f.flow.Rules {
			if !r.Iface.Set || r.Iface.Not {
				continue
			}
			w := f.rules[i].iface
			if old, seen := first[f.flow.Director]; !seen {
				first[f.flow.Director] = w
			} else if old.Text != w.Text {
				c.unsupported(w, "name one interface, or none", "director %s on the two interfaces %s (%s) and %s",
					f.flow.Director, old.Text, old.Pos, w.Text)
			}
		}
	}
}

// earlier is a rule that comes before another.
type earlier struct {
	rule     model.Rule
	flow     int
	keyword  Word
	exempted bool // an ignore rule stands before it in its flow
}

// mostCompared bounds how many rules a rule is compared with.
const mostCompared = 64

// shadows warns of rules that no packet reaches, since an earlier rule takes all
// that they could match.
func (c *checker) shadows() {
	before := make(map[model.Cond[netip.Prefix]][]earlier) // by dst of one address; the zero one: any other dst
	for n, f := range c.flows {
		if f.flow.Policy == model.PolicySkip {
			continue
		}
		exempted := false
		for i, r := range flow.Effective(f.flow) {
			at := earlier{r, n, f.rules[i].keyword, exempted}
			exempted = exempted || r.Ignore
			var dst model.Cond[netip.Prefix]
			if r.Dst.Value.IsSingleIP() {
				dst = r.Dst
				c.shadow(at, f, before[dst], before[model.Cond[netip.Prefix]{}])
			} else {
				c.shadow(at, f, before[dst])
			}
			if len(before[dst]) < mostCompared {
				before[dst] = append(before[dst], at)
			}
		}
	}
}

func (c *checker) shadow(at earlier, f flowDraft, lists ...[]earlier) {
	for _, list := range lists {
		for _, e := range list {
			if e.takesAll(at) {
				c.warn(at.keyword, "delete it, or write it before that rule",
					"this rule of flow %s is never reached: the rule at %s takes all its packets", f.name.Text, e.keyword.Pos)
				return
			}
		}
	}
}

// takesAll tells whether no packet that a later rule could match gets past this
// one. An ignore rule sends packets on to the next flow.
func (e earlier) takesAll(later earlier) bool {
	a, b := e.rule, later.rule
	if e.flow != later.flow && (a.Ignore || e.exempted) {
		return false
	}
	return implied(a.Iface, b.Iface) && implied(a.Proto, b.Proto) && within(a.Src, b.Src) && within(a.Dst, b.Dst) &&
		implied(a.SrcPort, b.SrcPort) && implied(a.DstPort, b.DstPort) && implied(a.ICMPType, b.ICMPType)
}

// implied tells whether every packet that meets condition b also meets a.
func implied[T comparable](a, b model.Cond[T]) bool { return !a.Set || a == b }

// within tells whether every address that meets condition b also meets a.
func within(a, b model.Cond[netip.Prefix]) bool {
	return implied(a, b) || !a.Not && b.Set && !b.Not && a.Value.Bits() <= b.Value.Bits() && a.Value.Contains(b.Value.Addr())
}
