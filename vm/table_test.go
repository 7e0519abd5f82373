package vm

import (
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/model"
)

// kept is a run that keeps every promise.
func kept() []result {
	const s, ms = time.Second, time.Millisecond
	ours, other := fairlead{}.name(), ipvs{}.name()
	return []result{
		{ours, link, "v3", 2150 * ms, 2000 * ms, 150 * ms, true, 900, 0, nil},
		{ours, link, "v4.1", 2200 * ms, 2000 * ms, 200 * ms, true, 900, 0, nil},
		{ours, failback, "v3", 60 * ms, 20 * ms, 40 * ms, true, 900, 0, nil},
		{ours, failback, "v4.1", 0, 0, 0, true, 900, 0, nil},
		{ours, kill, "v3", 300 * ms, 50 * ms, 250 * ms, true, 900, 0, nil},
		{ours, kill, "v4.1", 300 * ms, 50 * ms, 250 * ms, true, 900, 0, nil},
		{other, link, "v3", 60 * s, 0, 0, false, 900, 0, []string{"keepalived may fail"}},
		{other, link, "v4.1", 20 * s, 0, 0, false, 900, 7, nil},
		{other, failback, "v3", 70 * ms, 0, 0, false, 900, 0, nil},
		{other, failback, "v4.1", 15 * s, 0, 0, false, 900, 0, nil},
		{other, kill, "v3", 9 * s, 0, 0, false, 900, 0, nil},
		{other, kill, "v4.1", 9 * s, 0, 0, false, 900, 0, nil},
	}
}

func TestBroken(t *testing.T) {
	for _, test := range []struct {
		what  string
		spoil func([]result) []result
		want  string // part of the only complaint; "" for none
	}{
		{"kept", func(r []result) []result { return r }, ""},
		{"rest", func(r []result) []result { r[4].rest = 501 * time.Millisecond; return r }, "kill, v3: the application waited 0.50 s after the decision"},
		{"detection", func(r []result) []result { r[5].detection = 1001 * time.Millisecond; return r }, "kill, v4.1: the decision took 1.00 s, want at most 1.00"},
		{"error", func(r []result) []result { r[1].errors = []string{"worker 1: read: EIO"}; return r }, "link, v4.1: of 900 calls of the application, 1 failed, the first with: worker 1: read: EIO"},
		{"bytes", func(r []result) []result { r[0].wrong = 3; return r }, "link, v3: the application read 3 wrong bytes"},
		{"undecided", func(r []result) []result { r[2].decided = false; return r }, "failback, v3: fairlead does not tell when it decided"},
		{"not better", func(r []result) []result { r[7].stall = 10 * time.Second; return r }, "link, v4.1: the stall of 2.20 s is 4.5 times shorter than keepalived's of 10.00 s, want 5 times"},
		{"kill not better", func(r []result) []result { r[10].stall = 1400 * time.Millisecond; return r }, "kill, v3: the stall of 0.30 s is 4.7 times"},
		{"failback not better", func(r []result) []result { r[3].stall, r[9].stall = time.Second, 4*time.Second; return r }, "failback, v4.1: the stall of 1.00 s is 4.0 times"},
		{"nothing to beat", func(r []result) []result {
			r[3].stall, r[9].stall = 100*time.Millisecond, 400*time.Millisecond
			return r
		}, ""},
		{"not measured", func(r []result) []result { return slices.Delete(r, 9, 10) }, "failback, v4.1: not measured with both systems"},
	} {
		got := broken(test.spoil(kept()))
		if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
			t.Errorf("%s: got %q, want %q", test.what, got, test.want)
		}
	}
}

func TestTable(t *testing.T) {
	text := table(kept())
	for _, want := range []string{
		"link            v3      2.15 s      2.00 s    0.15 s   60.00 s     27.9\n",
		"failback        v4.1   <0.05 s      0.00 s   <0.05 s   15.00 s    300.0\n",
		"kill            v3      0.30 s      0.05 s    0.25 s    9.00 s     30.0\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the table lacks %q:\n%s", want, text)
		}
	}
	for line := range strings.Lines(text) {
		if len(line) > 76 { // go test indents what a test writes by 4
			t.Errorf("too long: %q", line)
		}
	}
}

// TestDecision: what a hook needs after the hold is no detection.
func TestDecision(t *testing.T) {
	at := time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		s    model.Switch
		want int64
	}{
		{model.Switch{At: at, DecidedMono: 5e9}, 5e9},
		{model.Switch{At: at, DecidedMono: 5e9, Held: at.Add(-200 * time.Millisecond)}, 4.8e9},
	} {
		if got := decision(test.s); got != test.want {
			t.Errorf("got %d, want %d", got, test.want)
		}
	}
}

// A cut is made again when it was found late, and only then.
func TestLate(t *testing.T) {
	for detection, want := range map[time.Duration]bool{2300 * time.Millisecond: false, 6700 * time.Millisecond: true} {
		ours := []result{{director: fairlead{}.name(), fault: link, detection: detection}}
		if late(ours) != want {
			t.Errorf("%v: late %v, want %v", detection, !want, want)
		}
		ours[0].director = ipvs{}.name()
		if late(ours) {
			t.Errorf("%v of another director is late", detection)
		}
	}
}
