package health

import (
	"testing"
	"time"

	"fairlead/internal/model"
)

var (
	start = time.Date(2014, 3, 4, 12, 0, 0, 0, time.UTC)
	check = model.Check{Interval: 10 * time.Second, Timeout: 2 * time.Second, Rise: 2, Fall: 2}
)

func ms(n int) time.Time { return start.Add(time.Duration(n) * time.Millisecond) }

// TestLevel plays letters, one a second: a pass, a failure, a hint.
func TestLevel(t *testing.T) {
	for letters, want := range map[string]model.Health{
		"":     model.HealthUnknown,
		"p":    model.HealthUp,
		"pf":   model.HealthUp,
		"pff":  model.HealthDown,
		"ph":   model.HealthUp,
		"phh":  model.HealthUp,
		"phf":  model.HealthDown,
		"pfh":  model.HealthUp,
		"phpf": model.HealthUp,
		"pffp": model.HealthDown,
	} {
		h := New(true, start)
		for i, l := range letters {
			at := ms(1000 * (i + 1))
			if l == 'h' {
				h.Suspect(at, false)
			} else {
				h.Count(model.ProbeResult{At: at, OK: l == 'p', Err: "refused", Latency: time.Millisecond}, check)
			}
		}
		if h.Level != want {
			t.Errorf("%q: %v, want %v", letters, h.Level, want)
		}
	}
}

// TestOverlap: of two failures of probes that were under way together one counts,
// and its confirmation stays due.
func TestOverlap(t *testing.T) {
	h := New(true, start)
	fail := func(began, at int) {
		h.Count(model.ProbeResult{At: ms(at), Err: "no answer", Latency: ms(at).Sub(ms(began))}, check)
	}
	h.Count(model.ProbeResult{At: ms(1), OK: true, Latency: time.Millisecond}, check)
	fail(1000, 3000)
	fail(1020, 3020)
	if h.Level != model.HealthUp || h.Deadline() != ms(3050) {
		t.Errorf("%v, deadline %v", h.Level, h.Deadline().Sub(start))
	}
	if _, due := h.Due(ms(3050), check); !due {
		t.Error("no confirmation")
	}
	fail(2900, 3500)
	if h.Level != model.HealthUp || !h.Deadline().IsZero() {
		t.Errorf("%v, deadline %v", h.Level, h.Deadline().Sub(start))
	}
	fail(3050, 4050)
	if h.Level != model.HealthDown {
		t.Error("the confirmation does not count")
	}
}

// TestAsk: when a probe out of turn is due after a pass at 0 ms, a probe asked
// for at 400 ms and a hint.
func TestAsk(t *testing.T) {
	for _, tt := range []struct {
		what    string
		passed  int // ms of the last pass
		hint    int
		waiting bool
		want    int
	}{
		{"a hint long after both", 0, 900, false, 900},
		{"soon after the last question", 0, 450, false, 500},
		{"soon after a pass", 401, 600, false, 651},
		{"soon after a pass, while a client waits", 401, 600, true, 610},
		{"soon after the last question, while a client waits", 401, 450, true, 500},
	} {
		h := New(true, start)
		h.Suspect(ms(400), false)
		if timeout, due := h.Due(ms(400), check); !due || timeout != 2*time.Second {
			t.Fatalf("due %v with %v, want the check's own timeout", due, timeout)
		}
		h.Count(model.ProbeResult{At: ms(tt.passed), OK: true}, check)
		h.Suspect(ms(tt.hint), tt.waiting)
		at := tt.hint
		for ; at < 2000; at++ {
			if _, due := h.Due(ms(at), check); due {
				break
			}
			if got := h.Deadline(); got != ms(tt.want) {
				t.Fatalf("%s: deadline %v, want %d ms", tt.what, got.Sub(start), tt.want)
			}
		}
		if at != tt.want {
			t.Errorf("%s: asked at %d ms, want %d", tt.what, at, tt.want)
		}
		if _, due := h.Due(ms(tt.want), check); due {
			t.Errorf("%s: asked twice", tt.what)
		}
	}
}

func TestAnswers(t *testing.T) {
	passed := func(at, latency int) Health {
		h := New(true, start)
		h.Count(model.ProbeResult{At: ms(at), OK: true, Latency: time.Duration(latency) * time.Millisecond}, check)
		return h
	}
	awaited := passed(59_000, 1)
	awaited.Ask(ms(60_000), true)
	if _, due := awaited.Due(ms(60_000), check); !due {
		t.Fatal("it was not asked")
	}
	twice := awaited
	twice.Ask(ms(61_500), true)
	if _, due := twice.Due(ms(61_500), check); !due {
		t.Fatal("it was not asked again")
	}
	failed := passed(1000, 1)
	failed.Count(model.ProbeResult{At: ms(2000), Err: "refused"}, check)
	for _, tt := range []struct {
		what      string
		h         Health
		doubt, at int
		want      bool
	}{
		{"began after the doubt", passed(60_000, 10), 59_000, 90_000, true},
		{"began before it, not long ago", passed(60_000, 10), 59_995, 70_000, true},
		{"began before it, long ago", passed(60_000, 10), 59_995, 70_001, false},
		{"failed since", failed, 0, 2000, false},
		{"never answered", New(true, start), 0, 0, false},
		{"asked since, a moment ago", awaited, 59_500, 60_900, true},
		{"asked since, and silent for longer than it should", awaited, 59_500, 61_600, false},
		{"asked again, and silent since it was asked first", twice, 59_500, 61_600, false},
		{"not checked", New(false, start), 1000, 99_000, true},
	} {
		if got := tt.h.Answers(ms(tt.doubt), ms(tt.at), check); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.what, got, tt.want)
		}
	}
}

func TestDoubt(t *testing.T) {
	h := New(true, start)
	if !h.Doubt().IsZero() {
		t.Error("a doubt before any failure")
	}
	h.Count(model.ProbeResult{At: ms(20), Err: "refused"}, check)
	h.Suspect(ms(10), false)
	if got := h.Doubt(); got != ms(10) {
		t.Errorf("doubt %v, want the hint", got)
	}
	h.Count(model.ProbeResult{At: ms(30), OK: true}, check)
	if !h.Doubt().IsZero() {
		t.Error("a doubt after a pass")
	}
}
