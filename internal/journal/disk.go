package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

const (
	present = "journal.jsonl"
	former  = "journal.jsonl.old"

	// fileMost is the size of a file, in bytes, at which a new one is begun.
	fileMost = 4 << 20
)

// disk is the journal's two files. One goroutine writes; any may read.
type disk struct {
	dir   string
	names sync.Mutex // held while both files are opened to be read, and while one takes the other's name

	// The following belong to the writer.
	file *os.File    // nil: to be opened
	info os.FileInfo // of the last file that was open
	size int64       // of the file; what is behind is the rest of a failed write
	safe int64       // of it, this much is safe from a power failure
}

func (d *disk) path(name string) string { return filepath.Join(d.dir, name) }

// open opens the present file, and makes it if it is missing. A file that was
// not open before, perhaps of a disk that came late, is fresh.
func (d *disk) open() (fresh bool, err error) {
	if d.file != nil {
		now, err := os.Stat(d.path(present))
		if err == nil && os.SameFile(now, d.info) {
			return false, nil
		}
		d.close() // somebody took it away
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return false, err
	}
	f, err := os.OpenFile(d.path(present), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return false, err
	}
	info, err := f.Stat()
	if err == nil {
		err = d.syncNames()
	}
	if err == nil {
		err = endLine(f, info.Size())
	}
	if err == nil {
		d.size, err = f.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return false, errors.Join(err, f.Close())
	}
	fresh = d.info == nil || !os.SameFile(info, d.info)
	d.file, d.info, d.safe = f, info, d.size
	return fresh, nil
}

// endLine ends a line that was torn, so that the next one is none of it.
func endLine(f *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err := f.Write([]byte("\n"))
	return err
}

// syncNames makes the names of the files safe.
func (d *disk) syncNames() error {
	dir, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// close gives the file up. What it could not take is tried again with the next.
func (d *disk) close() {
	if d.file != nil {
		d.file.Close() // its writes and syncs have told what there is to know
		d.file = nil
	}
}

// write writes entries and says how many of them are written. When the file is
// full, the others are for the next one.
func (d *disk) write(entries []model.Event) (done int, full bool, err error) {
	var text []byte
	for _, e := range entries {
		line := encode(e)
		if held := d.size + int64(len(text)); held > 0 && held+int64(len(line)) > fileMost {
			full = true
			break
		}
		text = append(text, line...)
		done++
	}
	if err := d.put(text); err != nil {
		return 0, false, err
	}
	return done, full, nil
}

func (d *disk) put(text []byte) error {
	n, err := d.file.Write(text)
	if err == nil {
		d.size += int64(n)
		return nil
	}
	return d.undo(d.size, err)
}

// sync makes what was written safe. When it fails, the kernel does not know any
// more what is: all of it has to be written again.
func (d *disk) sync() error {
	if d.file == nil {
		return nil
	}
	if err := d.file.Sync(); err != nil {
		return d.undo(d.safe, err)
	}
	d.safe = d.size
	return nil
}

// forget makes the next file that is opened a fresh one.
func (d *disk) forget() {
	d.close()
	d.info = nil
}

// undo takes out what a failure left behind that size, and gives the file up.
func (d *disk) undo(size int64, failed error) error {
	// If it stays, readers pass over it: it is torn, or comes a second time.
	_ = d.file.Truncate(size)
	d.close()
	return failed
}

// turn makes the present file the former one, and begins a new one.
func (d *disk) turn() error {
	d.names.Lock()
	err := os.Rename(d.path(present), d.path(former))
	d.names.Unlock()
	if err != nil {
		return err
	}
	_, err = d.open()
	return err
}

// last is the highest number in the files; 0: there is none.
func (d *disk) last() (uint64, error) {
	var last uint64
	err := d.lines(func(seq uint64, _ []byte) bool {
		last = max(last, seq)
		return true
	})
	return last, err
}

// read reads up to most entries with numbers between since and before. Where the
// disk fails, it ends.
func (d *disk) read(since, before uint64, most int) ([]model.Event, error) {
	var some []model.Event
	err := d.lines(func(seq uint64, line []byte) bool {
		var e model.Event
		if seq <= since || seq >= before || json.Unmarshal(line, &e) != nil {
			return true
		}
		since = seq // what comes again is passed over
		some = append(some, e)
		return len(some) < most
	})
	return some, err
}

// lines hands out the lines that begin with a number, oldest first, until use
// has enough.
func (d *disk) lines(use func(seq uint64, line []byte) bool) error {
	files, err := d.openBoth()
	for _, f := range files {
		defer f.Close()
	}
	for _, f := range files {
		scanner := bufio.NewScanner(io.LimitReader(f, 2*fileMost))
		scanner.Buffer(nil, lineMost)
		for scanner.Scan() {
			seq, ok := seqOf(scanner.Bytes())
			if ok && !use(seq, scanner.Bytes()) {
				return nil
			}
		}
		if failed := scanner.Err(); failed != nil && !errors.Is(failed, bufio.ErrTooLong) {
			err = errors.Join(err, failed)
		}
	}
	return err
}

// openBoth opens the files that there are, at one instant.
func (d *disk) openBoth() ([]*os.File, error) {
	d.names.Lock()
	defer d.names.Unlock()
	var files []*os.File
	var failed error
	for _, name := range []string{former, present} {
		f, err := os.Open(d.path(name))
		switch {
		case err == nil:
			files = append(files, f)
		case !errors.Is(err, fs.ErrNotExist):
			failed = errors.Join(failed, err)
		}
	}
	return files, failed
}

// explain says what failed and what to do.
func explain(dir string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("write the journal in %s: %w: make room there", dir, err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("write the journal in %s: %w: mount it writable", dir, err)
	}
	return fmt.Errorf("write the journal in %s: %w", dir, err)
}
