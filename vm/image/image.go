// Package image makes what a small virtual machine boots: a kernel, a first file
// system and a disk, from Debian's packages, which it downloads and unpacks in a
// cache directory.
//
// It installs nothing and needs no root. It knows nothing of the programmes of
// this repository, which Overlay adds, and it starts no machine.
package image

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Image is the files that a machine boots.
type Image struct {
	Kernel  string // the compressed kernel
	Initrd  string // a cpio archive; others may be appended
	Disk    string // an ext4 file system, 64 MiB, empty
	Release string // of the kernel, as uname -r tells it
}

// diskSize is in bytes.
const diskSize = 64 << 20

// Build returns the image that the recipe describes, from the cache directory if
// it is there. It tells what it does on progress.
func Build(ctx context.Context, cache string, progress func(string)) (Image, error) {
	if runtime.GOARCH != "amd64" {
		return Image{}, fmt.Errorf("build an image: the packages are for amd64, and this machine is %s", runtime.GOARCH)
	}
	cache, err := filepath.Abs(cache) // apt runs elsewhere
	if err == nil {
		err = os.MkdirAll(cache, 0o755)
	}
	if err != nil {
		return Image{}, fmt.Errorf("make the cache directory: %w", err)
	}
	unlock, err := lock(cache)
	if err != nil {
		return Image{}, err
	}
	defer unlock()

	dir := filepath.Join(cache, key())
	if found, err := load(dir); !errors.Is(err, fs.ErrNotExist) {
		return found, err
	}
	progress("building kernel, userland and disk from Debian's packages")
	work, err := os.MkdirTemp(cache, "build-")
	if err != nil {
		return Image{}, fmt.Errorf("make a build directory: %w", err)
	}
	defer os.RemoveAll(work)
	if err := assemble(ctx, work); err != nil {
		return Image{}, fmt.Errorf("build an image: %w", err)
	}
	// A directory that has its name is whole.
	if err := os.Rename(filepath.Join(work, "image"), dir); err != nil {
		return Image{}, fmt.Errorf("name the image: %w", err)
	}
	return load(dir)
}

// key names the recipe, and the Debian release that gives the packages.
func key() string {
	release, _ := os.ReadFile("/etc/debian_version") // another system fails at the first package
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s %q %q %q %q %d %d",
		release, packages, binaries, extras, modules, diskSize, format)))[:16]
}

// load reads an image that was built before.
func load(dir string) (Image, error) {
	release, err := os.ReadFile(filepath.Join(dir, "release"))
	if err != nil {
		return Image{}, fmt.Errorf("read the cached image: %w", err)
	}
	return Image{
		Kernel:  filepath.Join(dir, "kernel"),
		Initrd:  filepath.Join(dir, "initrd.cpio"),
		Disk:    filepath.Join(dir, "disk.ext4"),
		Release: string(release),
	}, nil
}

// lock keeps a second build out of the cache directory until unlock is called.
func lock(cache string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the cache's lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the cache: %w", err), f.Close())
	}
	return func() { f.Close() }, nil
}
