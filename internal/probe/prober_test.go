package probe

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
)

var nfs01 = Target{
	Ref:      model.ServerRef{Director: "nfs", Server: "nfs-01"},
	Addr:     netip.MustParseAddr("192.168.10.100"),
	Tests:    []model.Test{{Kind: model.CheckTCP, Port: 2049}},
	Interval: 10 * time.Second,
	Timeout:  2 * time.Second,
}

// bench is a Prober that runs inside a synctest bubble.
type bench struct {
	*Prober
	results chan model.ProbeResult
	begun   chan dialled
	start   time.Time
}

// dialled is the start of one probe.
type dialled struct {
	server string
	addr   netip.AddrPort
	at     time.Time
}

// inBubble runs test with a Prober whose dials do what dial does.
func inBubble(t *testing.T, dial func(ctx context.Context) error, test func(t *testing.T, b bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := bench{results: make(chan model.ProbeResult), begun: make(chan dialled, 1000), start: time.Now()}
		b.Prober = New(b.results, nil, slog.New(slog.DiscardHandler))
		b.put = func(ctx context.Context, q question) error {
			b.begun <- dialled{q.ref.Server, q.to(), time.Now()}
			return dial(ctx)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		test(t, b)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: got %v, want context.Canceled", err)
		}
	})
}

func accept(context.Context) error { return nil }

func silence(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// took makes every dial last d.
func took(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// starts takes results until n probes of nfs-01 have begun and returns when
// they did, counted from the start of the test.
func (b bench) starts(n int) []time.Duration { return b.startsOf("nfs-01", n) }

func (b bench) startsOf(server string, n int) []time.Duration {
	var all []time.Duration
	for len(all) < n {
		select {
		case d := <-b.begun:
			if d.server == server {
				all = append(all, d.at.Sub(b.start))
			}
		case <-b.results:
		}
	}
	return all
}

func TestScheduleIsSteady(t *testing.T) {
	for name, dial := range map[string]func(context.Context) error{
		"fast": accept, "slow": took(1900 * time.Millisecond), "silent": silence,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, dial, func(t *testing.T, b bench) {
				b.Set([]Target{nfs01})
				got := b.starts(8)
				if got[0] != 0 {
					t.Errorf("first probe after %v, want at once", got[0])
				}
				if early := nfs01.Interval - got[1]; early <= 0 || early > nfs01.Interval/10 {
					t.Errorf("second probe %v early, want more than 0 and at most a tenth of %v", early, nfs01.Interval)
				}
				for i := 2; i < len(got); i++ {
					if gap := got[i] - got[i-1]; gap != nfs01.Interval {
						t.Errorf("probe %d came %v after the one before, want %v", i, gap, nfs01.Interval)
					}
				}
			})
		})
	}
}

func TestPhaseSpreads(t *testing.T) {
	seen := make(map[time.Duration]int)
	for i := range 1000 {
		target := nfs01
		target.Tests = []model.Test{{Kind: model.CheckTCP, Port: uint16(i)}}
		p := phase(target)
		if p < 0 || p > target.Interval/10 {
			t.Fatalf("phase of port %d is %v, want 0 to %v", i, p, target.Interval/10)
		}
		seen[p]++
	}
	if len(seen) < 500 {
		t.Errorf("1000 targets have only %d phases", len(seen))
	}
}

func TestResult(t *testing.T) {
	refused := errors.New("strange")
	for _, tt := range []struct {
		name string
		dial func(context.Context) error
		want model.ProbeResult
	}{
		{"passes", took(3 * time.Millisecond), model.ProbeResult{OK: true, Latency: 3 * time.Millisecond}},
		{"silent", silence, model.ProbeResult{Err: "no answer from 192.168.10.100:2049 within 2s", Latency: 2 * time.Second}},
		{"fails", func(context.Context) error { return refused }, model.ProbeResult{Err: "cannot connect to 192.168.10.100:2049: strange"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, tt.dial, func(t *testing.T, b bench) {
				b.Set([]Target{nfs01})
				got := <-b.results
				tt.want.Ref, tt.want.At = nfs01.Ref, b.start.Add(tt.want.Latency)
				tt.want.Tests = []model.TestResult{{Check: "tcpcheck", At: "192.168.10.100:2049", OK: tt.want.OK, Latency: tt.want.Latency, Error: tt.want.Err}}
				if !reflect.DeepEqual(got, tt.want) {
					t.Errorf("got  %+v\nwant %+v", got, tt.want)
				}
			})
		})
	}
}

