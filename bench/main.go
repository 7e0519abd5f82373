// Command bench measures what the data plane costs: nanoseconds for each packet
// above the least that XDP can do, the whole path over a pair of interfaces, and
// memory for each connection. See docs/performance.md for the method.
//
// It is no test of speed: it never fails because the machine is slow or busy.
// It fails when a packet gets a verdict that it must not get.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr, os.Geteuid() == 0))
}

// effort is how much is measured.
type effort struct {
	rounds  int // of which the minimum and the median are taken
	packets int // of one programme in one round
}

var (
	full  = effort{rounds: 21, packets: 200_000}
	quick = effort{rounds: 3, packets: 20_000}
)

// run is the command. It returns the exit code: 0, 1 for a failure, 2 for a call
// that cannot work.
func run(args []string, out, errs io.Writer, root bool) int {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(errs)
	brief := flags.Bool("quick", false, "measure briefly: to see that it works, not for figures")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(errs, "bench: %q is not expected: bench has flags only\n", flags.Arg(0))
		return 2
	}
	if !root {
		fmt.Fprintln(errs, "bench needs root: it loads programmes into the kernel (try sudo)")
		return 2
	}
	e := full
	if *brief {
		e = quick
	}
	var r report
	if err := onQuietThread(func() (err error) { r, err = measure(e); return err }); err != nil {
		fmt.Fprintln(errs, "bench:", err)
		return 1
	}
	if _, err := io.WriteString(out, r.text()); err != nil {
		fmt.Fprintln(errs, "bench:", err)
		return 1
	}
	return 0
}
