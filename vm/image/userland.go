package image

import (
	"bufio"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// assemble builds everything below work; what is to be kept is in work/image.
func assemble(ctx context.Context, work string) error {
	a := apt{dir: filepath.Join(work, "apt")}
	if err := a.prepare(ctx); err != nil {
		return err
	}
	debs, err := a.withDependencies(ctx, packages)
	if err != nil {
		return err
	}
	kernel, err := a.kernel(ctx)
	if err != nil {
		return err
	}
	tree := filepath.Join(work, "tree")
	if err := unpack(ctx, append(debs, kernel...), tree); err != nil {
		return err
	}
	out := filepath.Join(work, "image")
	if err := os.Mkdir(out, 0o755); err != nil {
		return fmt.Errorf("make the image's directory: %w", err)
	}
	if err := makeDisk(ctx, filepath.Join(out, "disk.ext4")); err != nil {
		return err
	}
	release, err := takeKernel(tree, filepath.Join(out, "kernel"))
	if err != nil {
		return err
	}
	if err := makeInitrd(ctx, tree, release, filepath.Join(out, "initrd.cpio")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "release"), []byte(release), 0o644); err != nil {
		return fmt.Errorf("write the kernel's release: %w", err)
	}
	return nil
}

func makeDisk(ctx context.Context, name string) error {
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		return fmt.Errorf("make the disk: %w", err)
	}
	if err := os.Truncate(name, diskSize); err != nil {
		return fmt.Errorf("make the disk: %w", err)
	}
	// A user's PATH may lack the directory of mkfs.
	mkfs := "mkfs.ext4"
	if _, err := os.Stat("/sbin/mkfs.ext4"); err == nil {
		mkfs = "/sbin/mkfs.ext4"
	}
	_, err := run(ctx, "", mkfs, "-q", "-F", "-m", "0", name)
	return err
}

// takeKernel moves the kernel out of the tree and returns its release.
func takeKernel(tree, to string) (release string, err error) {
	found, err := filepath.Glob(filepath.Join(tree, "boot/vmlinuz-*"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("find the kernel among %q: want one", found)
	}
	if err := os.Rename(found[0], to); err != nil {
		return "", fmt.Errorf("take the kernel: %w", err)
	}
	return strings.TrimPrefix(filepath.Base(found[0]), "vmlinuz-"), nil
}

// makeInitrd writes the archive of the guest's file system.
func makeInitrd(ctx context.Context, tree, release, name string) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("make the first file system: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	a := newArchive(w)
	for _, d := range directories {
		a.directory(d)
	}
	a.write("dev/console", kindCharacter|0o600, 5, 1, nil)
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		a.file(name, 0o644, []byte(texts[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(links)) {
		a.link(name, links[name])
	}
	if err := addPrograms(a, tree); err != nil {
		return err
	}
	if err := addModules(ctx, a, tree, release); err != nil {
		return err
	}
	if err := errors.Join(a.close(), w.Flush()); err != nil {
		return fmt.Errorf("write the first file system: %w", err)
	}
	return nil
}

// addPrograms adds the binaries, the extras, and the libraries that they load.
func addPrograms(a *archive, tree string) error {
	var todo []string // names in the tree
	for _, name := range binaries {
		found, err := find(tree, programDirs, name)
		if err != nil {
			return err
		}
		a.copy(path.Join("bin", name), filepath.Join(tree, found))
		todo = append(todo, found)
	}
	for _, name := range extras {
		a.copy(name, filepath.Join(tree, name))
		todo = append(todo, name)
	}
	for ; len(todo) > 0; todo = todo[1:] {
		needed, err := libraries(filepath.Join(tree, todo[0]))
		if err != nil {
			return err
		}
		for _, library := range needed {
			to := path.Join(libraryDirs[0], library)
			if a.made[to] {
				continue
			}
			found, err := find(tree, libraryDirs, library)
			if err != nil {
				return fmt.Errorf("add what %s loads: %w", todo[0], err)
			}
			a.copy(to, filepath.Join(tree, found))
			todo = append(todo, found)
		}
	}
	return a.err
}

// libraries lists what an ELF file loads; another file loads nothing.
func libraries(name string) ([]string, error) {
	f, err := elf.Open(name)
	var malformed *elf.FormatError
	if errors.As(err, &malformed) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	found, err := f.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("read what %s loads: %w", name, err)
	}
	return found, nil
}

// Where a package may have its programmes and libraries: Debian 13 moved them all
// below /usr. In the guest, libraries are in the first directory.
var (
	programDirs = []string{"bin", "sbin", "usr/bin", "usr/sbin"}
	libraryDirs = []string{"lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64"}
)

func find(tree string, dirs []string, name string) (string, error) {
	for _, d := range dirs {
		if _, err := os.Stat(filepath.Join(tree, d, name)); err == nil {
			return path.Join(d, name), nil
		}
	}
	return "", fmt.Errorf("find %s in the packages: %w", name, fs.ErrNotExist)
}
