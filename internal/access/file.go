package access

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	fileName  = "users.json"
	spareName = "users.json.new" // is being written
	lockName  = "users.lock"
	mostBytes = 1 << 20

	// young is how old a file must have been when it was read, for its times to
	// tell a later change: a file system's clock is coarse.
	young = time.Second
)

// file is users.json in the state directory. Other processes change it, too.
type file struct {
	dir string

	mu   sync.Mutex // guards the following
	look look       // of what was read last
	read time.Time  // when
	have accounts
	err  error
}

// look is what tells one file from another.
type look struct {
	there, known bool
	dev, ino     uint64
	size         int64
	mode, uid    uint32
	mtime, ctime unix.Timespec
}

func (f *file) path(name string) string { return filepath.Join(f.dir, name) }

// accounts is what the file holds now.
func (f *file) accounts() (accounts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := f.stat()
	if err != nil {
		return accounts{}, err
	}
	if now == f.look && f.read.Sub(time.Unix(now.mtime.Unix())) > young {
		return f.have, f.err
	}
	// The look comes before the reading: what changes between is seen next time.
	f.look, f.read = now, time.Now()
	f.have, f.err = f.load()
	return f.have, f.err
}

func (f *file) stat() (look, error) {
	var s unix.Stat_t
	err := unix.Lstat(f.path(fileName), &s)
	if errors.Is(err, unix.ENOENT) {
		return look{known: true}, nil
	}
	if err != nil {
		return look{}, f.unreadable(err)
	}
	return look{true, true, s.Dev, s.Ino, s.Size, s.Mode, s.Uid, s.Mtim, s.Ctim}, nil
}

// load reads the file. A missing one has no users.
func (f *file) load() (accounts, error) {
	text, err := readFile(f.path(fileName))
	if errors.Is(err, fs.ErrNotExist) {
		return accounts{}, nil
	}
	var have accounts
	if err == nil {
		have, err = decode(text)
	}
	if err != nil {
		return accounts{}, f.unreadable(err)
	}
	return have, nil
}

// ErrUnreadable means that the file of the users cannot be read, so that nobody
// gets in.
var ErrUnreadable = errors.New("the users cannot be read")

func (f *file) unreadable(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err // the path is said already
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w from %s: %w", ErrUnreadable, f.path(fileName), err)
	}
	return fmt.Errorf("%w from %s: %w; repair the file, restore it from a copy, or move it away and add the users again",
		ErrUnreadable, f.path(fileName), err)
}

// readFile reads a file that nobody else can have written or read.
func readFile(path string) ([]byte, error) {
	// Without O_NONBLOCK a pipe in the file's place would stop the daemon.
	in, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, errors.New("it is a symbolic link")
	}
	if err != nil {
		return nil, err
	}
	defer in.Close()
	var s unix.Stat_t
	if err := unix.Fstat(int(in.Fd()), &s); err != nil {
		return nil, err
	}
	switch {
	case s.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, errors.New("it is no regular file")
	case s.Uid != 0 && int(s.Uid) != os.Geteuid():
		return nil, errors.New("it belongs to somebody else: chown root")
	case s.Mode&0o077 != 0:
		return nil, fmt.Errorf("others than its owner may open it (mode %04o): chmod 600", s.Mode&0o777)
	}
	text, err := io.ReadAll(io.LimitReader(in, mostBytes+1))
	if err == nil && len(text) > mostBytes {
		err = errors.New("it is too large")
	}
	return text, err
}

// change edits the file, one process at a time. What cannot be read is not
// overwritten.
func (f *file) change(wait bool, edit func(*accounts) error) error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	unlock, err := f.lock(wait)
	if err != nil {
		return fmt.Errorf("lock the users: %w", err)
	}
	defer unlock()
	have, err := f.load()
	if err != nil {
		return err
	}
	if err := edit(&have); err != nil {
		return err
	}
	if len(have.Users) > maxAccounts || len(have.Tokens) > maxAccounts {
		return fmt.Errorf("there are %d already, and no more fit: remove some first", maxAccounts)
	}
	text, err := encode(have)
	if err != nil {
		return fmt.Errorf("encode the users: %w", err)
	}
	if err := f.write(text); err != nil {
		return fmt.Errorf("write %s: %w", f.path(fileName), err)
	}
	return nil
}

func (f *file) lock(wait bool) (unlock func(), err error) {
	l, err := os.OpenFile(f.path(lockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	how := unix.LOCK_EX
	if !wait {
		how |= unix.LOCK_NB
	}
	for {
		err = unix.Flock(int(l.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return func() { l.Close() }, nil // which gives the lock back
}

// write replaces the file: the new one is safe on the disk before it gets the
// name, and the name is safe before write returns.
func (f *file) write(text []byte) error {
	spare := f.path(spareName)
	if err := os.Remove(spare); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(spare, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(spare, f.path(fileName))
	}
	if err != nil {
		return errors.Join(err, removed(spare))
	}
	dir, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func removed(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
