package lab

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab/clock"
)

// The terminal's colours.
const (
	plain  = "\x1b[0m"
	dim    = "\x1b[2m"
	red    = "\x1b[1;31m"
	green  = "\x1b[1;32m"
	yellow = "\x1b[33m"
)

// reporter prints what happens, and at the end the table.
type reporter struct {
	out     io.Writer
	started clock.Instant
	colours bool
	quiet   bool // only JSON is wanted
}

func newReporter(out io.Writer, o Options) *reporter {
	return &reporter{out: out, started: clock.Now(), colours: colourful(out), quiet: o.JSON}
}

// colourful tells whether out is a terminal whose user has nothing against
// colours (no-color.org).
func colourful(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

func (r *reporter) paint(colour, text string) string {
	if !r.colours {
		return text
	}
	return colour + text + plain
}

// line tells what happened just now; at says when, if it was earlier.
func (r *reporter) line(format string, args ...any) { r.lineAt(clock.Now(), plain, format, args...) }

func (r *reporter) lineAt(at clock.Instant, colour, format string, args ...any) {
	if r.quiet {
		return
	}
	stamp := fmt.Sprintf("%8.3f s", at.Since(r.started).Seconds())
	fmt.Fprintf(r.out, "%s  %s\n", r.paint(dim, stamp), r.paint(colour, fmt.Sprintf(format, args...)))
}

// row is one line of the table.
func (r *reporter) row(name, value, note string) {
	line := fmt.Sprintf("  %-16s %12s", name, value)
	if note != "" {
		line += "   " + r.paint(dim, note)
	}
	fmt.Fprintln(r.out, strings.TrimRight(line, " "))
}

// table prints the result for people.
func (r *reporter) table(x Result) {
	fmt.Fprintf(r.out, "\n  fault %v, %v NFS servers, XDP %s\n\n", x.Fault, x.NFS, orDash(x.XDP))
	r.switchRows(x)
	r.row("longest stall", show(&x.LongestStall), "of one client, "+side(x.StallFrom))
	if x.SwitchStall != nil {
		r.row("  at the switch", show(x.SwitchStall), fmt.Sprintf("less detection %s, goal %v", show(x.StallAfter), stallGoal))
	}
	if x.Backoff != nil && *x.Backoff > 0 {
		r.row("  its back-off", show(x.Backoff), "the client's own wait after it was refused")
	}
	r.row("operations", fmt.Sprint(x.Operations), fmt.Sprintf("%d before the fault, %d after it", x.OperationsBefore, x.OperationsAfter))
	r.row("data", mebibytes(x.Bytes), fmt.Sprintf("%s before, %s after", mebibytes(x.BytesBefore), mebibytes(x.BytesAfter)))
	r.row("compared", mebibytes(x.BytesCompared), fmt.Sprintf("%d bytes different", x.BytesDifferent))
	r.row("client errors", fmt.Sprint(x.ClientErrors), fmt.Sprintf("%d reconnects, %d calls found their work done", x.Reconnects, x.Repeated))
	for _, e := range x.Errors {
		fmt.Fprintln(r.out, "    "+r.paint(red, e))
	}
	fmt.Fprintln(r.out)
	if x.Passed {
		r.row("verdict", r.paint(green, "PASSED"), "")
		return
	}
	r.row("verdict", r.paint(red, "FAILED"), "")
	for _, reason := range x.Reasons {
		fmt.Fprintln(r.out, "    "+r.paint(red, reason))
	}
}

// switchRows are about the switch, or about the lack of one.
func (r *reporter) switchRows(x Result) {
	if x.Detection == nil {
		r.row("detection", "none", "watched for longer than "+show(&x.DetectionLimit))
		return
	}
	r.row("detection", show(x.Detection), "fault to decision; at most "+show(&x.DetectionLimit))
	r.row("switch", show(x.Switch), "decision to the new table in the kernel")
	r.row("resets sent", fmt.Sprint(x.ConnectionsReset), fmt.Sprintf("of %d known connections, after %s", x.ConnectionsKnown, show(x.Resets)))
	r.row("idle client", show(x.IdleReset), idleNote(x))
}

// side tells on which side of the fault something began, and how far from it.
func side(m Millis) string {
	if m < 0 {
		m = -m
		return show(&m) + " before the fault"
	}
	return show(&m) + " after the fault"
}

// idleNote tells how the connection ended on which nothing was in flight.
func idleNote(x Result) string {
	switch {
	case x.IdleReset != nil:
		return x.IdleEnd + " after the decision, goal " + idleGoal.String()
	case x.Fault == Kill && x.IdleEnd != idleOpen:
		return x.IdleEnd + " by the dying server's own kernel"
	}
	return x.IdleEnd
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// show prints a time as people read it; nil was not measured.
func show(m *Millis) string {
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

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// seconds prints a time for the lines.
func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
