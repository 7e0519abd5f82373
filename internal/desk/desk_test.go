package desk

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/api"
	"fairlead/internal/model"
	"fairlead/internal/store"
)

const note = `flow nfs director nfs
match iface eth0 dst 192.168.10.50
director nfs
balance roundrobin
mode gateway
check interval 10 port 2049 timeout 2
option tcpcheck
server nfs-01 192.168.10.100:2049 weight 10 check
server nfs-02 192.168.10.101:2049 sorry
`

// newDesk is a desk for a directory with one file, and that file's name.
func newDesk(t *testing.T, text string, hooks func([]string) map[string]string) (*Desk, string) {
	t.Helper()
	dir := t.TempDir()
	name := dir + "/t.cfg"
	write(t, name, text)
	files, err := store.Open([]string{name}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return New(files, Machine{Links: func() ([]model.Link, error) { return nil, nil }, Hooks: hooks}), name
}

// TestLoadLooksAtHooks: what the machine cannot run is found before anything
// is applied.
func TestLoadLooksAtHooks(t *testing.T) {
	var asked []string
	trouble := map[string]string{"/opt/promote": "it is gone"}
	d, name := newDesk(t, note+"hook fence /opt/fence\nhook promote /opt/promote\n", func(paths []string) map[string]string {
		asked = paths
		return trouble
	})
	_, err := d.Load()
	var found *api.Error
	if !errors.As(err, &found) || !slices.ContainsFunc(found.Diagnostics, func(f api.Diagnostic) bool {
		return f.Severity == "error" && strings.HasPrefix(f.Rendered, name+":11:14: ") && strings.Contains(f.Message, "it is gone")
	}) {
		t.Errorf("got %+v", err)
	}
	if !slices.Equal(asked, []string{"/opt/fence", "/opt/promote"}) {
		t.Errorf("asked for %q", asked)
	}
	trouble = nil
	if _, err := d.Load(); err != nil {
		t.Errorf("hooks that can be run: got %v", err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// loaded brings what the files hold into force.
func loaded(t *testing.T, d *Desk) Loaded {
	t.Helper()
	l, err := d.Load()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.InForce(l, 1, model.Actor{Name: "start"}); err != nil {
		t.Fatal(err)
	}
	return l
}

var alice = model.Actor{Name: "alice", Role: model.RoleAdmin}

func TestDiff(t *testing.T) {
	d, name := newDesk(t, note, nil)
	loaded(t, d)
	text := strings.Replace(note, "mode gateway\n", "", 1) + "server nfs-03 192.168.10.102:2049 sorry\n"
	diff, err := d.Diff(t.Context(), []model.Document{{Name: name, Text: text}})
	if err != nil || len(diff.Documents) != 1 {
		t.Fatalf("got %+v, %v", diff, err)
	}
	lines := diff.Documents[0].Lines
	if len(lines) != 10 || lines[4] != (api.DiffLine{Op: "-", Old: 5, Text: "mode gateway"}) ||
		lines[5] != (api.DiffLine{Op: " ", Old: 6, New: 5, Text: "check interval 10 port 2049 timeout 2"}) ||
		lines[9] != (api.DiffLine{Op: "+", New: 9, Text: "server nfs-03 192.168.10.102:2049 sorry"}) {
		t.Errorf("got %+v", lines)
	}
	// Without its mode the director is not supported: there are no effects of a text
	// that cannot be used.
	if diff.OK || len(diff.Effects) != 0 {
		t.Errorf("got %t, %q", diff.OK, diff.Effects)
	}
	diff, err = d.Diff(t.Context(), []model.Document{{Name: name, Text: note + "server nfs-03 192.168.10.102:2049 sorry\n"}})
	if err != nil || !diff.OK || len(diff.Effects) != 1 || !strings.Contains(diff.Effects[0], "nfs-03") {
		t.Errorf("got %+v, %v", diff, err)
	}
	same, err := d.Diff(t.Context(), []model.Document{{Name: name, Text: note}})
	if err != nil || !same.OK || len(same.Documents) != 0 || len(same.Effects) != 0 {
		t.Errorf("nothing changed: got %+v, %v", same, err)
	}
}

// TestWholeLines: a text without a last line end, and with others, is compared by
// its lines.
func TestWholeLines(t *testing.T) {
	for _, tt := range []struct{ old, after, want string }{
		{"", "", ""},
		{"", "a\nb", "+a +b"},
		{"a\nb", "", "-a -b"},
		{"a\nb\n", "a\nc\n", " a -b +c"},
		{"a\r\nb\r\n", "a\r\nb\r\nc\r\n", " a  b +c"},
	} {
		lines, err := compareLines(tt.old, tt.after)
		var got []string
		for _, l := range lines {
			got = append(got, l.Op+l.Text)
		}
		if text := strings.Join(got, " "); err != nil || text != tt.want {
			t.Errorf("%q, %q: got %q, %v, want %q", tt.old, tt.after, text, err, tt.want)
		}
	}
}

func TestStrangers(t *testing.T) {
	d, name := newDesk(t, note, nil)
	l := loaded(t, d)
	for _, stranger := range []string{"/etc/passwd", name + "/../t.cfg", "", "t.cfg"} {
		docs := []model.Document{{Name: stranger, Text: note}}
		_, _, written := d.Write(alice, l.Hash, docs)
		_, checked := d.Check(t.Context(), docs)
		_, compared := d.Diff(t.Context(), docs)
		_, saved := d.SaveDraft(t.Context(), alice, "", docs)
		for _, err := range []error{written, checked, compared, saved} {
			if !errors.Is(err, api.ErrNotFound) {
				t.Errorf("%q: got %v", stranger, err)
			}
		}
	}
	twice := []model.Document{{Name: name, Text: note}, {Name: name, Text: note + "\n"}}
	if _, _, err := d.Write(alice, l.Hash, twice); err == nil {
		t.Error("a document that is given twice was written")
	}
}

// TestDraftIsSpent: a draft that came into force is none any more; another one
// stays.
func TestDraftIsSpent(t *testing.T) {
	d, name := newDesk(t, note, nil)
	l := loaded(t, d)
	text := note + "# a thought\n"
	docs := []model.Document{{Name: name, Text: text}}
	draft, err := d.SaveDraft(t.Context(), alice, "", docs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.SaveDraft(t.Context(), alice, "another hash", docs); !errors.Is(err, api.ErrConflict) {
		t.Errorf("over somebody else's draft: got %v", err)
	}
	if got, err := d.Configuration(t.Context()); err != nil || got.Draft == nil || got.Draft.Hash != draft.Hash || got.Hash != l.Hash {
		t.Fatalf("got %+v, %v", got, err)
	}
	other := []model.Document{{Name: name, Text: note + "# another one\n"}}
	l, _, err = d.Write(alice, l.Hash, other)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.Configuration(t.Context()); err != nil || got.Draft == nil {
		t.Errorf("another text came into force: got %+v, %v", got, err)
	}
	if _, _, err = d.Write(alice, l.Hash, docs); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Configuration(t.Context()); err != nil || got.Draft != nil {
		t.Errorf("it is in force: got %+v, %v", got, err)
	}
}

// TestEditedBeside: who edits a file by hand is seen, and nothing is written over it.
func TestEditedBeside(t *testing.T) {
	d, name := newDesk(t, note, nil)
	l := loaded(t, d)
	write(t, name, note+"# by hand\n")
	got, err := d.Configuration(t.Context())
	if err != nil || got.Hash == l.Hash || got.Running != l.Hash {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, _, err := d.Write(alice, l.Hash, []model.Document{{Name: name, Text: note}}); !errors.Is(err, api.ErrConflict) {
		t.Errorf("got %v", err)
	}
	if _, err := d.Version(t.Context(), 99); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// TestEmpty: a director may begin with nothing, and is not emptied later.
func TestEmpty(t *testing.T) {
	d, name := newDesk(t, "# nothing yet\n", nil)
	l := loaded(t, d)
	if len(l.Warnings) != 1 || l.Config.Web != model.DefaultWeb() {
		t.Errorf("got %+v", l)
	}
	l, _, err := d.Write(alice, l.Hash, []model.Document{{Name: name, Text: note}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.InForce(l, 2, alice); err != nil {
		t.Fatal(err)
	}
	var found *api.Error
	if _, _, err := d.Write(alice, l.Hash, []model.Document{{Name: name}}); !errors.As(err, &found) {
		t.Errorf("emptied by an editor: got %v", err)
	}
	write(t, name, "")
	if _, err := d.Load(); !errors.As(err, &found) {
		t.Errorf("a file that was cut short: got %v", err)
	}
}
