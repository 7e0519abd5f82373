package dataplane

import (
	"errors"
	"math/bits"
)

// slotsOf are the two slots of a key in a table of that size, a power of two: as
// in bpf/flow.h.
func slotsOf(key, multiplier uint64, size int) (first, second int) {
	n := bits.Len(uint(size - 1))
	product := key * multiplier
	return int(product >> (64 - n)), int(product >> (64 - 2*n) & uint64(size-1))
}

// serviceKey is what the programme multiplies to find a service.
func serviceKey(s directorService) uint64 {
	key := uint64(s.Protocol)<<48 | uint64(s.Port)<<32 | uint64(s.Addr)
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
	// A multiplier that gives every key its first slot is searched for only as
	// long as there is one to be found: among fewKeys in fewTries.
	fewKeys, fewTries = 256, 64
	mostTries         = 128
	mostMoves         = 500
)

// lodge finds a multiplier and a slot for every key; keys are all different. The
// first slot of a key is looked at first, so it gets that one where it can.
func lodge(keys []uint64, size int) (multiplier uint64, slots []int, err error) {
	for try := range mostTries {
		multiplier = mixed(uint64(try) + 1)
		slots, moved, ok := lodgeWith(multiplier, keys, size)
		if ok && (moved == 0 || len(keys) > fewKeys || try >= fewTries) {
			return multiplier, slots, nil
		}
	}
	return 0, nil, errors.New("they are more than the data plane holds")
}

// lodgeWith is cuckoo hashing: who finds both slots taken puts one out.
func lodgeWith(multiplier uint64, keys []uint64, size int) (slots []int, moved int, ok bool) {
	holder := make([]int32, size) // key + 1
	slots = make([]int, len(keys))
	for i := range keys {
		guest := i
		for n := 0; ; n++ {
			first, second := slotsOf(keys[guest], multiplier, size)
			at := first
			if holder[first] != 0 {
				moved++
				if at = second; n > 0 && n%2 == 0 {
					at = first
				}
			}
			evicted := holder[at]
			holder[at], slots[guest] = int32(guest+1), at
			if evicted == 0 {
				break
			}
			if n == mostMoves {
				return nil, 0, false
			}
			guest = int(evicted - 1)
		}
	}
	return slots, moved, true
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
