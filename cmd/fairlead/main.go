// Command fairlead is a layer-4 director: the daemon, the commands that talk to
// it, and the lab that shows it at work on one machine. What is here reads the
// command line and the files, wires the parts together and prints; it decides
// nothing and keeps no state. It is larger than other packages because every command
// is here; each stands in a file of its own, and the live view in those named top.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	os.Exit(run(ctx, os.Args[1:], &surroundings{
		in:       os.Stdin,
		out:      os.Stdout,
		err:      os.Stderr,
		terminal: isTerminal(os.Stdout),
		colour:   isTerminal(os.Stdout) && colourful(),
		root:     os.Geteuid() == 0,
		release:  kernelRelease(),
		hangups:  hangups,
	}))
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// colourful tells whether the user wants colours: see https://no-color.org.
func colourful() bool { return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" }

// kernelRelease is the running kernel's version as it calls itself; "" when it
// does not say.
func kernelRelease() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}
