package outcome

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/witness"
	"fairlead/internal/lab/workload"
	"fairlead/internal/model"
	"fairlead/internal/nfs"
)

const ms = int64(time.Millisecond)

// steady is a client that completes an operation of 1 MiB every 10 ms, from
// 0 s to 2 s and from resume to resume + 2 s.
func steady(resume int64) workload.Seen {
	s := workload.Seen{Events: map[nfs.EventKind]int{nfs.Reconnected: 1}}
	for t := int64(0); t <= 2000; t += 10 {
		s.Samples = append(s.Samples, workload.Sample{At: clock.Instant(1 + t*ms), Bytes: 1 << 20})
	}
	for t := resume; t <= resume+2000; t += 10 {
		s.Samples = append(s.Samples, workload.Sample{At: clock.Instant(1 + t*ms), Bytes: 1 << 20})
	}
	return s
}

// linkCut is a run that passes: the cable is cut at 2 s, the decision falls 11 s
// later, and clients go on 5 ms after that.
func linkCut() Measured {
	const decided = 13_000
	m := Measured{
		Fault: Link, Attached: "native", Limit: 13050 * time.Millisecond,
		Begun: 1, Injected: clock.Instant(2000*ms + 2), Ended: clock.Instant(16_000 * ms), Resumed: clock.Instant(decided*ms + ms/2),
		Turns: []Turn{{Done: clock.Instant(2000*ms + 2), Limit: 13050 * time.Millisecond,
			Switch: &model.Switch{From: "nfs-01", To: "nfs-02", DecidedMono: decided * ms,
				AppliedMono: decided*ms + ms/2, ResetMono: (decided + 1) * ms, Known: 5, Reset: 5}}},
		Switches: 1,
		Idle:     []workload.Ending{{At: clock.Instant((decided + 2) * ms), Kind: nfs.Reset}},
		Totals:   workload.Totals{Compared: 1 << 20},
		Witness:  witness.Report{Packets: []int{20, 10}, Data: []int{5, 3}, Connections: 12},
	}
	for range 6 {
		m.Clients = append(m.Clients, steady(decided+5))
	}
	return m
}

func TestResultOfALinkCut(t *testing.T) {
	r := linkCut().Result()
	if !r.Passed || len(r.Reasons) > 0 {
		t.Fatalf("did not pass: %v", r.Reasons)
	}
	for _, tt := range []struct {
		name      string
		got, want Millis
	}{
		{"detection", *r.Detection, 11000},
		{"switch", *r.Switch, 0.5},
		{"resets", *r.Resets, 1},
		{"idle reset", *r.IdleReset, 2},
		{"longest stall", r.LongestStall, 11005},
		{"its begin", r.StallFrom, 0},
		{"stall at the switch", *r.SwitchStall, 11005},
		{"stall after detection", *r.StallAfter, 5},
		{"back-off", *r.Backoff, 0},
	} {
		if d := tt.got - tt.want; d > 0.01 || d < -0.01 {
			t.Errorf("%s: got %v ms, want %v", tt.name, tt.got, tt.want)
		}
	}
	// 6 clients with 200 intervals of 10 ms on each side; the sample at 1 ns is
	// where the measurement begins, the one at 13.005 s the first after it.
	if r.OperationsBefore != 6*200 || r.OperationsAfter != 6*201 || r.Operations != 6*401 {
		t.Errorf("operations %d before, %d after, %d in all", r.OperationsBefore, r.OperationsAfter, r.Operations)
	}
	if r.BytesBefore != 6*200<<20 || r.Reconnects != 6 || r.ConnectionsReset != 5 {
		t.Errorf("%d bytes before, %d reconnects, %d resets", r.BytesBefore, r.Reconnects, r.ConnectionsReset)
	}
}

