package nfsd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-billy/v5"
)

// directory is the exported tree, as the library wants to see one. Its paths
// are relative to the root, "" is the root itself, and none leads out of it.
type directory struct{ tree *os.Root }

// file is an open file that knows its path in the tree.
type file struct {
	*os.File
	path string
}

func (f file) Name() string { return f.path }

// The protocol's locks are not served: nothing is locked.
func (f file) Lock() error   { return nil }
func (f file) Unlock() error { return nil }

// local is the path in the form that os.Root takes.
func local(name string) string { return filepath.Join(".", name) }

// Create opens a file and makes it when it is missing. It does not cut an
// existing one, as CREATE does not: two servers that get the same call during a
// switch must not destroy what the other one's client has written since.
func (d directory) Create(name string) (billy.File, error) {
	return d.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
}

func (d directory) Open(name string) (billy.File, error) { return d.OpenFile(name, os.O_RDONLY, 0) }

func (d directory) OpenFile(name string, flag int, mode os.FileMode) (billy.File, error) {
	f, err := d.tree.OpenFile(local(name), flag, mode)
	if err != nil {
		return nil, err
	}
	return file{f, name}, nil
}

// TempFile is never asked for by the protocol.
func (d directory) TempFile(string, string) (billy.File, error) { return nil, billy.ErrNotSupported }

// ReadDir lists a directory, without the files that vanish meanwhile.
func (d directory) ReadDir(name string) ([]os.FileInfo, error) {
	f, err := d.tree.Open(local(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	infos := make([]os.FileInfo, 0, len(list))
	for _, e := range list {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	return infos, nil
}

func (d directory) Stat(name string) (os.FileInfo, error)  { return d.tree.Stat(local(name)) }
func (d directory) Lstat(name string) (os.FileInfo, error) { return d.tree.Lstat(local(name)) }
func (d directory) Rename(from, to string) error           { return d.tree.Rename(local(from), local(to)) }
func (d directory) Remove(name string) error               { return d.tree.Remove(local(name)) }
func (d directory) Symlink(target, link string) error      { return d.tree.Symlink(target, local(link)) }
func (d directory) Readlink(link string) (string, error)   { return d.tree.Readlink(local(link)) }
func (d directory) Join(elems ...string) string            { return filepath.Join(elems...) }
func (d directory) Root() string                           { return d.tree.Name() }

func (d directory) MkdirAll(name string, _ os.FileMode) error {
	return d.tree.MkdirAll(local(name), 0o755) // the mode that was asked for is set afterwards
}

func (d directory) Chroot(name string) (billy.Filesystem, error) {
	sub, err := d.tree.OpenRoot(local(name))
	return directory{sub}, err
}

func (d directory) Chmod(name string, m os.FileMode) error { return d.tree.Chmod(local(name), m) }
func (d directory) Lchown(name string, u, g int) error     { return d.tree.Lchown(local(name), u, g) }
func (d directory) Chown(name string, u, g int) error      { return d.tree.Chown(local(name), u, g) }

func (d directory) Chtimes(name string, atime, mtime time.Time) error {
	return d.tree.Chtimes(local(name), atime, mtime)
}
