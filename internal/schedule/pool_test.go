package schedule

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/model"
)

// world is a pool with what its servers carry.
type world struct {
	pool       Pool
	conns      map[uint8]int64
	turn       uint32
	now        uint32
	localities map[netip.Addr]*Locality
}

func newWorld(s model.Scheduler, weights ...int) *world {
	return &world{pool: NewPool(s, members(weights...), testPlaces, testPlaces), conns: map[uint8]int64{}, localities: map[netip.Addr]*Locality{}}
}

// begin is a connection that begins, of that client to that destination.
func (w *world) begin(client, destination netip.AddrPort) uint8 {
	l := w.localities[destination.Addr()]
	if l == nil {
		l = new(Locality)
		w.localities[destination.Addr()] = l
	}
	server, ok := w.pool.Choose(client, destination, Moment{Turn: w.turn, Conns: func(i uint8) int64 { return w.conns[i] }, NowS: w.now}, l)
	if !ok {
		return 255
	}
	w.turn++
	w.conns[server]++
	return server
}

func addrPort(n uint32, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), port)
}

var vip = netip.MustParseAddrPort("192.168.10.50:80")

// Connections that last: every scheduler that weighs gives each server its share,
// whatever their order. Those that go by a hash come as near as chance allows.
func TestSharesOfConnections(t *testing.T) {
	const n = 20000
	weights := []int{1, 2, 3, 10}
	for _, s := range model.Schedulers() {
		dice := rand.New(rand.NewPCG(1, uint64(s)))
		w := newWorld(s, weights...)
		for range n {
			w.begin(addrPort(dice.Uint32N(1<<24), uint16(dice.Uint32())), netip.AddrPortFrom(addrPort(dice.Uint32N(1<<24), 0).Addr(), 80))
		}
		slack := 2.0
		switch s {
		case model.Source, model.SrcDst, model.Dest, model.Maglev:
			slack = 5 * math.Sqrt(n/4)
		case model.Locality, model.Replication:
			slack = 40 // some destinations come again
		}
		for i, weight := range weights {
			if want := float64(n*weight) / 16; math.Abs(float64(w.conns[uint8(i)])-want) > slack {
				t.Errorf("%s: server %d has %d connections, its share is %.0f", s, i, w.conns[uint8(i)], want)
			}
		}
	}
}

// What a hashing scheduler looks at alone decides.
func TestHashingSchedulers(t *testing.T) {
	for _, c := range []struct {
		scheduler                             model.Scheduler
		byClient, byDestination, byClientPort bool
	}{
		{model.Source, true, false, false}, {model.Dest, false, true, false},
		{model.SrcDst, true, true, false}, {model.Maglev, true, true, true},
	} {
		w := newWorld(c.scheduler, 1, 1, 1, 1, 1)
		differ := func(at func(i uint32) (client, destination netip.AddrPort)) bool {
			seen := map[uint8]bool{}
			for i := range uint32(100) {
				seen[w.begin(at(i))] = true
			}
			return len(seen) > 1
		}
		client := addrPort(1, 700)
		if got := differ(func(i uint32) (netip.AddrPort, netip.AddrPort) { return addrPort(i, 700), vip }); got != c.byClient {
			t.Errorf("%s: clients decide: %v", c.scheduler, got)
		}
		if got := differ(func(i uint32) (netip.AddrPort, netip.AddrPort) { return client, addrPort(i, 80) }); got != c.byDestination {
			t.Errorf("%s: destinations decide: %v", c.scheduler, got)
		}
		if got := differ(func(i uint32) (netip.AddrPort, netip.AddrPort) { return addrPort(1, uint16(i)), vip }); got != c.byClientPort {
			t.Errorf("%s: the client's ports decide: %v", c.scheduler, got)
		}
	}
}

