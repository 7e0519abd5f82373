package workload

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead/internal/lab/clock"
	"fairlead/internal/nfs"
	"fairlead/internal/nfsd"
)

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
	working := func(since clock.Instant, v Volume) {
		t.Helper()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for !w.track.seen().Between(since, clock.Now()).Reaches(v) {
			select {
			case err := <-done:
				t.Fatalf("the worker ended: %v", err)
			case <-tick.C:
			}
		}
	}
	working(0, Volume{30, 1 << 20})
	stop()
	serveNFS(t, share, addr.String())
	working(clock.Now(), Volume{80, 2 << 20})
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
	if n := w.track.seen().Events[nfs.Reconnected]; n != 1 {
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
		{"the end is cut off", func(dir string) error { return os.Truncate(filepath.Join(dir, "file-000000"), 100) }, 1_000_000, ""},
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

func TestWorkerKeepsPaceAndRemovesOldFiles(t *testing.T) {
	share := t.TempDir()
	addr, _ := serveNFS(t, share, "")
	w := newWorker(t, addr)
	for range keepFiles + 2 {
		if err := w.cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.next++
	}
	if names := must[[]os.DirEntry](t)(os.ReadDir(filepath.Join(share, w.name()))); len(names) != keepFiles {
		t.Errorf("%d files, want %d", len(names), keepFiles)
	}
	seen := w.track.seen().Samples
	if took, least := seen[len(seen)-1].At.Since(seen[0].At), time.Duration(len(seen)-2)*pace; took < least {
		t.Errorf("%d operations took %v, want the pace of %v", len(seen), took, least)
	}
}

func TestBackoffCountsFromTheDecision(t *testing.T) {
	s := Seen{Delays: []Delay{{At: 10, Until: 40}, {At: 50, Until: 90}, {At: 110, Until: 500}}}
	if got := s.Backoff(60); got != 30 {
		t.Errorf("got %d, want 30: the refusal before the decision, less what had passed", got)
	}
}
