package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"fairlead/internal/memory"
	"fairlead/internal/model"
)

func TestStateDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	m, err := openMemory(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: got %v, %v", info.Mode(), err)
	}
	if found, err := m.Load(); err != nil || len(found.Directors) != 0 {
		t.Errorf("a first start: got %+v, %v", found, err)
	}
	want := model.Memory{Directors: []model.Remembered{{Name: "nfs", Active: "nfs-02", Epoch: 7}}}
	if err := m.Save(want); err != nil {
		t.Error(err)
	}
	var cannot unable
	if _, err := openMemory(dir); !errors.As(err, &cannot) || !errors.Is(err, memory.ErrInUse) {
		t.Errorf("a second daemon: got %v", err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	again, err := openMemory(dir)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := again.Load(); err != nil || !reflect.DeepEqual(found, want) {
		t.Errorf("after a restart: got %+v, %v", found, err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// TestUnusableStateDirectory: the daemon serves without it, and knows what it
// cannot know.
func TestUnusableStateDirectory(t *testing.T) {
	file := write(t, t.TempDir(), "file", "not a directory")
	for path, lost := range map[string]bool{file: true, filepath.Join(file, "below"): true, "/proc/no-such-directory": false} {
		m, err := openMemory(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Load(); (err != nil) != lost {
			t.Errorf("%s: Load: got %v", path, err)
		}
		if err := m.Save(model.Memory{}); err == nil {
			t.Errorf("%s: saved", path)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
