package dataplane

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
)

// A malformed length gets the same verdict whether or not the packet takes the short way.
func TestShortWayAgreesOnMalformed(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		apply(t, p, note())
		for name, frame := range map[string][]byte{
			"UDP, IP length 10":  change(frameSpec{proto: 17, payload: 30}.bytes(t), 16, 0, 10),
			"ICMP, IP length 22": change(frameSpec{proto: 1, payload: 30}.bytes(t), 16, 0, 22),
			"TCP, IP length 10":  change(frameSpec{flags: ackFlag}.bytes(t), 16, 0, 10),
		} {
			for i := range 3 { // the second and third TCP packet come in the jiffy of the first
				if got, _ := h.run(t, p, frame); got != h.returns("drop-malformed") {
					t.Errorf("%s: %s, packet %d, returned %d", h.name, name, i, int32(got))
				}
			}
		}
	}
}

// Connections that begin at the same time: none is lost without being counted.
func TestConcurrentConnectionsStrict(t *testing.T) {
	const n, workers, rounds = 400, 4, 300
	p := newPlane(t, 1)
	apply(t, p, note())
	lost, counted := 0, uint64(0)
	for range rounds {
		clear(p.maps.buckets)
		clear(p.maps.tuples)
		before := refused(t, p)
		var group sync.WaitGroup
		for w := range workers {
			group.Go(func() {
				packet := visitor(t, 1)
				for i := w; i < n; i += workers {
					if _, err := hooks[w%2].of(p.programs).Run(&ebpf.RunOptions{Data: packet(i)}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		group.Wait()
		all := found(t, p)
		known := map[netip.AddrPort]bool{}
		for i := range n {
			known[client(i)] = true
		}
		for c := range all {
			if !known[c] {
				t.Errorf("%v stands in the table and never was", c)
			}
		}
		lost += n - len(all)
		counted += refused(t, p) - before
	}
	if uint64(lost) != counted {
		t.Errorf("%d of %d connections are lost, %d were counted as refused", lost, n*rounds, counted)
	}
}
