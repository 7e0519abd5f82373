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
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab/clock"
	"fairlead/internal/model"
	"fairlead/internal/nfs"
	"fairlead/internal/nfsd"
)

// TestMain lets the test programme start itself as the lab's NFS server.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "lab-server" {
		if err := labServer(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
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

// TestSite builds the diagram without a director, works on nfs-01's own address,
// and kills and replaces the server meanwhile.
func TestSite(t *testing.T) {
	for _, backend := range []Backend{Embedded, Ganesha} {
		t.Run(backend.String(), func(t *testing.T) { testSite(t, backend) })
	}
}

// standing is a site without a director.
func standing(t *testing.T, o Options) *site {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces: run it as root")
	}
	o.Program, o.XDP, o.Config = os.Args[0], model.AttachGeneric, note
	s := &site{opts: o, dir: filepath.Join(os.TempDir(), fmt.Sprintf("%s-%d", prefix, os.Getpid()))}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.dir); err == nil {
			t.Error("the lab's directory is still there")
		}
	})
	for _, step := range []func(context.Context) error{s.makeDirs, s.makeHosts, s.startServers} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func testSite(t *testing.T, backend Backend) {
	s, ctx := standing(t, Options{NFS: backend}), t.Context()
	l, err := s.load(ctx, serverSpecs[0].Addr.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := &run{load: l, site: s, reporter: newReporter(t.Output(), Options{})}
	begun := clock.Now()
	l.Start(ctx)
	if err := r.work(ctx, begun); err != nil {
		t.Fatal(err)
	}
	killed := clock.Now()
	if err := s.serving[0].Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.serving[0].Done()
	if err := s.serve(0); err != nil {
		t.Fatal(err)
	}
	if err := r.work(ctx, killed); err != nil {
		t.Fatal(err)
	}
	l.Finish(ctx)
	if errs := l.Errors(); len(errs) > 0 {
		t.Fatal(errs)
	}
	if err := l.Verify(ctx, s.share()); err != nil {
		t.Error(err)
	}
	if e := l.IdleEnd(); e.At < killed || e.At.Since(killed) > time.Second {
		t.Errorf("the idle connection ended %v after the kill (%v)", e.At.Since(killed), e.Kind)
	}
	if n := l.Totals().Different; n != 0 {
		t.Errorf("%d bytes differ", n)
	}
	for i, seen := range l.Seen() {
		if seen.Events[nfs.Reconnected] == 0 {
			t.Errorf("worker %d: events %v, want a reconnect", i+1, seen.Events)
		}
		t.Logf("worker %d: stall %v, events %v", i+1, seen.Stall(), seen.Events)
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