func TestVerdicts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Measured)
		reason string // "": it passes
	}{
		{"as it should be", func(*Measured) {}, ""},
		{"an error", func(m *Measured) { m.Errors = []error{errors.New("stale")} }, "saw 1 errors"},
		{"a byte differs", func(m *Measured) { m.Totals.Different = 1 }, "1 of 1048576 bytes differ"},
		{"nothing compared", func(m *Measured) { m.Totals.Compared = 0 }, "nothing was compared"},
		{"little before", func(m *Measured) { m.Begun = m.Injected - 1 }, "before the fault"},
		{"little after", func(m *Measured) { m.Ended = m.Resumed + 1 }, "too little was done after"},
		{"no switch", func(m *Measured) { m.Turns = nil }, "did not switch"},
		{"late detection", func(m *Measured) { m.Turns[0].Limit = 10 * time.Second }, "the detection took longer than 10s"},
		{"detection on the slack", func(m *Measured) { m.Turns[0].Limit = 11*time.Second - slack + time.Millisecond }, ""},
		{"never applied", func(m *Measured) { m.Turns[0].Switch.AppliedMono = 0 }, "never took the switch"},
		{"no resets", func(m *Measured) { m.Turns[0].Switch.ResetMono = 0 }, "no resets"},
		{"idle still there", func(m *Measured) { m.Idle = nil }, "was not reset by the switch: still connected"},
		{"idle ended before", func(m *Measured) { m.Idle[0].At = 5 }, "was not reset by the switch: still connected"},
		{"idle closed", func(m *Measured) { m.Idle[0].Kind = nfs.Closed }, "was not reset by the switch: closed"},
		{"idle late", func(m *Measured) { m.Idle[0].At += clock.Instant(300 * ms) }, "later than 250ms"},
		{"long stall", func(m *Measured) { m.Clients[3] = steady(13_300) }, "stalled longer"},
		{"a stall elsewhere", func(m *Measured) { m.Clients[3].Samples = m.Clients[3].Samples[180:] }, ""},
		{"no work after the switch", func(m *Measured) { m.Clients = []workload.Seen{{}} }, "did nothing before or after"},
		{"kill: the dying server's kernel ends the idle connection", func(m *Measured) {
			m.Fault, m.Idle = Kill, []workload.Ending{{At: m.Injected + 5, Kind: nfs.Closed}}
		}, ""},
		{"kill: a client's own back-off counts", func(m *Measured) {
			m.Fault, m.Ended = Kill, clock.Instant(19_000*ms)
			m.Clients[3] = steady(16_000)
		}, "stalled longer"},
		{"two servers", func(m *Measured) { m.Witness.Split = 2 }, "2 connections were seen on two servers"},
		{"data astray", func(m *Measured) { m.Witness.Astray = 3 }, "3 packets with clients' data came to a server"},
		{"drops", func(m *Measured) { m.Drops = 1 }, "missed 1 packets"},
		{"nothing seen on nfs-02", func(m *Measured) { m.Witness.Data[1] = 0 }, "no clients' data on nfs-02"},
		{"nothing seen on nfs-01", func(m *Measured) { m.Witness.Data[0] = 0 }, "no clients' data on nfs-01"},
		{"switched again", func(m *Measured) { m.Switches = 2 }, "switched 2 times, not 1"},
		{"the wrong way", func(m *Measured) { m.Fault, m.Turns[0].Switch.To = Planned, "nfs-01" }, "switched to nfs-01, not to nfs-02"},
		{"no way back", func(m *Measured) { m.Fault = Failback }, "did not switch to nfs-01"},
		{"what a script found", func(m *Measured) { m.Wrong = []string{"it is odd"} }, "it is odd"},
		{"crash: no switch is wanted", func(m *Measured) { m.Fault, m.Turns, m.Switches = Crash, nil, 4 }, ""},
		{"gone: none", func(m *Measured) { m.Fault, m.Turns, m.Switches = Gone, nil, 0 }, ""},
		{"gone: switched", func(m *Measured) { m.Fault = Gone }, "although no server was left"},
		{"a crowd", crowded(func(*Crowd) {}), ""},
		{"a crowd that was not there", crowded(func(c *Crowd) { c.Before = 7 }), "had 7 connections, not 9"},
		{"a crowd that was not reset", crowded(func(c *Crowd) { c.Reset = 8 }), "8 of the crowd's connections were reset, not 9"},
		{"a crowd that stands still", crowded(func(c *Crowd) { c.After = 1 }), "1 of the crowd's connections still stand"},
		{"a crowd that waits", crowded(func(c *Crowd) { *c.Last = 1001 }), "later than 1s after the decision"},
		{"a crowd that waits for a programme that starts", func(m *Measured) {
			crowded(func(c *Crowd) { *c.Last = 2001 })(m)
			m.Fault = Crash
		}, "later than 2s after the decision"},
		{"with a crowd a client waits, too", func(m *Measured) {
			m.Idle[0].At += clock.Instant(900 * ms)
			crowded(func(*Crowd) {})(m)
		}, ""},
		{"hang: undetected", func(m *Measured) {
			m.Fault, m.Turns, m.Switches, m.Idle, m.Resumed = Hang, nil, 0, nil, clock.Instant(13_000*ms)
		}, ""},
		{"hang: detected", func(m *Measured) { m.Fault, m.Resumed = Hang, clock.Instant(13_000*ms) }, "although a TCP check"},
		{"hang: nothing after it", func(m *Measured) { m.Fault, m.Turns, m.Switches, m.Resumed = Hang, nil, 0, m.Ended }, "too little was done after"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := linkCut()
			tt.change(&m)
			r := m.Result()
			all := strings.Join(r.Reasons, "; ")
			if r.Passed != (tt.reason == "") || !strings.Contains(all, tt.reason) {
				t.Errorf("passed %v, reasons %q; want %q", r.Passed, all, tt.reason)
			}
		})
	}
}

