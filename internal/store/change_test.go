package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

func owner(t *testing.T, path string) (uid, gid uint32) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	return stat.Uid, stat.Gid
}

var errStopped = errors.New("stopped here")

// faulty is a disk whose step number at fails, and, when it is dead, all after it.
type faulty struct {
	real
	at   int
	dead bool
	done int
}

func (f *faulty) step() error {
	f.done++
	if f.done == f.at || f.dead && f.done > f.at {
		return errStopped
	}
	return nil
}

func (f *faulty) create(path, text, like string) error {
	if err := f.step(); err != nil {
		os.WriteFile(path, []byte(text[:len(text)/2]), 0o600) // torn
		return err
	}
	return f.real.create(path, text, like)
}
func (f *faulty) rename(from, to string) error {
	return errors.Join(f.step(), f.unless(func() error { return f.real.rename(from, to) }))
}
func (f *faulty) remove(path string) error {
	return errors.Join(f.step(), f.unless(func() error { return f.real.remove(path) }))
}
func (f *faulty) sync(dir string) error {
	return errors.Join(f.step(), f.unless(func() error { return f.real.sync(dir) }))
}
func (f *faulty) mkdir(dir string) error {
	return errors.Join(f.step(), f.unless(func() error { return f.real.mkdir(dir) }))
}

// unless does what the step is, if it did not fail.
func (f *faulty) unless(do func() error) error {
	if f.done == f.at || f.dead && f.done > f.at {
		return nil
	}
	return do()
}

var (
	before = map[string]string{"flow.cfg": "old flow", "services.cfg": "old services", "other.cfg": "same"}
	after  = map[string]string{"flow.cfg": "new flow", "services.cfg": "", "l4.cfg": "new l4"}
)

func oldSite(t *testing.T) site {
	s := newSite(t)
	for base, text := range before {
		s.write(t, base, text)
	}
	return s
}

// which tells whether the documents are those before or after the change.
func which(docs []model.Document) string {
	texts := make(map[string]string)
	for _, d := range docs {
		texts[filepath.Base(d.Name)] = d.Text
	}
	switch {
	case texts["flow.cfg"] == "old flow" && texts["l4.cfg"] == "" && texts["services.cfg"] == "old services" && texts["other.cfg"] == "same":
		return "old"
	case texts["flow.cfg"] == "new flow" && texts["l4.cfg"] == "new l4" && texts["services.cfg"] == "" && texts["other.cfg"] == "same":
		return "new"
	}
	return "mixed"
}

func (s site) wantClean(t *testing.T, at int) {
	t.Helper()
	for base := range s.texts(t) {
		if !strings.HasSuffix(base, ".cfg") {
			t.Errorf("step %d: %s was left behind", at, base)
		}
	}
	for _, dir := range []string{"configuration", "configuration/versions"} {
		entries, _ := os.ReadDir(filepath.Join(s.state, dir))
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") || e.Name() == "under-way" {
				t.Errorf("step %d: %s was left behind", at, e.Name())
			}
		}
	}
}

// TestStopped stops the daemon after each step of a change. The next one reads the old
// or the new documents, never a mixture, and its version is there or not with them.
func TestStopped(t *testing.T) {
	seen := make(map[string]int)
	for at := 1; ; at++ {
		s := oldSite(t)
		st := s.open(t)
		docs, hash := read(t, st)
		d := &faulty{at: at, dead: true}
		st.disk = d
		_, err := st.Replace(hash, edited(docs, after), "a")
		next := s.open(t)
		now, hash2 := read(t, next)
		got := which(now)
		if d.done < at {
			break // there is no such step
		}
		seen[got]++
		if err == nil && got != "new" {
			t.Errorf("step %d: done, and the documents are %s", at, got)
		}
		if got == "mixed" {
			t.Errorf("step %d: the documents are mixed: %+v", at, now)
		}
		if onDisk, _ := read(t, s.open(t)); which(onDisk) != got {
			t.Errorf("step %d: read %s, then %s", at, got, which(onDisk))
		}
		versions, err := next.Versions()
		if err != nil || got == "old" && len(versions) != 0 || got == "new" && (len(versions) != 1 || versions[0].Hash != hash2) {
			t.Errorf("step %d: %s, versions %+v, %v", at, got, versions, err)
		}
		// What is left over hinders nothing and goes with the next change.
		if _, err := next.Replace(hash2, edited(now, map[string]string{"flow.cfg": "third", "l4.cfg": "third", "services.cfg": "third"}), "b"); err != nil {
			t.Errorf("step %d: the next change: %v", at, err)
		}
		s.wantClean(t, at)
	}
	if seen["old"] < 8 || seen["new"] < 2 {
		t.Errorf("seen %v: the steps are not those that this test is for", seen)
	}
}

// TestFailing lets each step of a change fail alone. An error means that nothing
// changed, and no error that everything did.
func TestFailing(t *testing.T) {
	failures := 0
	for at := 1; ; at++ {
		s := oldSite(t)
		st := s.open(t)
		docs, hash := read(t, st)
		d := &faulty{at: at}
		st.disk = d
		_, err := st.Replace(hash, edited(docs, after), "a")
		if d.done < at {
			break
		}
		st.disk = real{}
		now, _ := read(t, st)
		want := "new"
		if err != nil {
			failures++
			want = "old"
			s.wantClean(t, at)
		}
		if got := which(now); got != want {
			t.Errorf("step %d: %v, and the documents are %s", at, err, got)
		}
		if _, ok := s.texts(t)["l4.cfg"]; ok && want == "old" {
			t.Errorf("step %d: a file was made", at)
		}
	}
	if failures < 10 {
		t.Errorf("%d failures", failures)
	}
}

