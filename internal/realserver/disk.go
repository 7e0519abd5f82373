package realserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// disk is the files below a root. A path begins with a slash, which is the root.
// What was created is safe on the disk; a name is after the sync of its directory.
type disk interface {
	read(path string) (Value, error) // the last link is not followed; the zero Value: not there
	text(path string) (string, error)
	isDir(path string) bool
	list(dir string) ([]string, error)
	create(path string, v Value) error
	rename(from, to string) error
	remove(path string) error // one that is missing already is no error
	mkdir(path string, mode fs.FileMode) error
	rmdir(path string) error
	sync(dir string) error
}

// tree is the files below a directory.
type tree struct{ root string }

// hops is how many links may lead to one file.
const hops = 40

// place is where a path leads. A link below the root is followed as if the root
// were the machine's own, as its system will follow it; the last one is not.
func (t tree) place(path string) (string, error) {
	todo, at, links := parts(path), "/", 0
	for len(todo) > 1 {
		name := todo[0]
		todo = todo[1:]
		here := filepath.Join(at, name) // ".." does not leave the root
		to, err := os.Readlink(filepath.Join(t.root, here))
		if err != nil { // no link; or nothing at all, which is found out later
			at = here
			continue
		}
		if links++; links > hops {
			return "", &fs.PathError{Op: "follow", Path: path, Err: unix.ELOOP}
		}
		if filepath.IsAbs(to) {
			at = "/"
		}
		todo = slices.Concat(parts(to), todo)
	}
	return filepath.Join(t.root, at, strings.Join(todo, "")), nil
}

func parts(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// most is the size, in bytes, past which a file is none that is changed here.
const most = 4 << 20

func (t tree) read(path string) (Value, error) {
	at, err := t.place(path)
	if err != nil {
		return Value{}, err
	}
	info, err := os.Lstat(at)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return Value{}, nil
	}
	if err != nil {
		return Value{}, err
	}
	v := Value{There: true, Mode: info.Mode().Type() | info.Mode().Perm()}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		v.UID, v.GID = int(owner.Uid), int(owner.Gid)
	}
	switch {
	case v.link():
		v.Text, err = os.Readlink(at)
	case v.Mode.IsRegular() && info.Size() > most:
		err = &fs.PathError{Op: "read", Path: path, Err: unix.EFBIG}
	case v.Mode.IsRegular():
		var b []byte
		b, err = os.ReadFile(at)
		v.Text = string(b)
	}
	return v, err
}

// text is the content of a file, through all links.
func (t tree) text(path string) (string, error) {
	for range hops {
		v, err := t.read(path)
		switch {
		case err != nil:
			return "", err
		case !v.There:
			return "", fs.ErrNotExist
		case !v.link():
			return v.Text, nil
		case filepath.IsAbs(v.Text):
			path = v.Text
		default:
			path = filepath.Dir(path) + "/" + v.Text // not cleaned: ".." is after the links
		}
	}
	return "", &fs.PathError{Op: "follow", Path: path, Err: unix.ELOOP}
}

func (t tree) isDir(path string) bool {
	at, err := t.place(path + "/.")
	if err != nil {
		return false
	}
	info, err := os.Stat(at)
	return err == nil && info.IsDir()
}

// list is empty for a directory that is not there.
func (t tree) list(dir string) ([]string, error) {
	at, err := t.place(dir + "/.")
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (t tree) create(path string, v Value) error {
	at, err := t.place(path)
	if err == nil {
		err = t.remove(path)
	}
	if err != nil {
		return err
	}
	if v.link() {
		return errors.Join(os.Symlink(v.Text, at), os.Lchown(at, v.UID, v.GID))
	}
	f, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(v.Text)
	if err == nil {
		err = f.Chown(v.UID, v.GID)
	}
	if err == nil {
		err = f.Chmod(v.Mode.Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(at) // at best; the next one begins anew
	}
	return err
}

func (t tree) rename(from, to string) error {
	a, err := t.place(from)
	if err != nil {
		return err
	}
	b, err := t.place(to)
	if err != nil {
		return err
	}
	return os.Rename(a, b)
}

// isMissing is asked first: a file system that is read-only refuses to remove what
// is not there.
func isMissing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func (t tree) remove(path string) error {
	at, err := t.place(path)
	if err != nil || isMissing(at) {
		return err
	}
	if err := unix.Unlink(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "remove", Path: at, Err: err}
	}
	return nil
}

func (t tree) mkdir(path string, mode fs.FileMode) error {
	at, err := t.place(path)
	if err != nil {
		return err
	}
	if err := os.Mkdir(at, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Chmod(at, mode) // whatever the umask says
}

func (t tree) rmdir(path string) error {
	at, err := t.place(path)
	if err != nil || isMissing(at) {
		return err
	}
	if err := unix.Rmdir(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "remove", Path: at, Err: err}
	}
	return nil
}

func (t tree) sync(dir string) error {
	at, err := t.place(dir + "/.")
	if err != nil {
		return err
	}
	d, err := os.Open(at)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// spare is where a file is written before it takes its name. None of those who
// read the directories here looks at such a name.
func spare(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".fairlead-new")
}

// replace gives a file another value: whole, or not at all.
func replace(d disk, path string, v Value) error {
	var err error
	if v.There {
		if err = d.create(spare(path), v); err == nil {
			err = d.rename(spare(path), path)
		}
	} else {
		err = d.remove(path)
	}
	if err == nil {
		err = d.sync(filepath.Dir(path))
	}
	if err != nil {
		d.remove(spare(path)) // at best; the next one begins anew
	}
	return err
}

// advised adds what to do about an error of a disk or of the kernel.
func advised(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: make room there", err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: mount it writable; in a container, do this on the machine that runs it", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: not even root may do that here; a container needs the capability NET_ADMIN", err)
	}
	return err
}
