package nfsd

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/willscott/go-nfs"
)

// tree returns a directory with one file below a short and one below a long path.
func tree(t *testing.T) (root string, paths [][]string) {
	root = t.TempDir()
	for _, p := range []string{"short", "deep/" + strings.Repeat("d", 40) + "/" + strings.Repeat("f", 40)} {
		name := filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(p), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, strings.Split(p, "/"))
	}
	return root, append(paths, []string{})
}

func open(t *testing.T, root string) *os.Root {
	t.Helper()
	r, err := os.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestHandlesAreEqualOnBothServers(t *testing.T) {
	root, paths := tree(t)
	a, b := newExport(open(t, root), 77, 2049), newExport(open(t, root), 77, 2049)
	for _, p := range paths {
		h := a.ToHandle(a.files, p)
		if len(h)%4 != 0 || len(h) > 64 {
			t.Errorf("handle of %q has %d bytes", p, len(h))
		}
		// b has never seen the path: a long one makes it walk the tree.
		_, got, err := b.FromHandle(h)
		if err != nil || strings.Join(got, "/") != strings.Join(p, "/") {
			t.Errorf("the other server finds %q, %v for the handle of %q", got, err, p)
		}
		if string(b.ToHandle(b.files, p)) != string(h) {
			t.Errorf("handles of %q differ", p)
		}
	}
}

func TestStaleHandles(t *testing.T) {
	root, paths := tree(t)
	e := newExport(open(t, root), 77, 2049)
	var gone [][]byte
	for _, p := range paths[:2] {
		gone = append(gone, e.ToHandle(e.files, p))
		if err := os.Remove(filepath.Join(append([]string{root}, p...)...)); err != nil {
			t.Fatal(err)
		}
	}
	head := gone[0][:5]
	for name, h := range map[string][]byte{
		"vanished file":           gone[0],
		"vanished file, hashed":   gone[1],
		"vanished, unknown hash":  append(append(append([]byte{}, head...), kindHashed), make([]byte, 34)...),
		"another export":          newHandles(nil, 78).handle(""),
		"another version":         append([]byte{2}, newHandles(nil, 77).handle("")[1:]...),
		"out of the export":       append(append(append([]byte{}, head...), kindInline), "../../etc/passwd"...),
		"absolute path":           append(append(append([]byte{}, head...), kindInline), "/etc/passwd"...),
		"empty":                   {},
		"hashed, length wrong":    append(append(append([]byte{}, head...), kindHashed), 1, 2),
		"inline, longer than max": append(append(append([]byte{}, head...), kindInline), make([]byte, 59)...),
	} {
		_, _, err := e.FromHandle(h)
		var status *nfs.NFSStatusError
		if !errors.As(err, &status) || status.NFSStatus != nfs.NFSStatusStale {
			t.Errorf("%s: got %v, want a stale handle", name, err)
		}
	}
}

func TestMountPath(t *testing.T) {
	e := newExport(open(t, t.TempDir()), 77, 2049)
	for path, want := range map[string]nfs.MountStatus{
		"/export": nfs.MountStatusOk, "/export/": nfs.MountStatusOk,
		"/": nfs.MountStatusErrNoEnt, "/etc": nfs.MountStatusErrNoEnt, "/export/../etc": nfs.MountStatusErrNoEnt,
	} {
		if got, _, _ := e.Mount(t.Context(), nil, nfs.MountRequest{Dirpath: []byte(path)}); got != want {
			t.Errorf("mount %s: got %v, want %v", path, got, want)
		}
	}
}

func TestCreateKeepsWhatIsThere(t *testing.T) {
	root, _ := tree(t)
	f, err := directory{open(t, root)}.Create("short")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if b, _ := os.ReadFile(filepath.Join(root, "short")); string(b) != "short" {
		t.Errorf("an existing file holds %q after create", b)
	}
}

// start serves a directory on loopback until the test ends.
func start(t *testing.T) (nfsAddr, portmapAddr string) {
	t.Helper()
	addrs := make([]string, 2)
	for i := range addrs { // free ports; taken again at once
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addrs[i] = l.Addr().String()
		l.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	up, done := make(upHandler), make(chan error, 1)
	go func() {
		done <- Serve(ctx, Options{Root: t.TempDir(), Export: 77, Listen: addrs[0], Portmap: addrs[1]}, slog.New(up))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	<-up
	return addrs[0], addrs[1]
}

// upHandler is a log handler that is closed by the first record.
type upHandler chan struct{}

func (u upHandler) Enabled(context.Context, slog.Level) bool { return true }
func (u upHandler) Handle(context.Context, slog.Record) error {
	close(u)
	return nil
}
func (u upHandler) WithAttrs([]slog.Attr) slog.Handler { return u }
func (u upHandler) WithGroup(string) slog.Handler      { return u }

// ask sends one RPC with AUTH_NONE and returns the results.
func ask(t *testing.T, addr string, call ...uint32) []byte {
	t.Helper()
	c, err := net.Dial("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	words := append([]uint32{1<<31 | uint32(40+4*(len(call)-3)), 7, 0, 2, call[0], call[1], call[2], 0, 0, 0, 0}, call[3:]...)
	var b []byte
	for _, w := range words {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	c.Write(b)
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head)&^(1<<31))
	if _, err := io.ReadFull(c, body); err != nil {
		t.Fatal(err)
	}
	return body[24:]
}

func TestPortmapperAndExports(t *testing.T) {
	nfsAddr, portmapAddr := start(t)
	_, port, _ := net.SplitHostPort(nfsAddr)
	got := ask(t, portmapAddr, programPortmap, 2, 3, programMount, 3, 6, 0)
	if p := binary.BigEndian.Uint32(got); strconv.Itoa(int(p)) != port {
		t.Errorf("GETPORT says %d, the server listens on %s", p, port)
	}
	if got := string(ask(t, nfsAddr, programMount, 3, 5)); !strings.Contains(got, ExportPath) || len(got)%4 != 0 {
		t.Errorf("EXPORT answers %q", got)
	}
}
