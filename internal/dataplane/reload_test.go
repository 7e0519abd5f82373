package dataplane

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf"

	"fairlead/internal/model"
)

// TestReloadMeetsNoPacket lets packets of a flow that stays run through the programme
// without a pause, while all others get other directors again and again: none may be
// lost, and none may come to another flow.
func TestReloadMeetsNoPacket(t *testing.T) {
	p := newPlane(t, 1000)
	want := func(turn int) (d model.Desired) {
		d = estate(5000+turn%3*1000, 100, turn) // with others beside it, it lies elsewhere
		// Its frames look the same after they were rewritten, so that the next run can have them.
		d.Directors[0].MAC, d.Directors[0].Servers[0].MAC = directorMAC, directorMAC
		d.Rules.VIPs = append(d.Rules.VIPs, note().Rules.VIPs...)
		d.Rules.Rules = append(d.Rules.Rules, leads("staying", "d0", to(vipAddr))...)
		return d
	}
	apply(t, p, want(0))
	var over atomic.Bool
	var work sync.WaitGroup
	sent := uint64(0)
	frame := frameSpec{flags: ackFlag, ack: 1000}.bytes(t)
	work.Go(func() {
		for !over.Load() {
			const repeat = 10_000
			if _, err := p.programs.xdp.Run(&ebpf.RunOptions{Data: frame, Repeat: repeat}); err != nil {
				t.Error(err)
				return
			}
			sent += repeat
		}
	})
	for turn := range 15 {
		apply(t, p, want(turn+1))
	}
	over.Store(true)
	work.Wait()
	traffic, err := p.Traffic()
	if err != nil {
		t.Fatal(err)
	}
	got := traffic.Flows["staying"]
	if len(got) != 1 || got["forward"].Packets != sent || sent == 0 {
		t.Errorf("of %d packets these were counted: %v", sent, got)
	}
	if len(traffic.Verdicts) != 1 {
		t.Errorf("there were other verdicts: %v", traffic.Verdicts)
	}
}
