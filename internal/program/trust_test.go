package program

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestTrust(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(dir, file string) error
		want  string // in the error; "": it is trusted
	}{
		{"root's", func(_, _ string) error { return nil }, ""},
		{"not there", func(_, file string) error { return os.Remove(file) }, "no such file"},
		{"not executable", func(_, file string) error { return os.Chmod(file, 0o644) }, "is not executable: run chmod +x"},
		{"a directory", func(_, file string) error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o755)) }, "is not a file"},
		{"somebody's", func(_, file string) error { return os.Chown(file, 1000, 0) }, "belongs to user 1000, not to root"},
		{"writable by a group", func(_, file string) error { return os.Chmod(file, 0o775) }, "may be written by others"},
		{"writable by all", func(_, file string) error { return os.Chmod(file, 0o757) }, "may be written by others"},
		{"in somebody's directory", func(dir, _ string) error { return os.Chown(dir, 1000, 0) }, "belongs to user 1000"},
		{"in a directory for all", func(dir, _ string) error { return os.Chmod(dir, 0o777) }, "may be written by others"},
		{"in a sticky directory", func(dir, _ string) error { return os.Chmod(dir, 0o777|os.ModeSticky) }, ""},
		{"below a directory for all", func(dir, _ string) error { return os.Chmod(filepath.Dir(dir), 0o777) }, "may be written by others"},
		{"by a link", func(_, file string) error {
			return errors.Join(os.Rename(file, file+"-1.0"), os.Symlink("program-1.0", file))
		}, ""},
		{"by somebody's link", func(_, file string) error {
			return errors.Join(os.Symlink("/bin/true", file+"-1.0"), os.Rename(file+"-1.0", file), os.Lchown(file, 1000, 0))
		}, "belongs to user 1000"},
		{"by a link in somebody's directory", func(dir, file string) error {
			theirs := filepath.Join(filepath.Dir(dir), "theirs")
			return errors.Join(os.Mkdir(theirs, 0o755), os.Chown(theirs, 1000, 0), os.Symlink("/bin/true", theirs+"/program"),
				os.Remove(file), os.Symlink("../theirs/program", file))
		}, "theirs belongs to user 1000"},
		{"links in a ring", func(_, file string) error { return errors.Join(os.Remove(file), os.Symlink("program", file)) }, "more than 40 links"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if os.Geteuid() != 0 {
				t.Fatal("this test changes owners and must run as root")
			}
			dir := filepath.Join(t.TempDir(), "dir")
			file := filepath.Join(dir, "program")
			must(t, os.Mkdir(dir, 0o755), os.WriteFile(file, []byte("#!/bin/sh\n"), 0o755), tt.spoil(dir, file))
			err := Trust(file)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestTrustWantsAWholePath(t *testing.T) {
	for _, path := range []string{"", "program", "./program"} {
		if err := Trust(path); err == nil || !strings.Contains(err.Error(), "is not absolute") {
			t.Errorf("%q: got %v", path, err)
		}
	}
	must(t, Trust("/bin/../bin/sh"))
}

// TestRefusedProgramIsNotRun: the check stands before the run.
func TestRefusedProgramIsNotRun(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	c := script(t, "touch "+mark)
	must(t, os.Chmod(c.Path, 0o777))
	o := run1(t.Context(), c)
	if o.Err == nil || !strings.Contains(o.Err.Error(), "it is not run: ") {
		t.Errorf("got %v", o.Err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("it ran")
	}
}
