package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
)

func open(t *testing.T, dir string) *Journal {
	t.Helper()
	j := Open(dir, slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(func() { j.Close() })
	return j
}

// run runs the journal's writer until the function that it returns is called.
func run(j *Journal) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		j.Run(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

func event(text string) model.Event {
	return model.Event{At: time.Unix(1_700_000_000, 5), Mono: 7, Kind: model.EventFlip, Director: "nfs", Server: "nfs-02",
		Epoch: 3, Reason: model.ReasonOperator, Text: text, Err: "none", Took: time.Millisecond}
}

func fill(j *Journal, n int, text string) {
	for range n {
		j.Append(event(text))
	}
}

// wantNumbers reads the whole journal page by page.
func wantNumbers(t *testing.T, j *Journal, first, last uint64) {
	t.Helper()
	want := first
	for since := first - 1; ; {
		some := j.Read(since, 700)
		if len(some) == 0 {
			break
		}
		for _, e := range some {
			if e.Seq != want {
				t.Fatalf("got number %d, want %d", e.Seq, want)
			}
			since, want = e.Seq, want+1
		}
	}
	if want != last+1 {
		t.Errorf("the last number is %d, want %d", want-1, last)
	}
}

func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	j := open(t, dir)
	stop := run(j)
	want := j.Append(event("first\nof \"all\""))
	j.Append(event("second"))
	stop()
	if err := j.Err(); err != nil {
		t.Fatal(err)
	}

	j = open(t, dir)
	if got := j.Read(0, 10); len(got) != 2 || got[0].At.UnixNano() != want.At.UnixNano() {
		t.Fatalf("got %+v, want two entries as they were entered", got)
	} else if got[0].At = want.At; got[0] != want {
		t.Errorf("got  %+v\nwant %+v", got[0], want)
	}
	if e := j.Append(event("third")); e.Seq != 3 {
		t.Errorf("got number %d, want 3", e.Seq)
	}
	wantNumbers(t, j, 1, 3)
	if got := j.Read(1, 1); len(got) != 1 || got[0].Text != "second" {
		t.Errorf("got %+v, want the second entry", got)
	}
}

// TestSafety: an entry is with the kernel at once, and safe after half a second.
func TestSafety(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		j := open(t, dir)
		defer run(j)()
		safe := func() uint64 {
			j.mu.Lock()
			defer j.mu.Unlock()
			return j.safe
		}
		for range 4 {
			j.Append(event("x"))
			synctest.Wait()
			if text, _ := os.ReadFile(filepath.Join(dir, present)); uint64(bytes.Count(text, []byte("\n"))) != j.seq {
				t.Errorf("the file holds %q, want %d lines", text, j.seq)
			}
			time.Sleep(200 * time.Millisecond)
		}
		synctest.Wait()
		if safe() != 3 { // those entered up to 500 ms after the first
			t.Errorf("the last safe entry is %d, want 3", safe())
		}
		time.Sleep(syncAfter)
		synctest.Wait()
		if safe() != 4 {
			t.Errorf("the last safe entry is %d, want 4", safe())
		}
	})
}

func TestTornLine(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	fill(j, 3, "x")
	j.Close()
	path := filepath.Join(dir, present)
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, text[:len(text)-10], 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	j = open(t, dir)
	if e := j.Append(event("x")); e.Seq != 4 {
		t.Errorf("got number %d, want 4: somebody may have seen the third entry", e.Seq)
	}
	j.Close()
	j = open(t, dir)
	if got := j.Read(0, 10); len(got) != 3 || got[0].Seq != 1 || got[1].Seq != 2 || got[2].Seq != 4 {
		t.Errorf("got %+v, want the entries 1, 2 and 4", got)
	}
}

// TestForeignLines are passed over.
func TestForeignLines(t *testing.T) {
	dir := t.TempDir()
	twice := string(encode(model.Event{Seq: 4, Text: "twice"}))
	foreign := twice + twice + "\n{\"seq\":5,\"kind\":\"of-a-later-version\"}\nhello\n{\"seq\":\"6\",}\n" + strings.Repeat("x", 2<<20)
	if err := os.WriteFile(filepath.Join(dir, present), []byte(foreign), 0o600); err != nil {
		t.Fatal(err)
	}
	j := open(t, dir)
	if e := j.Append(event("x")); e.Seq != 6 {
		t.Errorf("got number %d, want 6", e.Seq)
	}
	j.finish()
	if err := j.Err(); err != nil {
		t.Error(err)
	}
	if got := j.Read(0, 10); len(got) != 2 || got[0].Seq != 4 || got[1].Seq != 6 {
		t.Errorf("got %+v, want the entries 4 and 6", got)
	}
}

func TestBoundedSize(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	long := strings.Repeat("\x01", 2*textMost) // 6 bytes each in JSON
	const n = 400
	for range n / 20 {
		fill(j, 20, long)
		j.finish()
	}
	if err := j.Err(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{present, former} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Size() > fileMost || info.Size() == 0 {
			t.Errorf("%s: got %v, %v, want up to %d bytes", name, info, err, fileMost)
		}
	}
	wantNumbers(t, j, 1, n) // the oldest from memory
	j.Close()
	j = open(t, dir)
	first := j.Read(0, 1)
	if len(first) != 1 || first[0].Seq < 2 || first[0].Seq > n-fileMost/(6*textMost) {
		t.Fatalf("got %d entries, want those of a full file and more", len(first))
	}
	wantNumbers(t, j, first[0].Seq, n)
}

