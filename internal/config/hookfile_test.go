package config

import (
	"slices"
	"testing"

	"fairlead/internal/model"
)

// Each programme is asked for once, however many directors name it.
func TestHooks(t *testing.T) {
	hook := func(path string) model.Hook { return model.Hook{Command: path} }
	cfg := model.Config{Directors: []model.Director{
		{Fence: hook("/b"), Promote: hook("/a")}, {}, {Promote: hook("/b")}, {Fence: hook("/a"), Promote: hook("/c")},
	}}
	if got := Hooks(cfg); !slices.Equal(got, []string{"/b", "/a", "/c"}) {
		t.Errorf("got %q", got)
	}
}
