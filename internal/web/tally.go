package web

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"fairlead/internal/model"
)

const (
	tallyTime   = time.Minute
	tellOfOne   = 3  // failed logins of one address that are told, each minute
	tellOfAll   = 12 // of all addresses, and sums of them
	mostTallied = 64 // addresses that are counted apart
)

// A tally keeps failed logins from filling the journal: a few are told, of the
// others how many there were.
type tally struct {
	mu     sync.Mutex // guards the following
	began  time.Time  // of the present minute
	told   int
	counts map[netip.Addr]attempts
	others int // of addresses that are not counted apart
}

type attempts struct{ all, told int }

func newTally() *tally { return &tally{counts: map[netip.Addr]attempts{}} }

// count notes a failed login, and tells whether it is to be told.
func (t *tally) count(from netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.counts) == 0 {
		t.began = time.Now()
	}
	a, known := t.counts[from]
	if !known && len(t.counts) >= mostTallied {
		t.others++
		return false
	}
	tell := a.told < tellOfOne && t.told < tellOfAll
	if tell {
		a.told++
		t.told++
	}
	a.all++
	t.counts[from] = a
	return tell
}

// sum tells, at the end of a minute, of what was not told.
func (t *tally) sum(now time.Time, audit func(model.Actor, string)) {
	t.mu.Lock()
	counts, others := t.counts, t.others
	over := len(counts) > 0 && now.Sub(t.began) >= tallyTime
	if over {
		t.counts, t.others, t.told = map[netip.Addr]attempts{}, 0, 0
	}
	t.mu.Unlock()
	if !over {
		return
	}
	worst := slices.SortedFunc(maps.Keys(counts), func(a, b netip.Addr) int { return counts[b].all - counts[a].all })
	for i, from := range worst {
		left := counts[from].all - counts[from].told
		switch {
		case left == 0:
		case i < tellOfAll:
			audit(model.Actor{Name: "somebody", Via: from.String()}, fmt.Sprintf("tried to log in %d more times within %v", left, tallyTime))
		default:
			others += left
		}
	}
	if others > 0 {
		audit(model.Actor{Name: "somebody", Via: "many addresses"}, fmt.Sprintf("tried to log in %d more times within %v", others, tallyTime))
	}
}
