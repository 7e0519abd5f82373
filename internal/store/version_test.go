package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/model"
)

// note keeps a version of one document of that text.
func note(t *testing.T, st *Store, text string) []model.Document {
	t.Helper()
	docs := []model.Document{{Name: "/etc/fairlead/flow.cfg", Tab: model.TabFlow, Text: text}}
	if err := st.Note(docs, Hash(docs), "start"); err != nil {
		t.Fatal(err)
	}
	return docs
}

func versions(t *testing.T, st *Store) []model.Version {
	t.Helper()
	all, err := st.Versions()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestNote(t *testing.T) {
	s := newSite(t)
	st := s.open(t)
	if got := versions(t, st); got == nil || len(got) != 0 {
		t.Errorf("got %v, want an empty list", got)
	}
	a := note(t, st, "a")
	note(t, st, "a") // a restart
	note(t, st, "b")
	note(t, s.open(t), "a")
	got := versions(t, st)
	if len(got) != 3 || got[0].ID != 3 || got[2].ID != 1 || got[0].Hash != got[2].Hash || got[0].Documents != nil || got[1].By != "start" {
		t.Errorf("got %+v", got)
	}
	v, err := st.Version(1)
	if err != nil || !slices.Equal(v.Documents, a) || v.Hash != Hash(a) || v.At.IsZero() {
		t.Errorf("got %+v, %v", v, err)
	}
	if _, err := st.Version(4); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
	if err := st.Note(a, "x", "start"); err == nil {
		t.Error("a wrong hash was taken")
	}
}

// The last versions are kept, and no more bytes than are good; the newest always.
func TestVersionsAreBounded(t *testing.T) {
	st := newSite(t).open(t)
	for i := range mostVersions + 3 {
		note(t, st, fmt.Sprint(i))
	}
	got := versions(t, st)
	if len(got) != mostVersions || got[0].ID != mostVersions+3 || got[mostVersions-1].ID != 4 {
		t.Errorf("got %d versions from %d to %d", len(got), got[len(got)-1].ID, got[0].ID)
	}
	large := strings.Repeat("#", 20<<20) // more than a configuration may have
	for i := range 3 {
		note(t, st, large[i:])
	}
	if got := versions(t, st); len(got) != 2 || got[0].ID != mostVersions+6 {
		t.Errorf("got %d versions", len(got))
	}
	note(t, st, "small")
	if got := versions(t, st); len(got) != 3 || got[0].ID != mostVersions+7 {
		t.Errorf("got %d versions", len(got))
	}
}

func TestTornVersions(t *testing.T) {
	s := newSite(t)
	st := s.open(t)
	for _, text := range []string{"a", "b", "c", "d", "e"} {
		note(t, st, text)
	}
	spoil := func(id uint64, change func([]byte) []byte) {
		text, err := os.ReadFile(st.versionPath(id))
		if err == nil {
			err = os.WriteFile(st.versionPath(id), change(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	spoil(1, func(b []byte) []byte { return b[:len(b)-9] })
	spoil(2, func([]byte) []byte { return nil })
	spoil(3, func(b []byte) []byte { return []byte(strings.Replace(string(b), " 1 ", " 2 ", 1)) })
	spoil(5, func(b []byte) []byte { b[len(b)-5] ^= 1; return b })
	if err := os.WriteFile(filepath.Join(st.versionsDir(), "readme"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := versions(t, st); len(got) != 1 || got[0].ID != 4 {
		t.Errorf("got %+v, want version 4", got)
	}
	remarks := strings.Join(st.Remarks(), "\n")
	for _, want := range []string{"version 1", "checksum", "version 2", "it is empty", "version 3", "layout", "version 5", st.versionPath(1)} {
		if !strings.Contains(remarks, want) {
			t.Errorf("no remark has %q:\n%s", want, remarks)
		}
	}
	if len(st.Remarks()) > 0 {
		t.Error("told twice")
	}
	if _, err := st.Version(5); err == nil || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("got %v", err)
	}
	note(t, st, "e")
	if got := versions(t, st); len(got) != 2 || got[0].ID != 6 {
		t.Errorf("got %+v, want version 6 too: no number is used twice", got)
	}
}

func TestSecretsAreForRoot(t *testing.T) {
	s := newSite(t)
	st := s.open(t)
	note(t, st, "a")
	docs, _ := read(t, st)
	if _, err := st.SaveDraft("", docs, "a"); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{st.dir: 0o700, st.versionsDir(): 0o700, st.versionPath(1): 0o600, st.draftPath(): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: got %v, %v, want %o", path, info, err, mode)
		}
	}
}

func TestDraft(t *testing.T) {
	s := oldSite(t)
	st := s.open(t)
	if d, err := st.Draft(); d != nil || err != nil {
		t.Fatalf("got %v, %v", d, err)
	}
	docs, base := read(t, st)
	if _, err := st.SaveDraft("abc", docs, "a"); !errors.Is(err, ErrConflict) {
		t.Errorf("a draft that is gone: got %v, want a conflict", err)
	}
	first, err := st.SaveDraft("*", edited(docs, map[string]string{"flow.cfg": "not \xff valid"}), "alice")
	if err != nil || first.Base != base || first.By != "alice" || first.At.IsZero() || len(first.Documents) != len(docs) || first.Hash != Hash(first.Documents) {
		t.Fatalf("got %+v, %v", first, err)
	}
	if which(docs) != "old" || s.texts(t)["flow.cfg"] != "old flow" {
		t.Error("the draft is in the files")
	}
	for _, match := range []string{"", "*", base, "x"} {
		if _, err := st.SaveDraft(match, docs, "bob"); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "alice") {
			t.Errorf("match %q: got %v, want a conflict with alice", match, err)
		}
	}
	s.write(t, "l4.cfg", "by hand")
	// What is left out stays as the draft has it, and so does what it began from.
	second, err := st.SaveDraft(first.Hash, []model.Document{{Name: s.path("services.cfg"), Text: "s"}}, "bob")
	if err != nil || second.Base != base || second.Documents[0].Text != "not \xff valid" || second.Documents[1].Text != "" || second.Documents[3].Text != "s" {
		t.Errorf("got %+v, %v", second, err)
	}
	got, err := s.open(t).Draft()
	if err != nil || got.Hash != second.Hash || got.By != "bob" || got.Base != base || !got.At.Equal(second.At) || !slices.Equal(got.Documents, second.Documents) {
		t.Errorf("got %+v, %v, want %+v", got, err, second)
	}
	if err := st.DiscardDraft(first.Hash); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	if err := st.DiscardDraft(second.Hash); err != nil {
		t.Error(err)
	}
	if err := st.DiscardDraft(second.Hash); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	if err := st.DiscardDraft("*"); err != nil {
		t.Error(err)
	}
	if d, err := st.Draft(); d != nil || err != nil {
		t.Errorf("got %v, %v", d, err)
	}
}

func TestTornDraft(t *testing.T) {
	s := oldSite(t)
	st := s.open(t)
	docs, _ := read(t, st)
	if _, err := st.SaveDraft("", docs, "a"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(st.draftPath(), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := st.Draft(); d != nil || err != nil {
		t.Errorf("got %v, %v", d, err)
	}
	if r := st.Remarks(); len(r) != 1 || !strings.Contains(r[0], st.draftPath()) {
		t.Errorf("remarks %q", r)
	}
	if _, err := st.SaveDraft("", docs, "a"); err != nil {
		t.Error(err)
	}
}
