package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/crowd"
	"fairlead/internal/lab/outcome"
	"fairlead/internal/model"
	"fairlead/internal/nfs"
	"fairlead/internal/nfsd"
	"fairlead/internal/topology"
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
	case "lab-crowd":
		err = labCrowd(os.Args[2:])
	case "run":
		err = runFake(os.Args[2:])
	case "lab-leftover":
		err = leftover()
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

// leftover builds a site, mounts something where the director mounts its BPF
// file system, and waits to be killed.
func leftover() error {
	s := &site{opts: testOptions(Options{}), dir: labDir()}
	for _, step := range []func(context.Context) error{s.makeDirs, s.makeHosts, s.startServers} {
		if err := step(context.Background()); err != nil {
			return err
		}
	}
	if err := os.Mkdir(s.pins(), 0o700); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", s.pins(), "tmpfs", 0, ""); err != nil {
		return err
	}
	fmt.Println("ready")
	select {}
}

func testOptions(o Options) Options {
	o.Program, o.XDP, o.Config = os.Args[0], model.AttachGeneric, note
	return o
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

func labCrowd(args []string) error {
	f := flag.NewFlagSet("lab-crowd", flag.ContinueOnError)
	var service netip.AddrPort
	var local netip.Addr
	f.TextVar(&service, "service", netip.AddrPort{}, "")
	f.TextVar(&local, "local", netip.Addr{}, "")
	connections := f.Int("connections", 0, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return crowd.Run(ctx, service, local, *connections, func(s crowd.Seen) error { return json.NewEncoder(os.Stdout).Encode(s) })
}

// TestSite builds the diagram without a director, works on nfs-01's own address,
// and kills and replaces the server meanwhile.
func TestSite(t *testing.T) {
	for _, backend := range []outcome.Backend{outcome.Embedded, outcome.Ganesha} {
		t.Run(backend.String(), func(t *testing.T) { testSite(t, backend) })
	}
}

// standing is a site without a director.
func standing(t *testing.T, o Options) *site {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces: run it as root")
	}
	s := &site{opts: testOptions(o), dir: labDir()}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
		wantNothingOf(t, os.Getpid())
	})
	for _, step := range []func(context.Context) error{s.makeDirs, s.makeHosts, s.startServers} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// wantNothingOf looks for what the lab of a process left behind.
func wantNothingOf(t *testing.T, pid int) {
	t.Helper()
	for _, pattern := range []string{"/run/netns/%s-%d-*", filepath.Join(os.TempDir(), "%s-%d")} {
		if left := must[[]string](t)(filepath.Glob(fmt.Sprintf(pattern, prefix, pid))); len(left) > 0 {
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

// TestSweep kills a lab and cleans up after it.
func TestSweep(t *testing.T) {
	s := standing(t, Options{}) // a living lab, not to be touched
	cmd := exec.Command(os.Args[0], "lab-leftover")
	out := must[io.ReadCloser](t)(cmd.StdoutPipe())
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, err := bufio.NewReader(out).ReadString('\n')
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("%s-%d", prefix, cmd.Process.Pid))
	if mounts := must[[]string](t)(mountsBelow(dir)); len(mounts) != 1 {
		t.Fatalf("mounts %q below %s: this test shows nothing", mounts, dir)
	}
	// Five namespaces and one directory, at least: an earlier test may have been
	// killed as well.
	if n := must[int](t)(sweep()); n < 6 {
		t.Errorf("swept %d things, want 6", n)
	}
	wantNothingOf(t, cmd.Process.Pid)
	if err := s.answers(t.Context(), s.servers[1]); err != nil {
		t.Errorf("the living lab suffers: %v", err)
	}
}

func testSite(t *testing.T, backend outcome.Backend) {
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
	if ends := l.IdleEnds(); len(ends) != 1 || ends[0].At < killed || ends[0].At.Since(killed) > time.Second {
		t.Errorf("the idle connections ended as %v, with the kill at %v", ends, killed)
	}
	if n := l.Totals().Different; n != 0 {
		t.Errorf("%d bytes differ", n)
	}
	for i, seen := range l.Seen() {
		if seen.Events[nfs.Reconnected] == 0 {
			t.Errorf("worker %d: events %v, want a reconnect", i+1, seen.Events)
		}
		t.Logf("worker %d: stall %v, events %v", i+1, seen.Stall().Length(), seen.Events)
	}
}

func TestNoLabInsideALab(t *testing.T) {
	t.Setenv(insideVar, "1")
	if _, err := Run(t.Context(), Options{}, os.Stderr); err == nil || !strings.Contains(err.Error(), insideVar) {
		t.Errorf("got %v, want a refusal that names %s", err, insideVar)
	}
	s := &site{dir: t.TempDir()}
	cmd := exec.Command("/nonexistent")
	s.start(&topology.Host{Spec: topology.Spec{Name: "x"}}, cmd) // only the preparation counts
	if !slices.Contains(cmd.Env, insideVar+"=1") {
		t.Errorf("the lab's processes are not marked: %q", cmd.Env)
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
