package nfswalk

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testUpdate writes files of a healthy server.
func testUpdate(t *testing.T, s served, target Target) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	update := func(file string, next Next) error {
		target.File = file
		return Update(ctx, s.dial, target, next).Err()
	}
	on := func(file string) string {
		b, err := os.ReadFile(filepath.Join(s.root, file))
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	if target.Version != V3 { // it makes no file
		err := update("deep/beat", func(uint64, []byte) ([]byte, error) { return []byte("none"), nil })
		if err == nil || !strings.Contains(err.Error(), "is not there (LOOKUP") {
			t.Errorf("a file that is not there: %v", err)
		}
		if err := os.WriteFile(filepath.Join(s.root, "deep/beat"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := update("deep/beat", func(size uint64, held []byte) ([]byte, error) {
		if size != 0 || len(held) != 0 {
			t.Errorf("a file that is not there holds %q", held)
		}
		return []byte("one"), nil
	})
	if err != nil || on("deep/beat") != "one" {
		t.Errorf("a new file: %v, it holds %q", err, on("deep/beat"))
	}
	err = update("/deep/beat", func(size uint64, held []byte) ([]byte, error) {
		if size != 3 || string(held) != "one" {
			t.Errorf("it holds %q of %d bytes", held, size)
		}
		return []byte("two"), nil
	})
	if err != nil || on("deep/beat") != "two" {
		t.Errorf("again: %v, it holds %q", err, on("deep/beat"))
	}
	strange := errors.New("it is not ours")
	for _, file := range []string{"deep/beat", "deep/none"} {
		if file == "deep/none" && target.Version != V3 {
			continue
		}
		if err := update(file, func(uint64, []byte) ([]byte, error) { return []byte("three"), strange }); !errors.Is(err, strange) {
			t.Errorf("%s: got %v, want %v", file, err, strange)
		}
	}
	if _, err := os.Stat(filepath.Join(s.root, "deep/none")); err == nil || on("deep/beat") != "two" {
		t.Errorf("a refused update made a file (%v), or wrote: %q", err, on("deep/beat"))
	}
	if err := os.Symlink("canary", filepath.Join(s.root, "deep/link")); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"deep/link":      "is not a regular file",
		"deep":           "is not a regular file",
		"deep/link/beat": "LOOKUP",
		"none/beat":      "is not there (LOOKUP",
	} {
		err := update(file, func(uint64, []byte) ([]byte, error) { return []byte("four"), nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", file, err, want)
		}
	}
	if on(canary) != "I sing" {
		t.Errorf("the target of a link holds %q", on(canary))
	}
}
