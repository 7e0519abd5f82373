package examples

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// checked is how a programme that measures ended.
type checked struct {
	exit  int
	first string // the first line that it printed
}

// measure runs an example as the daemon does, about nfs-02.
func (s stage) measure(t *testing.T, name string) checked {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "checks/"+name)
	cmd.Env = []string{"PATH=" + s.dir + ":/usr/bin:/bin", "LANG=C", "FAIRLEAD_DIRECTOR=nfs", "FAIRLEAD_SERVER=nfs-02",
		"FAIRLEAD_ADDR=" + new, "FAIRLEAD_ACTIVE=nfs-01", "FAIRLEAD_ACTIVE_ADDR=" + old, "FAIRLEAD_MAXLAG=30", "FAIRLEAD_TIMEOUT=5"}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return checked{cmd.ProcessState.ExitCode(), first}
}

func TestDRBD(t *testing.T) {
	for _, tt := range []struct {
		what              string
		connection, disks string // what drbdadm says, wherever it is asked
		broken            []string
		want              checked
	}{
		{"all is well", "Connected", "UpToDate/UpToDate", nil, checked{0, "0"}},
		{"the link is lost", "Connecting", "UpToDate/DUnknown", nil, checked{1, "nfs-01 says: Connecting, disks UpToDate/DUnknown"}},
		{"the copy catches up", "SyncSource", "UpToDate/Inconsistent", nil, checked{1, "nfs-01 says: SyncSource, disks UpToDate/Inconsistent"}},
		{"the active server is gone", "Connecting", "UpToDate/DUnknown", []string{old}, checked{2, "nfs-01 cannot be asked; nfs-02 says: disks UpToDate/DUnknown"}},
		{"and the copy is old", "Connecting", "Outdated/DUnknown", []string{old}, checked{1, "nfs-02 says: disks Outdated/DUnknown"}},
		{"both are gone", "", "", []string{old, new}, checked{2, "neither nfs-01 nor nfs-02 can be asked"}},
	} {
		s := newStage(t, tt.broken...)
		s.write(t, "drbdadm", "#!/bin/sh\ncase $1 in cstate) echo "+tt.connection+" ;; dstate) echo "+tt.disks+" ;; esac\n")
		if got := s.measure(t, "drbd"); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.what, got, tt.want)
		}
	}
}

// TestChecksAreDocumented: what the examples read of their environment is in the
// reference, and each example is in the guide.
func TestChecksAreDocumented(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	guide, reference := read("../docs/how-to/freshness.md"), read("../docs/reference/configuration.md")
	entries, err := os.ReadDir("checks")
	if err != nil || len(entries) == 0 {
		t.Fatalf("%d examples, %v", len(entries), err)
	}
	for _, e := range entries {
		if !strings.Contains(guide, "["+e.Name()+"](../../examples/checks/"+e.Name()+")") {
			t.Errorf("the guide does not link to %s", e.Name())
		}
		for _, word := range regexp.MustCompile(`FAIRLEAD_[A-Z_]+`).FindAllString(read("checks/"+e.Name()), -1) {
			if !strings.Contains(reference, "`"+word+"`") {
				t.Errorf("%s: the reference does not mention %s", e.Name(), word)
			}
		}
	}
}
