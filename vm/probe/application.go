package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/vm/record"
)

// application writes, reads and compares in files that it holds open, until it is
// told to end by SIGTERM: probe application RECORD DIRECTORY. The record, a file
// that it keeps up to date, holds what it saw: see package record.
func application(args []string) error {
	return perform(args, func(dir string, r *recorder) ([]*worker, error) {
		var all []*worker
		for _, id := range []int{1, 2, record.Idle} {
			w, err := openWorker(dir, id, r)
			if err != nil {
				return nil, err
			}
			all = append(all, w)
		}
		return all, nil
	})
}

// opener is an application that holds a lock on its file, and opens another one
// anew in every round: probe opener RECORD DIRECTORY.
func opener(args []string) error {
	return perform(args, func(dir string, r *recorder) ([]*worker, error) {
		w, err := openWorker(dir, 3, r)
		if err != nil {
			return nil, err
		}
		w.another = w.name + ".opened"
		// The kernel's client keeps a lock of flock(2) at the server, too.
		if err := unix.Flock(int(w.file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return nil, fmt.Errorf("lock the file: %w", err)
		}
		return []*worker{w}, nil
	})
}

// perform lets workers work until SIGTERM, and then compare everything.
func perform(args []string, prepare func(dir string, r *recorder) ([]*worker, error)) error {
	if len(args) != 2 {
		return fmt.Errorf("run an application: want a record and a directory, got %q", args)
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, unix.SIGTERM)
	r := &recorder{name: args[0]}
	all, err := prepare(args[1], r)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	var running sync.WaitGroup
	for _, w := range all {
		if w.id == record.Idle {
			w.write(0)
			continue
		}
		running.Go(func() { w.run(stop) })
	}
	done := make(chan map[string]string)
	go func() {
		running.Wait()
		sums := map[string]string{}
		for _, w := range all {
			w.verify()
			sums[filepath.Base(w.name)] = w.sum()
		}
		done <- sums
	}()
	return r.keep(end, stop, done)
}

// A file has blocks of blockSize bytes.
const (
	blocks    = 64
	blockSize = 4096
)

// worker is one application with one file, which it holds open in two ways: to
// write, and to read past the client's cache.
type worker struct {
	id            int
	name          string
	file, through *os.File
	another       string      // a file to open anew in each round; "": none
	version       [blocks]int // of each block; 0: never written
	recorder      *recorder
}

func openWorker(dir string, id int, r *recorder) (*worker, error) {
	w := &worker{id: id, name: filepath.Join(dir, fmt.Sprintf("file-%d", id)), recorder: r}
	r.add(id)
	var err error
	if w.file, err = os.OpenFile(w.name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644); err != nil {
		return nil, fmt.Errorf("make a file: %w", err)
	}
	if w.through, err = os.OpenFile(w.name, os.O_RDONLY|unix.O_DIRECT, 0); err != nil {
		return nil, fmt.Errorf("open the file to read past the cache: %w", err)
	}
	return w, nil
}

// pause is between two rounds: load enough to meet a fault within milliseconds, and
// little enough for an emulated processor.
const pause = 5 * time.Millisecond

func (w *worker) run(stop <-chan struct{}) {
	for round := 0; ; round++ {
		select {
		case <-stop:
			return
		case <-time.After(pause):
		}
		w.write(round % blocks)
		w.read((round * 7) % blocks)
		w.open()
	}
}

// write writes the next version of a block, and waits until the server has it on
// its disk.
func (w *worker) write(block int) {
	w.version[block]++
	w.recorder.call(w.id, "write", func() error {
		if _, err := w.file.WriteAt(w.content(block), int64(block)*blockSize); err != nil {
			return err
		}
		return w.file.Sync()
	})
}

// read reads a block from the server and compares it with what was written last.
func (w *worker) read(block int) {
	if w.version[block] == 0 {
		return
	}
	w.recorder.call(w.id, "read", func() error {
		got := make([]byte, blockSize)
		if _, err := w.through.ReadAt(got, int64(block)*blockSize); err != nil {
			return err
		}
		if wrong := differences(got, w.content(block)); wrong > 0 {
			w.recorder.wrong(wrong)
			return fmt.Errorf("block %d has %d wrong bytes", block, wrong)
		}
		return nil
	})
}

// open opens the other file, and closes it. For NFSv4 that is a change of state, which a
// server grants to nobody while its grace period lasts.
func (w *worker) open() {
	if w.another == "" {
		return
	}
	w.recorder.call(w.id, "open", func() error {
		f, err := os.OpenFile(w.another, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		return f.Close()
	})
}

// verify reads everything once more and closes the file.
func (w *worker) verify() {
	for block := range blocks {
		w.read(block)
	}
	w.recorder.call(w.id, "close", func() error { return errors.Join(w.file.Close(), w.through.Close()) })
}

// sum is the SHA-256 of what the file must be.
func (w *worker) sum() string {
	var all, hole []byte
	for block, version := range w.version {
		if version == 0 {
			hole = append(hole, make([]byte, blockSize)...)
			continue
		}
		all = append(append(all, hole...), w.content(block)...)
		hole = nil
	}
	return fmt.Sprintf("%x", sha256.Sum256(all))
}

// content is a block's: no two blocks, versions or files share any 32 bytes.
func (w *worker) content(block int) []byte {
	b := make([]byte, 0, blockSize)
	for len(b) < blockSize {
		b = fmt.Appendf(b, "%04d %04d %010d %010d\n", w.id, block, w.version[block], len(b))
	}
	return b[:blockSize]
}

func differences(got, want []byte) (n int) {
	for i := range want {
		if got[i] != want[i] {
			n++
		}
	}
	return n
}
