package hold

import (
	"slices"
	"time"
)

// Kept is a frame that was kept.
type Kept struct {
	Frame []byte
	Iface int // index of the interface where it arrived
	At    time.Time
}

// Keeper keeps a bounded number of SYNs, in order of their connections' first
// one. It is used by one goroutine at a time: it has no lock.
type Keeper struct {
	most  int
	total int
	lines map[string][]waiting // by director, in order
}

// waiting is a kept SYN and its connection.
type waiting struct {
	tuple tuple
	kept  Kept
}

// New returns a Keeper for at most so many SYNs.
func New(most int) *Keeper { return &Keeper{most: most, lines: make(map[string][]waiting)} }

// Keep keeps a copy of a frame. A SYN of the same addresses and ports takes the
// place of the older one. It is false, and nothing is kept, when there is no
// room or the frame is no TCP.
func (k *Keeper) Keep(director string, frame []byte, iface int, at time.Time) bool {
	t, ok := tupleOf(frame)
	if !ok {
		return false
	}
	line := k.lines[director]
	i := slices.IndexFunc(line, func(w waiting) bool { return w.tuple == t })
	if i < 0 {
		if k.total >= k.most {
			return false
		}
		k.total++
		line = append(line, waiting{tuple: t})
		i = len(line) - 1
	}
	line[i].kept = Kept{Frame: complete(slices.Clone(frame)), Iface: iface, At: at}
	k.lines[director] = line
	return true
}

// Take hands out what is kept for a director, and keeps it no longer.
func (k *Keeper) Take(director string) []Kept {
	line := k.lines[director]
	delete(k.lines, director)
	k.total -= len(line)
	all := make([]Kept, len(line))
	for i, w := range line {
		all[i] = w.kept
	}
	return all
}

// Count is how many SYNs are kept for a director.
func (k *Keeper) Count(director string) int { return len(k.lines[director]) }

// Expire throws away what was kept before that instant and never repeated: its
// client has given up. It returns how many those were.
func (k *Keeper) Expire(before time.Time) int {
	had := k.total
	for director, line := range k.lines {
		n := len(line)
		line = slices.DeleteFunc(line, func(w waiting) bool { return w.kept.At.Before(before) })
		k.total -= n - len(line)
		k.lines[director] = line
		if len(line) == 0 {
			delete(k.lines, director)
		}
	}
	return had - k.total
}
