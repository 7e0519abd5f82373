// Command meter is what the measurement of instructions needs inside the virtual
// machine: a sender that tells how long its packets took, and the two least XDP
// programmes there are.
//
// It is no part of the product, and it knows nothing of directors.
package main

import (
	"fmt"
	"os"
)

// modes are what it can be asked for, by the first word of its arguments.
var modes = map[string]func(args []string) error{
	"send": send,
	"xdp":  attach,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "meter:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 || modes[args[0]] == nil {
		return fmt.Errorf("want send or xdp, and its arguments; got %q", args)
	}
	return modes[args[0]](args[1:])
}
