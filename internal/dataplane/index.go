package dataplane

import (
	"fmt"
	"maps"
	"slices"

	"fairlead/internal/model"
)

// group is what indices are unique in: the flows, the directors, the servers of one director.
type group struct{ kind, director uint8 }

// allocation gives names their indices. It changes a copy: others may be
// reading the names.
type allocation struct {
	names  map[key]string
	byName map[group]map[string]uint16
	kept   map[key]bool     // the desired value has them: not to be reused
	free   map[group]uint16 // all below are taken
	stale  map[group]uint16 // all below are kept
	taken  []key            // that had no name
	reused []key            // that had another name
	gone   []key            // servers of directors that are gone
}

// allotment is what an allocation gave to whom. It holds until the names change.
type allotment struct {
	rules []model.FlowRule
	names []string // of the directors, each followed by its servers
	at    indices
}

// namesOf are the names of directors and servers in their order.
func namesOf(want model.Desired) []string {
	var all []string
	for _, d := range want.Directors {
		all = append(all, d.Name, "")
		for _, s := range d.Servers {
			all = append(all, s.Name)
		}
	}
	return all
}

// sameRules tells whether two lists are one and the same; nobody changes a list.
func sameRules(a, b []model.FlowRule) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// allocate gives every flow, director and server of the desired value an index,
// the one it had if it had one: connections and counters go by index, and must
// find their names again after a reload or a restart.
func (p *Plane) allocate(want model.Desired) (indices, error) {
	names := namesOf(want)
	if p.given.at.flows != nil && sameRules(p.given.rules, want.Rules.Rules) && slices.Equal(p.given.names, names) {
		return p.given.at, nil
	}
	at := indices{flows: map[string]uint16{}, directors: map[string]uint8{}, servers: map[model.ServerRef]uint8{}}
	a := newAllocation(*p.names.Load(), want)
	for _, r := range want.Rules.Rules {
		name := flowName(r.Flow, r.Director)
		if _, known := at.flows[name]; known {
			continue
		}
		i, err := a.index(group{kind: kindFlow}, name, 1, maxFlows)
		if err != nil {
			return at, err
		}
		at.flows[name] = i
	}
	for _, d := range want.Directors {
		i, err := a.index(group{kind: kindDirector}, d.Name, 0, maxDirectors)
		if err != nil {
			return at, err
		}
		at.directors[d.Name] = uint8(i)
		for _, s := range d.Servers {
			j, err := a.index(group{kindServer, uint8(i)}, s.Name, 0, maxServers)
			if err != nil {
				return at, err
			}
			at.servers[model.ServerRef{Director: d.Name, Server: s.Name}] = uint8(j)
		}
	}
	if err := p.take(a); err != nil {
		return at, err
	}
	p.given = allotment{want.Rules.Rules, names, at}
	return at, nil
}

func newAllocation(names map[key]string, want model.Desired) *allocation {
	a := &allocation{names: maps.Clone(names), byName: map[group]map[string]uint16{}, kept: map[key]bool{},
		free: map[group]uint16{}, stale: map[group]uint16{}}
	flows, directors, servers := map[string]bool{}, map[string]bool{}, map[model.ServerRef]bool{}
	for _, r := range want.Rules.Rules {
		flows[flowName(r.Flow, r.Director)] = true
	}
	for _, d := range want.Directors {
		directors[d.Name] = true
		for _, s := range d.Servers {
			servers[model.ServerRef{Director: d.Name, Server: s.Name}] = true
		}
	}
	for k, name := range names {
		a.note(k, name)
		switch k.kind {
		case kindFlow:
			a.kept[k] = flows[name]
		case kindDirector:
			a.kept[k] = directors[name]
		case kindServer:
			of := names[key{kind: kindDirector, index: uint16(k.director)}]
			a.kept[k] = servers[model.ServerRef{Director: of, Server: name}]
		}
	}
	return a
}

