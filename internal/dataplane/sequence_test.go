package dataplane

import (
	"bytes"
	"strings"
	"testing"
)

// While old connections may be left, one that is not in the table is reset; when
// none is left, it is learnt.
func TestLookupUntilSwept(t *testing.T) {
	for _, h := range hooks {
		t.Run(h.name, func(t *testing.T) {
			p := h.plane(t, 1000)
			after.build(t, p, h)
			unknown := frameSpec{flags: ackFlag, ack: 5, sport: 701}.bytes(t)
			_, out := h.run(t, p, unknown)
			if len(out) != 54 || out[47] != rstFlag {
				t.Errorf("a stranger's ACK got %x, want a reset", out)
			}
			if left, err := p.Sweep("nfs"); err != nil || left != 1 {
				t.Fatalf("Sweep = %d, %v; want 1 old connection", left, err)
			}
			h.run(t, p, frameSpec{flags: rstFlag}.bytes(t))
			if left, err := p.Sweep("nfs"); err != nil || left != 0 {
				t.Fatalf("Sweep = %d, %v; want none left after its RST", left, err)
			}
			if _, out := h.runLookedAt(t, p, unknown); !bytes.Equal(out, sent(serverMAC2, unknown)) {
				t.Errorf("a stranger's ACK after the last old connection became\n%x, want it forwarded", out)
			}
			// the record survives the sweep: no second switch was made
			a, err := p.Applied()
			if err != nil {
				t.Fatal(err)
			}
			if got := a.Directors["nfs"]; got.Epoch != 2 || got.Active != "nfs-02" {
				t.Errorf("applied %+v after the sweep", got)
			}
			if _, err := p.Sweep("nobody"); err == nil || !strings.Contains(err.Error(), "does not know this director") {
				t.Errorf("Sweep of a stranger = %v", err)
			}
		})
	}
}

// A connection of the new epoch goes on while old ones are left.
func TestNewConnectionBesideOld(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		after.build(t, p, h)
		h.run(t, p, frameSpec{flags: synFlag}.bytes(t)) // the same ports
		for i := range uint32(3) {
			f := frameSpec{flags: ackFlag, ack: i, payload: 10}.bytes(t)
			if _, out := h.run(t, p, f); !bytes.Equal(out, sent(serverMAC2, f)) {
				t.Errorf("%s: the new connection's packet became\n%x", h.name, out)
			}
		}
		if got := table(p); got != "nfs-02 ack 2" {
			t.Errorf("%s: the connection table holds %q", h.name, got)
		}
	}
}

// A frame may end anywhere. Cut before the addresses it passes; after them it is
// malformed, until the TCP header is whole.
func TestTruncated(t *testing.T) {
	whole := frameSpec{flags: ackFlag, ack: 5, options: 4, payload: 4}.bytes(t)
	for _, h := range hooks {
		p := h.plane(t, 1000)
		apply(t, p, note())
		// the kernel's test run takes no fewer bytes
		for n := h.shortest; n < len(whole); n++ {
			want := "drop-malformed"
			switch {
			case n < 34:
				want = "pass"
			case n >= 58:
				want = "forward"
			}
			result, out := h.runLookedAt(t, p, whole[:n])
			if result != h.returns(want) {
				t.Errorf("%s: %d bytes returned %d, want %s", h.name, n, int32(result), want)
			}
			if want != "forward" && !bytes.Equal(out, whole[:n]) {
				t.Errorf("%s: %d bytes were changed to %x", h.name, n, out)
			}
		}
	}
}
