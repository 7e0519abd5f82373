package topology

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Sweep removes what segments of that prefix left behind whose process was
// killed: their namespaces, and the processes that still run in those. It
// returns the names of the namespaces that it removed.
func Sweep(prefix string) ([]string, error) {
	files, err := os.ReadDir(namesDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for namespaces that were left behind: %w", err)
	}
	var names []string
	for _, f := range files {
		if pid, ok := Owner(prefix, f.Name()); ok && !alive(pid) {
			names = append(names, f.Name())
		}
	}
	return names, remove(names)
}

// Owner tells which process made something that is called PREFIX-PID-NAME.
func Owner(prefix, name string) (pid int, ok bool) {
	rest, ok := strings.CutPrefix(name, prefix+"-")
	if !ok {
		return 0, false
	}
	digits, _, _ := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(digits)
	return pid, err == nil && pid > 0
}

func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// remove ends the processes in the named namespaces, then removes these.
func remove(names []string) error {
	var errs []error
	own, err := identify("/proc/self/ns/net")
	if err != nil {
		return fmt.Errorf("identify the own network namespace: %w", err)
	}
	var spaces []identity
	for _, n := range names {
		// The file of a namespace that was unmounted is no namespace, and nobody
		// may be killed for running where this process runs.
		id, err := identify(filepath.Join(namesDir, n))
		if err == nil && id.dev == own.dev && id != own {
			spaces = append(spaces, id)
		}
	}
	errs = append(errs, killIn(spaces))
	for _, n := range names {
		if err := unname(n); err != nil {
			errs = append(errs, fmt.Errorf("remove network namespace %s: %w", n, err))
		}
	}
	return errors.Join(errs...)
}

// unname removes a namespace's name. Where the directory outlives a reboot the
// name is a plain file, and it may be a mount several times over.
func unname(name string) error {
	path := filepath.Join(namesDir, name)
	for {
		err := unix.Unmount(path, unix.MNT_DETACH)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // not, or no longer, a mount
			break
		}
		if err != nil {
			return err
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// identity tells namespaces apart.
type identity struct{ dev, inode uint64 }

func identify(path string) (identity, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	return identity{uint64(st.Dev), st.Ino}, err
}

// killTime limits how long killed processes may take to vanish.
const killTime = 5 * time.Second

// killIn kills every process that runs in one of the namespaces, except this
// one, and waits until they are gone.
func killIn(spaces []identity) error {
	for end := time.Now().Add(killTime); ; {
		pids, err := processesIn(spaces)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("processes %v survive SIGKILL", pids)
		}
		for _, pid := range pids {
			if err := killOne(pid); err != nil {
				return err
			}
		}
	}
}

// killOne kills a process and waits for its end, through a descriptor that
// cannot come to mean another process.
func killOne(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(killTime.Milliseconds()))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for process %d: %w", pid, err)
	}
	return nil
}

// processesIn lists the processes whose network namespace is one of those given.
func processesIn(spaces []identity) ([]int, error) {
	if len(spaces) == 0 {
		return nil, nil
	}
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// A zombie has no namespace, and a process may end at any time.
		if id, err := identify(fmt.Sprintf("/proc/%d/ns/net", pid)); err == nil && slices.Contains(spaces, id) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
