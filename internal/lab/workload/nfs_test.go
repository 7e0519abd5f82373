package workload

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/nfs"
	"fairlead/internal/nfsd"
)

// started is a log handler that tells when the server's first line comes.
type started chan struct{}

func (s started) Enabled(context.Context, slog.Level) bool { return true }
func (s started) Handle(context.Context, slog.Record) error {
	close(s)
	return nil
}
func (s started) WithAttrs([]slog.Attr) slog.Handler { return s }
func (s started) WithGroup(string) slog.Handler      { return s }

// serveNFS serves root on a loopback port until the returned stop is called.
func serveNFS(t *testing.T, root, listen string) (addr netip.AddrPort, stop func()) {
	t.Helper()
	if listen == "" {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listen = l.Addr().String()
		l.Close()
	}
	ctx, cancel := context.WithCancel(context.Background())
	up, done := make(started), make(chan error, 1)
	go func() { done <- nfsd.Serve(ctx, nfsd.Options{Root: root, Export: 77, Listen: listen}, slog.New(up)) }()
	select {
	case <-up:
	case err := <-done:
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve NFS: %v", err)
		}
	}
	t.Cleanup(stop)
	return netip.MustParseAddrPort(listen), stop
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

// TestClientAndServer walks through every procedure of the client.
func TestClientAndServer(t *testing.T) {
	addr, _ := serveNFS(t, t.TempDir(), "")
	c, ctx := nfs.New(nfs.Options{Server: addr}), t.Context()
	defer c.Close()
	handle := must[nfs.Handle](t)
	root := handle(c.Mount(ctx, nfsd.ExportPath))
	dir := handle(c.Mkdir(ctx, root, strings.Repeat("d", 61), 0o755)) // a hashed handle, odd length
	h := handle(c.Create(ctx, dir, "one", 0o644))
	if _, err := c.Create(ctx, dir, "one", 0o644); !errors.Is(err, nfs.StatusExists) {
		t.Errorf("second create: %v, want %v", err, nfs.StatusExists)
	}
	data := bytes.Repeat([]byte("fairlead"), 20000)
	w := must[nfs.Written](t)(c.Write(ctx, h, 5, data))
	if v := must[nfs.Verifier](t)(c.Commit(ctx, h)); int(w.Count) != len(data) || v != w.Verifier {
		t.Errorf("wrote %d of %d, verifiers equal: %v", w.Count, len(data), v == w.Verifier)
	}
	got, eof, err := c.Read(ctx, h, 5, nfs.MaxData)
	if err != nil || !eof || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, end %v, error %v", len(got), eof, err)
	}
	if err := c.SetSize(ctx, h, 7); err != nil {
		t.Error(err)
	}
	if a := must[nfs.Attr](t)(c.GetAttr(ctx, h)); a.Size != 7 || a.Type != 1 || a.Mode&0o777 != 0o644 {
		t.Errorf("attributes %+v", a)
	}
	if err := c.Rename(ctx, dir, "one", root, "two"); err != nil {
		t.Error(err)
	}
	if _, err := c.GetAttr(ctx, h); !errors.Is(err, nfs.StatusStale) {
		t.Errorf("handle of the old name: %v, want %v", err, nfs.StatusStale)
	}
	if names := must[[]string](t)(c.ReadDir(ctx, root)); len(names) != 2 {
		t.Errorf("names %q", names)
	}
	if err := c.Remove(ctx, root, "two"); err != nil {
		t.Error(err)
	}
	if _, err := c.Lookup(ctx, root, "two"); !errors.Is(err, nfs.StatusNoEntry) {
		t.Errorf("lookup of a removed file: %v, want %v", err, nfs.StatusNoEntry)
	}
	if err := c.Rename(ctx, root, "two", root, "three"); !errors.Is(err, nfs.StatusNoEntry) {
		t.Errorf("rename of a removed file: %v, want %v", err, nfs.StatusNoEntry)
	}
}

// TestReadDirInSteps lists more names than one reply holds.
func TestReadDirInSteps(t *testing.T) {
	addr, _ := serveNFS(t, t.TempDir(), "")
	c, ctx := nfs.New(nfs.Options{Server: addr}), t.Context()
	defer c.Close()
	root := must[nfs.Handle](t)(c.Mount(ctx, nfsd.ExportPath))
	for i := range 200 {
		must[nfs.Handle](t)(c.Create(ctx, root, strings.Repeat("n", i+1), 0o644))
	}
	if names := must[[]string](t)(c.ReadDir(ctx, root)); len(names) != 200 {
		t.Errorf("%d names, want 200", len(names))
	}
}

// TestHandlesOutliveTheServer replaces a server by another one at the same
// address, over the same directory: the client goes on with the handle it has.
func TestHandlesOutliveTheServer(t *testing.T) {
	dir := t.TempDir()
	addr, stop := serveNFS(t, dir, "")
	var events []nfs.EventKind
	c := nfs.New(nfs.Options{Server: addr, Event: func(e nfs.Event) { events = append(events, e.Kind) }})
	defer c.Close()
	ctx := t.Context()
	root := must[nfs.Handle](t)(c.Mount(ctx, nfsd.ExportPath))
	h := must[nfs.Handle](t)(c.Create(ctx, root, strings.Repeat("f", 80), 0o644))
	first := must[nfs.Written](t)(c.Write(ctx, h, 0, []byte("before")))
	stop()
	serveNFS(t, dir, addr.String())
	second := must[nfs.Written](t)(c.Write(ctx, h, 6, []byte(" after")))
	if first.Verifier == second.Verifier {
		t.Error("both servers have the same write verifier")
	}
	if b, _, err := c.Read(ctx, h, 0, 100); err != nil || string(b) != "before after" {
		t.Errorf("read %q, %v", b, err)
	}
	if len(events) < 3 || events[len(events)-1] != nfs.Resent {
		t.Errorf("events %v: want a reconnect and a resend", events)
	}
}

// TestCloseAtWork: a load is closed although its server is gone and its clients
// try for ever.
func TestCloseAtWork(t *testing.T) {
	addr, stop := serveNFS(t, t.TempDir(), "")
	connect := func(event func(nfs.Event)) *nfs.Client { return nfs.New(nfs.Options{Server: addr, Event: event}) }
	c := connect(nil)
	defer c.Close()
	root, err := c.Mount(t.Context(), nfsd.ExportPath)
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(t.Context(), root, connect)
	if err != nil {
		t.Fatal(err)
	}
	l.Start(context.Background())
	stop()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
