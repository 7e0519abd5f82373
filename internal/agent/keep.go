package agent

import "time"

// kept is a frame that was kept.
type kept struct {
	Frame []byte
	Iface int
	At    time.Time
}

// keeper keeps a bounded number of SYNs. A repeat takes the place of the older
// one: same addresses, same ports.
type keeper struct {
	most, total int
	all         map[string][]kept // by director
}

func newKeeper(most int) *keeper { return &keeper{most: most, all: make(map[string][]kept)} }

// Keep reports whether there was room.
func (k *keeper) Keep(director string, frame []byte, iface int, at time.Time) bool {
	for i, old := range k.all[director] {
		if sameEnds(old.Frame, frame) {
			k.all[director][i] = kept{frame, iface, at}
			return true
		}
	}
	if k.total >= k.most {
		return false
	}
	k.total++
	k.all[director] = append(k.all[director], kept{frame, iface, at})
	return true
}

// sameEnds compares the addresses and ports of two IPv4 packets without options.
func sameEnds(a, b []byte) bool {
	const first, last = 14 + 12, 14 + 24
	return len(a) >= last && len(b) >= last && string(a[first:last]) == string(b[first:last])
}

// Take hands out what is kept for a director.
func (k *keeper) Take(director string) []kept {
	all := k.all[director]
	delete(k.all, director)
	k.total -= len(all)
	return all
}

// Count is how many are kept for a director.
func (k *keeper) Count(director string) int { return len(k.all[director]) }

// Expire drops what was kept before that instant.
func (k *keeper) Expire(before time.Time) {
	for director, all := range k.all {
		var left []kept
		for _, one := range all {
			if !one.At.Before(before) {
				left = append(left, one)
			}
		}
		k.total -= len(all) - len(left)
		k.all[director] = left
	}
}
