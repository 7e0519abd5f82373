package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// writePages writes the manual pages, and returns their directory.
func writePages(t *testing.T) string {
	t.Helper()
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	dir := filepath.Join(t.TempDir(), "man1")
	if got := (shell{}).run(t.Context(), "man", dir); got.code != exitDone || !strings.Contains(got.out, "manual pages in "+dir) {
		t.Fatalf("got %+v", got)
	}
	return dir
}

// TestManPages: each command and each of its flags and arguments has its place.
func TestManPages(t *testing.T) {
	dir := writePages(t)
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	root := read("fairlead.1")
	pages := map[string]bool{"fairlead.1": true}
	everyCommand(t, func(n *kong.Node) {
		name, _, _ := strings.Cut(n.Path(), " ")
		page := read("fairlead-" + name + ".1")
		pages["fairlead-"+name+".1"] = true
		if !strings.Contains(root, `\fBfairlead\-`+name+`\fR(1)`) || !strings.HasPrefix(page, ".TH FAIRLEAD-"+strings.ToUpper(name)+" 1 2023-11-14 ") {
			t.Errorf("%s: not named as it should be", n.Path())
		}
		for _, section := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "SEE ALSO"} {
			if !strings.Contains(page, ".SH "+section+"\n") {
				t.Errorf("%s: no %s", n.Path(), section)
			}
		}
		_, part, nested := strings.Cut(page, "\n.SS fairlead "+n.Path()+"\n")
		if part, _, _ = strings.Cut(part, "\n.SS "); !nested {
			part = page
		}
		for _, f := range n.Flags {
			if !strings.Contains(part, `\fB\-\-`+strings.ReplaceAll(f.Name, "-", `\-`)+`\fR`) {
				t.Errorf("%s: no --%s", n.Path(), f.Name)
			}
		}
		for _, p := range n.Positional {
			if !strings.Contains(part, `\fI`+escaped(p.Name)+`\fR`) {
				t.Errorf("%s: no %s", n.Path(), p.Name)
			}
		}
	})
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(pages) {
		t.Errorf("%d pages for %d commands, %v", len(entries), len(pages)-1, err)
	}
	if !strings.Contains(read("fairlead-status.1"), `\fI/sys/fs/bpf/fairlead\fR`) || !strings.Contains(root, `\fBNO_COLOR\fR`) {
		t.Error("files or environment are missing")
	}
}

// TestManPagesAreGoodRoff asks those who know.
func TestManPagesAreGoodRoff(t *testing.T) {
	dir := writePages(t)
	overstruck := regexp.MustCompile(".\b") // bold and underlined for a printer
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) == 0 {
		t.Fatal(err)
	}
	for _, page := range pages {
		if out, err := exec.Command("mandoc", "-Tlint", "-W", "warning", page).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("mandoc, of Debian's package mandoc: %v: %s", err, out)
		}
		var warnings strings.Builder
		c := exec.Command("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", page)
		c.Env = append(os.Environ(), "MANWIDTH=80", "MANROFFOPT=", "MAN_KEEP_FORMATTING=", "LC_ALL=C.UTF-8")
		c.Stderr = &warnings
		out, err := c.Output()
		if err != nil || warnings.Len() > 0 {
			t.Errorf("man %s: %v: %s", page, err, &warnings)
		}
		for l := range strings.Lines(overstruck.ReplaceAllString(string(out), "")) {
			if utf8.RuneCountInString(strings.TrimSuffix(l, "\n")) > 80 {
				t.Errorf("%s: a line is too long: %q", page, l)
			}
		}
	}
}

// TestManSharesWithTheReference: examples and exit codes are the same there.
func TestManSharesWithTheReference(t *testing.T) {
	text := readReference(t)
	for code, meaning := range exitMeanings() {
		if !strings.Contains(text, "\n| "+string(rune('0'+code))+" | "+meaning+" |\n") {
			t.Errorf("the reference does not say of the exit code %d: %s", code, meaning)
		}
	}
	for _, part := range strings.Split(text, "\n## fairlead ")[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		var want []string
		for l := range strings.Lines(strings.TrimLeft(rest, "\n")) {
			example, ok := strings.CutPrefix(strings.TrimSuffix(l, "\n"), "    ")
			if !ok {
				break
			}
			want = append(want, example)
		}
		if got := manExamples(name); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: the page has the examples %q, the reference %q", name, got, want)
		}
	}
}

func TestRoffIsEscaped(t *testing.T) {
	for text, want := range map[string]string{
		".TH is no macro here. 'nor is this. A\\B": "\\&.TH is no macro here.\n\\(aqnor is this.\nA\\eB\n",
		"letters and . _ @ - here. End":            "letters and . _ @ \\- here.\nEnd\n",
		"":                                         "",
	} {
		if got := sentences(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
