package site

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"fairlead/internal/topology"
)

// contSignal wakes a stopped process.
const contSignal = syscall.SIGCONT

// Sweep removes what labs left behind that were killed. It returns how many
// namespaces and directories those were.
func Sweep() (int, error) {
	names, err := topology.Sweep(prefix)
	n := len(names)
	dirs, e := os.ReadDir(os.TempDir())
	err = errors.Join(err, e)
	for _, d := range dirs {
		pid, ok := topology.Owner(prefix, d.Name())
		if !ok || !d.IsDir() || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		n++
		err = errors.Join(err, removeDir(filepath.Join(os.TempDir(), d.Name())))
	}
	if err != nil {
		return n, fmt.Errorf("clean up after an earlier run: %w", err)
	}
	return n, nil
}

// removeDir removes a lab's directory with the BPF file system that the director
// mounted in it; the pinned data plane goes with that.
func removeDir(dir string) error {
	mounts, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if err := unix.Unmount(m, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmount %s: %w", m, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the lab's directory: %w", err)
	}
	return nil
}

// mountsBelow lists the mount points below a directory, the deepest first.
func mountsBelow(dir string) ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	defer f.Close()
	var mounts []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// The fifth field is the mount point (proc_pid_mountinfo(5)).
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			mounts = append(mounts, fields[4])
		}
	}
	slices.Reverse(mounts)
	return mounts, lines.Err()
}
