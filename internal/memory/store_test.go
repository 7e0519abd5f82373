package memory

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/model"
)

// sample uses every field.
var sample = model.Memory{Directors: []model.Remembered{{
	Name: "nfs", Active: "nfs-02", Addr: "192.168.10.101", Epoch: 7, Reason: model.ReasonFailed,
	Why: "no answer from 192.168.10.100:2049 within 2s", From: "nfs-01",
	Since:   time.Date(2026, 11, 24, 1, 2, 3, 4, time.UTC),
	Pending: &model.Pending{To: "nfs-01", Step: model.StepFence, Reason: model.ReasonOperator, Why: "ordered", Since: time.Unix(9, 0).UTC()},
	Marks:   []model.Marked{{Server: "nfs-01", Mark: model.MarkDraining}},
}}}

// at is the sample of another epoch.
func at(epoch uint64) model.Memory {
	m := model.Memory{Directors: slices.Clone(sample.Directors)}
	m.Directors[0].Epoch = epoch
	return m
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func save(t *testing.T, s *Store, m model.Memory) {
	t.Helper()
	if err := s.Save(m); err != nil {
		t.Fatal(err)
	}
}

// wantMemory reads the directory as the next daemon would.
func wantMemory(t *testing.T, s *Store, want model.Memory) {
	t.Helper()
	next := Store{dir: s.dir}
	if got, err := next.Load(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

func TestFirstStart(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "var", "lib"))
	if m, err := s.Load(); err != nil || m.Directors != nil {
		t.Errorf("got %+v, %v, want nothing and no error", m, err)
	}
}

func TestSaveIsLoaded(t *testing.T) {
	s := open(t, t.TempDir())
	save(t, s, sample)
	wantMemory(t, s, sample)
	save(t, s, at(8))
	wantMemory(t, s, at(8))
	entries, err := os.ReadDir(s.dir.Name())
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("the directory has %v, %v, want only %s", entries, err, name)
	}
}

func TestEqualIsNotWritten(t *testing.T) {
	s := open(t, t.TempDir())
	save(t, s, sample)
	written := stat(t, s)
	save(t, s, at(7))
	if !os.SameFile(written, stat(t, s)) {
		t.Error("an equal memory was written again")
	}
	next := Store{dir: s.dir}
	if _, err := next.Load(); err != nil {
		t.Fatal(err)
	}
	save(t, &next, sample)
	if !os.SameFile(written, stat(t, s)) {
		t.Error("what was just loaded was written again")
	}
	save(t, s, at(8))
	if os.SameFile(written, stat(t, s)) {
		t.Error("another memory was not written")
	}
}

func stat(t *testing.T, s *Store) os.FileInfo {
	t.Helper()
	info, err := os.Stat(s.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestFileThatSomebodyTouchedIsWrittenAgain(t *testing.T) {
	s := open(t, t.TempDir())
	for name, touch := range map[string]func(path string) error{
		"removed":   os.Remove,
		"truncated": func(path string) error { return os.Truncate(path, 100) },
	} {
		t.Run(name, func(t *testing.T) {
			save(t, s, sample)
			if err := touch(s.path("state.json")); err != nil {
				t.Fatal(err)
			}
			save(t, s, sample)
			wantMemory(t, s, sample)
		})
	}
}

// TestLostMemoryKeepsItsName: a daemon that dies between two renames must not
// leave what passes for a first start.
func TestLostMemoryKeepsItsName(t *testing.T) {
	s := open(t, t.TempDir())
	if err := os.WriteFile(s.path(name), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.setAside(); err != nil {
		t.Fatal(err)
	}
	stat(t, s)
}

func TestLostMemory(t *testing.T) {
	good, err := encode(sample)
	if err != nil {
		t.Fatal(err)
	}
	newer := "fairlead-memory 2" + strings.TrimPrefix(string(good), "fairlead-memory 1")
	unknown := `{"directors": [], "quorum": 3}` + "\n"
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "it is empty"},
		{"torn in the first line", string(good[:20]), "cut short or changed"},
		{"torn", string(good[:len(good)-9]), "cut short or changed"},
		{"changed", strings.Replace(string(good), "nfs-02", "nfs-01", 1), "cut short or changed"},
		{"longer", string(good) + "x", "cut short or changed"},
		{"zeros", strings.Repeat("\x00", len(good)), "not a memory of Fairlead"},
		{"foreign", `{"directors": []}`, "not a memory of Fairlead"},
		{"of a newer Fairlead", newer, `has the layout "2" of another Fairlead, and this one knows only 1`},
		{"unknown field", "fairlead-memory 1 " + digest([]byte(unknown)) + "\n" + unknown, "does not understand"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			if err := os.WriteFile(s.path(name), []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			m, err := s.Load()
			if err == nil || m.Directors != nil {
				t.Fatalf("got %+v, %v, want an error", m, err)
			}
			for _, want := range []string{tt.want, s.path(name), "fairlead switch DIRECTOR/SERVER"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want it to say %q", err, want)
				}
			}
			save(t, s, sample)
			wantMemory(t, s, sample)
			if kept, err := os.ReadFile(s.path(broken)); err != nil || string(kept) != tt.text {
				t.Errorf("the lost memory is kept as %q, %v", kept, err)
			}
		})
	}
}

func TestUnreadableFileIsALoss(t *testing.T) {
	s := open(t, t.TempDir())
	if err := os.Mkdir(s.path(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Load(); err == nil {
		t.Errorf("got %+v, want an error: a directory stands in its place", m)
	}
}

func TestTwoDaemonsNeverShare(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	if _, err := Open(dir); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, want ErrInUse with the directory's name", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}
