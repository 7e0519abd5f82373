package probe

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
)

// history is when each server was probed.
type history struct {
	mu    sync.Mutex // guards the following
	begun map[model.ServerRef][]time.Duration
}

// follow probes the targets for that long, in a bubble, and returns when each
// probe began, counted from Set.
func follow(t *testing.T, targets []Target, long time.Duration) map[model.ServerRef][]time.Duration {
	t.Helper()
	h := history{begun: make(map[model.ServerRef][]time.Duration)}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), long)
		defer cancel()
		results := make(chan model.ProbeResult)
		start := time.Now()
		p := New(results, nil, slog.New(slog.DiscardHandler))
		p.put = func(_ context.Context, q question) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.begun[q.ref] = append(h.begun[q.ref], time.Since(start))
			return nil
		}
		p.Set(targets)
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		for {
			select {
			case <-results:
			case <-ended:
				return
			}
		}
	})
	return h.begun
}

// histogram counts the probes of each bucket of time from one instant to another.
func histogram(begun map[model.ServerRef][]time.Duration, bucket, from, to time.Duration) []int {
	counts := make([]int, (to-from)/bucket)
	for _, all := range begun {
		for _, at := range all {
			if i := (at - from) / bucket; at >= from && int(i) < len(counts) {
				counts[i]++
			}
		}
	}
	return counts
}

func TestThousandsComeEvenly(t *testing.T) {
	const n, ms = 2000, time.Millisecond
	for _, tt := range []struct {
		name                       string
		interval, bucket, from, to time.Duration
		least, most                int
	}{
		// Evenly would be 100.
		{"five a second, from the first", 200 * ms, 10 * ms, 0, time.Second, 100, 100},
		// The first second has one probe of each, evenly 200 each 100 ms, and some second ones.
		{"one in ten seconds, at first", 10 * time.Second, 100 * ms, 0, time.Second, 190, 240},
		// Evenly would be 20.
		{"one in ten seconds, later", 10 * time.Second, 100 * ms, 11 * time.Second, 31 * time.Second, 16, 24},
	} {
		t.Run(tt.name, func(t *testing.T) {
			counts := histogram(follow(t, crowd(n, tt.interval), tt.to), tt.bucket, tt.from, tt.to)
			least, most := slices.Min(counts), slices.Max(counts)
			t.Logf("from %d to %d probes in each %v", least, most, tt.bucket)
			if least < tt.least || most > tt.most {
				t.Errorf("from %d to %d probes in each %v, want %d to %d", least, most, tt.bucket, tt.least, tt.most)
			}
		})
	}
}

func TestNoDrift(t *testing.T) {
	const interval = 200 * time.Millisecond
	for ref, all := range follow(t, crowd(100, interval), 101*interval) {
		if len(all) < 101 {
			t.Fatalf("%s: %d probes in 101 intervals", ref, len(all))
		}
		if got := all[100] - all[0]; got != 100*interval {
			t.Errorf("%s: the probe after 100 intervals came after %v, want %v", ref, got, 100*interval)
		}
	}
}

func TestHandfulBeginsAtOnce(t *testing.T) {
	for n, want := range map[int]int{1: 1, handful: handful, handful + 1: 1} {
		atOnce := 0
		for _, all := range follow(t, crowd(n, nfs01.Interval), 2*time.Second) {
			if all[0] == 0 {
				atOnce++
			}
			if all[0] >= longest {
				t.Errorf("one of %d begins after %v, want less than %v", n, all[0], longest)
			}
		}
		if atOnce != want {
			t.Errorf("%d of %d new targets begin at once, want %d", atOnce, n, want)
		}
	}
}

// TestSecondProbeIsNeverLate: whatever spreads the schedule, no server is left
// alone for longer than its interval.
func TestSecondProbeIsNeverLate(t *testing.T) {
	for _, interval := range []time.Duration{200 * time.Millisecond, time.Second, 1100 * time.Millisecond, 10 * time.Second} {
		now := time.Now()
		for i, target := range crowd(500, interval) {
			e := entryOf(target, i, 500, 500, now)
			if wait := e.first.Sub(now); wait < 0 || wait >= min(interval, longest) {
				t.Errorf("interval %v, rank %d: the first comes after %v", interval, i, wait)
			}
			if e.early < 0 || e.early >= interval {
				t.Errorf("interval %v, rank %d: the second comes %v early", interval, i, e.early)
			}
		}
	}
}

// TestFollowingKeepsTheGrid: a process that was stopped, or a machine that slept,
// goes on in step.
func TestFollowingKeepsTheGrid(t *testing.T) {
	const s = time.Second
	for late, want := range map[time.Duration]time.Duration{
		0: 10 * s, 3 * s: 10 * s, 10 * s: 10 * s, 11 * s: 20 * s, 95 * s: 100 * s,
	} {
		slot := time.Unix(1000, 0)
		if got := following(slot, 10*s, slot.Add(late)).Sub(slot); got != want {
			t.Errorf("woken %v late: the next slot comes %v after the one before, want %v", late, got, want)
		}
	}
}
