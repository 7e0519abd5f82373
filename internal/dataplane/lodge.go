package dataplane

import (
	"errors"
	"math/bits"
	"net/netip"
)

// slotsOf are the two slots of a key in a table of that size, a power of two: as
// in bpf/flow.h.
func slotsOf(key, multiplier uint64, size int) (first, second int) {
	n := bits.Len(uint(size - 1))
	product := key * multiplier
	return int(product >> (64 - n)), int((product ^ product>>32) * 0x9E3779B97F4A7C15 >> (64 - n))
}

// serviceKey is what the programme multiplies to find a service.
func serviceKey(s directorService) uint64 {
	key := uint64(s.Protocol)<<48 | uint64(s.Port)<<32 | uint64(s.Addr)
	return key ^ key>>32
}

// vip6Key is what the programme multiplies to find an IPv6 destination.
func vip6Key(a netip.Addr) uint64 {
	h := halves(a)
	key := h[0]*0x9E3779B97F4A7C15 + h[1]
	return key ^ key>>32
}

// mixed is a well-mixed odd number (splitmix64).
func mixed(x uint64) uint64 {
	z := x * 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31 | 1
}

const (
	// Of so many multipliers the best is taken, unless one gives every key its first slot.
	fewTries  = 16
	mostTries = 128
	mostMoves = 500
	// fewKeys get their first slots, or nearly so: there is such a multiplier among fewTries.
	fewKeys = 100
)

// lodge finds a multiplier and a slot for every key; keys are all different. The
// first slot of a key is looked at first, so as many as can be get that one.
func lodge(keys []uint64, size int) (multiplier uint64, slots []int, err error) {
	best := len(keys) + 1
	for try := range mostTries {
		m := mixed(uint64(try) + 1)
		if s, away, ok := lodgeWith(m, keys, size); ok && away < best {
			best, multiplier, slots = away, m, s
		}
		if best == 0 || slots != nil && try >= fewTries {
			return multiplier, slots, nil
		}
	}
	if slots == nil {
		return 0, nil, errors.New("they are more than the data plane holds")
	}
	return multiplier, slots, nil
}

// lodgeWith is cuckoo hashing. Whose first slot is taken gets the second one,
// and puts out who is there, who then goes to the other slot.
func lodgeWith(multiplier uint64, keys []uint64, size int) (slots []int, away int, ok bool) {
	holder := make([]int, size) // key + 1
	slots = make([]int, len(keys))
	var rest []int
	for i, key := range keys {
		if first, _ := slotsOf(key, multiplier, size); holder[first] == 0 {
			holder[first], slots[i] = i+1, first
		} else {
			rest = append(rest, i)
		}
	}
	for _, guest := range rest {
		first, at := slotsOf(keys[guest], multiplier, size)
		for moves := 0; ; moves++ {
			if at != first {
				away++
			}
			out := holder[at] - 1
			holder[at], slots[guest] = guest+1, at
			if out < 0 {
				break
			}
			if moves == mostMoves {
				return nil, 0, false
			}
			guest = out
			var second int
			if first, second = slotsOf(keys[guest], multiplier, size); at == first {
				at = second
			} else {
				at = first
			}
		}
	}
	return slots, away, true
}

// foreign is a key that belongs to another slot than 0.
func foreign(multiplier uint64, size int) uint32 {
	key := ^uint32(0)
	for {
		if first, second := slotsOf(uint64(key), multiplier, size); first != 0 && second != 0 {
			return key
		}
		key--
	}
}
