package lab

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/outcome"
)

// reporter prints what happens.
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
	return colour + text + outcome.Plain
}

// line tells what happened just now; at says when, if it was earlier.
func (r *reporter) line(format string, args ...any) {
	r.lineAt(clock.Now(), outcome.Plain, format, args...)
}

func (r *reporter) lineAt(at clock.Instant, colour, format string, args ...any) {
	if r.quiet {
		return
	}
	stamp := fmt.Sprintf("%8.3f s", at.Since(r.started).Seconds())
	fmt.Fprintf(r.out, "%s  %s\n", r.paint(outcome.Dim, stamp), r.paint(colour, fmt.Sprintf(format, args...)))
}

// seconds prints a time for the lines.
func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
