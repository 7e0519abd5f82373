package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// layout is the version of everything in bpf/maps.h. Another layout gets a
// directory of its own, so that an upgrade never misreads what is pinned.
const layout = "v9"

func layoutDir(dir string) string { return filepath.Join(dir, layout) }

// otherLayouts are the directories of other versions, whose maps cannot be read.
func otherLayouts(dir string) []string {
	all, err := filepath.Glob(filepath.Join(dir, "v[0-9]*"))
	if err != nil {
		panic(err) // the pattern is wrong
	}
	return slices.DeleteFunc(all, func(d string) bool {
		return d == layoutDir(dir) || strings.Trim(filepath.Base(d)[1:], "0123456789") != ""
	})
}

// buildingDir is where new pins are before they are complete.
func buildingDir(dir string) string { return layoutDir(dir) + "-building" }

// bpffsMount is where distributions mount the one bpffs of the machine.
const bpffsMount = "/sys/fs/bpf"

// openDir makes the directory, on a bpffs, and locks it.
func openDir(dir string) (*os.File, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open the pin directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("the pin directory %s is in use by another fairlead: stop it first, or use another --pin-dir", dir), f.Close())
	}
	return f, nil
}

func makeDir(dir string) error {
	if strings.HasPrefix(filepath.Clean(dir)+"/", bpffsMount+"/") && !onBPFFS(bpffsMount) {
		if err := mountBPFFS(bpffsMount); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the pin directory: %w", err)
	}
	if onBPFFS(dir) {
		return nil
	}
	return mountBPFFS(dir)
}

func onBPFFS(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && st.Type == unix.BPF_FS_MAGIC
}

func mountBPFFS(dir string) error {
	if err := unix.Mount("bpf", dir, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		return fmt.Errorf("mount a bpf file system on %s: %w", dir, err)
	}
	return nil
}

// Detach takes everything of a pin directory out of the kernel: programmes,
// maps and links. A directory that a daemon has open is refused; one that does
// not exist is fine.
func Detach(dir string) error {
	if filepath.Clean(dir) == bpffsMount {
		return fmt.Errorf("%s belongs to the whole machine: name the directory below it that fairlead was started with", dir)
	}
	layouts := append(otherLayouts(dir), layoutDir(dir))
	if !slices.ContainsFunc(layouts, exists) || !onBPFFS(dir) {
		return nil
	}
	lock, err := openDir(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	// links first: from then on nothing is forwarded
	for _, pin := range linkPins(layouts...) {
		if err := os.Remove(pin); err != nil {
			return fmt.Errorf("detach %s: %w", pin, err)
		}
	}
	for _, l := range layouts {
		if err := os.RemoveAll(l); err != nil {
			return fmt.Errorf("remove the pins: %w", err)
		}
	}
	if err := os.RemoveAll(buildingDir(dir)); err != nil {
		return fmt.Errorf("remove an unfinished start: %w", err)
	}
	return removeDir(dir)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// linkPins are the pinned attachments below these directories.
func linkPins(layouts ...string) []string {
	var all []string
	for _, l := range layouts {
		pins, err := filepath.Glob(filepath.Join(l, "link-*"))
		if err != nil {
			panic(err) // the pattern is wrong
		}
		all = append(all, pins...)
	}
	return all
}

// removeDir removes the directory, and the bpffs that was mounted just for it. What
// others have pinned there keeps both.
func removeDir(dir string) error {
	left, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the pin directory: %w", err)
	}
	for _, entry := range left {
		// the kernel puts its own maps.debug and progs.debug into every bpffs
		if !strings.HasSuffix(entry.Name(), ".debug") {
			return nil
		}
	}
	if isMount(dir) {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the pin directory: %w", err)
	}
	return nil
}

// isMount tells whether a file system is mounted on the directory itself.
func isMount(dir string) bool {
	var self, parent unix.Stat_t
	if unix.Stat(dir, &self) != nil || unix.Stat(filepath.Dir(filepath.Clean(dir)), &parent) != nil {
		return false
	}
	return self.Dev != parent.Dev
}
