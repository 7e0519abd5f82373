package main

import (
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"fairlead/internal/access"
	"fairlead/internal/api"
	"fairlead/internal/model"
)

const reference = "../../docs/reference/commands.md"

func readReference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReferenceNamesEverything: each command and flag of the program is in the
// reference, each command of the reference is in the program.
func TestReferenceNamesEverything(t *testing.T) {
	text := readReference(t)
	var line commands
	parser, err := newParser(&line, &surroundings{out: io.Discard, err: io.Discard}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, command := range parser.Model.Children {
		if command.Hidden {
			continue
		}
		known[command.Name] = true
		if !strings.Contains(text, "\n## fairlead "+command.Name+"\n") || !strings.Contains(text, "| [`"+command.Name+"`](#fairlead-"+command.Name+") |") {
			t.Errorf("%s: no section, or not in the table of commands", command.Name)
		}
		for _, part := range append(command.Leaves(true), command) {
			for _, flag := range part.Flags {
				wantFlag(t, text, command.Name, flag)
			}
		}
	}
	for _, part := range strings.Split(text, "\n## fairlead ")[1:] {
		name, _, _ := strings.Cut(part, "\n")
		if !known[name] {
			t.Errorf("the reference describes `fairlead %s`, which does not exist", name)
		}
	}
}

// wantFlag looks for a flag in the command's own section, or among the common
// flags in a row that names the command.
func wantFlag(t *testing.T, text, command string, flag *kong.Flag) {
	t.Helper()
	_, section, _ := strings.Cut(text, "\n## fairlead "+command+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, common, _ := strings.Cut(text, "\n## Common flags\n")
	common, _, _ = strings.Cut(common, "\n## ")
	mentions := func(s string) bool {
		return strings.Contains(s, "`--"+flag.Name+"`") || strings.Contains(s, "`--"+flag.Name+"=")
	}
	found := mentions(section)
	for _, row := range strings.Split(common, "\n") {
		found = found || mentions(row) && strings.Contains(row, "`"+command+"`")
	}
	if flag.Short != 0 && found {
		found = strings.Contains(text, "`-"+string(flag.Short)+"`")
	}
	if !found {
		t.Errorf("%s: the flag --%s is not in the reference", command, flag.Name)
	}
}

// TestReferenceNamesTheJSON: each field of what is printed as JSON is named.
func TestReferenceNamesTheJSON(t *testing.T) {
	text := readReference(t)
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(kind reflect.Type) {
		switch kind.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(kind.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if seen[kind] || !strings.HasPrefix(kind.PkgPath(), "fairlead/") && kind.PkgPath() != "main" {
			return
		}
		seen[kind] = true
		for i := range kind.NumField() {
			field := kind.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("%s.%s: the field %q is not in the reference", kind, field.Name, name)
			}
			walk(field.Type)
		}
	}
	for _, printed := range []any{model.Status{}, checked{}, api.Reloaded{}, api.Error{}, api.Packet{}, api.Ordered{}, model.Event{}, orphan{}, api.Connections{}, access.User{}, access.Token{}, machineChanges{}, machineCheck{}} {
		walk(reflect.TypeOf(printed))
	}
	for _, r := range model.Reasons() {
		if !strings.Contains(text, "`"+r.String()+"`") {
			t.Errorf("the reason %s is not in the reference", r)
		}
	}
	for _, k := range model.EventKinds() {
		if !strings.Contains(text, "`"+k.String()+"`") {
			t.Errorf("the kind of event %s is not in the reference", k)
		}
	}
}

// TestReferenceShowsThePages: the samples are what the program prints.
func TestReferenceShowsThePages(t *testing.T) {
	for _, name := range []string{"status.txt", "status-gone.txt", "connections.txt", "templates.txt", "explain.txt", "top-night-80x24.txt", "events.txt"} {
		page, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(readReference(t), "```text\n"+string(page)+"```\n") {
			t.Errorf("the reference does not show testdata/%s", name)
		}
	}
}
