package dataplane

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"fairlead/internal/model"
	"fairlead/internal/schedule"
)

// pooled is a director with servers of these weights behind some virtual IPs.
func pooled(s model.Scheduler, weights []int, vips int) model.Desired {
	d := model.DesiredDirector{Name: "shop", Balanced: true, Scheduler: s, Source: directorMAC, Epoch: uint64(len(weights))}
	for i, w := range weights {
		d.Servers = append(d.Servers, model.DesiredServer{Name: fmt.Sprintf("web-%02d", i), MAC: model.MAC{2, 9, 0, 0, 0, byte(i)}, Weight: w, Epoch: uint64(i + 1)})
	}
	want := model.Desired{Directors: []model.DesiredDirector{d}}
	for i := range vips {
		a := netip.AddrFrom4([4]byte{192, 168, 20, byte(i + 1)})
		want.Rules.VIPs = append(want.Rules.VIPs, model.VIP{Addr: a})
		want.Rules.Rules = append(want.Rules.Rules, leads("shop", "shop", to(a))...)
	}
	return want
}

// twin chooses as the specification says.
type twin struct {
	pool       schedule.Pool
	conns      map[uint8]int64
	turn, now  uint32
	localities map[netip.Addr]*schedule.Locality
}

func (w *twin) choose(client, destination netip.AddrPort) (uint8, bool) {
	l := w.localities[destination.Addr()]
	if l == nil {
		l = new(schedule.Locality)
		w.localities[destination.Addr()] = l
	}
	server, ok := w.pool.Choose(client, destination, schedule.Moment{Turn: w.turn, Conns: func(i uint8) int64 { return max(w.conns[i], 0) }, NowS: w.now}, l)
	if ok {
		w.turn++
		w.conns[server]++
	}
	return server, ok
}

// plant makes programme and twin begin with the same numbers.
func (w *twin) plant(t *testing.T, p *Plane, dice *rand.Rand, vips []model.VIP) {
	index, _ := directorIndex(*p.names.Load(), "shop")
	w.turn, w.now = dice.Uint32N(1000), uint32(monotonic()/1e9)
	p.maps.state.Load.Turn[index] = w.turn
	for i := range uint8(maxServers) {
		n := int32(dice.IntN(12) - 1) // one less than none may be, after a race
		*p.maps.load(int(index)*maxServers + int(i)) = n
		w.conns[i] = int64(n)
	}
	for _, v := range vips {
		l := schedule.Locality{Set: uint16(dice.Uint32() & dice.Uint32()), ChangedS: w.now - []uint32{0, 90000}[dice.IntN(2)]}
		w.localities[v.Addr] = &l
		key := directorLocalityKey{Address: words(v.Addr), Director: uint32(index)}
		if err := p.maps.byName[directorMapLocalities].Put(key, directorLocality{Set: l.Set, ChangedS: l.ChangedS}); err != nil {
			t.Fatal(err)
		}
	}
}

func randomWeights(dice *rand.Rand) []int {
	weights := make([]int, 1+dice.IntN(maxServers))
	for i := range weights {
		weights[i] = dice.IntN(9) // quiescent ones too
	}
	return weights
}

// The programme and the specification agree on every choice.
func TestSchedulersAgree(t *testing.T) {
	for _, s := range model.Schedulers() {
		dice := rand.New(rand.NewPCG(6, uint64(s)))
		p := newPlane(t, 100_000)
		for range 12 {
			want := pooled(s, randomWeights(dice), 3)
			apply(t, p, want)
			p.settling.Wait()
			at, err := p.allocate(want)
			if err != nil {
				t.Fatal(err)
			}
			pool, err := poolOf(want.Directors[0], at)
			if err != nil {
				t.Fatal(err)
			}
			w := twin{pool: pool, conns: map[uint8]int64{}, localities: map[netip.Addr]*schedule.Locality{}}
			w.plant(t, p, dice, want.Rules.VIPs)
			for range 60 {
				agree(t, p, &w, want, dice)
			}
		}
	}
}

// agree sends one SYN and, of some, a packet of which nothing is known.
func agree(t *testing.T, p *Plane, w *twin, want model.Desired, dice *rand.Rand) {
	t.Helper()
	h := hooks[dice.IntN(2)]
	syn := frameSpec{flags: synFlag, src: netip.AddrFrom4([4]byte{10, byte(dice.Uint32()), byte(dice.Uint32()), byte(dice.Uint32())}),
		sport: uint16(1 + dice.IntN(65535)), dst: want.Rules.VIPs[dice.IntN(3)].Addr, dport: 80}
	from, to := netip.AddrPortFrom(syn.src, syn.sport), netip.AddrPortFrom(syn.dst, syn.dport)
	server, ok := w.choose(from, to)
	check := func(what string, spec frameSpec, server uint8, ok bool) {
		t.Helper()
		result, out := h.run(t, p, spec.bytes(t))
		switch {
		case !ok && result != h.returns("drop-no-server"):
			t.Fatalf("%s, %s: returned %d, nobody should get it", want.Directors[0].Scheduler, what, int32(result))
		case ok && model.MAC(out[:6]) != (model.MAC{2, 9, 0, 0, 0, server}):
			t.Fatalf("%s, %s of %v to %v: went to %v, the specification says %d\nweights %+v, connections %v", want.Directors[0].Scheduler, what, from, to, model.MAC(out[:6]), server, w.pool.Members, w.conns)
		}
	}
	check("SYN", syn, server, ok)
	udp := syn
	udp.proto = 17
	server, ok = w.pool.Stateless(netip.AddrPortFrom(syn.src, 0), netip.AddrPortFrom(syn.dst, 0))
	check("datagram", udp, server, ok)
	stray := syn
	stray.flags, stray.sport = ackFlag|finFlag, syn.sport^1
	server, ok = w.pool.Stateless(netip.AddrPortFrom(syn.src, stray.sport), to)
	check("stray FIN", stray, server, ok)
}
