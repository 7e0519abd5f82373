package site

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/outcome"
	"fairlead/internal/lab/workload"
	"fairlead/internal/model"
	"fairlead/internal/nfs"
	"fairlead/internal/nfsd"
	"fairlead/internal/topology"
)

// TestMain lets the test programme start itself as an NFS server.
func TestMain(m *testing.M) {
	var role string
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	var err error
	switch role {
	case "lab-server":
		err = labServer(os.Args[2:])
	case "lab-leftover":
		err = leftover()
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// leftover builds a site, mounts something where the director mounts its BPF
// file system, and waits to be killed.
func leftover() error {
	s := New(testOptions(Options{}))
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
	o.Program, o.XDP = os.Args[0], model.AttachGeneric
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

// TestSite builds the diagram without a director, works on nfs-01's own address,
// and kills and replaces the server meanwhile.
func TestSite(t *testing.T) {
	for _, backend := range []outcome.Backend{outcome.Embedded, outcome.Ganesha} {
		t.Run(backend.String(), func(t *testing.T) { testSite(t, backend) })
	}
}

// standing is a site without a director.
func standing(t *testing.T, o Options) *Site {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces: run it as root")
	}
	s := New(testOptions(o))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
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
	if n := must[int](t)(Sweep()); n < 6 {
		t.Errorf("swept %d things, want 6", n)
	}
	wantNothingOf(t, cmd.Process.Pid)
	if err := s.answers(t.Context(), s.Servers[1]); err != nil {
		t.Errorf("the living lab suffers: %v", err)
	}
}

func testSite(t *testing.T, backend outcome.Backend) {
	s, ctx := standing(t, Options{NFS: backend}), t.Context()
	l, err := s.Load(ctx, ServerSpecs[0].Addr.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	begun := clock.Now()
	l.Start(ctx)
	wantWork(t, l, begun)
	killed := clock.Now()
	if err := s.Serving[0].Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Serving[0].Done()
	if err := s.serve(0); err != nil {
		t.Fatal(err)
	}
	wantWork(t, l, killed)
	l.Finish(ctx)
	if errs := l.Errors(); len(errs) > 0 {
		t.Fatal(errs)
	}
	if err := l.Verify(ctx, s.Share()); err != nil {
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

// wantWork waits until so much was done since an instant.
func wantWork(t *testing.T, l *workload.Load, since clock.Instant) {
	t.Helper()
	end, poll := time.After(time.Minute), time.NewTicker(pollTime)
	defer poll.Stop()
	for !l.Between(since, clock.Now()).Reaches(workload.Volume{Operations: 500, Bytes: 32 << 20}) {
		select {
		case <-poll.C:
		case <-end:
			t.Fatalf("after a minute %+v was done; errors %v", l.Between(since, clock.Now()), l.Errors())
		}
	}
}

func TestProcessesAreMarked(t *testing.T) {
	s := &Site{dir: t.TempDir()}
	cmd := exec.Command("/nonexistent")
	s.start(&topology.Host{Spec: topology.Spec{Name: "x"}}, cmd) // only the preparation counts
	if !slices.Contains(cmd.Env, InsideVar+"=1") {
		t.Errorf("the lab's processes are not marked: %q", cmd.Env)
	}
}
