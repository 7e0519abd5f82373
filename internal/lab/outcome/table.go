package outcome

import (
	"fmt"
	"io"
	"strings"

	"fairlead/internal/nfs"
)

// The terminal's colours.
const (
	Plain  = "\x1b[0m"
	Dim    = "\x1b[2m"
	Red    = "\x1b[1;31m"
	Green  = "\x1b[1;32m"
	Yellow = "\x1b[33m"
)

// Paint gives a text a colour, or not.
type Paint func(colour, text string) string

// table prints a result for people.
type table struct {
	out   io.Writer
	paint Paint
}

// Print prints the result for people.
func (r Result) Print(out io.Writer, paint Paint) { table{out, paint}.print(r) }

// row is one line of the table.
func (t table) row(name, value, note string) {
	line := fmt.Sprintf("  %-16s %12s", name, value)
	if note != "" {
		line += "   " + t.paint(Dim, note)
	}
	fmt.Fprintln(t.out, strings.TrimRight(line, " "))
}

func (t table) print(x Result) {
	fmt.Fprintf(t.out, "\n  fault %v, %v NFS servers, %v check, XDP %s\n\n", x.Fault, x.NFS, x.Check, orDash(x.XDP))
	t.switches(x)
	t.row("longest stall", Show(&x.LongestStall), "of one client, "+side(x.StallFrom))
	t.row("operations", fmt.Sprint(x.Operations), fmt.Sprintf("%d before the fault, %d after it", x.OperationsBefore, x.OperationsAfter))
	t.row("data", Mebibytes(x.Bytes), fmt.Sprintf("%s before, %s after", Mebibytes(x.BytesBefore), Mebibytes(x.BytesAfter)))
	t.row("compared", Mebibytes(x.BytesCompared), fmt.Sprintf("%d bytes different", x.BytesDifferent))
	t.row("client errors", fmt.Sprint(x.ClientErrors), fmt.Sprintf("%d reconnects, %d calls found their work done", x.Reconnects, x.Repeated))
	t.list(x.Errors)
	t.cables(x)
	t.crowd(x.Crowd)
	t.visit(x.Visit)
	fmt.Fprintln(t.out)
	if x.Passed {
		t.row("verdict", t.paint(Green, "PASSED"), "")
		return
	}
	t.row("verdict", t.paint(Red, "FAILED"), "")
	t.list(x.Reasons)
}

func (t table) list(lines []string) {
	for _, l := range lines {
		fmt.Fprintln(t.out, "    "+t.paint(Red, l))
	}
}

// switches are about the switches, or about the lack of one.
func (t table) switches(x Result) {
	switch {
	case len(x.Switches) == 0 && x.Fault == Hang:
		t.row("detection", "none", "watched for longer than "+Show(&x.DetectionLimit))
	case len(x.Switches) == 0:
		t.row("switches", fmt.Sprint(x.SwitchCount), "")
	}
	for _, f := range x.Switches {
		if len(x.Switches) > 1 {
			fmt.Fprintln(t.out, "  to "+f.To)
		}
		t.one(f)
	}
}

func (t table) one(f Figures) {
	if f.DetectionLimit == 0 {
		t.row("order", Show(f.Detection), "to decision")
	} else {
		t.row("detection", Show(f.Detection), "fault to decision; at most "+Show(&f.DetectionLimit))
	}
	t.row("switch", Show(f.Switch), "decision to the new table in the kernel")
	t.row("resets sent", fmt.Sprint(f.ConnectionsReset), fmt.Sprintf("of %d known connections, after %s", f.ConnectionsKnown, Show(f.Resets)))
	t.row("idle client", Show(f.IdleReset), idleNote(f))
	t.row("stall", Show(f.SwitchStall), fmt.Sprintf("less detection %s, goal %v", Show(f.StallAfter), stallGoal))
	if *f.Backoff > 0 {
		t.row("  back-off", Show(f.Backoff), "the client's own wait after it was refused")
	}
}

// crowd is about the idle connections.
func (t table) crowd(c *Crowd) {
	if c == nil {
		return
	}
	t.row("crowd", fmt.Sprint(c.Before), "idle connections before the switch")
	t.row("  reset", fmt.Sprint(c.Reset), fmt.Sprintf("%d still stand; %d ended otherwise", c.After, c.Otherwise))
	t.row("  the last", Show(c.Last), "from the decision until its client saw it")
	t.row("director's CPU", Show(&c.CPU), "of its programme, from the fault on")
	t.row("  memory", Mebibytes(c.Memory), "of its programme, at most")
}

// visit is about the pages.
func (t table) visit(v *Visit) {
	if v == nil {
		return
	}
	t.row("walk-through", Show(v.Walked), "in a browser, from an empty configuration")
	t.row("  shown", Show(v.Shown), "from the decision until the Overview showed it; at most 1 s")
	t.row("  pictures", fmt.Sprint(len(v.Pictures)), fmt.Sprintf("of the pages; %d complaints of the browser", len(v.Trouble)))
	t.list(v.Trouble)
}

// cables are about what the witness saw.
func (t table) cables(x Result) {
	var packets int
	for _, n := range x.Captured {
		packets += n
	}
	t.row("captured", fmt.Sprint(packets), fmt.Sprintf("packets on the servers' cables, %d missed", x.CaptureDrops))
	t.row("connections", fmt.Sprint(x.ConnsCaptured), fmt.Sprintf("%d of them on two servers", x.ConnsSplit))
	t.row("data astray", fmt.Sprint(x.DataAstray), "packets on a server whose turn it was not")
	t.list(x.CaptureReasons)
}

// side tells on which side of the fault something began, and how far from it.
func side(m Millis) string {
	if m < 0 {
		m = -m
		return Show(&m) + " before the fault"
	}
	return Show(&m) + " after the fault"
}

// idleNote tells how the connection ended on which nothing was in flight.
func idleNote(f Figures) string {
	switch {
	case f.IdleReset != nil && f.IdleEnd == nfs.Reset.String():
		return f.IdleEnd + " after the decision, goal " + idleGoal.String()
	case f.IdleEnd != idleOpen:
		return f.IdleEnd + " by the dying server's own kernel"
	}
	return f.IdleEnd
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// Show prints a time as people read it; nil was not measured.
func Show(m *Millis) string {
	switch {
	case m == nil:
		return "–"
	case *m >= 1000:
		return fmt.Sprintf("%.2f s", float64(*m)/1000)
	case *m >= 1:
		return fmt.Sprintf("%.1f ms", float64(*m))
	}
	return fmt.Sprintf("%.2f ms", float64(*m))
}

// Mebibytes prints an amount of data.
func Mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
