package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
)

// TestAllowance: over all rounds of two switches, nobody is sent more packets
// than were seen of him, and who may not exist is sent one try.
func TestAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		var ports []uint16
		for n := range model.MostPackets + 1 {
			ports = append(ports, 1000+uint16(n), 2000+uint16(n))
		}
		b.plane.connect(ports...)
		b.plane.set(func(p *fakePlane) {
			for i, c := range p.conns {
				p.conns[i].Packets = int(c.Client.Port() % 1000)
				p.conns[i].HasAck = c.Client.Port() < 2000
			}
		})
		for _, to := range []string{"nfs-02", "nfs-01"} {
			if _, err := b.order(t.Context(), ref(to)); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		pass(time.Minute)
		for n := range model.MostPackets + 1 {
			acked, silent := b.sender.packets[1000+uint16(n)], b.sender.packets[2000+uint16(n)]
			if most := max(n, 1); acked != most || silent < 1 || silent > min(most, 3) {
				t.Errorf("%d packets seen: got %d sent where there was an ACK, %d where there was none", n, acked, silent)
			}
		}
		b.end()
	})
}

// TestReconnectedIsAnother: what was sent to a connection does not count for the
// next one of the same client and port.
func TestReconnectedIsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		b.plane.connect(1001, 1002)
		if _, err := b.order(t.Context(), ref("nfs-02")); err != nil {
			t.Fatal(err)
		}
		pass(time.Millisecond)
		b.plane.set(func(p *fakePlane) { p.conns[0].Old = false })
		pass(700 * time.Millisecond)
		sent := b.sender.packets[1001]
		if _, err := b.order(t.Context(), ref("nfs-01")); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if got := b.sender.packets[1001] - sent; got != model.MostPackets || b.sender.packets[1002] != model.MostPackets {
			t.Errorf("got %d packets for the second connection, %d for one that never ended", got, b.sender.packets[1002])
		}
		b.end()
	})
}
