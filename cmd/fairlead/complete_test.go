package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// completed asks what could follow, as the scripts do.
func completed(t *testing.T, words ...string) []string {
	t.Helper()
	got := shell{}.run(t.Context(), append([]string{"__complete", "--"}, words...)...)
	if got.code != exitDone || got.err != "" {
		t.Errorf("%q: got %+v", words, got)
	}
	var all []string
	for l := range strings.Lines(got.out) {
		value, _, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "\t")
		all = append(all, value)
	}
	return all
}

func TestComplete(t *testing.T) {
	socket := serve(t, &fakeDaemon{status: brokenStatus()})
	nfs := []string{"nfs/nfs-01", "nfs/nfs-02", "nfs/long-namelong-namelong-name"}
	for _, tt := range []struct {
		words []string
		want  []string
	}{
		{[]string{"con"}, []string{"connections"}},
		{[]string{"lab-"}, nil},
		{[]string{"__"}, nil},
		{[]string{"nonsense", ""}, nil},
		{[]string{"connections", "--s"}, []string{"--socket", "--server", "--state"}},
		{[]string{"connections", "--state", ""}, []string{"open", "ended", "old"}},
		{[]string{"connections", "--state", "=", "o"}, []string{"open", "old"}},
		{[]string{"connections", "--state", "="}, []string{"open", "ended", "old"}},
		{[]string{"connections", "--state=o"}, []string{"open", "old"}},
		{[]string{"connections", "--json", "--state", "old", "--lim"}, []string{"--limit"}},
		{[]string{"connections", "--socket", socket, "--director", ""}, []string{"nfs", "web", "home", "pool"}},
		{[]string{"connections", "--socket=" + socket, "--director=pool", "--server", ""}, []string{"pool-01", "pool-02"}},
		{[]string{"connections", "--socket", "=", socket, "--server", "pool"}, []string{"pool-01", "pool-02"}},
		{[]string{"switch", "--socket", socket, "nfs"}, nfs},
		{[]string{"switch", "--socket", socket, "--force", "nfs"}, nfs},
		{[]string{"switch", "--socket", socket, "nfs/nfs-01", ""}, nil},
		{[]string{"switch", "--socket", "/no/such/socket", ""}, nil},
		{[]string{"run", "-f", ""}, []string{":files"}},
		{[]string{"run", "--file="}, []string{":files"}},
		{[]string{"run", "-f", "x", "--attach", "t"}, []string{"tcx"}},
		{[]string{"detach", "--pin-dir", "/sys"}, []string{":dirs"}},
		{[]string{"completion", ""}, []string{"bash", "zsh", "fish"}},
		{[]string{"man", ""}, []string{":dirs"}},
		{[]string{"user", "re"}, []string{"remove"}},
		{[]string{"realserver", "setup", "--dev", "l"}, []string{"lo"}},
		{[]string{"realserver", "setup", "--manager", "n"}, []string{"networkd"}},
		{[]string{"user", "add", "--role", "op"}, []string{"operator"}},
	} {
		if got := completed(t, tt.words...); !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.words, got, tt.want)
		}
	}
	if got := completed(t); len(got) == 0 {
		t.Error("nothing follows the program's name")
	}
}

// TestEveryValueIsKnown: whoever adds a flag says what may stand there.
func TestEveryValueIsKnown(t *testing.T) {
	known := []string{"PATH", "FILE", "DIR", "DIRECTOR", "SERVER", "N", "TIME", "WHEN", "BYTES", "STATE", "ROLE", "ADDR|NET", "ADDR", "IFACE", "FLAGS"}
	everyCommand(t, func(n *kong.Node) {
		for _, f := range n.Flags {
			if !f.IsBool() && f.Enum == "" && !slices.Contains(known, f.PlaceHolder) {
				t.Errorf("%s --%s: the placeholder %q says nothing to the completion", n.Path(), f.Name, f.PlaceHolder)
			}
		}
	})
}

