package freshness

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/ganesha"
	"fairlead/internal/model"
	"fairlead/internal/nfsd"
	"fairlead/internal/nfswalk"
	"fairlead/internal/topology"
)

// inside reaches servers from a host of the test.
type inside struct {
	network
	host *topology.Host
}

func (i inside) read(ctx context.Context, t Target, s model.Server) (size uint64, held []byte, err error) {
	err = i.host.Do(func() (err error) {
		size, held, err = i.network.read(ctx, t, s)
		return err
	})
	return size, held, err
}

func (i inside) update(ctx context.Context, t Target, s model.Server, next nfswalk.Next) error {
	return i.host.Do(func() error { return i.network.update(ctx, t, s, next) })
}

// scene is a director and servers on one segment, with a meter.
type scene struct {
	*testing.T
	director *topology.Host
	segment  *topology.Segment
	results  chan model.Measured
	meter    *Meter
	last     map[string]model.Measured // the newest result of each server
}

func newScene(t *testing.T, director netip.Addr) *scene {
	t.Helper()
	segment, err := topology.Build("fairlead-freshness-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := segment.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &scene{T: t, segment: segment, results: make(chan model.Measured), last: map[string]model.Measured{}}
	s.director = s.add("director", director)
	s.meter = New(s.results, slog.New(slog.DiscardHandler))
	s.meter.files = inside{network{"director"}, s.director}
	return s
}

func (s *scene) add(name string, addr netip.Addr) *topology.Host {
	s.Helper()
	bits := 24
	if addr.Is6() {
		bits = 64
	}
	h, err := s.segment.Add(topology.Spec{Name: name, Addr: netip.PrefixFrom(addr, bits)})
	if err != nil {
		s.Fatal(err)
	}
	return h
}

// serve serves a directory of its own on a host of its own until stop is called.
func (s *scene) serve(server model.Server) (root string, stop func()) {
	s.Helper()
	h := s.add(server.Name, server.Addr)
	root = s.TempDir()
	ctx, cancel := context.WithCancel(s.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- h.Do(func() error {
			return nfsd.Serve(ctx, nfsd.Options{Root: root, Export: 77, Listen: ":2049", Portmap: ":111"}, slog.New(slog.DiscardHandler))
		})
	}()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			<-ended
		}
	}
	s.Cleanup(stop)
	return root, stop
}

// run runs the meter until the test ends.
func (s *scene) run() {
	ctx, cancel := context.WithCancel(s.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.meter.Run(ctx)
	}()
	s.Cleanup(func() {
		cancel()
		<-ended
	})
}