// TestStoppedReadOnly: what is half done on a disk that became read-only is read as
// if it had been settled.
func TestStoppedReadOnly(t *testing.T) {
	mixed := 0
	for at := 1; ; at++ {
		s := oldSite(t)
		st := s.open(t)
		docs, hash := read(t, st)
		d := &faulty{at: at, dead: true}
		st.disk = d
		st.Replace(hash, edited(docs, after), "a")
		if d.done < at {
			break
		}
		texts := s.texts(t)
		half := texts["flow.cfg"] == "new flow" && texts["services.cfg"] == "old services"
		next := s.open(t)
		next.disk = &faulty{at: 1, dead: true}
		now, _ := read(t, next)
		if got := which(now); got == "mixed" {
			t.Errorf("step %d: %+v", at, now)
		}
		if half {
			mixed++
			if r := next.Remarks(); len(r) != 1 || !strings.Contains(r[0], "cannot be undone now") {
				t.Errorf("step %d: remarks %q", at, r)
			}
		}
	}
	if mixed == 0 {
		t.Error("no step left the disk half done")
	}
}

// TestStoppedThenEdited: who edits the files by hand after a stop keeps the last word.
func TestStoppedThenEdited(t *testing.T) {
	for at := 1; ; at++ {
		s := oldSite(t)
		st := s.open(t)
		docs, hash := read(t, st)
		d := &faulty{at: at, dead: true}
		st.disk = d
		st.Replace(hash, edited(docs, after), "a")
		if d.done < at {
			return
		}
		s.write(t, "flow.cfg", "by hand")
		s.write(t, "services.cfg", "by hand")
		next := s.open(t)
		now, _ := read(t, next)
		for _, doc := range now {
			if base := filepath.Base(doc.Name); (base == "flow.cfg" || base == "services.cfg") && doc.Text != "by hand" {
				t.Errorf("step %d: %s is %q", at, base, doc.Text)
			}
		}
	}
}

// A file that changes between the look at the hash and the change is not overwritten.
func TestEditedMeanwhile(t *testing.T) {
	s := oldSite(t)
	st := s.open(t)
	docs, hash := read(t, st)
	st.disk = &meddling{meddle: func(path string) {
		if filepath.Base(path) == ".services.cfg.fairlead-new" {
			s.write(t, "services.cfg", "by hand")
		}
	}}
	_, err := st.Replace(hash, edited(docs, after), "a")
	if !errors.Is(err, ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	got := s.texts(t)
	if len(got) != 3 || got["flow.cfg"] != "old flow" || got["services.cfg"] != "by hand" {
		t.Errorf("got %q", got)
	}
}

// meddling calls a function when a file was created.
type meddling struct {
	real
	meddle func(path string)
}

func (m *meddling) create(path, text, like string) error {
	err := m.real.create(path, text, like)
	m.meddle(path)
	return err
}

func TestFullAndReadOnlyDisk(t *testing.T) {
	for _, c := range []struct {
		where, what string
		cause       error
		advice      string
	}{
		{"etc", "full", unix.ENOSPC, "make room"}, {"state", "full", unix.ENOSPC, "make room"},
		{"etc", "read-only", unix.EROFS, "mount it writable"}, {"state", "read-only", unix.EROFS, "mount it writable"},
	} {
		t.Run(c.what+" "+c.where, func(t *testing.T) {
			s := newSite(t)
			dir := filepath.Join(filepath.Dir(s.etc), c.where)
			onTmpfs(t, dir, func() {
				for base, text := range before {
					s.write(t, base, text)
				}
				st := s.open(t)
				docs, hash := read(t, st)
				if c.what == "full" {
					os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 1<<20), 0o600)
				} else if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
					t.Error(err)
				}
				large := edited(docs, after)
				large[0].Text = strings.Repeat("# large\n", 2000)
				for what, err := range map[string]error{
					"replace": second(st.Replace(hash, large, "a")),
					"note":    st.Note(large, Hash(large), "a"),
					"draft":   second(st.SaveDraft("", large, "a")),
				} {
					if what != "replace" && c.where == "etc" {
						continue
					}
					if !errors.Is(err, c.cause) || !strings.Contains(err.Error(), c.advice) || !strings.Contains(err.Error(), dir) {
						t.Errorf("%s: got %v, want %v, where, and %q", what, err, c.cause, c.advice)
					}
				}
				now, hash2 := read(t, st)
				if hash2 != hash || which(now) != "old" {
					t.Errorf("the documents are %s", which(now))
				}
				if _, ok := s.texts(t)["l4.cfg"]; ok {
					t.Error("a file was made")
				}
			})
		})
	}
}

func TestNothingToReplace(t *testing.T) {
	s := oldSite(t)
	st := s.open(t)
	docs, hash := read(t, st)
	first, err := st.Replace(hash, docs, "a")
	if err != nil || first.ID != 1 || first.Hash != hash {
		t.Fatalf("got %+v, %v", first, err)
	}
	again, err := st.Replace(hash, nil, "b")
	if err != nil || again.ID != 1 || again.By != "a" || !slices.Equal(again.Documents, docs) {
		t.Errorf("got %+v, %v, want the first version", again, err)
	}
}
