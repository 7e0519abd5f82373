package hook

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/model"
)

// patience bounds every wait of these tests.
const patience = 10 * time.Second

// script makes an executable shell script and returns the call that runs it.
func script(t *testing.T, text string) Call {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("hooks must belong to root, so this test must run as root")
	}
	path := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return Call{
		Kind: model.HookFence, Hook: model.Hook{Command: path, Timeout: patience}, Director: "nfs",
		VIPs:  []netip.Addr{netip.MustParseAddr("192.168.10.50"), netip.MustParseAddr("192.168.10.51")},
		Old:   model.Server{Name: "nfs-01", Addr: netip.MustParseAddr("192.168.10.100")},
		New:   model.Server{Name: "nfs-02", Addr: netip.MustParseAddr("192.168.10.101")},
		Epoch: 7, Reason: model.ReasonFailed, Why: "no answer\nat\x00all",
	}
}

func run1(t *testing.T, c Call) Outcome {
	t.Helper()
	return New(slog.New(slog.DiscardHandler)).Run(t.Context(), c)
}

func TestSuccess(t *testing.T) {
	o := run1(t, script(t, "echo fenced; echo indeed >&2"))
	if o.Err != nil || o.Output != "fenced\nindeed" || o.Took <= 0 {
		t.Errorf("got %+v", o)
	}
}

func TestEnvironmentIsAllThatItGets(t *testing.T) {
	t.Setenv("SECRET", "of the daemon")
	o := run1(t, script(t, "pwd; exec /usr/bin/env"))
	want := []string{
		"FAIRLEAD_DIRECTOR=nfs", "FAIRLEAD_EPOCH=7", "FAIRLEAD_HOOK=fence", "FAIRLEAD_NEW=nfs-02",
		"FAIRLEAD_NEW_ADDR=192.168.10.101", "FAIRLEAD_OLD=nfs-01", "FAIRLEAD_OLD_ADDR=192.168.10.100",
		"FAIRLEAD_REASON=server-failed", "FAIRLEAD_TIMEOUT=10", "FAIRLEAD_VIPS=192.168.10.50 192.168.10.51",
		"FAIRLEAD_WHY=no answer at all", "LANG=C", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"PWD=/", "/", // both of the shell
	}
	got := strings.Split(o.Output, "\n")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q, %v\nwant %q", got, o.Err, want)
	}
}

func TestInput(t *testing.T) {
	c := script(t, "cat")
	c.Hook.Timeout = 1500 * time.Millisecond
	c.Old = model.Server{}
	o := run1(t, c)
	var got, want any
	if err := json.Unmarshal([]byte(o.Output), &got); err != nil {
		t.Fatalf("%q: %v", o.Output, err)
	}
	json.Unmarshal([]byte(`{"hook": "fence", "director": "nfs", "vips": ["192.168.10.50", "192.168.10.51"],
		"old": "", "old_addr": "", "new": "nfs-02", "new_addr": "192.168.10.101", "epoch": 7,
		"reason": "server-failed", "why": "no answer\nat\u0000all", "timeout": 1.5}`), &want)
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(want)
	if !bytes.Equal(g, w) {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

// TestFailure says which hook failed, of which director.
func TestFailure(t *testing.T) {
	c := script(t, "echo no such volume >&2; exit 3")
	o := run1(t, c)
	if want := "fence hook " + c.Hook.Command + " of director nfs: it ended with exit code 3. It printed: no such volume"; o.Err == nil || o.Err.Error() != want {
		t.Errorf("got  %v\nwant %v", o.Err, want)
	}
}
