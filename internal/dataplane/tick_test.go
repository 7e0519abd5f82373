package dataplane

import (
	"slices"
	"testing"
	"time"

	"fairlead/internal/model"
)

// A tick is 16 to 32 s long, whatever the frequency of the kernel's clock.
func TestTickShift(t *testing.T) {
	for _, hz := range []int{100, 250, 300, 1000} {
		jiffy := time.Second / time.Duration(hz)
		if length := jiffy << tickShift(jiffy); length < 16*time.Second || length > 32*time.Second {
			t.Errorf("%d Hz: a tick of %v", hz, length)
		}
	}
}

// The programme and the walk mean the same time.
func TestTickIsTheProgrammes(t *testing.T) {
	p := newPlane(t, 1000)
	apply(t, p, note())
	before, err := p.clock.now()
	if err != nil {
		t.Fatal(err)
	}
	establish(t, p, hooks[0])
	after, err := p.clock.now()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.maps.all() {
		if s.seen() != before && s.seen() != after {
			t.Errorf("seen in tick %d, not %d or %d", s.seen(), before, after)
		}
	}
}

// silent lets all connections be that long without a packet.
func silent(p *Plane, d time.Duration) {
	for at, s := range p.maps.all() {
		p.maps.buckets[at.bucket].Slots[at.slot] = uint64(s)&^0xff | uint64(s.seen()-uint8(d/p.clock.tick))
	}
}

// A connection that was silent for its timeout no longer counts; it goes on where it
// was when it speaks again, and counts again.
func TestIdleConnections(t *testing.T) {
	limits := model.Timeouts{Established: 15 * time.Minute, SynRecv: time.Minute}
	for _, h := range hooks {
		p := h.plane(t, 1000)
		want := pooled(model.LeastConn, []int{1, 1}, 1)
		want.Timeouts = limits
		apply(t, p, want)
		vip := want.Rules.VIPs[0].Addr
		spec := func(port uint16, flags uint8) frameSpec {
			return frameSpec{flags: flags, sport: port, dst: vip, ack: 5}
		}
		at := map[uint16]int{}
		for port := uint16(1); port <= 4; port++ {
			at[port] = h.to(t, p, spec(port, synFlag))
			if port <= 2 {
				h.run(t, p, spec(port, ackFlag).bytes(t))
			}
		}
		for _, c := range []struct {
			silent time.Duration
			want   []int32
		}{{40 * time.Second, []int32{2, 2}}, {120 * time.Second, []int32{1, 1}}, {14 * time.Minute, []int32{1, 1}}, {18 * time.Minute, []int32{0, 0}}} {
			for i, s := range p.maps.all() { // seen now
				p.maps.buckets[i.bucket].Slots[i.slot] = uint64(s)&^0xff | uint64(now(t, p))
			}
			silent(p, c.silent)
			for range 2 {
				if err := p.tend(limits); err != nil {
					t.Fatal(err)
				}
			}
			if got := loadOf(p, "shop", 2); !slices.Equal(got, c.want) {
				t.Errorf("%s: after %v of silence: connections %v, want %v", h.name, c.silent, got, c.want)
			}
		}
		for port := uint16(1); port <= 4; port++ {
			if got := h.to(t, p, spec(port, ackFlag)); got != at[port] {
				t.Errorf("%s: connection %d went on at %d instead of %d", h.name, port, got, at[port])
			}
		}
		if got := loadOf(p, "shop", 2); !slices.Equal(got, []int32{2, 2}) {
			t.Errorf("%s: they speak again: connections %v", h.name, got)
		}
		// without a timeout nothing is idle
		silent(p, time.Hour)
		if err := p.tend(model.Timeouts{}); err != nil {
			t.Fatal(err)
		}
		if got := loadOf(p, "shop", 2); !slices.Equal(got, []int32{2, 2}) {
			t.Errorf("%s: no timeout: connections %v", h.name, got)
		}
	}
}

func now(t *testing.T, p *Plane) uint8 {
	t.Helper()
	now, err := p.clock.now()
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// A flood of SYNs that fills the table many times puts no established connection
// out, also not after long silence.
func TestFloodSparesTheEstablished(t *testing.T) {
	for _, quiet := range []time.Duration{0, 17 * time.Minute, 30 * time.Minute} {
		p := newPlane(t, 1)
		apply(t, p, note())
		live := len(p.maps.buckets) * slots * 8 / 10 // fuller, and some find no room
		begin, acknowledge := crowd(t, frameSpec{flags: synFlag}), crowd(t, frameSpec{flags: ackFlag, ack: 9})
		for i := range live {
			hooks[0].run(t, p, begin(i))
			hooks[0].runLookedAt(t, p, acknowledge(i))
		}
		before := found(t, p)
		if len(before) < live*98/100 {
			t.Fatalf("%d of %d connections are known", len(before), live)
		}
		silent(p, quiet)
		room := len(p.maps.buckets) * slots
		for i := range 5 * room {
			hooks[0].run(t, p, begin(live+i))
		}
		all := found(t, p)
		for client := range before {
			if _, known := all[client]; !known {
				t.Fatalf("after %v of silence the connection of %v gave way to a SYN", quiet, client)
			}
		}
		if len(all) < room*9/10 {
			t.Errorf("the flood filled %d of %d slots", len(all), room)
		}
	}
}
