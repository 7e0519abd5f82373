package dataplane

import (
	"testing"

	"fairlead/internal/model"
)

// TestMovedVIP hands the virtual IP to another director while a connection
// lives: its data must not reach the other director's server.
func TestMovedVIP(t *testing.T) {
	for _, h := range hooks {
		t.Run(h.name, func(t *testing.T) {
			p := h.plane(t, 1000)
			known.build(t, p, h)
			d := note()
			other := d.Directors[0]
			other.Name, other.Active, other.MAC = "other", "nfs-02", serverMAC2
			d.Directors = append(d.Directors, other)
			d.Rules.Rules = leads("nfs", "other", to(vipAddr))
			apply(t, p, d)
			if got := table(p); got != "nfs-01 old ack 1000" {
				t.Errorf("the connection table holds %q, want the connection as an old one", got)
			}
			if left, err := p.Sweep("other"); left != 1 || err != nil {
				t.Errorf("Sweep = %d, %v; want 1 old connection", left, err)
			}
			_, out := h.run(t, p, frameSpec{flags: ackFlag, ack: 1500, payload: 10}.bytes(t))
			if len(out) != 54 || out[47] != rstFlag {
				t.Errorf("its data became %x, want a RST to the client", out)
			}
			_, out = h.run(t, p, frameSpec{flags: synFlag}.bytes(t))
			if got := model.MAC(out[:6]); got != serverMAC2 {
				t.Errorf("its new SYN goes to %v, want %v", got, serverMAC2)
			}
			if left, err := p.Sweep("other"); left != 0 || err != nil {
				t.Errorf("Sweep = %d, %v; want 0 old connections", left, err)
			}
		})
	}
}
