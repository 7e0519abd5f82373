package program

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// mostLinks is how many symbolic links a path may have, as the kernel counts.
const mostLinks = 40

// Trust refuses a programme that is not root's alone to choose and to change: the
// file, every directory above it, and every link on the way. Run asks it before
// each run; who checks a configuration can ask it earlier.
func Trust(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("the path %q is not absolute", path)
	}
	for range mostLinks {
		path = filepath.Clean(path)
		target, err := follow(path)
		switch {
		case err != nil:
			return err
		case target == "":
			return executable(path)
		}
		path = target
	}
	return fmt.Errorf("%s leads through more than %d links", path, mostLinks)
}

// follow examines a path from the root on, up to its first symbolic link, and
// returns the path with that link replaced; "" when there is none.
func follow(path string) (string, error) {
	for end := 0; end <= len(path); end++ {
		if end < len(path) && path[end] != '/' {
			continue
		}
		part, rest := path[:max(end, 1)], path[end:]
		info, err := os.Lstat(part)
		if err != nil {
			return "", pathError(err)
		}
		if err := owned(part, info); err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return replace(part, rest)
		}
	}
	return "", nil
}

func replace(link, rest string) (string, error) {
	target, err := os.Readlink(link)
	if err != nil {
		return "", pathError(err)
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(link), target)
	}
	return target + rest, nil
}

// owned tells whether only root can change it. In a directory with the sticky
// bit others cannot replace what is root's.
func owned(path string, info fs.FileInfo) error {
	mode := info.Mode()
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return fmt.Errorf("the owner of %s is not known", path)
	case stat.Uid != 0:
		return fmt.Errorf("%s belongs to user %d, not to root: programmes run as root. Run chown root on it", path, stat.Uid)
	case mode&fs.ModeSymlink != 0, mode.IsDir() && mode&fs.ModeSticky != 0:
		return nil
	case mode.Perm()&0o022 != 0:
		return fmt.Errorf("%s may be written by others than root: programmes run as root. Run chmod go-w on it", path)
	}
	return nil
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return pathError(err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", path)
	case info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%s is not executable: run chmod +x on it", path)
	}
	return nil
}

// pathError leaves the name of the system call out.
func pathError(err error) error {
	var cause *fs.PathError
	if errors.As(err, &cause) {
		return fmt.Errorf("%s: %w", cause.Path, cause.Err)
	}
	return err
}