// TestReadersOfTheDisk read what left the memory, while files change places.
func TestReadersOfTheDisk(t *testing.T) {
	j := open(t, t.TempDir())
	const n = 3 * ringMost / 2
	read := make(chan error)
	for range 3 {
		go func() {
			want := uint64(1)
			read <- j.Follow(t.Context(), 0, func(e model.Event) error {
				if e.Seq != want {
					return fmt.Errorf("got number %d, want %d", e.Seq, want)
				}
				if want++; want > n {
					return errors.New("all")
				}
				return nil
			})
		}()
	}
	text := strings.Repeat("x", 250) // all of them fill more than one file
	for i := range n {
		j.Append(event(text))
		if i%500 != 0 {
			continue
		}
		if err := j.write(); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if err := <-read; err.Error() != "all" {
			t.Error(err)
		}
	}
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := open(t, t.TempDir())
		fill(j, 2, "before")
		ctx, cancel := context.WithCancel(t.Context())
		var got []uint64
		ended := make(chan error)
		go func() {
			ended <- j.Follow(ctx, 1, func(e model.Event) error {
				got = append(got, e.Seq)
				return nil
			})
		}()
		synctest.Wait()
		j.Append(event("now"))
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's end", err)
		}
		if fmt.Sprint(got) != "[2 3]" {
			t.Errorf("got the numbers %v, want 2 and 3", got)
		}
	})
}

// TestOverflow: a writer that never comes holds up nobody, and what was lost is
// told in the journal.
func TestOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		j := open(t, dir)
		fill(j, ringMost+500, "x")
		if err := j.Err(); err != nil {
			t.Errorf("got %v before the disk is late", err)
		}
		time.Sleep(slowAfter + 1)
		if err := j.Err(); err == nil || !strings.Contains(err.Error(), "did not answer") {
			t.Errorf("got %v, want that the disk does not answer", err)
		}
		run(j)()
		if err := j.Err(); err != nil {
			t.Error(err)
		}
		j.Close()
		j = open(t, dir)
		wantNumbers(t, j, 501, ringMost+501)
		last := j.Read(ringMost+500, 1)[0]
		if last.Kind != model.EventAlarm || !strings.HasPrefix(last.Text, "500 entries of the journal were lost") || last.Mono == 0 {
			t.Errorf("got %+v, want that 500 entries were lost", last)
		}
	})
}

// TestFileTakenAway: somebody removes the files, or the whole directory.
func TestFileTakenAway(t *testing.T) {
	for _, gone := range []string{present, former, ""} {
		root := t.TempDir()
		dir := filepath.Join(root, "state")
		j := open(t, dir)
		fill(j, 700, strings.Repeat("x", textMost))
		j.finish()
		// Elsewhere, a new file cannot get its inode.
		if err := os.Rename(filepath.Join(dir, gone), filepath.Join(root, "elsewhere")); err != nil {
			t.Fatal(err)
		}
		fill(j, 1, "after")
		j.finish()
		if err := j.Err(); err != nil {
			t.Error(err)
		}
		wantNumbers(t, j, 1, 701)
		j.Close()
		j = open(t, dir)
		if got := j.Read(700, 10); len(got) != 1 || got[0].Text != "after" {
			t.Errorf("%q taken away: got %+v, want the entry after it", gone, got)
		}
	}
}

// TestLateDisk: the directory cannot be used at first, and then holds an older
// journal with numbers that are in use by now.
func TestLateDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		dir := filepath.Join(root, "state")
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		j := open(t, dir)
		if err := j.Err(); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("got %v, want what cannot be used", err)
		}
		defer run(j)()
		fill(j, 5, "new")
		synctest.Wait()
		wantNumbers(t, j, 1, 5)

		old := open(t, filepath.Join(root, "old"))
		fill(old, 20, "old")
		old.Close()
		if err := errors.Join(os.Remove(dir), os.Rename(filepath.Join(root, "old"), dir)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(retryAfter)
		synctest.Wait()
		if err := j.Err(); err != nil {
			t.Error(err)
		}
		wantNumbers(t, j, 1, 25)
		again := open(t, dir)
		wantNumbers(t, again, 1, 25)
		if got := again.Read(20, 1); len(got) != 1 || got[0].Text != "new" {
			t.Errorf("got %+v, want the first new entry behind the old ones", got)
		}
	})
}

// TestFailedSync: what may not be safe is written again.
func TestFailedSync(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	fill(j, 2, "x")
	err := j.write()
	if err == nil {
		err = errors.Join(j.disk.file.Close(), os.Truncate(filepath.Join(dir, present), 0)) // as a disk that lost it
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := j.sync(); err == nil {
		t.Error("a file that is closed was synced")
	}
	j.finish()
	j.Close()
	wantNumbers(t, open(t, dir), 1, 2)
}

// TestUnknownNumbers: nothing is written while it is not known which numbers
// are in use.
func TestUnknownNumbers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, former), 0o700); err != nil {
		t.Fatal(err)
	}
	j := open(t, dir)
	fill(j, 1, "x")
	for range 2 {
		j.finish()
	}
	if err := j.Err(); err == nil || !strings.Contains(err.Error(), former) {
		t.Errorf("got %v, want which file cannot be read", err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, present)); err != nil || len(text) > 0 {
		t.Errorf("the file holds %q, %v, want nothing", text, err)
	}
}
