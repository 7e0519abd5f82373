package workload

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"fairlead/internal/nfs"
)

// The shape of a worker's files, and its pace: a moderate load, so that a slow
// machine still keeps time.
const (
	fileSize  = 512 << 10
	chunkSize = 64 << 10
	keepFiles = 8 // the older ones are removed
	pace      = 6 * time.Millisecond
)

// worker is an application on the client that works on files of its own.
type worker struct {
	id     int
	client *nfs.Client
	track  *track
	dir    nfs.Handle

	next  int   // number of the next file
	files []int // that exist
	buf   []byte
	due   time.Time // of the next operation

	compared, different int64
	rewritten           int // files written again because a server forgot data
}

// begin makes the worker's directory.
func (w *worker) begin(ctx context.Context, root nfs.Handle) error {
	dir, err := w.client.Mkdir(ctx, root, w.name(), 0o755)
	w.dir, w.buf = dir, make([]byte, fileSize)
	return err
}

func (w *worker) name() string          { return fmt.Sprintf("worker-%d", w.id) }
func (w *worker) fileName(n int) string { return fmt.Sprintf("file-%06d", n) }
func (w *worker) fill(n int)            { rand.NewChaCha8(seed(w.id, n)).Read(w.buf) }

// seed makes every file's content differ, and known without keeping it.
func seed(worker, file int) (s [32]byte) {
	binary.BigEndian.PutUint64(s[:], uint64(worker))
	binary.BigEndian.PutUint64(s[8:], uint64(file))
	return s
}

// run works until stop is closed. It fails at the first error that the
// application would see.
func (w *worker) run(ctx context.Context, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := w.cycle(ctx); err != nil {
			return fmt.Errorf("%s, file %d: %w", w.name(), w.next, err)
		}
		w.next++
	}
}

// cycle is the life of one file: create, write, commit, read back, rename, and
// the removal of an old one.
func (w *worker) cycle(ctx context.Context) error {
	n := w.next
	temporary := w.fileName(n) + ".part"
	w.fill(n)
	var h nfs.Handle
	err := w.do(ctx, 0, func() (err error) { h, err = w.client.Create(ctx, w.dir, temporary, 0o644); return err })
	if err != nil {
		return err
	}
	if err := w.write(ctx, h); err != nil {
		return err
	}
	if err := w.compare(ctx, h); err != nil {
		return err
	}
	err = w.do(ctx, 0, func() error { return w.client.Rename(ctx, w.dir, temporary, w.dir, w.fileName(n)) })
	if err != nil {
		return err
	}
	w.files = append(w.files, n)
	if err := w.size(ctx, n); err != nil {
		return err
	}
	return w.trim(ctx)
}

// do carries out one operation at the worker's pace and notes its completion.
func (w *worker) do(ctx context.Context, bytes int, f func() error) error {
	if wait := time.Until(w.due); wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
	w.due = time.Now().Add(pace)
	if err := f(); err != nil {
		return err
	}
	w.track.done(bytes)
	return nil
}

// write writes the buffer to a file and makes it stable. As the kernel does, it
// writes again when the server that commits is not the one that was written to.
func (w *worker) write(ctx context.Context, h nfs.Handle) error {
	for {
		again, err := w.writeOnce(ctx, h)
		if err != nil || !again {
			return err
		}
		w.rewritten++
	}
}

func (w *worker) writeOnce(ctx context.Context, h nfs.Handle) (again bool, err error) {
	var unstable []nfs.Verifier
	for off := 0; off < len(w.buf); {
		chunk := w.buf[off:min(off+chunkSize, len(w.buf))]
		var r nfs.Written
		err := w.do(ctx, len(chunk), func() (err error) { r, err = w.client.Write(ctx, h, uint64(off), chunk); return err })
		if err != nil {
			return false, err
		}
		if r.Count == 0 {
			return false, errors.New("the server wrote nothing and gave no error")
		}
		if !r.Stable {
			unstable = append(unstable, r.Verifier)
		}
		off += int(r.Count)
	}
	var v nfs.Verifier
	err = w.do(ctx, 0, func() (err error) { v, err = w.client.Commit(ctx, h); return err })
	return slices.ContainsFunc(unstable, func(u nfs.Verifier) bool { return u != v }), err
}

// compare reads a file back and compares it with the buffer.
func (w *worker) compare(ctx context.Context, h nfs.Handle) error {
	for off := 0; off < len(w.buf); {
		var data []byte
		err := w.do(ctx, chunkSize, func() (err error) {
			data, _, err = w.client.Read(ctx, h, uint64(off), chunkSize)
			return err
		})
		if err != nil {
			return err
		}
		if len(data) == 0 {
			w.different += int64(len(w.buf) - off) // the file is too short
			w.compared += int64(len(w.buf) - off)
			return nil
		}
		w.count(data, w.buf[off:])
		off += len(data)
	}
	return nil
}

// count compares what was read with what should follow.
func (w *worker) count(got, want []byte) {
	w.compared += int64(len(got))
	if len(want) >= len(got) && bytes.Equal(got, want[:len(got)]) {
		return
	}
	for i, b := range got {
		if i >= len(want) || b != want[i] {
			w.different++
		}
	}
}

// size looks a finished file up and checks its size.
func (w *worker) size(ctx context.Context, n int) error {
	var h nfs.Handle
	err := w.do(ctx, 0, func() (err error) { h, err = w.client.Lookup(ctx, w.dir, w.fileName(n)); return err })
	if err != nil {
		return err
	}
	var a nfs.Attr
	err = w.do(ctx, 0, func() (err error) { a, err = w.client.GetAttr(ctx, h); return err })
	if err == nil && a.Size != fileSize {
		err = fmt.Errorf("%s has %d bytes instead of %d", w.fileName(n), a.Size, fileSize)
	}
	return err
}

// trim removes the oldest file when there are many.
func (w *worker) trim(ctx context.Context) error {
	if len(w.files) <= keepFiles {
		return nil
	}
	err := w.do(ctx, 0, func() error { return w.client.Remove(ctx, w.dir, w.fileName(w.files[0])) })
	w.files = w.files[1:]
	return err
}

// verify compares every file that should exist byte for byte, over NFS and on
// the servers' disk, and looks for files that should not exist.
func (w *worker) verify(ctx context.Context, share string) error {
	want := make([]string, 0, len(w.files))
	for _, n := range w.files {
		want = append(want, w.fileName(n))
		w.fill(n)
		h, err := w.client.Lookup(ctx, w.dir, w.fileName(n))
		if err != nil {
			return err
		}
		if err := w.compare(ctx, h); err != nil {
			return err
		}
		onDisk, err := os.ReadFile(filepath.Join(share, w.name(), w.fileName(n)))
		if err != nil {
			return err
		}
		w.count(onDisk, w.buf)
		w.different += int64(max(0, len(w.buf)-len(onDisk)))
	}
	got, err := w.client.ReadDir(ctx, w.dir)
	if err != nil {
		return err
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("%s holds %v, want %v", w.name(), got, want)
	}
	return nil
}
