package config

import (
	"maps"
	"net/netip"
	"slices"

	"fairlead/internal/model"
)

// relations reports what only the whole configuration shows to be wrong.
func (c *checker) relations() {
	c.virtualIPs()
	c.interfaces()
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

// virtualIPs checks the addresses that flows claim: how many, with how many
// rules, and that none is a server's own.
func (c *checker) virtualIPs() {
	servers := make(map[netip.Addr]Word)
	for _, d := range c.directors {
		for i, s := range d.director.Servers {
			servers[s.Addr] = d.servers[i].name
		}
	}
	vips := make(map[netip.Addr]int) // rules of each
	for _, f := range c.flows {
		if f.flow.Policy != model.PolicyDirector {
			continue
		}
		for _, vip := range flowVIPs(f.flow) {
			c.countRules(f, vip, vips)
		}
		for i, r := range f.flow.Rules {
			server, clash := servers[r.Dst.Value.Addr()]
			if clash && r.Dst.Set {
				c.fail(f.rules[i].dst, "a virtual IP is an address of its own",
					"flow %s claims %s, the address of server %s (%s)", f.name.Text, r.Dst.Value.Addr(), server.Text, server.Pos)
			}
		}
	}
}

// flowVIPs lists the addresses that a flow claims, in order.
func flowVIPs(f model.Flow) []netip.Addr {
	var vips []netip.Addr
	seen := make(map[netip.Addr]bool)
	for _, r := range f.Rules {
		if vip := r.Dst.Value.Addr(); !r.Ignore && r.Dst.Set && !seen[vip] {
			seen[vip] = true
			vips = append(vips, vip)
		}
	}
	return vips
}

// countRules adds the rules that a flow has for a virtual IP.
func (c *checker) countRules(f flowDraft, vip netip.Addr, vips map[netip.Addr]int) {
	if _, known := vips[vip]; !known {
		vips[vip] = 0
		if len(vips) == maxVIPs+1 {
			c.fail(f.name, "at most 256 are supported", "too many virtual IPs: %s is one too many", vip)
		}
	}
	if vips[vip] > maxRules || len(vips) > maxVIPs {
		return // reported
	}
	for i, r := range f.flow.Rules[:f.effective()] {
		if r.Dst.Set && r.Dst.Value.Addr() != vip {
			continue
		}
		if vips[vip]++; vips[vip] == maxRules+1 {
			c.fail(f.rules[i].keyword, "at most 16 are supported", "too many rules for the virtual IP %s", vip)
			return
		}
	}
}

// effective is how many rules of a flow count: an ignore rule after the last
// match rule exempts nothing.
func (f flowDraft) effective() int {
	n := len(f.flow.Rules)
	for n > 0 && f.flow.Rules[n-1].Ignore {
		n--
	}
	return n
}

// uselessIgnores warns of ignore rules that exempt nothing.
func (c *checker) uselessIgnores() {
	for _, f := range c.flows {
		n := f.effective()
		if f.flow.Policy != model.PolicyDirector || n == 0 { // none: reported already
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

// shadows warns of rules that no packet reaches, since an earlier rule takes all
// that they could match.
func (c *checker) shadows() {
	before := make(map[model.Cond[netip.Prefix]][]earlier) // by dst; the zero one: any dst
	for n, f := range c.flows {
		if f.flow.Policy != model.PolicyDirector {
			continue
		}
		exempted := false
		for i, r := range f.flow.Rules[:f.effective()] {
			at := earlier{r, n, f.rules[i].keyword, exempted}
			exempted = exempted || r.Ignore
			c.shadow(at, f, before[r.Dst], before[model.Cond[netip.Prefix]{}])
			if len(before[r.Dst]) < maxRules { // more are an error anyway
				before[r.Dst] = append(before[r.Dst], at)
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
	return implied(a.Iface, b.Iface) && implied(a.Proto, b.Proto) && implied(a.Src, b.Src) && implied(a.Dst, b.Dst) &&
		implied(a.SrcPort, b.SrcPort) && implied(a.DstPort, b.DstPort) && implied(a.ICMPType, b.ICMPType)
}

// implied tells whether every packet that meets condition b also meets a.
func implied[T comparable](a, b model.Cond[T]) bool { return !a.Set || a == b }
