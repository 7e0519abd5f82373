package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// now reads CLOCK_MONOTONIC, in nanoseconds: instants of all processes of the
// guest can be compared.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // only a wrong address or clock can fail
	}
	return t.Nano()
}

// at runs a command and prints the instants around it: probe at COMMAND….
func at(args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	var instants struct {
		Before int64 `json:"before_ns"`
		After  int64 `json:"after_ns"`
	}
	instants.Before = now()
	err := cmd.Run()
	instants.After = now()
	if err != nil {
		return fmt.Errorf("run %s: %w", args[0], err)
	}
	return json.NewEncoder(os.Stdout).Encode(instants)
}
