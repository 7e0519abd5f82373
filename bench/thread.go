package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// onQuietThread runs f on a thread of its own that nothing should interrupt: it
// stays on one CPU, and the collector waits. The thread has a network namespace
// of its own; both end together, whatever becomes of the process.
func onQuietThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
		if err := quieten(); err != nil {
			done <- err
			return
		}
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
		done <- f()
	}()
	return <-done
}

func quieten() error {
	var on unix.CPUSet
	if err := unix.SchedGetaffinity(0, &on); err != nil {
		return fmt.Errorf("read which CPUs may be used: %w", err)
	}
	// The last one: the first serves most interrupts.
	last := 0
	for cpu := range len(on) * 64 {
		if on.IsSet(cpu) {
			last = cpu
		}
	}
	on.Zero()
	on.Set(last)
	if err := unix.SchedSetaffinity(0, &on); err != nil {
		return fmt.Errorf("stay on CPU %d: %w", last, err)
	}
	// The runtime sends SIGURG to preempt a goroutine; it would end a test run
	// before its time.
	var urgent unix.Sigset_t
	urgent.Val[0] = 1 << (unix.SIGURG - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &urgent, nil); err != nil {
		return fmt.Errorf("block SIGURG: %w", err)
	}
	ns, err := netns.New()
	if err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	return ns.Close()
}