func TestNowProbesAtOnce(t *testing.T) {
	inBubble(t, accept, func(t *testing.T, b bench) {
		b.Set([]Target{nfs01})
		second := b.starts(2)[1]
		time.Sleep(3 * time.Second) // bubble time
		at := time.Since(b.start)
		b.Now(nfs01.Ref, time.Second)
		got := b.starts(3)
		if got[0] != at {
			t.Errorf("extra probe at %v, want at once, at %v", got[0], at)
		}
		for i := range 2 {
			if want := second + time.Duration(i+1)*nfs01.Interval; got[i+1] != want {
				t.Errorf("regular probe at %v, want %v: an order does not move the schedule", got[i+1], want)
			}
		}
	})
}

func TestNowHasItsOwnTimeout(t *testing.T) {
	inBubble(t, silence, func(t *testing.T, b bench) {
		b.Set([]Target{nfs01})
		<-b.results
		b.Now(nfs01.Ref, 500*time.Millisecond)
		if got, want := (<-b.results).Err, "no answer from 192.168.10.100:2049 within 500ms"; got != want {
			t.Errorf("extra probe: got %q, want %q", got, want)
		}
		if got, want := (<-b.results).Latency, nfs01.Timeout; got != want {
			t.Errorf("regular probe after it: took %v, want %v", got, want)
		}
	})
}

// TestNowIsNotServedByAnOlderProbe lets the server die, in silence, while a probe
// is under way that passes later.
func TestNowIsNotServedByAnOlderProbe(t *testing.T) {
	start := time.Now()
	dial := func(ctx context.Context) error {
		if time.Since(start) > 500*time.Millisecond {
			return silence(ctx)
		}
		return took(700 * time.Millisecond)(ctx)
	}
	inBubble(t, dial, func(t *testing.T, b bench) {
		start = b.start
		b.Set([]Target{nfs01})
		time.Sleep(600 * time.Millisecond) // bubble time
		b.Now(nfs01.Ref, 400*time.Millisecond)
		b.expect(t, "the older probe", 0, 700*time.Millisecond, true)
		b.expect(t, "the ordered probe", 600*time.Millisecond, time.Second, false)
	})
}

// expect takes a result, which must be of a probe from begin to end.
func (b bench) expect(t *testing.T, what string, begin, end time.Duration, ok bool) {
	t.Helper()
	r := <-b.results
	if at := r.At.Sub(b.start); at-r.Latency != begin || at != end || r.OK != ok {
		t.Errorf("%s: from %v to %v, passed: %v; want from %v to %v, %v", what, at-r.Latency, at, r.OK, begin, end, ok)
	}
}

func TestNowWaitsWhenTwoAreUnderWay(t *testing.T) {
	const ms = time.Millisecond
	inBubble(t, silence, func(t *testing.T, b bench) {
		b.Set([]Target{nfs01})
		time.Sleep(500 * ms) // bubble time
		b.Now(nfs01.Ref, 1200*ms)
		time.Sleep(100 * ms)
		b.Now(nfs01.Ref, 300*ms)
		synctest.Wait()
		if n := len(b.begun); n != 2 {
			t.Errorf("%d probes are under way, want 2", n)
		}
		b.expect(t, "the first ordered, which the second cuts short", 500*ms, 900*ms, false)
		b.expect(t, "the second ordered", 900*ms, 1200*ms, false)
		b.expect(t, "the regular one", 0, nfs01.Timeout, false)
	})
}

func TestSlotWaitsForTheProbeUnderWay(t *testing.T) {
	inBubble(t, silence, func(t *testing.T, b bench) {
		b.Set([]Target{nfs01})
		<-b.results
		slot := nfs01.Interval - phase(nfs01)
		time.Sleep(slot - nfs01.Timeout - time.Second) // bubble time
		b.Now(nfs01.Ref, nfs01.Timeout)
		b.expect(t, "the ordered probe", slot-time.Second, slot+time.Second, false)
		b.expect(t, "the regular one", slot+time.Second, slot+3*time.Second, false)
		slot += nfs01.Interval
		b.expect(t, "the next", slot, slot+nfs01.Timeout, false)
	})
}

