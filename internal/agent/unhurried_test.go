package agent

import (
	"fmt"
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

// TestManyAreUpTogether: the results that wait while something is carried out are
// taken up together.
func TestManyAreUpTogether(t *testing.T) {
	const servers = 12
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		text := "flow web director web\nmatch iface eth0 dst 192.168.10.60 proto tcp dstport 80\n" +
			"director web\nbalance roundrobin\nmode gateway\ncheck port 80\noption tcpcheck\n"
		for i := 1; i <= servers; i++ {
			text += fmt.Sprintf("server web-%02d 192.168.10.%d:80 weight 1 check\n", i, 99+i)
		}
		b.files.text = text
		b.start(func() {
			for i := 1; i <= servers; i++ {
				b.prober.down[fmt.Sprintf("web-%02d", i)] = true
			}
		})
		pass(1500 * time.Millisecond)
		applies := 0
		b.plane.mu.Lock()
		b.plane.onApply = func(model.Desired) { applies++ }
		b.plane.mu.Unlock()
		b.plane.slow.Store(int64(50 * time.Millisecond))
		for i := 1; i <= servers; i++ {
			server := model.ServerRef{Director: "web", Server: fmt.Sprintf("web-%02d", i)}
			go func() {
				for j := range 2 { // rise
					b.prober.results <- model.ProbeResult{Ref: server, At: time.Now().Add(time.Duration(j)), OK: true}
				}
			}()
		}
		pass(300 * time.Millisecond)
		up := 0
		for _, s := range b.agent.view.Load().directors[0].Servers {
			if s.Health == model.HealthUp {
				up++
			}
		}
		if up != servers || applies > 6 {
			t.Errorf("%d of %d servers are up after %d changes of the data plane, want all after a few", up, servers, applies)
		}
		b.plane.slow.Store(0)
		b.end()
	})
}
