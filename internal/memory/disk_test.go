package memory

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// onTmpfs runs f on a thread of its own, in a mount namespace of its own, with a
// file system of that size in a directory. Both vanish with the thread.
func onTmpfs(t *testing.T, size string, f func(dir string)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts file systems and must run as root")
	}
	dir := t.TempDir()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size)
		}
		if err == nil {
			f(dir)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	onTmpfs(t, "64k", func(dir string) {
		s, err := Open(dir)
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		if err := s.Save(sample); err != nil {
			t.Error(err)
		}
		ballast := filepath.Join(dir, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("fill the disk: got %v, want ENOSPC", err)
		}
		err = s.Save(at(8))
		if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "make room") {
			t.Errorf("got %v, want what failed, where, and what to do", err)
		}
		wantMemory(t, s, sample)
		if err := os.Remove(ballast); err != nil {
			t.Error(err)
		}
		if err := s.Save(at(8)); err != nil {
			t.Error(err)
		}
		wantMemory(t, s, at(8))
	})
}

// TestFullDiskKeepsALostMemory: were it taken away before the new one is there,
// the next start would pass for the first one.
func TestFullDiskKeepsALostMemory(t *testing.T) {
	onTmpfs(t, "64k", func(dir string) {
		s, err := Open(dir)
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		if err := os.WriteFile(s.path(name), []byte("torn"), 0o600); err != nil {
			t.Error(err)
		}
		if _, err := s.Load(); err == nil {
			t.Error("a torn memory was read")
		}
		os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 1<<20), 0o600)
		if err := s.Save(sample); err == nil {
			t.Error("saved on a full disk")
		}
		if _, err := (&Store{dir: s.dir}).Load(); err == nil {
			t.Error("the loss was forgotten")
		}
	})
}

func TestReadOnlyDisk(t *testing.T) {
	onTmpfs(t, "64k", func(dir string) {
		first, err := Open(dir)
		if err == nil {
			err = errors.Join(first.Save(sample), first.Close(), unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		}
		if err != nil {
			t.Error(err)
			return
		}
		s, err := Open(dir)
		if err != nil {
			t.Errorf("a read-only directory cannot be opened: %v", err)
			return
		}
		defer s.Close()
		wantMemory(t, s, sample)
		if _, err := Open(dir); !errors.Is(err, ErrInUse) {
			t.Errorf("a second daemon: got %v, want ErrInUse", err)
		}
		if err := s.Save(at(8)); !errors.Is(err, unix.EROFS) || !strings.Contains(err.Error(), "mount it writable") {
			t.Errorf("got %v, want EROFS and what to do", err)
		}
		wantMemory(t, s, sample)
	})
}

// TestMain is also the daemon that TestKilledDaemon kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("FAIRLEAD_TEST_SAVE"); dir != "" {
		saveForEver(dir)
	}
	os.Exit(m.Run())
}

// saveForEver saves ever larger memories, and tells each that is safe.
func saveForEver(dir string) {
	s, err := Open(dir)
	for epoch := uint64(1); err == nil; epoch++ {
		m := at(epoch)
		m.Directors[0].Why = strings.Repeat("x", int(epoch)*1000)
		if err = s.Save(m); err == nil {
			os.Stdout.WriteString(".\n")
		}
	}
	panic(err)
}

// TestKilledDaemon kills a daemon that saves all the time, at any instant.
func TestKilledDaemon(t *testing.T) {
	for round := range 20 {
		dir := t.TempDir()
		daemon := exec.Command(os.Args[0])
		daemon.Env = append(os.Environ(), "FAIRLEAD_TEST_SAVE="+dir)
		out, err := daemon.StdoutPipe()
		if err == nil {
			err = daemon.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		safe := uint64(0)
		for lines := bufio.NewScanner(out); safe < uint64(5+round) && lines.Scan(); {
			safe++
		}
		if err := daemon.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		daemon.Wait()
		m, err := open(t, dir).Load()
		if err != nil || len(m.Directors) != 1 || m.Directors[0].Epoch < safe {
			t.Fatalf("killed after save %d: got %d directors, %v, want all of that save or a later one", safe, len(m.Directors), err)
		}
	}
}