func TestNowNeverProlongs(t *testing.T) {
	inBubble(t, silence, func(t *testing.T, b bench) {
		b.Set([]Target{nfs01})
		time.Sleep(time.Second) // bubble time
		b.Now(nfs01.Ref, 500*time.Millisecond)
		synctest.Wait()
		b.Now(nfs01.Ref, time.Minute)
		b.expect(t, "the first ordered", time.Second, 1500*time.Millisecond, false)
	})
}

func TestNowRightAfterSet(t *testing.T) {
	inBubble(t, accept, func(t *testing.T, b bench) {
		b.Now(model.ServerRef{Director: "nfs", Server: "nobody"}, time.Second)
		b.Set([]Target{nfs01})
		b.Now(nfs01.Ref, time.Second)
		if got := <-b.results; got.Ref != nfs01.Ref {
			t.Errorf("result of %v, want %v", got.Ref, nfs01.Ref)
		}
	})
}

func TestSetLeavesTheUnchangedAlone(t *testing.T) {
	nfs02 := nfs01
	nfs02.Ref.Server = "nfs-02"
	inBubble(t, accept, func(t *testing.T, b bench) {
		b.Set([]Target{nfs01})
		first := b.starts(2)
		time.Sleep(time.Second) // bubble time
		b.Set([]Target{nfs01, nfs02})
		b.Set([]Target{nfs02, nfs01})
		if got := b.startsOf("nfs-02", 1)[0] - first[1]; got != time.Second {
			t.Errorf("new target probed %v after the last probe, want at once, after 1s", got)
		}
		if got := b.starts(1)[0] - first[1]; got != nfs01.Interval {
			t.Errorf("unchanged target probed %v after its last probe, want %v", got, nfs01.Interval)
		}
	})
}

func TestSetRestartsTheChanged(t *testing.T) {
	moved := nfs01
	moved.Addr = netip.MustParseAddr("192.168.10.200")
	inBubble(t, silence, func(t *testing.T, b bench) {
		b.Set([]Target{nfs01})
		time.Sleep(time.Second) // bubble time: the first probe is under way
		b.Set([]Target{moved})
		got := <-b.results
		if want := "no answer from 192.168.10.200:2049 within 2s"; got.Err != want {
			t.Errorf("got %q, want %q: the old address's probe must have no result", got.Err, want)
		}
		if want := b.start.Add(3 * time.Second); !got.At.Equal(want) {
			t.Errorf("result at %v, want %v", got.At, want)
		}
	})
}

func TestRemovedTargetIsSilent(t *testing.T) {
	inBubble(t, accept, func(t *testing.T, b bench) {
		b.Set([]Target{nfs01})
		<-b.results
		b.Set(nil)
		select {
		case r := <-b.results:
			t.Errorf("got %+v of a target that is gone", r)
		case <-time.After(5 * nfs01.Interval):
		}
	})
}

func TestResultsWaitForTheirReader(t *testing.T) {
	inBubble(t, accept, func(t *testing.T, b bench) {
		b.Set([]Target{nfs01})
		time.Sleep(25 * time.Second) // bubble time: two slots pass while nobody reads
		b.expect(t, "the first probe", 0, 0, true)
		b.expect(t, "the next, as soon as the result is taken", 25*time.Second, 25*time.Second, true)
		// Missed slots are not caught up, and the schedule has not moved.
		slot := 3*nfs01.Interval - phase(nfs01)
		b.expect(t, "the third", slot, slot, true)
	})
}

// crowd is n targets that differ, with this interval.
func crowd(n int, interval time.Duration) []Target {
	all := make([]Target, n)
	for i := range all {
		all[i] = nfs01
		all[i].Tests = []model.Test{{Kind: model.CheckTCP, Port: uint16(i + 1)}}
		all[i].Ref.Server = netip.AddrPortFrom(nfs01.Addr, uint16(i+1)).String()
		all[i].Interval = interval
	}
	return all
}

func TestFirstTargetOfAServerCounts(t *testing.T) {
	var dials atomic.Int64
	count := func(context.Context) error { dials.Add(1); return nil }
	inBubble(t, count, func(t *testing.T, b bench) {
		targets := crowd(500, nfs01.Interval)
		again := targets[7]
		again.Tests = nfs01.Tests
		b.Set(append(targets, again))
		for range 500 {
			<-b.results
			if d := <-b.begun; d.server != d.addr.String() {
				t.Errorf("%s was probed at %s", d.server, d.addr)
			}
		}
		synctest.Wait()
		if got := dials.Load(); got != 500 {
			t.Errorf("%d probes, want 500", got)
		}
	})
}
