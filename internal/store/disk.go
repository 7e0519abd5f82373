package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// disk is what changes files. Each step is durable, or, of a name, becomes so with the
// sync of its directory.
type disk interface {
	// create writes a new file, durably; like is the file whose mode and owner it
	// gets, "" for one that only its owner reads.
	create(path, text, like string) error
	rename(from, to string) error
	remove(path string) error // one that is missing already is no error
	sync(dir string) error
	mkdir(dir string) error
}

// real is the machine's.
type real struct{}

func (real) create(path, text, like string) error {
	// Never through a link that somebody may have left there.
	if err := (real{}).remove(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil && like != "" {
		err = resemble(f, like)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// resemble gives a file the mode and the owner of another one.
func resemble(f *os.File, like string) error {
	info, err := os.Stat(like)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && (int(stat.Uid) != os.Geteuid() || int(stat.Gid) != os.Getegid()) {
		if err := f.Chown(int(stat.Uid), int(stat.Gid)); err != nil {
			return fmt.Errorf("keep the owner: %w", err)
		}
	}
	return f.Chmod(info.Mode().Perm())
}

func (real) rename(from, to string) error { return os.Rename(from, to) }

func (real) remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (real) sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (real) mkdir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return (real{}).sync(filepath.Dir(dir))
}

// advised adds what to do about an error of the disk.
func advised(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: make room there", err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: mount it writable", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: let the daemon write there", err)
	}
	return err
}
