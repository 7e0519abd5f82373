package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCheckSaysWhenItFailsBack: for each director, on the output and in JSON,
// and only when there is no error.
func TestCheckSaysWhenItFailsBack(t *testing.T) {
	const note = "director nfs: fails back by order only (manual), because it serves NFS (check port 2049); option failback auto would change that"
	const where = "director nfs: its servers are also checked at their virtual IP; check via own would change that"
	plain := shell{in: good}.run(t.Context(), "check", "-f", "-")
	if !strings.HasPrefix(plain.out, "ok: ") || !strings.HasSuffix(plain.out, "\n"+note+"\n"+where+"\n") || plain.code != exitDone {
		t.Errorf("got %+v", plain)
	}
	var got checked
	printed := shell{in: good}.run(t.Context(), "check", "--json", "-f", "-")
	if err := json.Unmarshal([]byte(printed.out), &got); err != nil || !slices.Equal(got.Notes, []string{note, where}) {
		t.Errorf("got %+v, %v", printed, err)
	}
	bad := strings.Replace(good, "balance", "blance", 1)
	if got := (shell{in: bad}).run(t.Context(), "check", "-f", "-"); strings.Contains(got.out, "director nfs:") {
		t.Errorf("with an error: got %+v", got)
	}
	if got := (shell{in: bad}).run(t.Context(), "check", "--json", "-f", "-"); !strings.Contains(got.out, `"notes": []`) {
		t.Errorf("with an error: got %+v", got)
	}
}

// TestCheckWarnsOfMissingFence: the application note's own text is accepted, and
// says what it does not protect from.
func TestCheckWarnsOfMissingFence(t *testing.T) {
	unfenced := strings.Replace(good, "  hook fence /usr/bin/true\n", "", 1)
	got := shell{in: unfenced}.run(t.Context(), "check", "-f", "-")
	if got.code != exitDone || !strings.Contains(got.out, "no errors, 1 warning\n") || !strings.Contains(got.err, "nothing fences the servers of director nfs") {
		t.Errorf("got %+v", got)
	}
}

// TestCheckLooksAtHooks: a hook that run and reload would refuse is an error of
// check --host, and of nothing less.
func TestCheckLooksAtHooks(t *testing.T) {
	for path, want := range map[string]string{
		"/usr/bin/true":       "",
		"/nonexistent/fence":  "stdin:8:14: error: hook fence cannot be run: /nonexistent",
		"/etc/passwd":         "error: hook fence cannot be run: /etc/passwd is not executable",
		"/usr/bin":            "error: hook fence cannot be run: /usr/bin is not a file",
		"/usr/bin/../bin/env": "is not the shortest form",
	} {
		text := strings.Replace(good, "/usr/bin/true", path, 1)
		got := shell{in: text}.run(t.Context(), "check", "--host", "-f", "-")
		want = strings.Replace(want, "stdin", "standard input", 1)
		if !strings.Contains(got.err, want) || (want == "") != (got.code == exitDone) {
			t.Errorf("%s: got %+v", path, got)
		}
	}
	text := strings.Replace(good, "/usr/bin/true", "/nonexistent/fence", 1)
	if got := (shell{in: text}).run(t.Context(), "check", "-f", "-"); got.code != exitDone {
		t.Errorf("without --host: got %+v", got)
	}
}

// TestHooksOfOthers: a directory that others may write to is found above the
// file, also when the name leads there by a link.
func TestHooksOfOthers(t *testing.T) {
	open, dir := t.TempDir(), t.TempDir()
	write(t, open, "fence", "#!/bin/sh\n")
	file, link := filepath.Join(open, "fence"), filepath.Join(dir, "fence")
	if err := errors.Join(os.Chmod(open, 0o777), os.Chmod(file, 0o755), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	// Everything here belongs to who runs the test: root's is open to others,
	// another's is not root's.
	for path, trouble := range hookTrouble([]string{file, link, "/usr/bin/true"}) {
		if path == "/usr/bin/true" || !strings.Contains(trouble, "programmes run as root") {
			t.Errorf("%s: got %q", path, trouble)
		}
	}
	if got := hookTrouble([]string{file, link}); len(got) != 2 {
		t.Errorf("got %q, want trouble with both", got)
	}
}