func (k key) group() group { return group{k.kind, k.director} }

func (a *allocation) note(k key, name string) {
	g := k.group()
	if a.byName[g] == nil {
		a.byName[g] = map[string]uint16{}
	}
	a.names[k], a.byName[g][name] = name, k.index
}

// index finds the name's index, or takes a free one, or reuses one whose name
// is no longer wanted.
func (a *allocation) index(g group, name string, first, limit int) (uint16, error) {
	if i, has := a.byName[g][name]; has {
		return i, nil
	}
	k := key{kind: g.kind, director: g.director}
	for k.index = max(a.free[g], uint16(first)); int(k.index) < limit; k.index++ {
		if _, used := a.names[k]; !used {
			a.free[g] = k.index
			a.taken = append(a.taken, k)
			return a.give(k, name), nil
		}
	}
	a.free[g] = uint16(limit)
	for k.index = max(a.stale[g], uint16(first)); int(k.index) < limit; k.index++ {
		if !a.kept[k] {
			a.stale[g] = k.index
			a.reused = append(a.reused, k)
			delete(a.byName[g], a.names[k])
			a.dropServers(k)
			return a.give(k, name), nil
		}
	}
	return 0, fmt.Errorf("apply %q: the data plane holds no more than %d of its kind", name, limit-first)
}

func (a *allocation) give(k key, name string) uint16 {
	a.note(k, name)
	a.kept[k] = true
	return k.index
}

// dropServers forgets the servers of a director that is gone.
func (a *allocation) dropServers(k key) {
	if k.kind != kindDirector {
		return
	}
	of := group{kindServer, uint8(k.index)}
	for _, i := range a.byName[of] {
		gone := key{kindServer, of.director, i}
		a.gone = append(a.gone, gone)
		delete(a.names, gone)
		delete(a.kept, gone)
	}
	delete(a.byName, of)
	delete(a.free, of)
}

// take makes an allocation that of the data plane. What a reused index meant
// before is cleared: a flow's counters, a director's connections and choice.
func (p *Plane) take(a *allocation) error {
	if len(a.taken)+len(a.reused) == 0 {
		return nil
	}
	if err := p.clear(a); err != nil {
		return err
	}
	for _, k := range a.gone {
		if _, again := a.names[k]; again {
			continue
		}
		if err := p.maps.byName[directorMapNames].Delete(directorNameKey{Kind: k.kind, Director: k.director, Index: k.index}); err != nil {
			return fmt.Errorf("forget the servers of a director that is gone: %w", err)
		}
	}
	for _, keys := range [][]key{a.taken, a.reused} {
		for _, k := range keys {
			if err := p.maps.writeName(k, a.names[k]); err != nil {
				return err
			}
		}
	}
	p.names.Store(&a.names)
	return nil
}

// clear clears what the reused indices meant before.
func (p *Plane) clear(a *allocation) error {
	next := p.edit()
	directors, servers := map[uint8]bool{}, map[[2]uint8]bool{}
	for _, k := range a.reused {
		switch k.kind {
		case kindFlow:
			if err := p.maps.clearCounters(int(k.index)); err != nil {
				return err
			}
		case kindServer:
			servers[[2]uint8{k.director, uint8(k.index)}] = true
		case kindDirector:
			directors[uint8(k.index)] = true
			next.Choices[k.index], next.Records[k.index], next.Shares[k.index] = directorChoice{}, directorChoiceRecord{}, directorShares{}
		}
	}
	if len(directors)+len(servers) == 0 {
		return nil
	}
	goes := func(director, server uint8) bool {
		return directors[director] || servers[[2]uint8{director, server}]
	}
	p.maps.dropConnections(func(s slot) bool { return goes(s.director(), s.server()) })
	if _, err := p.maps.dropTemplates(func(t template) bool { return goes(uint8(t.key.Director), uint8(t.value.Server)) }); err != nil {
		return err
	}
	return p.enforce(next, nil)
}