// One of ten servers fails: what a hash gave to another one stays there, but for
// 2 %.
func TestOneOfTenFails(t *testing.T) {
	const n = 20000
	for _, s := range []model.Scheduler{model.Source, model.SrcDst, model.Dest, model.Maglev} {
		all := members(1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
		before := NewPool(s, all, testPlaces, testPlaces)
		after := NewPool(s, slices.Delete(slices.Clone(all), 3, 4), testPlaces, testPlaces)
		moved := 0
		for i := range uint32(n) {
			client, destination := addrPort(i*77, uint16(i)), addrPort(i*99, 80)
			a, _ := before.Stateless(client, destination)
			if b, _ := after.Stateless(client, destination); a != 3 && a != b {
				moved++
			}
		}
		if moved == 0 || float64(moved) > 0.02*n {
			t.Errorf("%s: %d of %d choices moved besides those of the failed server", s, moved, n)
		}
	}
}

// choices begins a connection and names the server of each in turn.
func choices(w *world, n int) string {
	got := ""
	for i := range n {
		got += fmt.Sprint(w.begin(addrPort(uint32(i), 700), vip))
	}
	return got
}

// The order of the choices is the definition's, worked out by hand.
func TestOrderOfChoices(t *testing.T) {
	for _, c := range []struct {
		scheduler model.Scheduler
		weights   []int
		conns     map[uint8]int64
		want      string
	}{
		{model.RoundRobin, []int{3, 1}, nil, "00100010"},
		{model.LeastConn, []int{1, 1, 1}, nil, "012012"},
		{model.LeastConn, []int{1, 3}, nil, "01110111"},
		{model.LeastConn, []int{1, 1}, map[uint8]int64{0: 3}, "11101"},
		{model.ShortestExpected, []int{1, 3}, nil, "11011101"},
		{model.NeverQueue, []int{1, 3}, nil, "01111101"},
		{model.NeverQueue, []int{1, 1, 8}, map[uint8]int64{0: 1, 2: 3}, "122222"},
	} {
		w := newWorld(c.scheduler, c.weights...)
		for i, n := range c.conns {
			w.conns[i] = n
		}
		if got := choices(w, len(c.want)); got != c.want {
			t.Errorf("%s, weights %v, connections %v: %s, want %s", c.scheduler, c.weights, c.conns, got, c.want)
		}
	}
}

func TestNobodyToChoose(t *testing.T) {
	for _, s := range model.Schedulers() {
		if got := choices(newWorld(s), 1); got != "255" {
			t.Errorf("%s chose %s of nobody", s, got)
		}
	}
}

// localitybased stays with a destination's server until it is overloaded while
// another one is half idle; replication adds that other one.
func TestLocality(t *testing.T) {
	for _, c := range []struct {
		name      string
		scheduler model.Scheduler
		set       uint16
		age       uint32 // of the set
		conns     map[uint8]int64
		want      uint8
		wantSet   uint16
	}{
		{"a new destination", model.Locality, 0, 0, map[uint8]int64{0: 2, 1: 1}, 1, 2},
		{"a known one", model.Locality, 1, 0, map[uint8]int64{0: 4, 1: 1}, 0, 1},
		{"overloaded, another half idle", model.Locality, 1, 0, map[uint8]int64{0: 5, 1: 1}, 1, 2},
		{"overloaded, none half idle", model.Locality, 1, 0, map[uint8]int64{0: 5, 1: 2}, 0, 1},
		{"its server is gone", model.Locality, 8, 0, map[uint8]int64{0: 1}, 1, 2},
		{"a new destination", model.Replication, 0, 0, map[uint8]int64{0: 2, 1: 1}, 1, 2},
		{"the least of the set", model.Replication, 3, 0, map[uint8]int64{0: 2, 1: 1}, 1, 3},
		{"overloaded: one more", model.Replication, 1, 0, map[uint8]int64{0: 5, 1: 1}, 1, 3},
		{"overloaded, none half idle", model.Replication, 1, 0, map[uint8]int64{0: 5, 1: 2}, 0, 1},
		{"a day without a change", model.Replication, 3, shrinkAfterS, map[uint8]int64{0: 2, 1: 1}, 1, 3},
		{"more than a day: the busiest leaves", model.Replication, 3, shrinkAfterS + 1, map[uint8]int64{0: 1, 1: 2}, 0, 1},
		{"who is gone leaves the set", model.Replication, 9, 0, map[uint8]int64{0: 1}, 0, 1},
	} {
		w := newWorld(c.scheduler, 4, 4)
		w.conns, w.now = c.conns, 1_000_000
		w.localities[vip.Addr()] = &Locality{Set: c.set, ChangedS: w.now - c.age}
		if got := w.begin(addrPort(1, 1), vip); got != c.want || w.localities[vip.Addr()].Set != c.wantSet {
			t.Errorf("%s, %s: server %d, set %b; want %d, %b", c.scheduler, c.name, got, w.localities[vip.Addr()].Set, c.want, c.wantSet)
		}
	}
}
