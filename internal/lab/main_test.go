package lab

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab/site"
	"fairlead/internal/nfsd"
)

// TestMain lets the test programme start itself as the lab's NFS server.
func TestMain(m *testing.M) {
	var role string
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	var err error
	switch role {
	case "lab-server":
		err = labServer(os.Args[2:])
	case "run":
		err = runFake(os.Args[2:])
	default:
		code := m.Run()
		if err = os.RemoveAll(programDir()); err == nil {
			os.Exit(code)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func labServer(args []string) error {
	var o nfsd.Options
	f := flag.NewFlagSet("lab-server", flag.ContinueOnError)
	f.StringVar(&o.Root, "root", "", "")
	f.StringVar(&o.Listen, "listen", "", "")
	f.StringVar(&o.Portmap, "portmap", "", "")
	export := f.Uint("export", 0, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	o.Export = uint32(*export)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return nfsd.Serve(ctx, o, slog.Default())
}

// wantNothingOf looks for what the lab of a process left behind.
func wantNothingOf(t *testing.T, pid int) {
	t.Helper()
	for _, pattern := range []string{"/run/netns/fairlead-lab-%d-*", filepath.Join(os.TempDir(), "fairlead-lab-%d")} {
		if left := must[[]string](t)(filepath.Glob(fmt.Sprintf(pattern, pid))); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestNoLabInsideALab(t *testing.T) {
	t.Setenv(site.InsideVar, "1")
	if _, err := Run(t.Context(), Options{}, os.Stderr); err == nil || !strings.Contains(err.Error(), site.InsideVar) {
		t.Errorf("got %v, want a refusal that names %s", err, site.InsideVar)
	}
}

func TestRunNeedsRoot(t *testing.T) {
	got := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the thread keeps its user, and dies
		const keep = ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, 65534, keep); errno != 0 && os.Geteuid() == 0 {
			got <- errno
			return
		}
		_, err := Run(context.Background(), Options{}, os.Stderr)
		got <- err
	}()
	if err := <-got; err != ErrNeedsRoot {
		t.Errorf("got %v, want ErrNeedsRoot", err)
	}
}
