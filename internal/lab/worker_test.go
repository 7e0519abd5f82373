package lab

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// newWorker is a worker on a server, with its directory made.
func newWorker(t *testing.T, addr netip.AddrPort) *worker {
	t.Helper()
	tr := &track{}
	w := &worker{id: 1, track: tr, client: nfs.New(nfs.Options{Server: addr, Event: tr.event})}
	t.Cleanup(func() { w.client.Close() })
	root := must[nfs.Handle](t)(w.client.Mount(t.Context(), nfsd.ExportPath))
	if err := w.begin(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWorkerOverTwoServers(t *testing.T) {
	share := t.TempDir()
	addr, stop := serveNFS(t, share, "")
	w := newWorker(t, addr)
	done, halt := make(chan error, 1), make(chan struct{})
	go func() { done <- w.run(t.Context(), halt) }()
	working := func(since instant, v volume) {
		t.Helper()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for !w.track.seen().between(since, now()).reaches(v) {
			select {
			case err := <-done:
				t.Fatalf("the worker ended: %v", err)
			case <-tick.C:
			}
		}
	}
	working(0, volume{30, 1 << 20})
	stop()
	serveNFS(t, share, addr.String())
	working(now(), volume{80, 2 << 20})
	close(halt)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := w.verify(t.Context(), share); err != nil {
		t.Fatal(err)
	}
	if w.different != 0 || w.compared < 4<<20 {
		t.Errorf("%d of %d bytes differ", w.different, w.compared)
	}
	if n := w.track.seen().events[nfs.Reconnected]; n != 1 {
		t.Errorf("%d reconnects, want 1", n)
	}
}

// TestVerifySeesDamage damages the worker's files on the servers' disk.
func TestVerifySeesDamage(t *testing.T) {
	for _, tt := range []struct {
		name      string
		damage    func(dir string) error
		different int64  // at least
		err       string // "": none
	}{
		{"none", func(string) error { return nil }, 0, ""},
		{"a byte", func(dir string) error {
			f, err := os.OpenFile(filepath.Join(dir, "file-000001"), os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte("damage"), 70_000)
			return err
		}, 1, ""},
		{"the end is cut off", func(dir string) error { return os.Truncate(filepath.Join(dir, "file-000000"), 100) }, 500_000, ""},
		{"a file is gone", func(dir string) error { return os.Remove(filepath.Join(dir, "file-000000")) }, 0, "no such file"},
		{"a file too many", func(dir string) error { return os.WriteFile(filepath.Join(dir, "file-9"), nil, 0o644) }, 0, "file-9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			share := t.TempDir()
			addr, _ := serveNFS(t, share, "")
			w := newWorker(t, addr)
			for range 2 {
				if err := w.cycle(t.Context()); err != nil {
					t.Fatal(err)
				}
				w.next++
			}
			w.compared, w.different = 0, 0
			if err := tt.damage(filepath.Join(share, w.name())); err != nil {
				t.Fatal(err)
			}
			err := w.verify(t.Context(), share)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if tt.different == 0 && w.different != 0 || w.different < tt.different {
				t.Errorf("%d bytes differ, want at least %d", w.different, tt.different)
			}
		})
	}
}

func TestWorkerRemovesOldFiles(t *testing.T) {
	share := t.TempDir()
	addr, _ := serveNFS(t, share, "")
	w := newWorker(t, addr)
	w.due = time.Now().Add(-time.Hour)
	for range keepFiles + 2 {
		if err := w.cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.next++
	}
	if names := must[[]os.DirEntry](t)(os.ReadDir(filepath.Join(share, w.name()))); len(names) != keepFiles {
		t.Errorf("%d files, want %d", len(names), keepFiles)
	}
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
	l, err := s.mountLoad(ctx, serverSpecs[0].Addr.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	r := &run{load: l, site: s}
	begun := now()
	l.start(ctx)
	if err := r.work(ctx, begun); err != nil {
		t.Fatal(err)
	}
	killed := now()
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
	l.finish(ctx)
	if errs := l.errors(); len(errs) > 0 {
		t.Fatal(errs)
	}
	if err := l.verify(ctx, s.share()); err != nil {
		t.Error(err)
	}
	if e := l.idleEnd(); e.at < killed || e.at.since(killed) > time.Second {
		t.Errorf("the idle connection ended %v after the kill (%v)", e.at.since(killed), e.kind)
	}
	for _, w := range l.workers {
		seen := w.track.seen()
		if w.different != 0 || seen.events[nfs.Reconnected] == 0 {
			t.Errorf("%s: %d bytes differ, events %v", w.name(), w.different, seen.events)
		}
		t.Logf("%s: stall %v, %d files rewritten, events %v", w.name(), seen.stall(), w.rewritten, seen.events)
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
