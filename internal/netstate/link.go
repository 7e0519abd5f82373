package netstate

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"fairlead/internal/model"
)

// readLinks reads all interfaces and tells what changed.
func (l *loop) readLinks(ctx context.Context) error {
	l.dirty = false
	now, err := l.kernel.readLinks()
	if err != nil {
		return err
	}
	changes := diff(l.links, now)
	if len(changes) == 0 {
		return nil
	}
	for _, f := range changes {
		if err := l.tell(ctx, Fact{Link: &f}); err != nil {
			return err
		}
	}
	l.links = now
	l.hurry(time.Now())
	return nil
}

// diff lists what to tell: first the interfaces that are gone, then the new and
// the changed ones by index.
func diff(have, want map[string]model.Link) []LinkFact {
	var changes []LinkFact
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if _, ok := want[name]; !ok {
			changes = append(changes, LinkFact{Link: have[name], Gone: true})
		}
	}
	byIndex := func(a, b model.Link) int { return cmp.Compare(a.Index, b.Index) }
	for _, link := range slices.SortedFunc(maps.Values(want), byIndex) {
		if old, ok := have[link.Name]; !ok || !equal(old, link) {
			changes = append(changes, LinkFact{Link: link})
		}
	}
	return changes
}

func equal(a, b model.Link) bool {
	return a.Name == b.Name && a.Index == b.Index && a.MAC == b.MAC && a.Up == b.Up && a.Kind == b.Kind && a.MTU == b.MTU &&
		slices.Equal(a.Addrs, b.Addrs)
}

// mtuOf is the MTU of an interface by its index, 0 when there is none.
func (l *loop) mtuOf(index int) int {
	for _, link := range l.links {
		if link.Index == index {
			return link.MTU
		}
	}
	return 0
}

// nameOf is the name of an interface by its index, "" when there is none.
func (l *loop) nameOf(index int) string {
	for _, link := range l.links {
		if link.Index == index {
			return link.Name
		}
	}
	return ""
}
