package journal

import (
	"sort"

	"fairlead/internal/model"
)

// ringMost is how many entries are kept in memory.
const ringMost = 10_000

// ring holds the last entries, without a gap in their numbers.
type ring struct {
	all    []model.Event
	oldest int // where it is, once the ring is full
}

func (r *ring) add(e model.Event) {
	if len(r.all) < ringMost {
		r.all = append(r.all, e)
		return
	}
	r.all[r.oldest] = e
	r.oldest = (r.oldest + 1) % ringMost
}

// at is the entry of that age: 0 is the oldest.
func (r *ring) at(i int) *model.Event { return &r.all[(r.oldest+i)%len(r.all)] }

// after copies up to most entries that follow the number since.
func (r *ring) after(since uint64, most int) []model.Event {
	from := sort.Search(len(r.all), func(i int) bool { return r.at(i).Seq > since })
	var some []model.Event
	for i := from; i < len(r.all) && len(some) < most; i++ {
		some = append(some, *r.at(i))
	}
	return some
}
