// Command probe is what the test of the kernel's NFS client needs inside the
// virtual machine and no package has: two applications that measure their own
// stalls, a command with the instants around it, and two tools for namespaces.
//
// It is no part of the product, and it knows nothing of directors.
package main

import (
	"fmt"
	"os"
)

// modes are what it can be asked for, by the first word of its arguments.
var modes = map[string]func(args []string) error{
	"application": application,
	"at":          at,
	"in":          in,
	"opener":      opener,
	"pass":        pass,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 || modes[args[0]] == nil {
		return fmt.Errorf("want application, at, in, opener or pass, and its arguments; got %q", args)
	}
	return modes[args[0]](args[1:])
}
