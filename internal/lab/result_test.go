package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"fairlead/internal/lab/clock"
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
func linkCut() measured {
	const decided = 13_000
	m := measured{
		opts: Options{Fault: Link}, attached: "native", limit: 13050 * time.Millisecond,
		begun: 1, injected: clock.Instant(2000*ms + 2), ended: clock.Instant(16_000 * ms),
		sw: &model.Switch{From: "nfs-01", To: "nfs-02", DecidedMono: decided * ms,
			AppliedMono: decided*ms + ms/2, ResetMono: (decided + 1) * ms, Known: 5, Reset: 5},
		idle: workload.Ending{At: clock.Instant((decided + 2) * ms), Kind: nfs.Reset}, totals: workload.Totals{Compared: 1 << 20},
	}
	for range 6 {
		m.clients = append(m.clients, steady(decided+5))
	}
	return m
}

func TestResultOfALinkCut(t *testing.T) {
	r := linkCut().result()
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
		change func(*measured)
		reason string // "": it passes
	}{
		{"as it should be", func(*measured) {}, ""},
		{"an error", func(m *measured) { m.errors = []error{errors.New("stale")} }, "saw 1 errors"},
		{"a byte differs", func(m *measured) { m.totals.Different = 1 }, "1 of 1048576 bytes differ"},
		{"nothing compared", func(m *measured) { m.totals.Compared = 0 }, "nothing was compared"},
		{"little before", func(m *measured) { m.begun = m.injected - 1 }, "before the fault"},
		{"little after", func(m *measured) { m.ended = clock.Instant(m.sw.AppliedMono) + 1 }, "too little was done after"},
		{"no switch", func(m *measured) { m.sw = nil }, "did not switch"},
		{"late detection", func(m *measured) { m.limit = 10 * time.Second }, "the detection took longer than 10s"},
		{"detection on the slack", func(m *measured) { m.limit = 11*time.Second - slack + time.Millisecond }, ""},
		{"never applied", func(m *measured) { m.sw.AppliedMono = 0 }, "never took the switch"},
		{"no resets", func(m *measured) { m.sw.ResetMono = 0 }, "no resets"},
		{"idle still there", func(m *measured) { m.idle = workload.Ending{} }, "was not reset by the switch: still connected"},
		{"idle ended before", func(m *measured) { m.idle.At = 5 }, "was not reset by the switch: reset"},
		{"idle closed", func(m *measured) { m.idle.Kind = nfs.Closed }, "was not reset by the switch: closed"},
		{"idle late", func(m *measured) { m.idle.At += clock.Instant(300 * ms) }, "later than 250ms"},
		{"long stall", func(m *measured) { m.clients[3] = steady(13_300) }, "stalled longer"},
		{"a stall elsewhere", func(m *measured) { m.clients[3].Samples = m.clients[3].Samples[180:] }, ""},
		{"no work after the switch", func(m *measured) { m.clients = []workload.Seen{{}} }, "did nothing before or after"},
		{"kill: the client's own back-off counts apart", func(m *measured) {
			m.opts.Fault, m.idle, m.ended = Kill, workload.Ending{At: 5, Kind: nfs.Closed}, clock.Instant(19_000*ms)
			m.clients[3] = steady(16_000)
		}, ""},
		{"hang: undetected", func(m *measured) {
			m.opts.Fault, m.sw, m.idle, m.resumed = Hang, nil, workload.Ending{}, clock.Instant(13_000*ms)
		}, ""},
		{"hang: detected", func(m *measured) { m.opts.Fault, m.resumed = Hang, clock.Instant(13_000*ms) }, "although a TCP check"},
		{"hang: nothing after it", func(m *measured) { m.opts.Fault, m.sw, m.resumed = Hang, nil, m.ended }, "too little was done after"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := linkCut()
			tt.change(&m)
			r := m.result()
			all := strings.Join(r.Reasons, "; ")
			if r.Passed != (tt.reason == "") || !strings.Contains(all, tt.reason) {
				t.Errorf("passed %v, reasons %q; want %q", r.Passed, all, tt.reason)
			}
		})
	}
}

// TestJSON holds the names that the issue promises, and null for what was not
// measured.
func TestJSON(t *testing.T) {
	m := linkCut()
	m.opts.Fault, m.sw, m.idle, m.resumed = Hang, nil, workload.Ending{}, m.ended
	b, err := json.Marshal(m.result())
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
	m.opts.Fault = Planned
	m.clients[0].Delays = []workload.Delay{{At: 1, Until: clock.Instant(24_000 * ms)}}
	m.totals.Repeated, m.sw.Reset, m.sw.Known = 99, 12345, 12345
	var all []Result
	all = append(all, m.result())
	m.sw, m.totals.Different, m.idle = nil, 77, workload.Ending{}
	all = append(all, m.result())
	for _, r := range all {
		r.OperationsBefore, r.OperationsAfter, r.Operations = 12345, 12345, 99999
		var out bytes.Buffer
		newReporter(&out, Options{}).table(r)
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
	for f := Kill; f <= Planned; f++ {
		var g Fault
		if err := g.UnmarshalText([]byte(f.String())); err != nil || g != f {
			t.Errorf("%v is read as %v, %v", f, g, err)
		}
	}
	for b := Embedded; b <= Ganesha; b++ {
		var c Backend
		if err := c.UnmarshalText([]byte(b.String())); err != nil || c != b {
			t.Errorf("%v is read as %v, %v", b, c, err)
		}
	}
	var f Fault
	if err := f.UnmarshalText([]byte("killl")); err == nil || !strings.Contains(err.Error(), "kill, link, hang, planned") {
		t.Errorf("got %v, want the known names", err)
	}
}

// note is the application note's configuration.
var note = map[string]string{
	"flow.cfg": "flow nfs director nfs\nmatch iface eth0 dst 192.168.10.50\n",
	"l4.cfg": "director nfs\nbalance roundrobin\nmode gateway\ncheck interval 10 port 2049 timeout 2\noption tcpcheck\n" +
		"server nfs-01 192.168.10.100:2049 weight 10 check\nserver nfs-02 192.168.10.101:2049 sorry\n",
	"services.cfg": "sysctl expire_nodest_conn=1\nsysctl expire_quiescent_template=1\n",
}

func TestDetectionLimit(t *testing.T) {
	c, err := checkOf(note)
	if err != nil {
		t.Fatal(err)
	}
	want := 12*time.Second + time.Duration(c.Fall-1)*1050*time.Millisecond
	if got := detectionLimit(c); got != want || c.Fall < 1 {
		t.Errorf("got %v, want %v with fall %d", got, want, c.Fall)
	}
	if _, err := checkOf(map[string]string{"a.cfg": "directr x\n"}); err == nil {
		t.Error("a broken configuration is accepted")
	}
}
