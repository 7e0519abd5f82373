package dataplane

import (
	"fmt"
	"maps"

	"fairlead/internal/model"
)

// allocate gives every flow, director and server of the desired value an index,
// the one it had if it had one: connections and counters go by index, and must
// find their names again after a reload or a restart.
func (p *Plane) allocate(want model.Desired) (indices, error) {
	at := indices{flows: map[string]uint8{}, directors: map[string]uint8{}, servers: map[model.ServerRef]uint8{}}
	kept := p.keys(want)
	for _, v := range want.Rules.VIPs {
		for _, r := range v.Rules {
			name := flowName(r.Flow, r.Director)
			i, err := p.index(key{kind: kindFlow}, name, 1, maxFlows, kept)
			if err != nil {
				return at, err
			}
			at.flows[name] = uint8(i)
		}
	}
	for _, d := range want.Directors {
		i, err := p.index(key{kind: kindDirector}, d.Name, 0, maxDirectors, kept)
		if err != nil {
			return at, err
		}
		at.directors[d.Name] = uint8(i)
		for _, s := range d.Servers {
			j, err := p.index(key{kind: kindServer, director: uint8(i)}, s.Name, 0, maxServers, kept)
			if err != nil {
				return at, err
			}
			at.servers[model.ServerRef{Director: d.Name, Server: s.Name}] = uint8(j)
		}
	}
	return at, nil
}

// keys are the indices that the desired value already has: not to be reused.
func (p *Plane) keys(want model.Desired) map[key]bool {
	flows, servers := map[string]bool{}, map[model.ServerRef]bool{}
	directors := map[string]bool{}
	for _, v := range want.Rules.VIPs {
		for _, r := range v.Rules {
			flows[flowName(r.Flow, r.Director)] = true
		}
	}
	for _, d := range want.Directors {
		directors[d.Name] = true
		for _, s := range d.Servers {
			servers[model.ServerRef{Director: d.Name, Server: s.Name}] = true
		}
	}
	kept := map[key]bool{}
	names := *p.names.Load()
	for k, name := range names {
		of := names[key{kind: kindDirector, index: uint16(k.director)}]
		switch k.kind {
		case kindFlow:
			kept[k] = flows[name]
		case kindDirector:
			kept[k] = directors[name]
		case kindServer:
			kept[k] = servers[model.ServerRef{Director: of, Server: name}]
		}
	}
	return kept
}

// index finds the name's index, or takes a free one, or reuses one whose name
// is no longer wanted.
func (p *Plane) index(k key, name string, first, limit int, kept map[key]bool) (int, error) {
	free, stale := -1, -1
	names := *p.names.Load()
	for i := first; i < limit; i++ {
		k.index = uint16(i)
		switch has, used := names[k]; {
		case used && has == name:
			return i, nil
		case !used && free < 0:
			free = i
		case used && !kept[k] && stale < 0:
			stale = i
		}
	}
	if free < 0 {
		free = stale
	}
	if free < 0 {
		return 0, fmt.Errorf("apply %q: the data plane holds no more than %d of its kind", name, limit-first)
	}
	k.index = uint16(free)
	if err := p.forget(k); err != nil {
		return 0, err
	}
	if err := p.maps.writeName(k, name); err != nil {
		return 0, err
	}
	p.exchangeNames(func(names map[key]string) { names[k] = name })
	kept[k] = true
	return free, nil
}

// exchangeNames changes a copy: others may be reading the names.
func (p *Plane) exchangeNames(change func(map[key]string)) {
	names := maps.Clone(*p.names.Load())
	change(names)
	p.names.Store(&names)
}

// forget clears what an index meant before: a flow's counters, a director's
// connections and choice.
func (p *Plane) forget(k key) error {
	switch k.kind {
	case kindFlow:
		return p.maps.clearCounters(int(k.index))
	case kindServer:
		p.maps.dropConnections(func(s slot) bool {
			return s.director() == k.director && s.server() == uint8(k.index)
		})
		_, err := p.maps.dropTemplates(func(t template) bool {
			return t.key.Director == uint32(k.director) && t.value.Server == uint8(k.index)
		})
		return err
	}
	index := uint8(k.index)
	p.maps.dropConnections(func(s slot) bool { return s.director() == index })
	if _, err := p.maps.dropTemplates(func(t template) bool { return t.key.Director == uint32(index) }); err != nil {
		return err
	}
	next := p.edit()
	next.Choices[index], next.Records[index], next.Shares[index] = directorChoice{}, directorChoiceRecord{}, directorShares{}
	if err := p.enforce(next); err != nil {
		return err
	}
	for old := range *p.names.Load() {
		if old.kind != kindServer || old.director != index {
			continue
		}
		if err := p.maps.byName[directorMapNames].Delete(directorNameKey{Kind: old.kind, Director: old.director, Index: old.index}); err != nil {
			return fmt.Errorf("forget the servers of a director that is gone: %w", err)
		}
		p.exchangeNames(func(names map[key]string) { delete(names, old) })
	}
	return nil
}
