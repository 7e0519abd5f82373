package schedule

import (
	"cmp"
	"hash/fnv"
	"slices"
)

// Member is a server of a balanced director that may get new connections.
type Member struct {
	Name   string
	Index  uint8 // in the data plane
	Weight int   // above 0
}

// Turns are the members' indices in the order of their turns: as many for each as
// its weight says, and each one's spread evenly (smooth weighted round robin).
// When the weights need more than most turns, the shares are rounded.
func Turns(members []Member, most int) []uint8 {
	divisor, sum := 0, 0
	for _, m := range members {
		divisor = gcd(divisor, m.Weight)
		sum += m.Weight
	}
	if sum == 0 {
		return nil
	}
	turns := make([]uint8, min(sum/divisor, most))
	due := make([]int, len(members))
	// Each turn goes to the one that is furthest behind its share.
	for turn := range turns {
		best := 0
		for i, m := range members {
			due[i] += m.Weight
			if due[i] > due[best] {
				best = i
			}
		}
		due[best] -= sum
		turns[turn] = members[best].Index
	}
	return turns
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Places gives every place of a table to a member, in proportion to the weights.
// A hash that leads to a place leads to its member. When a member goes, hardly any
// place changes but its own; and directors that know the same names and weights
// make the same table. (The table of Maglev: Eisenbud and others, NSDI 2016,
// section 3.4.) size must be a prime number.
func Places(members []Member, size int) []uint8 {
	if len(members) == 0 {
		return nil
	}
	const free = 0xff
	places := slices.Repeat([]uint8{free}, size)
	members = slices.SortedFunc(slices.Values(members), func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	heaviest := slices.MaxFunc(members, func(a, b Member) int { return cmp.Compare(a.Weight, b.Weight) }).Weight
	type walk struct{ at, step, due int }
	walks := make([]walk, len(members))
	for i, m := range members {
		h := nameHash(m.Name)
		walks[i] = walk{at: int(h % uint64(size)), step: int(h>>32%uint64(size-1)) + 1}
	}
	// In each round the heaviest takes one place, the others theirs when due: the
	// next free one on a way of their own.
	for left := size; left > 0; {
		for i, m := range members {
			w := &walks[i]
			if w.due += m.Weight; w.due < heaviest || left == 0 {
				continue
			}
			w.due -= heaviest
			for places[w.at] != free {
				w.at = (w.at + w.step) % size
			}
			places[w.at] = m.Index
			left--
		}
	}
	return places
}

func nameHash(name string) uint64 {
	f := fnv.New64a()
	f.Write([]byte(name)) // never fails
	return Hash(f.Sum64(), 0)
}

// Hash mixes two words. The data plane uses the same one, without a seed: so
// several directors choose alike.
func Hash(a, b uint64) uint64 {
	h := a * 0x9E3779B97F4A7C15
	h ^= h >> 32
	h = (h + b) * 0xD6E8FEB86659FD93
	return h ^ h>>29
}

// Place is the place of a hash in a table of that size.
func Place(h uint64, size int) int { return int(h >> 32 * uint64(size) >> 32) }
