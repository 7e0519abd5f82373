package probe

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// script makes a programme that checks.
func script(t *testing.T, text string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("programmes must belong to root, so this test must run as root")
	}
	path := filepath.Join(t.TempDir(), "check")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExec(t *testing.T) {
	const told = `echo "$FAIRLEAD_DIRECTOR/$FAIRLEAD_SERVER $FAIRLEAD_ADDR:$FAIRLEAD_PORT $FAIRLEAD_TIMEOUT, $# arguments"; exit 3`
	for _, tt := range []struct {
		text    string
		timeout time.Duration
		want    string // after the path; "" passes
	}{
		{"exit 0", patience, ""},
		{told, patience, ": it ended with exit code 3. It printed: nfs/nfs-01 192.0.2.1:2049 10, 0 arguments"},
		{"head -c 100000 /dev/zero | tr '\\0' x; exit 1", patience, ": it ended with exit code 1. It printed: …xx"},
		{"sleep 60", short, ": it did not end within 300ms and is ended"},
		{"trap '' TERM; sleep 60", short, ": it did not end within 300ms and is ended"},
		{"/nowhere/at/all", patience, ": it ended with exit code 127: a command in it was not found or cannot be run. It printed: "},
	} {
		path := script(t, tt.text)
		r := probeOnce(t, Target{Addr: netip.MustParseAddr("192.0.2.1"), Timeout: tt.timeout,
			Tests: []model.Test{{Kind: model.CheckExec, Command: path, Port: 2049}}})
		got, ok := strings.CutPrefix(r.Err, "192.0.2.1 does not pass "+path)
		if r.OK != (tt.want == "") || ok != (tt.want != "") || !strings.HasPrefix(got, tt.want) || len(got) > 2*printedMost {
			t.Errorf("%.40q: got  %q\nwant %q", tt.text, r.Err, tt.want)
		}
	}
	r := probeOnce(t, Target{Addr: netip.MustParseAddr("192.0.2.1"), Tests: []model.Test{{Kind: model.CheckExec, Command: "/nowhere"}}})
	if !strings.Contains(r.Err, "does not pass /nowhere: it is not run: ") {
		t.Errorf("a programme that is not there: got %q", r.Err)
	}
}

// TestExecEndsWithItsChildren: at the timeout, and no later than the Prober.
func TestExecEndsWithItsChildren(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	path := script(t, "sleep 60 & echo $$ $! >"+pids+"; wait")
	begin := time.Now()
	r := probeOnce(t, Target{Addr: netip.MustParseAddr("192.0.2.1"), Timeout: time.Second,
		Tests: []model.Test{{Kind: model.CheckExec, Command: path}}})
	if r.OK || time.Since(begin) > patience {
		t.Errorf("got %+v after %v", r, time.Since(begin))
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		if err := gone(pid); err != nil {
			t.Errorf("process %d: %v", pid, err)
		}
	}
}

// gone waits until a process has been ended; a zombie may wait for its new parent.
func gone(pid int) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			return nil
		}
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return nil
		}
	}
	return errors.New("it still runs")
}
