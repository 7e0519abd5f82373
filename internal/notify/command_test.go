package notify

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead/internal/model"
)

// command writes a programme and returns the target that it is.
func command(t *testing.T, text string) model.Target {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("commands must belong to root, so this test must run as root")
	}
	path := filepath.Join(t.TempDir(), "command")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return model.Target{Kind: model.TargetCommand, To: path, Timeout: 10 * time.Second}
}

func TestCommand(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	t.Setenv("SECRET", "of the daemon")
	e := happening
	e.Text += "\nand more"
	if err := runCommand(t.Context(), command(t, "{ env | sort; cat; } >"+out), here, e); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	want := `FAIRLEAD_AT=2023-11-14T22:13:20Z
FAIRLEAD_BY=alice
FAIRLEAD_DIRECTOR=nfs
FAIRLEAD_EPOCH=7
FAIRLEAD_ERROR=connection refused
FAIRLEAD_HOST=director-1
FAIRLEAD_ID=director-1-42-1700000000123
FAIRLEAD_KIND=flip
FAIRLEAD_REASON=server-failed
FAIRLEAD_SEQ=42
FAIRLEAD_SERVER=nfs-02
FAIRLEAD_SUMMARY=director-1: nfs: switched to nfs-02 and more
FAIRLEAD_TEXT=switched to nfs-02 and more
FAIRLEAD_VERSION=1.2.3
LANG=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
PWD=/
{"form":1,`
	if !strings.HasPrefix(string(got), want) || strings.Contains(string(got), "SECRET") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCommandFails(t *testing.T) {
	slow := command(t, "sleep 1000")
	slow.Timeout = 100 * time.Millisecond
	loose := command(t, "true")
	if err := os.Chmod(loose.To, 0o777); err != nil {
		t.Fatal(err)
	}
	for want, target := range map[string]model.Target{
		"it ended with exit code 3. It printed: no pager": command(t, "echo no pager; exit 3"),
		"it did not end within 100ms and was ended":       slow,
		"it is not run: ": loose,
	} {
		if err := runCommand(t.Context(), target, here, happening); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