// until takes results until one is as wanted.
func (s *scene) until(what string, is func(model.Measured) bool) model.Measured {
	s.Helper()
	end := time.After(longest)
	var last model.Measured
	for {
		select {
		case last = <-s.results:
			if is(last) {
				return last
			}
		case <-end:
			s.Fatalf("%s: not within %v; last %+v", what, longest, last)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestNFS measures over the network: a copy that follows, one that stops, and the
// active server's death.
func TestNFS(t *testing.T) {
	s := newScene(t, netip.MustParseAddr("192.168.10.1"))
	active, kill := s.serve(one)
	standby, _ := s.serve(two)
	const file = "beat"
	of := target(one, two)
	of.Sync = model.Sync{File: "/export/" + file, Port: 2049, Interval: 300 * time.Millisecond, MaxLag: time.Minute}
	s.run()
	s.meter.Set([]Target{of})
	at := func(root string) string { return filepath.Join(root, file) }
	s.until("nothing was copied yet", func(m model.Measured) bool {
		return !m.OK && strings.HasPrefix(m.Err, "the heartbeat cannot be read on nfs-02: the file beat in the export /export is not there")
	})
	copyFile(t, at(active), at(standby))
	fresh := s.until("it was copied", func(m model.Measured) bool { return m.OK })
	last := fresh.Lag
	for range 5 {
		m := s.until("it grows", func(m model.Measured) bool { return m.OK })
		if m.Lag < last || m.Err != "" {
			t.Errorf("lag %v after %v, error %q", m.Lag, last, m.Err)
		}
		last = m.Lag
	}
	if last < 4*of.Sync.Interval {
		t.Errorf("after five more intervals without a copy the lag is %v", last)
	}
	kill()
	dead := s.until("the active server is dead", func(m model.Measured) bool { return m.OK && strings.Contains(m.Err, "connection refused") })
	again := s.until("still", func(m model.Measured) bool { return m.OK && m.Err != "" })
	if again.Lag != dead.Lag {
		t.Errorf("dead: %+v, then %+v", dead, again)
	}
	t.Run("strange files", func(t *testing.T) { s.strange(at(standby), standby) })
	t.Run("a full disk", func(t *testing.T) { s.full(standby) })
	t.Run("a read-only file system", func(t *testing.T) { s.readOnly(standby) })
}

// TestIPv6 writes to a server that has an address of IPv6.
func TestIPv6(t *testing.T) {
	s := newScene(t, netip.MustParseAddr("2001:db8::1"))
	six := model.Server{Name: "nfs-06", Addr: netip.MustParseAddr("2001:db8::100")}
	s.serve(six)
	of := target(six, two)
	of.Sync.File = "/export/beat"
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	tr := s.meter.track(ctx, of)
	tr.target = of
	for tr.beat(ctx); tr.failed != nil && ctx.Err() == nil; tr.beat(ctx) {
		time.Sleep(50 * time.Millisecond)
	}
	if tr.failed != nil || tr.newest == 0 {
		t.Errorf("heartbeat %d, %v", tr.newest, tr.failed)
	}
}

// strange reads and writes files that are none of ours. The server is nfs-02.
func (s *scene) strange(path, root string) {
	precious := filepath.Join(root, "precious")
	if err := os.WriteFile(precious, []byte("data"), 0o644); err != nil {
		s.Fatal(err)
	}
	huge := filepath.Join(root, "huge")
	if err := os.WriteFile(huge, nil, 0o644); err != nil {
		s.Fatal(err)
	}
	if err := os.Truncate(huge, 1<<40); err != nil {
		s.Fatal(err)
	}
	link := filepath.Join(root, "link")
	if err := os.Symlink("precious", link); err != nil {
		s.Fatal(err)
	}
	for file, want := range map[string]string{"precious": "it is not a heartbeat of Fairlead", "huge": "it is not a heartbeat of Fairlead",
		"link": "is not a regular file", "link/beat": "is not there", ".": "is not a regular file"} {
		tr := s.tried("/" + file)
		if tr.failed == nil || !strings.Contains(tr.failed.Error(), want) {
			s.Errorf("%s: written: %v, want %q", file, tr.failed, want)
		}
		size, held, err := s.meter.files.read(tr.ctx, tr.target, two)
		if err == nil {
			_, err = parse(size, held)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			s.Errorf("%s: read: %v, want %q", file, err, want)
		}
	}
	if b, err := os.ReadFile(precious); err != nil || string(b) != "data" {
		s.Errorf("it holds %q, %v", b, err)
	}
	if info, err := os.Stat(huge); err != nil || info.Size() != 1<<40 {
		s.Errorf("the huge file: %v, %v", info, err)
	}
}

// full writes to a file system without room, and then to one that has some again.
func (s *scene) full(root string) {
	small := s.mount(root, "small", "size=16k")
	filler := filepath.Join(small, "filler")
	if err := os.WriteFile(filler, make([]byte, 16<<10), 0o644); err != nil {
		s.Fatal(err)
	}
	tr := s.tried("/small/beat") // leaves an empty file
	if tr.beat(tr.ctx); tr.failed == nil || tr.newest != 0 {
		s.Errorf("a full disk took heartbeat %d", tr.newest)
	}
	s.Logf("a full disk: %v", tr.failed)
	if err := os.Remove(filler); err != nil {
		s.Fatal(err)
	}
	if tr.beat(tr.ctx); tr.failed != nil || tr.newest != 3 {
		s.Errorf("with room again: %v, heartbeat %d", tr.failed, tr.newest)
	}
}

// readOnly writes to a file system that allows no writing.
func (s *scene) readOnly(root string) {
	dir := s.mount(root, "readonly", "")
	if err := os.WriteFile(filepath.Join(dir, "beat"), nil, 0o644); err != nil {
		s.Fatal(err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		s.Fatal(err)
	}
	tr := s.tried("/readonly/beat")
	if tr.failed == nil || tr.newest != 0 {
		s.Errorf("a read-only file system took heartbeat %d", tr.newest)
	}
	s.Logf("a read-only file system: %v", tr.failed)
}

// mount mounts an empty file system below a directory until the test ends.
func (s *scene) mount(root, name, options string) (dir string) {
	s.Helper()
	dir = filepath.Join(root, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		s.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			s.Error(err)
		}
	})
	return dir
}

// tried is a track that tried to write one heartbeat to nfs-02.
func (s *scene) tried(file string) *track {
	of := target(two, one)
	of.Sync.File, of.Sync.Export = file, "/export"
	ctx, cancel := context.WithTimeout(s.Context(), longest)
	s.Cleanup(cancel)
	tr := s.meter.track(ctx, of)
	tr.target = of
	tr.beat(ctx)
	return tr
}

// TestGanesha writes and reads at nfs-ganesha, and is told what to do where that cannot be.
func TestGanesha(t *testing.T) {
	for _, tt := range []struct {
		versions, by string
		made         bool // the file
		want         string
	}{
		{"3", "3", false, ""},
		{"4", "4.1", true, ""},
		{"4", "4.1", false, "is not there (LOOKUP: no such file or directory (status 2)): with version 4.1 it must be made once on the active server: install -o nobody -g nogroup -m 644 /dev/null FILE"},
		{"4", "3", false, "the server offers version 4 of nfs, not 3: say which with synccheck version"},
	} {
		t.Run(fmt.Sprintf("version %s by %s, %t", tt.versions, tt.by, tt.made), func(t *testing.T) {
			root, dir := t.TempDir(), t.TempDir() // removed after the server has ended
			s := newScene(t, netip.MustParseAddr("192.168.10.1"))
			h := s.add(one.Name, one.Addr)
			cmd, err := ganesha.Command(ganesha.Options{Dir: dir, Root: root, Versions: tt.versions})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.Start(cmd); err != nil {
				t.Fatal(err)
			}
			of := target(one, two)
			if of.Sync.Version, of.Sync.File = tt.by, filepath.Join(root, "beat"); tt.by != "3" {
				of.Sync.File = "/export/beat"
			}
			if tt.made {
				if err := os.WriteFile(filepath.Join(root, "beat"), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*longest)
			defer cancel()
			tr := s.meter.track(ctx, of)
			tr.target = of
			for tr.beat(ctx); ctx.Err() == nil; tr.beat(ctx) {
				if tr.failed == nil || tt.want != "" && strings.Contains(tr.failed.Error(), tt.want) {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			if got := tr.failed; tt.want == "" && got != nil || tt.want != "" && (got == nil || !strings.Contains(got.Error(), tt.want)) {
				t.Fatalf("got %v, want %q", got, tt.want)
			}
			if tt.want != "" {
				return
			}
			size, held, err := s.meter.files.read(ctx, of, one)
			if err == nil {
				_, err = tr.compare(size, held)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}
