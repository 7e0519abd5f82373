package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// hookTrouble says which programmes this machine cannot run as hooks, and why:
// whoever looks should know before a switch needs them. Package hook examines
// each again, and more strictly, before it runs it.
func hookTrouble(paths []string) map[string]string {
	trouble := make(map[string]string)
	for _, path := range paths {
		if err := examineHook(path); err != nil {
			trouble[path] = err.Error()
		}
	}
	return trouble
}

// examineHook examines the file, and what leads to it by its name and after
// symbolic links.
func examineHook(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return unwrapPath(err, path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", path)
	case info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%s is not executable: run chmod 755 on it", path)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return unwrapPath(err, path)
	}
	for _, name := range []string{path, real} {
		for at := name; ; at = filepath.Dir(at) {
			if err := rootsAlone(at); err != nil {
				return err
			}
			if at == filepath.Dir(at) {
				break
			}
		}
	}
	return nil
}

// rootsAlone tells whether only root can change a file, directory or link. In a
// directory with the sticky bit others cannot replace what is root's.
func rootsAlone(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return unwrapPath(err, path)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("the owner of %s is not known", path)
	}
	return onlyRoot(path, info.Mode(), owner.Uid)
}

func onlyRoot(path string, mode fs.FileMode, owner uint32) error {
	switch {
	case owner != 0:
		return fmt.Errorf("%s belongs to user %d, and hooks run as root: run chown root on it", path, owner)
	case mode&fs.ModeSymlink != 0, mode.IsDir() && mode&fs.ModeSticky != 0:
		return nil
	case mode.Perm()&0o022 != 0:
		return fmt.Errorf("%s may be written by others, and hooks run as root: run chmod go-w on it", path)
	}
	return nil
}
