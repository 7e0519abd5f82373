package agent

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/api"
	"fairlead/internal/config"
	"fairlead/internal/model"
)

// TestLoadLooksAtHooks: what the machine cannot run is found before anything
// is applied.
func TestLoadLooksAtHooks(t *testing.T) {
	var asked []string
	l := Loader{
		Read: func() ([]config.Source, error) {
			return []config.Source{{Name: "t.cfg", Text: []byte(note + "hook fence /opt/fence\nhook promote /opt/promote\n")}}, nil
		},
		Links: func() ([]model.Link, error) { return nil, nil },
		Hooks: func(paths []string) map[string]string {
			asked = paths
			return map[string]string{"/opt/promote": "it is gone"}
		},
	}
	_, err := l.Load()
	var found *api.Error
	if !errors.As(err, &found) || !slices.ContainsFunc(found.Diagnostics, func(d api.Diagnostic) bool {
		return d.Severity == "error" && strings.HasPrefix(d.Rendered, "t.cfg:12:14: ") && strings.Contains(d.Message, "it is gone")
	}) {
		t.Errorf("got %+v", err)
	}
	if !slices.Equal(asked, []string{"/opt/fence", "/opt/promote"}) {
		t.Errorf("asked for %q", asked)
	}
	l.Hooks = func([]string) map[string]string { return nil }
	if _, err := l.Load(); err != nil {
		t.Errorf("hooks that can be run: got %v", err)
	}
}