// everyCommand hands over each command that people see.
func everyCommand(t *testing.T, do func(n *kong.Node)) {
	t.Helper()
	var line commands
	parser, err := newParser(&line, &surroundings{out: io.Discard, err: io.Discard}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range parser.Model.Leaves(true) {
		do(n)
	}
}

// installed makes this test program fairlead for a shell, and returns its directory
// with the script of the completion.
func installed(t *testing.T, shellName string) (dir, script string) {
	t.Helper()
	dir = t.TempDir()
	wrapper := fmt.Sprintf("#!/bin/sh\n%s=1 exec %s \"$@\"\n", asFairlead, os.Args[0])
	if err := os.WriteFile(filepath.Join(dir, "fairlead"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	got := shell{}.run(t.Context(), "completion", shellName)
	if got.code != exitDone || got.out == "" {
		t.Fatalf("got %+v", got)
	}
	return dir, write(t, dir, "script", got.out)
}

// inShell runs a text of a shell, with fairlead in its path.
func inShell(t *testing.T, dir string, args ...string) string {
	t.Helper()
	c := exec.Command(args[0], args[1:]...)
	c.Dir = dir
	c.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "HOME="+dir)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%q: %v: %s", args, err, out)
	}
	return string(out)
}

// TestBash runs the script in a real bash, as bash would.
func TestBash(t *testing.T) {
	socket := serve(t, &fakeDaemon{status: quietStatus()})
	dir, script := installed(t, "bash")
	write(t, dir, "my file.cfg", "")
	if err := os.Mkdir(filepath.Join(dir, "my dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ words, want string }{
		{`fairlead conn`, "connections\n"},
		{`fairlead connections --state = o`, "open\nold\n"},
		{`fairlead connections --state=o`, "--state=open\n--state=old\n"},
		{`fairlead switch --socket ` + socket + ` nfs/`, "nfs/nfs-01\nnfs/nfs-02\n"},
		{`fairlead switch --socket /none nfs/`, "\n"},
		{`fairlead check -f my`, "my dir\nmy file.cfg\n"},
		{`fairlead check --file = my`, "my dir\nmy file.cfg\n"},
		{`fairlead check --file=my`, "--file=my dir\n--file=my file.cfg\n"},
		{`fairlead man my`, "my dir\n"},
		{`fairlead completion ""`, "bash\nzsh\nfish\n"},
	} {
		text := fmt.Sprintf(`source %s; COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _fairlead; printf '%%s\n' "${COMPREPLY[@]}"; complete -p fairlead >/dev/null`, script, tt.words)
		got := inShell(t, dir, "bash", "--norc", "-c", text)
		gotLines, wantLines := strings.Split(got, "\n"), strings.Split(tt.want, "\n")
		slices.Sort(gotLines)
		slices.Sort(wantLines)
		if !slices.Equal(gotLines, wantLines) {
			t.Errorf("%s: got %q, want %q", tt.words, got, tt.want)
		}
	}
}

// TestFish and TestZsh need these shells: scripts/test installs them.
func TestFish(t *testing.T) {
	dir, script := installed(t, "fish")
	for line, want := range map[string]string{"fairlead connections --state ": "ended\nold\nopen\n", "fairlead connections --state=o": "--state=old\n--state=open\n", "fairlead conn": "connections\tList the TCP connections that the data plane knows."} {
		got := inShell(t, dir, "fish", "--no-config", "-c", fmt.Sprintf("source %s; complete -C '%s'", script, line))
		if strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

func TestZsh(t *testing.T) {
	dir, script := installed(t, "zsh")
	for words, want := range map[string]string{`connections --state ""`: "open\nended\nold\n", "connections --state=o": "prefix open\nold\n", "conn": "connections:List the TCP connections that the data plane knows.\n", "run -f x": "files\n", "man x": "files -/\n"} {
		text := fmt.Sprintf(`compdef() { }; compset() { print -n "prefix " }; _files() { print files $@ }; _describe() { print -l -- ${(P)2} }; source %s; words=(fairlead %s); CURRENT=$#words; _fairlead`, script, words)
		if got := inShell(t, dir, "zsh", "-f", "-c", text); got != want {
			t.Errorf("%q: got %q, want %q", words, got, want)
		}
	}
}
