package floors

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// root is the repository.
var root = os.DirFS("../..")

func TestTree(t *testing.T) {
	sources, err := readTree(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, breach := range breaches(sources) {
		t.Error(breach)
	}
	if !slices.ContainsFunc(sources, func(s source) bool { return s.name == "internal/floors/floors_test.go" }) {
		t.Error("the walk missed this test itself")
	}
}

// TestDependencies holds docs/dependencies.md to what is imported.
func TestDependencies(t *testing.T) {
	sources, err := readTree(root)
	if err != nil {
		t.Fatal(err)
	}
	want := directModules(sources, read(t, "go.mod"))
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
	var got []string
	for _, m := range row.FindAllStringSubmatch(read(t, "docs/dependencies.md"), -1) {
		got = append(got, m[1])
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the table of docs/dependencies.md lists\n  %s\nbut the sources use\n  %s\nsay for each what it is for, why this one, its licence and health",
			strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks follows the links between the documents.
func TestLinks(t *testing.T) {
	followed := 0
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && strings.HasPrefix(name, ".git") || path.Ext(name) != ".md" {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(read(t, name), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			followed++
			if _, err := fs.Stat(root, path.Join(path.Dir(name), target)); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			}
		}
		return nil
	})
	if err != nil || followed == 0 {
		t.Errorf("followed %d links: %v", followed, err)
	}
}

// TestExample holds the documents that show the note's configuration to the
// files that the lab runs on. Indentation and empty lines are free.
func TestExample(t *testing.T) {
	for _, document := range []string{"README.md", "docs/tutorial.md"} {
		text := read(t, document)
		for _, name := range []string{"flow.cfg", "l4.cfg", "services.cfg"} {
			for line := range strings.Lines(read(t, "examples/nfs-ha/"+name)) {
				line = strings.TrimSpace(line)
				_, rest, found := strings.Cut(text, "\n    "+line+"\n")
				if !found {
					_, rest, found = strings.Cut(text, "\n      "+line+"\n")
				}
				if !found {
					t.Errorf("%s lacks %q of examples/nfs-ha/%s, or has it too early", document, line, name)
					continue
				}
				text = "\n" + rest
			}
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := fs.ReadFile(root, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRules breaks each rule in a tree of one file.
func TestRules(t *testing.T) {
	for _, test := range []struct {
		what, file, text string
		want             string // part of the only breach; "" for none
	}{
		{"down", "internal/agent/a.go", `package agent; import "fairlead/internal/model"`, ""},
		{"up", "internal/model/a.go", `package model; import "fairlead/internal/flow"`, "floor 1, not below floor 0"},
		{"sideways", "internal/probe/a.go", `package probe; import _ "fairlead/internal/reset"`, "floor 3, not below floor 3"},
		{"into the half floor", "internal/nfs/a.go", `package nfs; import "fairlead/internal/lab/workload"`, "floor 3.5, not below floor 3"},
		{"a test, sideways", "internal/probe/a_test.go", `package probe; import "fairlead/internal/topology"`, ""},
		{"a test, up", "internal/probe/a_test.go", `package probe; import "fairlead/internal/lab"`, "floor 4, not below floor 3"},
		{"an outside test", "internal/probe/a_test.go", `package probe_test; import "fairlead/internal/probe"`, ""},
		{"a new package", "internal/util/a.go", `package util`, "package internal/util has no floor"},
		{"of a new package", "internal/agent/a.go", `package agent; import "fairlead/internal/util"`, "internal/util, which has no floor"},
		{"pure, os", "internal/decide/a.go", `package decide; import "os"`, "imports os"},
		{"pure, below os", "internal/config/a.go", `package config; import "os/exec"`, "imports os/exec"},
		{"pure, slog", "internal/flow/a.go", `package flow; import "log/slog"`, "imports log/slog"},
		{"pure, atomic", "internal/model/a.go", `package model; import "sync/atomic"`, "imports sync/atomic"},
		{"pure, http", "internal/model/a.go", `package model; import "net/http"`, "imports net/http"},
		{"pure, netip", "internal/model/a.go", `package model; import "net/netip"`, ""},
		{"pure, another module", "internal/decide/a.go", `package decide; import "golang.org/x/sync/errgroup"`, "the standard library only"},
		{"pure, a test with os", "internal/decide/a_test.go", `package decide; import "os"`, ""},
		{"not pure, os", "internal/probe/a.go", `package probe; import "os"`, ""},
		{"the clock", "internal/decide/a.go", `package decide; import "time"; var a = time.Now()`, "uses time.Now"},
		{"the clock under another name", "internal/decide/a.go", `package decide; import t "time"; var a = t.Since`, "uses time.Since"},
		{"the clock under none", "internal/decide/a.go", `package decide; import . "time"; var a = Now()`, "all of time"},
		{"a duration", "internal/decide/a.go", `package decide; import "time"; var a = time.Second`, ""},
		{"ebpf elsewhere", "internal/agent/a.go", `package agent; import "github.com/cilium/ebpf/link"`, "imports github.com/cilium/ebpf/link"},
		{"ebpf in the data plane", "internal/dataplane/a.go", `package dataplane; import "github.com/cilium/ebpf"`, ""},
		{"exit in a package", "internal/lab/a.go", `package lab; import "os"; func main() { os.Exit(1) }`, "uses os.Exit"},
		{"exit in a command", "cmd/fairlead/a.go", `package main; import "os"; func run() { os.Exit(1) }`, "uses os.Exit"},
		{"exit in main", "cmd/fairlead/a.go", `package main; import "os"; func main() { os.Exit(1) }`, ""},
		{"fatal", "internal/agent/a.go", `package agent; import "log"; var a = log.Fatalf`, "uses log.Fatalf"},
		{"testdata", "internal/agent/testdata/a.go", `package broken; import "os`, ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			sources, err := readTree(fstest.MapFS{test.file: {Data: []byte(test.text)}})
			if err != nil {
				t.Fatal(err)
			}
			got := breaches(sources)
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
				t.Errorf("got breaches %q, want %q", got, test.want)
			}
		})
	}
}

func TestUnreadableSource(t *testing.T) {
	if _, err := readTree(fstest.MapFS{"a.go": {Data: []byte("packag a")}}); err == nil {
		t.Error("a source that cannot be parsed was passed over")
	}
}

func TestDirectModules(t *testing.T) {
	const mod = `module fairlead

go 1.25.0

require example.org/alone v1.0.0

require (
	example.org/a v1.0.0 // indirect
	example.org/a/nested v1.0.0
	example.org/unused v1.0.0 // indirect
	example.org/linter v1.0.0 // indirect
)

tool example.org/linter/cmd/lint
`
	sources, err := readTree(fstest.MapFS{
		"x/a.go":      {Data: []byte(`package x; import ("example.org/a/nested/deep"; "example.org/another"; "fmt")`)},
		"x/a_test.go": {Data: []byte(`package x; import "example.org/alone"`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, want := directModules(sources, mod), []string{"example.org/a/nested", "example.org/alone", "example.org/linter"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
