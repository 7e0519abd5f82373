package dataplane

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

// forged is a packet that anybody may send, with any source and any numbers.
func forged(dice *rand.Rand, sources []netip.Addr) frameSpec {
	return frameSpec{
		src: sources[dice.IntN(len(sources))], sport: uint16(700 + dice.IntN(3)),
		flags: uint8(dice.IntN(32)), seq: dice.Uint32(), ack: dice.Uint32(),
		payload: dice.IntN(40), tcpOptions: 4 * dice.IntN(3), proto: [...]uint8{6, 6, 6, 17, 1}[dice.IntN(5)],
	}
}

// Whoever is named as the source of a forged packet gets no more bytes than were
// sent: at most one answer, never longer than the packet.
func TestNoAmplification(t *testing.T) {
	victims := []netip.Addr{clientAddr, otherAddr, netip.MustParseAddr("203.0.113.7")}
	for _, in := range []situation{fresh, known, knownEnded, after, afterSilent, afterSweep, onHold, noServer} {
		for _, h := range hooks {
			t.Run(in.name+"/"+h.name, func(t *testing.T) {
				t.Parallel()
				p := h.plane(t, 1000)
				in.build(t, p, h)
				dice := rand.New(rand.NewPCG(1, uint64(len(in.name))))
				sent, answered := 0, 0
				for range 3000 {
					frame := forged(dice, victims).bytes(t)
					sent += len(frame)
					result, out := h.run(t, p, frame)
					if result != h.send || string(out[:6]) != string(clientMAC[:]) {
						continue // to a server, or to nobody
					}
					if answered += len(out); len(out) > len(frame) {
						t.Fatalf("%d bytes were answered with %d", len(frame), len(out))
					}
				}
				if answered > sent {
					t.Errorf("%d bytes were sent and %d answered", sent, answered)
				}
				if in.name == after.name && answered == 0 {
					t.Error("nothing was answered: the test shows nothing")
				}
			})
		}
	}
}

// Forged packets of a connection, whatever their flags and numbers, do not end
// it: its own go on to its server, and a switch still knows it.
func TestForgedPacketsResetNothing(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		known.build(t, p, h)
		dice := rand.New(rand.NewPCG(2, 2))
		for range 3000 {
			s := forged(dice, []netip.Addr{clientAddr})
			s.sport = 700
			if _, out := h.runLookedAt(t, p, s.bytes(t)); string(out[:6]) == string(clientMAC[:]) {
				t.Fatalf("%s: %+v was answered", h.name, s)
			}
		}
		own := frameSpec{flags: ackFlag, seq: 77, ack: 1000, payload: 8}.bytes(t)
		if _, out := h.runLookedAt(t, p, own); string(out) != string(sent(serverMAC1, own)) {
			t.Errorf("%s: the connection's own packet became %x", h.name, out)
		}
		if got := table(p); got != "nfs-01 ack 1000" {
			t.Errorf("%s: the table holds %q", h.name, got)
		}
		apply(t, p, switched())
		if got := table(p); !strings.HasPrefix(got, "nfs-01 old") {
			t.Errorf("%s: after a switch the table holds %q", h.name, got)
		}
	}
}

// A forged packet of a connection that nobody knows is answered, while old ones
// may be left, only with the number that it named itself: who cannot guess the
// right one ends nothing (RFC 5961 section 3.2).
func TestForgedNumberComesBack(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		after.build(t, p, h)
		dice := rand.New(rand.NewPCG(3, 3))
		for range 200 {
			s := frameSpec{flags: ackFlag, src: otherAddr, ack: dice.Uint32()}
			_, out := h.run(t, p, s.bytes(t))
			if len(out) != 54 || out[47] != rstFlag || string(out[38:42]) != string([]byte{byte(s.ack >> 24), byte(s.ack >> 16), byte(s.ack >> 8), byte(s.ack)}) {
				t.Fatalf("%s: the acknowledgment %#x was answered with %x", h.name, s.ack, out)
			}
		}
		if got := table(p); got != "nfs-01 old ack 1000" {
			t.Errorf("%s: the table holds %q", h.name, got)
		}
	}
}
