package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
)

// TestUnhurriedResults: results that lead to nothing are shown together, a little
// later; one that decides something takes effect at once.
func TestUnhurriedResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2500 * time.Millisecond) // the fake prober asks every second
		result := func(ok bool, latency time.Duration) {
			r := model.ProbeResult{Ref: ref("nfs-01"), At: time.Now(), OK: ok, Latency: latency}
			if !ok {
				r.Err = "no answer"
			}
			b.prober.results <- r
			synctest.Wait()
		}
		shown := func() time.Duration { return b.agent.view.Load().directors[0].Servers[0].Latency }
		result(true, time.Millisecond)
		pass(10 * time.Millisecond)
		result(true, 2*time.Millisecond)
		if got := shown(); got != 0 {
			t.Errorf("a latency of %v is shown at once", got)
		}
		pass(unhurried)
		if got := shown(); got != 2*time.Millisecond {
			t.Errorf("a latency of %v is shown, want the last one", got)
		}
		result(false, 0)
		pass(50 * time.Millisecond) // when it is confirmed
		b.prober.kill("nfs-01", true)
		result(false, 0)
		if got := b.plane.active(); got != "nfs-02" {
			t.Errorf("%s is active just after the confirmation", got)
		}
		b.end()
	})
}
