package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/vm/record"
)

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"at"}, {"juggle", "x"}} {
		if err := run(args); err == nil || !strings.Contains(err.Error(), "want application, at, in, opener or pass") {
			t.Errorf("%q: got %v", args, err)
		}
	}
}

// TestContent: bytes of another block, version or file never pass for the right ones.
func TestContent(t *testing.T) {
	w := worker{id: 1}
	w.version[3] = 7
	base := w.content(3)
	if len(base) != blockSize || differences(base, w.content(3)) != 0 {
		t.Fatal("the content of a block is not its own")
	}
	later, other := w, w
	later.version[3]++
	other.id = 2
	w.version[4] = 7
	for what, b := range map[string][]byte{"version": later.content(3), "file": other.content(3), "block": w.content(4)} {
		for at := 0; at+32 <= blockSize; at += 32 {
			if bytes.Equal(b[at:at+32], base[at:at+32]) {
				t.Fatalf("another %s has the same bytes at %d", what, at)
			}
		}
		if differences(b, base) == 0 {
			t.Errorf("another %s counts as equal", what)
		}
	}
}

// TestSum compares the sum with that of a file with the same blocks and a hole.
func TestSum(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := worker{id: 1}
	for _, block := range []int{0, 2, 5} {
		w.version[block] = block + 1
		if _, err := f.WriteAt(w.content(block), int64(block)*blockSize); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := w.sum(), fmt.Sprintf("%x", sha256.Sum256(text)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRecorder(t *testing.T) {
	r := recorder{name: filepath.Join(t.TempDir(), "record")}
	r.add(1)
	r.call(1, "read", func() error {
		if c := r.seen.Workers[0]; c.What != "read" || c.End != 0 {
			t.Errorf("a call under way is kept as %+v", c)
		}
		return errors.New("no luck")
	})
	r.wrong(3)
	if err := r.save(map[string]string{"file-1": "sum"}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(r.name)
	if err != nil {
		t.Fatal(err)
	}
	var got record.Record
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Calls != 1 || got.Wrong != 3 || len(got.Errors) != 1 || got.Errors[0] != "worker 1: read: no luck" ||
		!got.Ended() || got.Workers[0].End < got.Workers[0].Begin || len(got.Slow) != 0 {
		t.Errorf("got %+v", got)
	}
}

// TestKeep: a signal ends the workers, and the last record has the sums.
func TestKeep(t *testing.T) {
	r := recorder{name: filepath.Join(t.TempDir(), "record")}
	end, stop, done := make(chan os.Signal, 1), make(chan struct{}), make(chan map[string]string)
	end <- os.Interrupt
	go func() {
		<-stop
		done <- map[string]string{"file-1": "sum"}
	}()
	if err := r.keep(end, stop, done); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(r.name); err != nil || !strings.Contains(string(text), `"sums":{"file-1":"sum"}`) {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestNow(t *testing.T) {
	before := now()
	if got := time.Duration(now() - before); got < 0 || got > time.Minute {
		t.Errorf("two instants are %v apart", got)
	}
}

// TestOpen: a round of the opener opens the other file, and an error is kept.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	w := worker{id: 3, another: filepath.Join(dir, "other"), recorder: &recorder{}}
	w.open()
	if _, err := os.Stat(w.another); err != nil || w.recorder.seen.Calls != 1 {
		t.Errorf("%d calls, %v", w.recorder.seen.Calls, err)
	}
	w.another = filepath.Join(dir, "missing", "other")
	w.open()
	if e := w.recorder.seen.Errors; len(e) != 1 || !strings.HasPrefix(e[0], "worker 3: open: ") {
		t.Errorf("got %q, want the error of the open", e)
	}
}

// TestLock: an opener whose file is locked by somebody else does not begin.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "file-3"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- opener([]string{filepath.Join(dir, "record"), dir}) }()
	select {
	case err := <-ended:
		if !errors.Is(err, unix.EWOULDBLOCK) {
			t.Errorf("got %v, want that the file is locked", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("an opener works without its lock")
	}
}