// TestOnlyLate: a busy machine excuses what took too long, and nothing else.
func TestOnlyLate(t *testing.T) {
	m := linkCut()
	m.Turns[0].Limit = 10 * time.Second
	if r := m.Result(); r.Passed || !r.OnlyLate {
		t.Errorf("late: passed %v, only late %v", r.Passed, r.OnlyLate)
	}
	m.Errors = []error{errors.New("stale")}
	if r := m.Result(); r.OnlyLate {
		t.Error("an error is excused")
	}
	if r := linkCut().Result(); r.OnlyLate {
		t.Error("what passed is late")
	}
}

// TestIdleEndedByTheKernel: an end before the decision was no reset by the switch.
func TestIdleEndedByTheKernel(t *testing.T) {
	m := linkCut()
	m.Fault, m.Idle = Kill, []workload.Ending{{At: m.Injected + 1, Kind: nfs.Closed}}
	if r := m.Result(); r.IdleReset != nil || r.IdleEnd != "closed" || !r.Passed {
		t.Errorf("idle reset %v, end %q, reasons %q", r.IdleReset, r.IdleEnd, r.Reasons)
	}
}

// crowded adds a crowd to a run.
func crowded(change func(*Crowd)) func(*Measured) {
	return func(m *Measured) {
		last := Millis(900)
		m.Crowd = &Crowd{Asked: 9, Before: 9, Reset: 9, Last: &last}
		change(m.Crowd)
	}
}

// TestJSON holds the names that the issue promises, and null for what was not
// measured.
func TestJSON(t *testing.T) {
	m := linkCut()
	m.Fault, m.Turns, m.Switches, m.Idle, m.Resumed = Hang, nil, 0, nil, m.Ended
	b, err := json.Marshal(m.Result())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("fault nfs xdp detection_ms switch_ms longest_stall_ms operations client_errors " +
		"bytes_compared bytes_different connections_reset passed") {
		if _, ok := got[name]; !ok {
			t.Errorf("no %q in %s", name, b)
		}
	}
	if got["detection_ms"] != nil || got["fault"] != "hang" || got["nfs"] != "embedded" {
		t.Errorf("detection %v, fault %v, nfs %v", got["detection_ms"], got["fault"], got["nfs"])
	}
}

func TestTableFitsEightyColumns(t *testing.T) {
	m := linkCut()
	m.Fault = Planned
	m.Clients[0].Delays = []workload.Delay{{At: 1, Until: clock.Instant(24_000 * ms)}}
	m.Totals.Repeated, m.Turns[0].Switch.Reset, m.Turns[0].Switch.Known = 99, 12345, 12345
	var all []Result
	all = append(all, m.Result())
	m.Turns, m.Totals.Different, m.Idle = nil, 77, nil
	all = append(all, m.Result())
	all[0].Crowd = &Crowd{Asked: 100000, Before: 100000, Reset: 100000, Otherwise: 0, CPU: 12345, Memory: 999 << 20}
	for _, r := range all {
		r.OperationsBefore, r.OperationsAfter, r.Operations = 12345, 12345, 99999
		var out bytes.Buffer
		r.Print(&out, func(_, text string) string { return text })
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
				t.Errorf("%d columns: %q", n, line)
			}
		}
		if strings.Contains(out.String(), "\x1b") {
			t.Error("colours although this is no terminal")
		}
	}
}

func TestEnumsReadTheirNames(t *testing.T) {
	for _, f := range Faults() {
		var g Fault
		if err := g.UnmarshalText([]byte(f.String())); err != nil || g != f {
			t.Errorf("%v is read as %v, %v", f, g, err)
		}
		if s := f.Scenario(); s.Does == "" || s.Expect == "" {
			t.Errorf("%v: nothing is said about it", f)
		}
	}
	for b := Embedded; b <= Ganesha; b++ {
		var c Backend
		if err := c.UnmarshalText([]byte(b.String())); err != nil || c != b {
			t.Errorf("%v is read as %v, %v", b, c, err)
		}
	}
	for b := Note; b <= Fast; b++ {
		var c Timing
		if err := c.UnmarshalText([]byte(b.String())); err != nil || c != b {
			t.Errorf("%v is read as %v, %v", b, c, err)
		}
	}
	var f Fault
	if err := f.UnmarshalText([]byte("killl")); err == nil || !strings.Contains(err.Error(), "kill, link, blackhole, novip, hang") {
		t.Errorf("got %v, want the known names", err)
	}
}

// TestGuide: the table of the lab's guide is the scenarios'.
func TestGuide(t *testing.T) {
	text, err := os.ReadFile("../../../docs/how-to/lab.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Faults() {
		s := f.Scenario()
		if row := fmt.Sprintf("| `%s` | %s | %s |\n", s.Name, s.Does, s.Expect); !strings.Contains(string(text), row) {
			t.Errorf("the guide has no row %q", row)
		}
	}
}
