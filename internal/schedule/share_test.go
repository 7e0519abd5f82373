package schedule

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

const testPlaces = 4099

// members are servers s0, s1, … with these weights.
func members(weights ...int) []Member {
	var all []Member
	for i, w := range weights {
		all = append(all, Member{Name: fmt.Sprintf("s%d", i), Index: uint8(i), Weight: w})
	}
	return all
}

func TestTurns(t *testing.T) {
	for _, c := range []struct {
		weights []int
		turns   string
	}{{[]int{1, 1}, "01"}, {[]int{5, 5}, "01"}, {[]int{3, 1}, "0010"}, {[]int{2, 3}, "10101"}, {[]int{5, 1, 1}, "0010200"}, {nil, ""}} {
		var got strings.Builder
		for _, turn := range Turns(members(c.weights...), testPlaces) {
			got.WriteByte('0' + turn)
		}
		if got.String() != c.turns {
			t.Errorf("weights %v: turns %s, want %s", c.weights, got.String(), c.turns)
		}
	}
}

// Every weight is met exactly, whatever the weights of 16 servers are, and at no
// time is a server ahead of or behind its share by as much as its neighbours together.
func TestTurnsAreExactAndSmooth(t *testing.T) {
	weights := []int{256, 255, 256, 256, 1, 77, 256, 256, 256, 256, 256, 256, 256, 256, 256, 256}
	sum := 0
	for _, w := range weights {
		sum += w
	}
	turns := Turns(members(weights...), testPlaces)
	if len(turns) != sum {
		t.Fatalf("%d turns for weights of %d", len(turns), sum)
	}
	count := make([]int, len(weights))
	for i, server := range turns {
		count[server]++
		for s, n := range count {
			if due := float64(i+1) * float64(weights[s]) / float64(sum); math.Abs(float64(n)-due) > 2 {
				t.Fatalf("after %d turns server %d had %d, its share is %.1f", i+1, s, n, due)
			}
		}
	}
	if !slices.Equal(count, weights) {
		t.Errorf("turns %v, want %v", count, weights)
	}
	if rounded := Turns(members(256, 1), 64); len(rounded) != 64 || slices.Index(rounded, 0) < 0 {
		t.Errorf("rounded to 64: %v", rounded)
	}
}

// Places are in proportion to the weights.
func TestPlacesFollowWeights(t *testing.T) {
	for _, weights := range [][]int{{1}, {1, 1}, {3, 1}, {256, 1}, {10, 20, 30, 40}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}} {
		sum, count := 0, make([]int, len(weights))
		for _, server := range Places(members(weights...), testPlaces) {
			count[server]++
		}
		for _, w := range weights {
			sum += w
		}
		for i, w := range weights {
			if want := float64(testPlaces) * float64(w) / float64(sum); math.Abs(float64(count[i])-want) > 2 {
				t.Errorf("weights %v: %v places; server %d should have %.1f", weights, count, i, want)
			}
		}
	}
	if Places(nil, testPlaces) != nil {
		t.Error("places of nobody")
	}
}

// When one of ten goes, its places go to the others, and at most 2 % of theirs move.
func TestPlacesStay(t *testing.T) {
	all := members(1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
	before, worst := Places(all, testPlaces), 0
	for gone := range all {
		after, moved := Places(slices.Delete(slices.Clone(all), gone, gone+1), testPlaces), 0
		for i, server := range before {
			if after[i] == uint8(gone) {
				t.Fatal("a place leads to the one that is gone")
			}
			if server != uint8(gone) && after[i] != server {
				moved++
			}
		}
		worst = max(worst, moved)
	}
	if share := float64(worst) / testPlaces; share > 0.02 {
		t.Errorf("%.2f %% of the places moved besides", 100*share)
	} else {
		t.Logf("at most %.2f %% of the places moved besides", 100*share)
	}
}

// Directors that know the same servers in another order, under other indices, make
// the same table.
func TestPlacesAgree(t *testing.T) {
	one := members(4, 2, 1)
	two := []Member{{"s2", 9, 1}, {"s0", 4, 4}, {"s1", 7, 2}}
	name := func(all []Member, index uint8) string {
		return all[slices.IndexFunc(all, func(m Member) bool { return m.Index == index })].Name
	}
	a, b := Places(one, testPlaces), Places(two, testPlaces)
	for i := range a {
		if name(one, a[i]) != name(two, b[i]) {
			t.Fatalf("place %d is of %s here and of %s there", i, name(one, a[i]), name(two, b[i]))
		}
	}
}
