package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/model"
)

// site is a directory of documents and a state directory.
type site struct{ etc, state string }

func newSite(t testing.TB) site {
	t.Helper()
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := site{filepath.Join(base, "etc"), filepath.Join(base, "state")}
	if err := errors.Join(os.Mkdir(s.etc, 0o755), os.Mkdir(s.state, 0o700)); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s site) path(base string) string { return filepath.Join(s.etc, base) }

func (s site) write(t testing.TB, base, text string) {
	t.Helper()
	if err := os.WriteFile(s.path(base), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s site) open(t testing.TB, paths ...string) *Store {
	t.Helper()
	if len(paths) == 0 {
		paths = []string{s.etc}
	}
	st, err := Open(paths, s.state)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// texts are those of the files on the disk, by base name; temporary ones too.
func (s site) texts(t testing.TB) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(s.etc)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, e := range entries {
		text, err := os.ReadFile(s.path(e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(text)
	}
	return all
}

func read(t testing.TB, s *Store) ([]model.Document, string) {
	t.Helper()
	docs, hash, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	return docs, hash
}

// edited are the documents with other texts, by base name.
func edited(docs []model.Document, texts map[string]string) []model.Document {
	docs = slices.Clone(docs)
	for i, d := range docs {
		if text, ok := texts[filepath.Base(d.Name)]; ok {
			docs[i].Text = text
		}
	}
	return docs
}

func TestDirectory(t *testing.T) {
	s := newSite(t)
	s.write(t, "zone.cfg", "z")
	s.write(t, "flow.cfg", "f")
	s.write(t, "a.cfg", "a")
	s.write(t, "flow.cfg~", "no")
	if err := os.Mkdir(s.path("dir.cfg"), 0o755); err != nil {
		t.Fatal(err)
	}
	docs, hash := read(t, s.open(t))
	want := []model.Document{
		{Name: s.path("a.cfg"), Text: "a"},
		{Name: s.path("flow.cfg"), Tab: model.TabFlow, Text: "f"},
		{Name: s.path("l4.cfg"), Tab: model.TabL4},
		{Name: s.path("services.cfg"), Tab: model.TabServices},
		{Name: s.path("zone.cfg"), Text: "z"},
	}
	if !slices.Equal(docs, want) || hash != Hash(want) || len(hash) != 64 {
		t.Errorf("got %+v, %s", docs, hash)
	}
	if _, err := os.Stat(s.path("l4.cfg")); err == nil {
		t.Error("reading made a file")
	}
	if entries, _ := os.ReadDir(s.state); len(entries) > 0 {
		t.Error("reading wrote into the state directory")
	}
}

func TestFiles(t *testing.T) {
	s := newSite(t)
	s.write(t, "b.cfg", "b")
	s.write(t, "l4.cfg", "l")
	docs, _ := read(t, s.open(t, s.path("l4.cfg"), s.path("b.cfg")))
	want := []model.Document{{Name: s.path("l4.cfg"), Tab: model.TabL4, Text: "l"}, {Name: s.path("b.cfg"), Text: "b"}}
	if !slices.Equal(docs, want) {
		t.Errorf("got %+v", docs)
	}
}

// The hash tells apart what joined texts would not.
func TestHash(t *testing.T) {
	seen := make(map[string]bool)
	for _, docs := range [][]model.Document{
		nil, {{}}, {{Name: "a"}}, {{Text: "a"}}, {{Name: "ab", Text: "c"}}, {{Name: "a", Text: "bc"}}, {{Name: "a"}, {Name: "bc"}}, {{Name: "bc"}, {Name: "a"}},
	} {
		h := Hash(docs)
		if seen[h] {
			t.Errorf("%+v has the hash of another", docs)
		}
		seen[h] = true
	}
	if Hash([]model.Document{{Name: "a", Tab: model.TabL4}}) != Hash([]model.Document{{Name: "a"}}) {
		t.Error("the tab is part of the hash")
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, paths := range [][]string{nil, {"-"}, {""}, {"/a", "/a"}} {
		if _, err := Open(paths, t.TempDir()); err == nil {
			t.Errorf("opened %q", paths)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	s := newSite(t)
	s.write(t, "flow.cfg", "f")
	s.write(t, "large.txt", strings.Repeat("#", maxDocument+1))
	link := s.path("gone.cfg")
	if err := os.Symlink("/nonexistent/x", link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		paths []string
		want  string
	}{
		{[]string{s.path("none.cfg")}, "none.cfg: no such file"},
		{[]string{s.etc}, "leads nowhere"},
		{[]string{s.path("flow.cfg"), s.etc + "/../etc/flow.cfg"}, ""},
		{[]string{"/dev/null"}, "/dev/null: it is no regular file"},
		{[]string{s.path("large.txt")}, "longer than 4 MiB"},
	} {
		_, _, err := s.open(t, c.paths...).Read()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("read %q: got %v, want %q", c.paths, err, c.want)
		}
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.open(t, s.etc, s.path("flow.cfg")).Read(); err == nil || !strings.Contains(err.Error(), "flow.cfg is named twice") {
		t.Errorf("a file within and beside its directory: got %v", err)
	}
}

func TestReplace(t *testing.T) {
	s := newSite(t)
	s.write(t, "flow.cfg", "f")
	s.write(t, "other.cfg", "o")
	if err := os.Chmod(s.path("flow.cfg"), 0o640); err != nil {
		t.Fatal(err)
	}
	st := s.open(t)
	docs, hash := read(t, st)
	v, err := st.Replace(hash, edited(docs, map[string]string{"flow.cfg": "f2", "l4.cfg": "l", "other.cfg": ""}), "mallory")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"flow.cfg": "f2", "l4.cfg": "l", "other.cfg": ""}
	if got := s.texts(t); len(got) != 3 || got["flow.cfg"] != "f2" || got["l4.cfg"] != "l" || got["other.cfg"] != "" {
		t.Errorf("got %q, want %q", got, want)
	}
	now, hash2 := read(t, st)
	if v.ID != 1 || v.By != "mallory" || v.At.IsZero() || v.Hash != hash2 || !slices.Equal(v.Documents, now) {
		t.Errorf("got version %+v", v)
	}
	for base, mode := range map[string]os.FileMode{"flow.cfg": 0o640, "l4.cfg": 0o600, "other.cfg": 0o644} {
		if info, err := os.Stat(s.path(base)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: got %v, %v, want mode %o", base, info.Mode(), err, mode)
		}
	}
	if _, err := st.Replace(hash, docs, "eve"); !errors.Is(err, ErrConflict) {
		t.Errorf("an old hash: got %v, want a conflict", err)
	}
	if r := st.Remarks(); len(r) > 0 {
		t.Errorf("remarks %q", r)
	}
}

// One document alone: the others stay.
func TestReplaceOne(t *testing.T) {
	s := newSite(t)
	s.write(t, "flow.cfg", "f")
	s.write(t, "l4.cfg", "l")
	st := s.open(t)
	_, hash := read(t, st)
	v, err := st.Replace(hash, []model.Document{{Name: s.path("l4.cfg"), Tab: model.TabFlow, Text: "\xff\x00"}}, "a")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.texts(t); got["flow.cfg"] != "f" || got["l4.cfg"] != "\xff\x00" {
		t.Errorf("got %q", got)
	}
	// Bytes that are no UTF-8 are kept as they are.
	if got, err := st.Version(v.ID); err != nil || !slices.Equal(got.Documents, v.Documents) || got.Hash != v.Hash || got.Documents[1].Tab != model.TabL4 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Names that the configuration does not have make no file, wherever they lead.
func TestForeignNames(t *testing.T) {
	s := newSite(t)
	s.write(t, "flow.cfg", "f")
	st := s.open(t)
	docs, hash := read(t, st)
	for _, name := range []string{
		"", "flow.cfg", "/etc/passwd", s.path("new.cfg"), s.path("../x.cfg"), s.etc + "/./flow.cfg", s.etc + "/../etc/flow.cfg", s.path("flow.cfg") + "\x00", s.path(".flow.cfg.fairlead-new"),
	} {
		for what, err := range map[string]error{
			"replace": second(st.Replace(hash, []model.Document{{Name: name, Text: "x"}}, "a")),
			"draft":   second(st.SaveDraft("", append(slices.Clone(docs), model.Document{Name: name, Text: "x"}), "a")),
		} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%s %q: got %v, want not found", what, name, err)
			}
		}
	}
	twice := []model.Document{docs[0], docs[0]}
	long := []model.Document{{Name: docs[0].Name, Text: strings.Repeat("#", maxDocument+1)}}
	for _, bad := range [][]model.Document{twice, long} {
		if _, err := st.Replace(hash, bad, "a"); err == nil {
			t.Errorf("replaced %d documents", len(bad))
		}
	}
	if got := s.texts(t); len(got) != 1 || got["flow.cfg"] != "f" {
		t.Errorf("got %q", got)
	}
}

func second[T any](_ T, err error) error { return err }

// A symbolic link stays one; where it leads gets the text.
func TestLinks(t *testing.T) {
	s := newSite(t)
	elsewhere := t.TempDir()
	target := filepath.Join(elsewhere, "real")
	if err := errors.Join(os.WriteFile(target, []byte("f"), 0o604), os.Symlink(target, s.path("flow.cfg")), os.Symlink("flow.cfg", s.path("l4.cfg"))); err != nil {
		t.Fatal(err)
	}
	st := s.open(t)
	docs, hash := read(t, st)
	// Both names mean one file: what one says the other says too.
	if _, err := st.Replace(hash, edited(docs, map[string]string{"flow.cfg": "x"}), "a"); err == nil || !strings.Contains(err.Error(), "same file") {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(s.path("l4.cfg")); err != nil {
		t.Fatal(err)
	}
	docs, hash = read(t, st)
	if _, err := st.Replace(hash, edited(docs, map[string]string{"flow.cfg": "x"}), "a"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(s.path("flow.cfg"))
	text, _ := os.ReadFile(target)
	if err != nil || info.Mode()&os.ModeSymlink == 0 || string(text) != "x" {
		t.Errorf("got %v, %v, %q", info, err, text)
	}
	if info, _ := os.Stat(target); info.Mode().Perm() != 0o604 {
		t.Errorf("got mode %v", info.Mode())
	}
	if entries, _ := os.ReadDir(elsewhere); len(entries) != 1 {
		t.Errorf("something was left beside the target: %v", entries)
	}
}

func TestOwnerIsKept(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test gives files away and must run as root")
	}
	s := newSite(t)
	s.write(t, "flow.cfg", "f")
	if err := os.Chown(s.path("flow.cfg"), 1234, 2345); err != nil {
		t.Fatal(err)
	}
	st := s.open(t)
	docs, hash := read(t, st)
	if _, err := st.Replace(hash, edited(docs, map[string]string{"flow.cfg": "x"}), "a"); err != nil {
		t.Fatal(err)
	}
	if uid, gid := owner(t, s.path("flow.cfg")); uid != 1234 || gid != 2345 {
		t.Errorf("got owner %d:%d", uid, gid)
	}
}
