package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// emulate puts a shell script in the emulator's place.
func emulate(t *testing.T, script string) Options {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, Emulator), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return Options{Kernel: "vmlinuz", Initrd: "initrd", Disk: "disk", Memory: 64, CPUs: 1, Dir: dir}
}

// guest answers as the real one does.
const guest = `
echo booting; echo "@@ready@@"
while read -r number command; do
	eval "$(echo "$command" | base64 -d)" </dev/null
	code=$?
	printf '\n@@%s %s@@\n' $number $code
done
`

func start(t *testing.T, o Options) *Machine {
	t.Helper()
	m, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func TestRun(t *testing.T) {
	m := start(t, emulate(t, guest))
	for _, test := range []struct{ command, want string }{
		{"echo one; echo two", "one\ntwo"},
		{"true", ""},
		{"printf 'no end of line'", "no end of line"},
		{"x='a  b'; echo \"$x\"", "a  b"},
	} {
		if got, err := m.Run(t.Context(), test.command); got != test.want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", test.command, got, err, test.want)
		}
	}
	var exit *ExitError
	if out, err := m.Run(t.Context(), "echo words; (exit 7)"); !errors.As(err, &exit) || exit.Code != 7 || out != "words" {
		t.Errorf("got %q, %v, want exit code 7", out, err)
	}
	if _, err := m.Run(t.Context(), strings.Repeat("x", longest)); err == nil {
		t.Error("a command that is too long for the terminal was sent")
	}
	if logs := m.Logs(100); !strings.Contains(logs, "booting") || !strings.Contains(logs, "words") {
		t.Errorf("the logs lack what the guest said: %s", logs)
	}
}

// TestTime: a command that takes too long is given up, and the next one gets its
// own answer.
func TestTime(t *testing.T) {
	m := start(t, emulate(t, guest))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := m.Run(ctx, "sleep 0.3; echo late"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that the time is over", err)
	}
	if got, err := m.Run(t.Context(), "echo next"); err != nil || got != "next" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestEnd(t *testing.T) {
	m := start(t, emulate(t, guest))
	if _, err := m.Run(t.Context(), "exit 0"); err == nil || !strings.Contains(err.Error(), "the machine ended") {
		t.Errorf("got %v", err)
	}
	if _, err := Start(t.Context(), emulate(t, "echo broken >&2\n")); err == nil || !strings.Contains(err.Error(), "the machine ended") {
		t.Errorf("a machine that does not boot: got %v", err)
	}
}

// TestClose: nothing of the machine is left, whatever it does.
func TestClose(t *testing.T) {
	m, err := Start(t.Context(), emulate(t, "sleep 1000 & "+guest))
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.Run(t.Context(), "echo $! $$")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	for _, word := range strings.Fields(out) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		for begin := time.Now(); running(pid); runtime.Gosched() {
			if time.Since(begin) > 5*time.Second {
				t.Fatalf("process %d still runs", pid)
			}
		}
	}
}

// running reports whether a process runs. One that nobody has waited for yet does not.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(text), ") Z ")
}

// TestCounted: a machine that counts has one processor, and its clock is their number.
func TestCounted(t *testing.T) {
	plain, counted := arguments(Options{CPUs: 2}), arguments(Options{CPUs: 2, Counted: true})
	for _, word := range []string{"shift=0,sleep=off", "tcg,thread=single", "1"} {
		if slices.Contains(plain, word) || !slices.Contains(counted, word) {
			t.Errorf("%s: plain %q, counted %q", word, plain, counted)
		}
	}
}
