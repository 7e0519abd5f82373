package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"fairlead/internal/dataplane"
)

// in becomes a command in a named network namespace: probe in NAMESPACE COMMAND….
// Unlike ip netns exec it enters nothing else, so that a mount is seen by all.
func in(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("enter a namespace: want its name and a command, got %q", args)
	}
	program, err := exec.LookPath(args[1])
	if err != nil {
		return fmt.Errorf("find the command: %w", err)
	}
	f, err := os.Open(filepath.Join("/run/netns", args[0]))
	if err != nil {
		return fmt.Errorf("open the namespace: %w", err)
	}
	runtime.LockOSThread() // the namespace belongs to the thread; the command takes it over
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s: %w", args[0], err)
	}
	return fmt.Errorf("run %s: %w", program, syscall.Exec(program, args[1:], os.Environ()))
}

// pass attaches an XDP programme that lets everything pass to interfaces, until the
// process ends: probe pass INTERFACE….
func pass(names []string) error {
	for _, name := range names {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return fmt.Errorf("find interface %s: %w", name, err)
		}
		link, err := dataplane.AttachPass(i.Index)
		if err != nil {
			return err
		}
		defer link.Close()
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, unix.SIGTERM, unix.SIGINT)
	<-end
	return nil
}
