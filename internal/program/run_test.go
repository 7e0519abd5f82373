package program

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// script makes an executable shell script and returns the call that runs it.
func script(t *testing.T, text string) Call {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("programmes must belong to root, so this test must run as root")
	}
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return Call{Path: path, Timeout: patience, Ended: "nobody wants it"}
}

// outcome is how a run ended.
type outcome struct {
	Output string
	Err    error
	Took   time.Duration
}

func run1(ctx context.Context, c Call) outcome {
	begin := time.Now()
	output, err := Run(ctx, c)
	return outcome{output, err, time.Since(begin)}
}

func TestSuccess(t *testing.T) {
	o := run1(t.Context(), script(t, "echo fenced; echo indeed >&2"))
	if o.Err != nil || o.Output != "fenced\nindeed" {
		t.Errorf("got %+v", o)
	}
}

func TestEnvironmentIsAllThatItGets(t *testing.T) {
	t.Setenv("SECRET", "of the daemon")
	c := script(t, "/usr/bin/env | sort; cat")
	c.Facts, c.Input = [][2]string{{"WHY", "no answer\nat\x00all"}}, []byte("input")
	o := run1(t.Context(), c)
	if want := "FAIRLEAD_WHY=no answer at all\nLANG=C\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/\ninput"; o.Err != nil || o.Output != want {
		t.Errorf("got %q, %v\nwant %q", o.Output, o.Err, want)
	}
}

func TestFailures(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"echo no such volume >&2; exit 3", "it ended with exit code 3. It printed: no such volume"},
		{"exit 1", "it ended with exit code 1"},
		{"nosuchcommand 2>/dev/null", "it ended with exit code 127: a command in it was not found or cannot be run"},
		{"kill -9 $$", "signal 9 (killed) ended it"},
	} {
		t.Run(tt.text, func(t *testing.T) {
			c := script(t, tt.text)
			o := run1(t.Context(), c)
			if o.Err == nil || o.Err.Error() != tt.want {
				t.Errorf("got  %v\nwant %v", o.Err, tt.want)
			}
		})
	}
}

func TestOutputIsBounded(t *testing.T) {
	o := run1(t.Context(), script(t, "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; printf 'the\\033[2J end'; exit 1"))
	if len(o.Output) > kept+len("…") || !strings.HasPrefix(o.Output, "…") || !strings.HasSuffix(o.Output, "line 2999\nthe [2J end") {
		t.Errorf("kept %d bytes, %.20q to %.20q", len(o.Output), o.Output, o.Output[max(0, len(o.Output)-20):])
	}
	var long tail
	long.Write(bytes.Repeat([]byte("x"), kept+1))
	if got := long.String(); got != "…"+strings.Repeat("x", kept) {
		t.Errorf("of one long write %d bytes are kept, want %d", len(got), kept+len("…"))
	}
}

// alive tells whether a process is there and no zombie.
func alive(t *testing.T, pid string) bool {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

// gone waits until a process has ended.
func gone(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatalf("%q is no process", pid)
	}
	fd, err := unix.PidfdOpen(n, 0)
	if err == unix.ESRCH {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		got, err := unix.Poll(p, int(patience.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if got != 1 {
			t.Errorf("process %s lives on", pid)
			unix.Kill(n, unix.SIGKILL)
		}
		return
	}
}

func TestTimeoutEndsTheWholeGroup(t *testing.T) {
	for name, tt := range map[string]struct {
		text        string
		least, most time.Duration
	}{
		"polite":   {"sleep 1000 & echo $!; wait", 0, grace},
		"stubborn": {"trap '' TERM; sleep 1000 & echo $!; wait", grace, 2 * grace},
	} {
		t.Run(name, func(t *testing.T) {
			c := script(t, tt.text)
			c.Timeout = 200 * time.Millisecond
			o := run1(t.Context(), c)
			child, _, _ := strings.Cut(o.Output, "\n")
			gone(t, child)
			want := "it did not end within 200ms and was ended. It printed: " + o.Output
			if o.Err == nil || !strings.HasSuffix(o.Err.Error(), want) {
				t.Errorf("got %v, want %q", o.Err, want)
			}
			if over := o.Took - c.Timeout; over < tt.least || over > tt.most {
				t.Errorf("took %v after the timeout, want %v to %v", over, tt.least, tt.most)
			}
		})
	}
}

func TestEndOfTheContext(t *testing.T) {
	c := script(t, "exec sleep 1000")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	o := run1(ctx, c)
	if o.Err == nil || !strings.Contains(o.Err.Error(), "nobody wants it") || o.Took > patience/2 {
		t.Errorf("got %v after %v, want it given up", o.Err, o.Took)
	}
	mark := filepath.Join(t.TempDir(), "mark")
	c = script(t, "touch "+mark)
	if o := run1(ctx, c); o.Err == nil {
		t.Error("a programme ran after the end of its context")
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a programme left a mark after the end of its context")
	}
}

// TestWhatASuccessLeavesBehind: it lives, and nobody waits for it although it
// holds the output open.
func TestWhatASuccessLeavesBehind(t *testing.T) {
	o := run1(t.Context(), script(t, "sleep 1000 & echo $!"))
	if o.Err != nil || o.Took > patience/2 {
		t.Errorf("got %v after %v", o.Err, o.Took)
	}
	if !alive(t, o.Output) {
		t.Error("what the programme left behind was ended")
	}
	if pid, err := strconv.Atoi(o.Output); err == nil {
		unix.Kill(pid, unix.SIGKILL)
	}
}

func TestInputThatNobodyReads(t *testing.T) {
	c := script(t, "exit 0")
	c.Input = bytes.Repeat([]byte("x"), 100_000) // more than a pipe holds
	if o := run1(t.Context(), c); o.Err != nil {
		t.Errorf("got %v, want success", o.Err)
	}
}
