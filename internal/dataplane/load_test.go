package dataplane

import (
	"slices"
	"testing"

	"fairlead/internal/model"
)

// loadOf are the numbers of connections by which the servers are chosen.
func loadOf(p *Plane, director string, n int) []int32 {
	p.settling.Wait()
	i, _ := directorIndex(*p.names.Load(), director)
	index := int(i)
	now := p.maps.loads()
	return now[index*maxServers:][:n]
}

// The connections of a server are counted as they begin and end, and go on.
func TestConnectionsAreCounted(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		apply(t, p, pooled(model.LeastConn, []int{1, 1}, 1))
		p.settling.Wait()
		vip := pooled(model.LeastConn, nil, 1).Rules.VIPs[0].Addr
		for i, step := range []struct {
			frame frameSpec
			want  []int32
		}{
			{frameSpec{flags: synFlag, sport: 1}, []int32{1, 0}},
			{frameSpec{flags: synFlag, sport: 2}, []int32{1, 1}},
			{frameSpec{flags: synFlag, sport: 2}, []int32{1, 1}}, // again
			{frameSpec{flags: ackFlag, sport: 1}, []int32{1, 1}},
			{frameSpec{flags: finFlag | ackFlag, sport: 1}, []int32{0, 1}},
			{frameSpec{flags: finFlag | ackFlag, sport: 1}, []int32{0, 1}},        // again
			{frameSpec{flags: ackFlag, sport: 1, payload: 9}, []int32{1, 1}},      // the FIN was forged
			{frameSpec{flags: rstFlag, sport: 2}, []int32{1, 0}},                  //
			{frameSpec{flags: synFlag, sport: 2}, []int32{1, 1}},                  // a new one on its ports
			{frameSpec{flags: ackFlag, sport: 9, src: clientAddr}, []int32{2, 1}}, // learnt, or the other
			{frameSpec{flags: synFlag, sport: 10}, []int32{2, 2}},                 // evens out
			{frameSpec{flags: ackFlag | finFlag, sport: 999}, []int32{2, 2}},      // of an unknown one
		} {
			step.frame.dst = vip
			h.run(t, p, step.frame.bytes(t))
			got := loadOf(p, "shop", 2)
			if got[0] < got[1] && step.want[0] > step.want[1] && step.frame.sport == 9 {
				slices.Reverse(step.want)
			}
			if !slices.Equal(got, step.want) {
				t.Fatalf("%s: step %d, %+v: connections %v, want %v", h.name, i, step.frame, got, step.want)
			}
		}
		// the table was walked, and what a race may have done is mended
		before := loadOf(p, "shop", 2)
		*p.maps.load(0) += 5
		*p.maps.load(1) -= 5
		p.maps.recount()
		if got := loadOf(p, "shop", 2); !slices.Equal(got, before) {
			t.Errorf("%s: counted anew: %v, want %v", h.name, got, before)
		}
		// the first server fails, and returns: its connections are old
		want := pooled(model.LeastConn, []int{1, 1}, 1)
		want.Directors[0].Epoch, want.Directors[0].Servers[0].Epoch = 3, 3
		apply(t, p, want)
		if got := loadOf(p, "shop", 2); got[0] != 0 || got[1] != before[1] {
			t.Errorf("%s: after a failure: %v, before %v", h.name, got, before)
		}
		// an old one gives way to a new one on its ports: nobody has one less
		for port := uint16(1); port < 11; port++ {
			h.run(t, p, frameSpec{flags: synFlag, sport: port, dst: vip}.bytes(t))
		}
		if got := loadOf(p, "shop", 2); int(got[0]+got[1]) != len(found(t, p)) {
			t.Errorf("%s: old ones gave way: %v of %d", h.name, got, len(found(t, p)))
		}
	}
}

// Between two readings of the numbers connections begin and end: what a walk found
// is believed only as far as they cannot explain it.
func TestCorrect(t *testing.T) {
	p := newPlane(t, 1000)
	for _, c := range []struct{ before, now, found, want int32 }{
		{5, 5, 5, 5}, {5, 5, 7, 7}, {5, 5, 2, 2}, {5, 8, 6, 8}, {8, 5, 6, 5},
		{5, 8, 10, 10}, {5, 8, 3, 6}, {8, 5, 10, 7}, {-1, -1, 0, 0},
	} {
		*p.maps.load(3) = c.now
		p.maps.correct(loads{3: c.before}, loads{3: c.found})
		if got := *p.maps.load(3); got != c.want {
			t.Errorf("before %d, now %d, found %d: became %d, want %d", c.before, c.now, c.found, got, c.want)
		}
	}
}

// A table that is full takes a live connection of nobody; those that it does not
// know go where their hash says from the first packet on.
func TestRefusedConnectionsStay(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1)
		want := pooled(model.RoundRobin, []int{1, 1, 1}, 1)
		apply(t, p, want)
		unknown, size := 0, len(p.maps.buckets)*slots
		for i := range 2 * size {
			s := frameSpec{flags: synFlag, src: client(i).Addr(), sport: client(i).Port(), dst: want.Rules.VIPs[0].Addr}
			before := refused(t, p)
			_, first := h.run(t, p, s.bytes(t))
			s.flags, s.ack = ackFlag, 1
			_, second := h.runLookedAt(t, p, s.bytes(t))
			if string(first[:6]) != string(second[:6]) {
				t.Fatalf("%s: connection %d: its SYN went to %x, its ACK to %x", h.name, i, first[:6], second[:6])
			}
			if refused(t, p) > before {
				unknown++
			}
		}
		if unknown == 0 {
			t.Errorf("%s: the table was never full", h.name)
		}
		sum := int32(0)
		for _, n := range loadOf(p, "shop", 3) {
			sum += n
		}
		if n := len(found(t, p)); int(sum) != n {
			t.Errorf("%s: %d connections are counted, the table has %d", h.name, sum, n)
		}
	}
}

// One of ten servers fails: the connections of the others stay, with every scheduler.
func TestOthersStay(t *testing.T) {
	weights := []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
	for _, scheduler := range model.Schedulers() {
		p := newPlane(t, 1000)
		h := hooks[0]
		want := pooled(scheduler, weights, 3)
		apply(t, p, want)
		at := map[int]model.MAC{}
		spec := func(i int, flags uint8) []byte {
			return frameSpec{flags: flags, src: client(i).Addr(), sport: client(i).Port(), dst: want.Rules.VIPs[i%3].Addr, ack: 5}.bytes(t)
		}
		for i := range 100 {
			_, out := h.run(t, p, spec(i, synFlag))
			at[i] = model.MAC(out[:6])
			h.runLookedAt(t, p, spec(i, ackFlag))
		}
		failed := at[0]
		d := &want.Directors[0]
		d.Servers[failed[5]].Weight, d.Servers[failed[5]].Epoch, d.Epoch = 0, 11, 11
		apply(t, p, want)
		for i, mac := range at {
			got, out := h.run(t, p, spec(i, ackFlag))
			if mac == failed && got != h.returns("reset") || mac != failed && model.MAC(out[:6]) != mac {
				t.Fatalf("%s: connection %d of %v: returned %d to %x", scheduler, i, mac, int32(got), out[:6])
			}
		}
	}
}
