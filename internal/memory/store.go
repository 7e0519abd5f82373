package memory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

const (
	name   = "state.json"
	spare  = "state.json.new"  // is being written
	broken = "state.json.lost" // a former memory that could not be read

	// most is the size, in bytes, past which a file is no memory of ours.
	most = 64 << 20
)

// ErrInUse: another daemon has the state directory.
var ErrInUse = errors.New("another fairlead uses it")

// Store is the memory in one state directory, which it holds a lock on until
// Close. It is used by one goroutine at a time, and Load comes before Save.
type Store struct {
	dir   *os.File    // open for its lock, and to make renames durable
	saved []byte      // what the file holds; nil: not known
	file  fs.FileInfo // of the file that holds it
	lost  bool        // the file is there and could not be read
}

// Open makes the state directory if it is missing, and locks it. Nothing else is
// written, so that a read-only directory can still be read.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open the state directory: %w", err)
	}
	err = unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrInUse
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the state directory %s: %w", dir, err), d.Close())
	}
	return &Store{dir: d}, nil
}

// Close gives the directory up.
func (s *Store) Close() error { return s.dir.Close() }

func (s *Store) path(name string) string { return filepath.Join(s.dir.Name(), name) }

// Load reads the memory. A missing file is a first start: the zero Memory and no
// error. Every other failure is a loss, in words for the operator.
func (s *Store) Load() (model.Memory, error) {
	text, file, err := s.read()
	if errors.Is(err, fs.ErrNotExist) {
		return model.Memory{}, nil
	}
	var m model.Memory
	if err == nil {
		m, err = decode(text)
	}
	if err != nil {
		s.lost = true
		return model.Memory{}, fmt.Errorf("the memory %s cannot be read: %w. Restore the file from a copy and restart, "+
			"or say which server holds the newest data: fairlead switch DIRECTOR/SERVER; "+
			"this file is then kept as %s", s.path(name), err, broken)
	}
	s.saved, s.file, s.lost = text, file, false
	return m, nil
}

func (s *Store) read() ([]byte, fs.FileInfo, error) {
	f, err := os.Open(s.path(name))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(text) > most {
		err = errors.New("it is too large to be a memory of Fairlead")
	}
	return text, info, err
}

// Save makes the memory durable before it returns. If it fails, the former
// memory stays whole, and the next Save tries again. A memory that equals the
// one on disk is not written.
func (s *Store) Save(m model.Memory) error {
	text, err := encode(m)
	if err == nil && s.holds(text) {
		return nil
	}
	if err == nil {
		err = s.write(text)
	}
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("save the memory: %w: make room there", err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("save the memory: %w: mount it writable", err)
	case err != nil:
		return fmt.Errorf("save the memory: %w", err)
	}
	return nil
}

// holds tells whether the file on disk holds that text. Somebody may have taken
// the file away.
func (s *Store) holds(text []byte) bool {
	if s.saved == nil || !bytes.Equal(s.saved, text) {
		return false
	}
	now, err := os.Stat(s.path(name))
	return err == nil && os.SameFile(now, s.file) && now.Size() == int64(len(text))
}

// write replaces the file: the new one is safe on the disk before it gets its
// name, and the name is safe before write returns.
func (s *Store) write(text []byte) error {
	file, err := writeFile(s.path(spare), text)
	if err == nil && s.lost {
		err = s.setAside()
	}
	if err == nil {
		err = os.Rename(s.path(spare), s.path(name))
	}
	if err != nil {
		os.Remove(s.path(spare)) // at best; the next write begins it anew
		return err
	}
	if err := s.dir.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", s.dir.Name(), err)
	}
	s.saved, s.file, s.lost = text, file, false
	return nil
}

// setAside gives a memory that could not be read a second name: a person may
// still make sense of it. It keeps the first one until the new memory takes it,
// as a missing file would pass for a first start.
func (s *Store) setAside() error {
	if err := os.Remove(s.path(broken)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := os.Link(s.path(name), s.path(broken))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody took it away
	}
	return err
}

func writeFile(path string, text []byte) (fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	var info fs.FileInfo
	if err == nil {
		info, err = f.Stat()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return info, nil
}
