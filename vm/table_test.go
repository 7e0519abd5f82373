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
	v3, v41 := job{application, "v3"}, job{application, "v4.1"}
	ours, other := fairlead{}.name(), ipvs{}.name()
	return []result{
		{ours, link, v3, 2150 * ms, 2000 * ms, 0, 150 * ms, true, 900, 0, nil},
		{ours, link, v41, 2200 * ms, 2000 * ms, 0, 200 * ms, true, 900, 0, nil},
		{ours, failback, v3, 60 * ms, 20 * ms, 0, 40 * ms, true, 900, 0, nil},
		{ours, failback, v41, 0, 0, 0, 0, true, 900, 0, nil},
		{ours, kill, v3, 300 * ms, 50 * ms, 0, 250 * ms, true, 900, 0, nil},
		{ours, kill, v41, 300 * ms, 50 * ms, 0, 250 * ms, true, 900, 0, nil},
		{ours, restart, v3, 360 * ms, 10 * ms, 0, 350 * ms, true, 900, 0, nil},
		{ours, restart, v41, 460 * ms, 10 * ms, 250 * ms, 200 * ms, true, 900, 0, nil},
		{ours, restart, job{opener, "v4.1"}, 13260 * ms, 10 * ms, 13050 * ms, 200 * ms, true, 900, 0, nil},
		{other, link, v3, 60 * s, 0, 0, 0, false, 900, 0, []string{"keepalived may fail"}},
		{other, link, v41, 20 * s, 0, 0, 0, false, 900, 7, nil},
		{other, failback, v3, 70 * ms, 0, 0, 0, false, 900, 0, nil},
		{other, failback, v41, 15 * s, 0, 0, 0, false, 900, 0, nil},
		{other, kill, v3, 9 * s, 0, 0, 0, false, 900, 0, nil},
		{other, kill, v41, 9 * s, 0, 0, 0, false, 900, 0, nil},
	}
}

// change returns a spoiler for the result of a row.
func change(director, fault, kind, version string, how func(*result)) func([]result) []result {
	return func(all []result) []result {
		for i := range all {
			if all[i].director == director && all[i].row() == (row{fault, kind, version}) {
				how(&all[i])
			}
		}
		return all
	}
}

func TestBroken(t *testing.T) {
	const ms = time.Millisecond
	ours := func(fault, version string, how func(*result)) func([]result) []result {
		return change(fairlead{}.name(), fault, application, version, how)
	}
	opens := func(how func(*result)) func([]result) []result {
		return change(fairlead{}.name(), restart, opener, "v4.1", how)
	}
	theirs := func(fault, version string, stall time.Duration) func([]result) []result {
		return change(ipvs{}.name(), fault, application, version, func(r *result) { r.stall = stall })
	}
	without := func(fault, version string) func([]result) []result {
		return func(all []result) []result {
			return slices.DeleteFunc(all, func(r result) bool { return r.row() == row{fault, application, version} })
		}
	}
	for _, test := range []struct {
		what  string
		spoil func([]result) []result
		want  string // part of the only complaint; "" for none
	}{
		{"kept", func(r []result) []result { return r }, ""},
		{"rest", ours(kill, "v3", func(r *result) { r.rest = 501 * ms }), "kill, v3: the application waited 0.50 s after the decision"},
		{"rest beside the grace", opens(func(r *result) { r.rest = 501 * ms }), "restart, opens, v4.1: the application waited 0.50 s after the decision"},
		{"detection", ours(kill, "v4.1", func(r *result) { r.detection = 1001 * ms }), "kill, v4.1: the decision took 1.00 s, want at most 1.00"},
		{"error", ours(link, "v4.1", func(r *result) { r.errors = []string{"worker 1: read: EIO"} }), "link, v4.1: of 900 calls of the application, 1 failed, the first with: worker 1: read: EIO"},
		{"lock", opens(func(r *result) { r.errors = []string{"worker 3: write: EIO"} }), "restart, opens, v4.1: of 900 calls"},
		{"bytes", ours(link, "v3", func(r *result) { r.wrong = 3 }), "link, v3: the application read 3 wrong bytes"},
		{"undecided", ours(failback, "v3", func(r *result) { r.decided = false }), "failback, v3: fairlead does not tell when it decided"},
		{"not better", theirs(link, "v4.1", 10*time.Second), "link, v4.1: the stall of 2.20 s is 4.5 times shorter than keepalived's of 10.00 s, want 5 times"},
		{"kill not better", theirs(kill, "v3", 1400*ms), "kill, v3: the stall of 0.30 s is 4.7 times"},
		{"failback not better", ours(failback, "v4.1", func(r *result) { r.stall = 4 * time.Second }), "failback, v4.1: the stall of 4.00 s is 3.8 times"},
		{"not better, but for a postponed call", func(all []result) []result {
			return ours(kill, "v3", func(r *result) { r.stall, r.told = 5300*ms, 5000*ms })(all)
		}, ""},
		{"theirs was postponed", func(all []result) []result {
			return change(ipvs{}.name(), kill, application, "v3", func(r *result) { r.stall, r.told = 6400*ms, 5000*ms })(all)
		}, "kill, v3: the stall of 0.30 s is 4.7 times"},
		{"nothing to beat", theirs(kill, "v4.1", 400*ms), ""},
		{"not measured", without(failback, "v4.1"), "failback, v4.1: not measured with both systems"},
		{"no restart", without(restart, "v3"), "restart, v3: not measured"},
		{"no grace", opens(func(r *result) { r.told = 300 * ms }), "restart, opens, v4.1: the application waited 0.30 s in a grace period of 10.00 s: it was not measured"},
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
		"link            v3       2.15        2.00       -    0.15     60.00    27.9\n",
		"failback        v4.1    <0.05        0.00       -   <0.05     15.00   300.0\n",
		"restart         v3       0.36        0.01       -    0.35         -       -\n",
		"restart, opens  v4.1    13.26        0.01   13.05    0.20         -       -\n",
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
		if got := late([]result{{fault: link, detection: detection}}); got != want {
			t.Errorf("%v: late %v, want %v", detection, got, want)
		}
	}
}

// TestMedian: of each application alone.
func TestMedian(t *testing.T) {
	const ms = time.Millisecond
	tries := [][]result{
		{{fault: kill, rest: 600 * ms}, {fault: failback, rest: 100 * ms}},
		{{fault: kill, rest: 90 * ms}, {fault: failback, rest: 300 * ms}},
		{{fault: kill, rest: 80 * ms}, {fault: failback, rest: 200 * ms}},
	}
	if !slow(tries[0]) || slow(tries[1]) {
		t.Error("only the first is slow")
	}
	got := median(tries)
	if len(got) != 2 || got[0].rest != 90*ms || got[1].rest != 200*ms || got[1].fault != failback {
		t.Errorf("got %+v", got)
	}
	if got := median(tries[:1]); got[0].rest != 600*ms {
		t.Errorf("of one: got %+v", got)
	}
}
