package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// tmpfs makes a file system of that size that has no place in the tree, and
// gives its directory. It vanishes when it is closed.
func tmpfs(t *testing.T, size string) *os.File {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes file systems and must run as root")
	}
	context, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err == nil {
		defer unix.Close(context)
		err = errors.Join(unix.FsconfigSetString(context, "size", size), unix.FsconfigCreate(context))
	}
	fd := -1
	if err == nil {
		fd, err = unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := os.NewFile(uintptr(fd), "tmpfs")
	t.Cleanup(func() { dir.Close() })
	return dir
}

func path(dir *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", dir.Fd()) }

func TestFullDisk(t *testing.T) {
	dir := path(tmpfs(t, "64k"))
	synctest.Test(t, func(t *testing.T) {
		j := open(t, dir)
		defer run(j)()
		fill(j, 3, "before")
		synctest.Wait()
		ballast := filepath.Join(dir, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("fill the disk: got %v, want ENOSPC", err)
		}
		fill(j, 8, strings.Repeat("x", 5000)) // not one has room in the last page
		synctest.Wait()
		err := j.Err()
		if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "make room") {
			t.Errorf("got %v, want what failed, where, and what to do", err)
		}
		wantNumbers(t, j, 1, 11)
		time.Sleep(3 * retryAfter)
		if j.Err() == nil {
			t.Error("a full disk is fine")
		}
		if text, err := os.ReadFile(filepath.Join(dir, present)); err != nil || !strings.HasSuffix(string(text), "}\n") {
			t.Errorf("the file ends with a torn line: %v, %.50q", err, text[max(0, len(text)-50):])
		}
		wantNumbers(t, open(t, dir), 1, 3)

		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		time.Sleep(retryAfter)
		synctest.Wait()
		if err := j.Err(); err != nil {
			t.Errorf("got %v with room again", err)
		}
		wantNumbers(t, open(t, dir), 1, 11)
	})
}

// TestReadOnlyDisk: what is there is read, and numbers go on from it.
func TestReadOnlyDisk(t *testing.T) {
	root := tmpfs(t, "64k")
	dir := path(root)
	remount := func(set, clear uint64) {
		t.Helper()
		err := unix.MountSetattr(int(root.Fd()), "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: set, Attr_clr: clear})
		if err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		first := open(t, dir)
		fill(first, 3, "before")
		first.Close()
		remount(unix.MOUNT_ATTR_RDONLY, 0)
		j := open(t, dir)
		if err := j.Err(); !errors.Is(err, unix.EROFS) || !strings.Contains(err.Error(), "mount it writable") {
			t.Errorf("got %v, want EROFS and what to do", err)
		}
		defer run(j)()
		fill(j, 3, "after")
		synctest.Wait()
		wantNumbers(t, j, 1, 6)
		remount(0, unix.MOUNT_ATTR_RDONLY)
		time.Sleep(retryAfter)
		synctest.Wait()
		if err := j.Err(); err != nil {
			t.Error(err)
		}
		wantNumbers(t, open(t, dir), 1, 6)
	})
}
