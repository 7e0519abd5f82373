package vm

import (
	"strings"
	"testing"
	"time"

	"fairlead/vm/record"
)

// trace is the kernel's own, of a real grace period, without some lines.
const trace = `# tracer: nop
         promote-630     [001] .....   289.137882: nfsd_grace_start: boot_time=        6b050bb7
            nfsd-634     [000] .....   289.405903: nfsd_compound_status: op=3/5 OP_OPEN status=10013
            nfsd-635     [000] .....   295.846519: nfsd_compound_status: op=3/5 OP_OPEN status=10013
    kworker/u4:0-9       [000] .....   300.196741: nfsd_grace_complete: boot_time=        6b050bb7
`

func TestReadGrace(t *testing.T) {
	g, err := readGrace(trace)
	if want := (grace{289137882000, 300196741000, 2}); g != want || err != nil {
		t.Errorf("got %+v, %v, want %+v", g, err, want)
	}
	for what, text := range map[string]string{
		"skipped":     strings.Replace(trace, "nfsd_grace_start", "nfsd_other", 1),
		"not over":    strings.Replace(trace, "nfsd_grace_complete", "nfsd_other", 1),
		"two":         trace + trace,
		"no instants": strings.Replace(trace, "289.137882", "then", 1),
	} {
		if g, err := readGrace(text); err == nil {
			t.Errorf("%s: got %+v", what, g)
		}
	}
}

// TestWaited: a grace period from 289.2 to 300.2 s.
func TestWaited(t *testing.T) {
	const ms = int64(time.Millisecond)
	for _, test := range []struct {
		what             string
		call             string
		begin, end, want int64 // in ms
	}{
		{"an open that waits since before", "open", 288900, 302500, 13300},
		{"an open in the period", "open", 289500, 302500, 13000},
		{"an open that is granted at once", "open", 289100, 289300, 100},
		{"an open after the period", "open", 300300, 302500, 0},
		{"a write that waits until the files are reclaimed", "write", 288900, 289300, 100},
		{"a write that is not done until long after", "write", 288900, 302500, 11000},
		{"a write before the period", "write", 288900, 289100, 0},
	} {
		c := record.Call{What: test.call, Begin: test.begin * ms, End: test.end * ms}
		if got := (grace{289200 * ms, 300200 * ms, 2}).waited(c); got != time.Duration(test.want*ms) {
			t.Errorf("%s: got %v, want %d ms", test.what, got, test.want)
		}
		if got := (grace{}).waited(c); got != 0 {
			t.Errorf("%s, without a period: got %v", test.what, got)
		}
	}
}

// TestJudge: of one and the same record, a grace period explains a part with version
// 4 only, and nothing is known without a decision.
func TestJudge(t *testing.T) {
	const ms = int64(time.Millisecond)
	g := grace{289200 * ms, 300200 * ms, 2}
	seen := record.Record{Slow: []record.Call{
		{Worker: 3, What: "write", Begin: 100 * ms, End: 200 * ms},
		{Worker: 3, What: "write", Begin: 288900 * ms, End: 289500 * ms},
		{Worker: 3, What: "open", Begin: 289500 * ms, End: 302500 * ms},
		{Worker: 1, What: "write", Begin: 302600 * ms, End: 302650 * ms},
	}}
	for version, want := range map[string][4]int64{
		"v3":   {13000, 0, 0, 13000},
		"v4.1": {13000, 0, 13000, 200},
	} {
		r := judge("x", restart, job{opener, version}, seen, 288000*ms, 289000*ms, excuse(version, g, 0))
		got := [4]int64{r.stall.Milliseconds(), r.detection.Milliseconds(), r.told.Milliseconds(), r.rest.Milliseconds()}
		if got != want || !r.decided {
			t.Errorf("%s: got stall, detection, grace and rest of %v ms, want %v", version, got, want)
		}
	}
	if r := judge("x", link, job{application, "v3"}, seen, 288000*ms, 0, grace{}.waited); r.decided || r.rest != 0 || r.stall != 13*time.Second {
		t.Errorf("without a decision: got %+v", r)
	}
}
