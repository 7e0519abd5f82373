package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
)

// fakeDaemon keeps what a daemon would.
type fakeDaemon struct {
	Daemon            // nil: nothing else is asked for
	mu     sync.Mutex // guards the following
	active string
	loads  uint64
	refuse error
	frames chan Packet
}

func newFakeDaemon() *fakeDaemon {
	return &fakeDaemon{active: "nfs-01", loads: 1, frames: make(chan Packet)}
}

func (d *fakeDaemon) Status() model.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return model.Status{Generation: d.loads, Directors: []model.DirectorStatus{{Name: "nfs", Applied: d.active}}}
}

func (d *fakeDaemon) Reload(context.Context, model.Actor) (Reloaded, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refuse != nil {
		return Reloaded{}, d.refuse
	}
	d.loads++
	return Reloaded{Generation: d.loads}, nil
}

func (d *fakeDaemon) Order(_ context.Context, _ model.Actor, order Order) (Ordered, error) {
	verb, ref, force := order.Verb, model.ServerRef{Director: order.Director, Server: order.Server}, order.Force
	d.mu.Lock()
	defer d.mu.Unlock()
	if ref.Director != "nfs" {
		return Ordered{}, fmt.Errorf("there is no director %q", ref.Director)
	}
	if verb != model.VerbSwitch {
		return Ordered{Text: fmt.Sprintf("%s %s, force %t", verb, ref, force)}, nil
	}
	was := d.active
	d.active = ref.Server
	return Ordered{Text: "switched", Switch: &model.Switch{From: was, To: ref.Server, Reason: model.ReasonOperator}}, nil
}

// Events has three entries, an hour apart, and one more to follow.
func (d *fakeDaemon) Events(ctx context.Context, since Since, follow bool, emit func(model.Event) error) error {
	if d.refuse != nil {
		return d.refuse
	}
	for seq := uint64(1); seq <= 4; seq++ {
		e := model.Event{Seq: seq, At: noon.Add(time.Duration(seq) * time.Hour), Text: "something", Err: "an error of the entry"}
		if seq <= since.Seq || e.At.Before(since.At) || seq == 4 && !follow {
			continue
		}
		if err := emit(e); err != nil {
			return err
		}
	}
	if !follow {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-d.frames:
		return errors.New("read the journal: the disk is gone")
	}
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func (d *fakeDaemon) Capture(ctx context.Context, snaplen int, emit func(Packet) error) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case p, open := <-d.frames:
			if !open {
				return errors.New("read the ring: closed")
			}
			p.Data = p.Data[:min(len(p.Data), snaplen)]
			if err := emit(p); err != nil {
				return err
			}
		}
	}
}

var quiet = slog.New(slog.DiscardHandler)

// serve runs a daemon's socket until the test ends.
func serve(t *testing.T, d Daemon) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "control.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(l, quiet).Run(ctx, d) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
	return path
}

func TestOrders(t *testing.T) {
	d := newFakeDaemon()
	c := NewClient(serve(t, d))
	ctx := t.Context()

	done, err := c.Switch(ctx, model.ServerRef{Director: "nfs", Server: "nfs-02"})
	if err != nil || done.From != "nfs-01" || done.To != "nfs-02" || done.Reason != model.ReasonOperator {
		t.Errorf("Switch: got %+v, %v", done, err)
	}
	told, err := c.Order(ctx, Order{Verb: model.VerbDrain, Director: "nfs", Server: "nfs-01", Force: true})
	if err != nil || told.Text != "drain nfs/nfs-01, force true" || told.Switch != nil {
		t.Errorf("Order: got %+v, %v", told, err)
	}
	loaded, err := c.Reload(ctx)
	if err != nil || loaded.Generation != 2 {
		t.Errorf("Reload: got %+v, %v", loaded, err)
	}
	s, err := c.Status(ctx)
	if err != nil || s.Generation != 2 || s.Directors[0].Applied != "nfs-02" {
		t.Errorf("Status: got %+v, %v", s, err)
	}
}

func TestErrorsReachTheClient(t *testing.T) {
	d := newFakeDaemon()
	c := NewClient(serve(t, d))
	_, err := c.Switch(t.Context(), model.ServerRef{Director: "web", Server: "w"})
	if err == nil || err.Error() != `there is no director "web"` {
		t.Errorf("Switch: got %v", err)
	}
	_, err = c.Switch(t.Context(), model.ServerRef{Director: "nfs"})
	if err == nil || !strings.Contains(err.Error(), "must be named") {
		t.Errorf("Switch without a server: got %v", err)
	}
	d.refuse = &Error{Message: "refused", Diagnostics: []Diagnostic{{Source: "a.cfg", Line: 3, Column: 7, Message: "no"}}}
	_, err = c.Reload(t.Context())
	var refused *Error
	if !errors.As(err, &refused) || len(refused.Diagnostics) != 1 || refused.Diagnostics[0].Line != 3 {
		t.Errorf("Reload: got %#v", err)
	}
}

func TestBadRequests(t *testing.T) {
	c := NewClient(serve(t, newFakeDaemon()))
	for _, tt := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"POST", "/api/v1/status", "", 405, "/api/v1/status takes GET, not POST"},
		{"GET", "/api/v1/order", "", 405, "takes POST"},
		{"GET", "/api/v2/status", "", 404, "no such address: /api/v2/status"},
		{"POST", "/api/v1/order", "", 400, "read the request: it is empty; a JSON object is expected"},
		{"POST", "/api/v1/order", "{", 400, "its JSON is cut off"},
		{"POST", "/api/v1/order", "drain nfs", 400, "it is no JSON: invalid character 'd'"},
		{"POST", "/api/v1/order", "[]", 400, "a JSON object is expected, not one array"},
		{"POST", "/api/v1/order", `{"verb":"drain","director":7}`, 400, `the field \"director\" cannot hold one number`},
		{"GET", "/api/v1/connections?sate=old", "", 400, `/api/v1/connections does not know the parameter \"sate\"; it takes director, server, client, state, limit`},
		{"GET", "/api/v1/status?director=nfs", "", 400, `/api/v1/status takes no parameters, and \"director\" is one`},
		{"POST", "/api/v1/order", `{"director":"nfs","serfer":"x"}`, 400, `unknown field \"serfer\"`},
		{"POST", "/api/v1/order", `{} {}`, 400, "more than one value"},
		{"POST", "/api/v1/order", `{"director":"` + strings.Repeat("x", int(small.bytes)) + `"}`, 413, "too large"},
		{"POST", "/api/v1/order", `{"verb":"destroy"}`, 400, `unknown order \"destroy\"`},
		{"POST", "/api/v1/events", "", 405, "takes GET"},
		{"GET", "/api/v1/events?since=yesterday", "", 400, `read the beginning \"yesterday\": write a span of time`},
		{"POST", "/api/v1/capture", `{"snaplen":-1}`, 400, "below zero"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, "http://fairlead"+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := c.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != tt.code || !strings.Contains(string(body), tt.want) || !strings.HasPrefix(string(body), `{"type":"/problems/`) {
			t.Errorf("%s %s %.40s: got %d %s, want %d %s", tt.method, tt.path, tt.body, response.StatusCode, body, tt.code, tt.want)
		}
	}
}

func TestEvents(t *testing.T) {
	d := newFakeDaemon()
	c := NewClient(serve(t, d))
	var got []uint64
	note := func(e model.Event) error {
		if e.Err != "an error of the entry" {
			t.Errorf("got %+v", e)
		}
		got = append(got, e.Seq)
		return nil
	}
	for _, tt := range []struct {
		since Since
		want  string
	}{{Since{}, "[1 2 3]"}, {Since{Seq: 1}, "[2 3]"}, {Since{At: noon.Add(3 * time.Hour)}, "[3]"}, {Since{Seq: 3}, "[]"}} {
		got = nil
		if err := c.Events(t.Context(), tt.since, false, note); err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("since %q: got %v, %v, want %s", tt.since, got, err, tt.want)
		}
	}
	d.refuse = errors.New("no journal")
	if err := c.Events(t.Context(), Since{}, false, note); err == nil || err.Error() != "no journal" {
		t.Errorf("refused: got %v", err)
	}
}

func TestEventsFollow(t *testing.T) {
	d := newFakeDaemon()
	c := NewClient(serve(t, d))
	ctx, leave := context.WithCancel(t.Context())
	n := 0
	err := c.Events(ctx, Since{}, true, func(model.Event) error {
		if n++; n == 4 {
			leave()
		}
		return nil
	})
	if n != 4 || err != nil {
		t.Errorf("until the client leaves: got %d entries, %v", n, err)
	}
	err = c.Events(t.Context(), Since{Seq: 3}, true, func(model.Event) error {
		close(d.frames)
		return nil
	})
	if err == nil || err.Error() != "read the journal: the disk is gone" {
		t.Errorf("a stream that breaks: got %v", err)
	}
}

func TestSince(t *testing.T) {
	for text, want := range map[string]Since{
		"": {}, "17": {Seq: 17}, "0": {}, "90m": {At: noon.Add(-90 * time.Minute)}, "2026-11-23T13:00:00+01:00": {At: noon},
	} {
		got, err := ParseSince(text, noon)
		if err != nil || got.Seq != want.Seq || !got.At.Equal(want.At) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
		if again, err := ParseSince(got.String(), noon); err != nil || again.Seq != want.Seq || !again.At.Equal(want.At) {
			t.Errorf("%q: written and read again: got %+v, %v", text, again, err)
		}
	}
	for _, text := range []string{"-1", "-5m", "soon", "2026-11-23"} {
		if got, err := ParseSince(text, noon); err == nil {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}

func TestCapture(t *testing.T) {
	d := newFakeDaemon()
	c := NewClient(serve(t, d))
	ctx, stop := context.WithCancel(t.Context())
	got := make(chan Packet)
	ended := make(chan error, 1)
	go func() {
		ended <- c.Capture(ctx, 4, func(p Packet) error { got <- p; return nil })
	}()
	sent := Packet{At: time.Unix(5, 6).UTC(), Iface: "eth0", Verdict: "forward", Length: 60, Data: []byte("abcdef")}
	for range 3 {
		d.frames <- sent
		p := <-got
		if string(p.Data) != "abcd" || p.Length != 60 || !p.At.Equal(sent.At) || p.Verdict != "forward" || p.Iface != "eth0" {
			t.Errorf("got %+v", p)
		}
	}
	second := c.Capture(t.Context(), 0, func(Packet) error { return nil })
	if second == nil || !strings.Contains(second.Error(), "another capture is under way") {
		t.Errorf("a second capture: got %v", second)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the end of a capture: got %v", err)
	}
}

func TestCaptureFails(t *testing.T) {
	d := newFakeDaemon()
	c := NewClient(serve(t, d))
	go func() {
		d.frames <- Packet{Data: []byte("x")}
		close(d.frames)
	}()
	n := 0
	err := c.Capture(t.Context(), 9, func(Packet) error { n++; return nil })
	if n != 1 || err == nil || err.Error() != "read the ring: closed" {
		t.Errorf("got %d packets, %v", n, err)
	}
}

// TestCaptureStopsWithTheDaemon: a client that captures does not hold up the stop.
func TestCaptureStopsWithTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeDaemon()
		l := newPipeListener()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- New(l, quiet).Run(ctx, d) }()
		c := pipeClient(l)
		ended := make(chan error, 1)
		go func() { ended <- c.Capture(t.Context(), 9, func(Packet) error { return nil }) }()

		time.Sleep(time.Hour) // in the bubble: no time limit may end a capture
		select {
		case err := <-ended:
			t.Fatalf("the capture ended by itself: %v", err)
		default:
		}
		start := time.Now()
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := <-ended; err == nil {
			t.Error("the client was not told that the daemon stopped")
		}
		if took := time.Since(start); took >= stopTime { // the grace was not needed
			t.Errorf("the stop took %v", took)
		}
	})
}

// TestSlowRequestIsLeft: who opens the socket and says nothing holds nothing up.
func TestSlowRequestIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- New(l, quiet).Run(ctx, newFakeDaemon()) }()
		for _, begun := range []string{"", "POST /api/v1/order HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"} {
			conn := l.dial()
			if _, err := io.WriteString(conn, begun); begun != "" && err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			_, _ = io.Copy(io.Discard, conn)
			if took := time.Since(start); took > headerTime+time.Second {
				t.Errorf("after %q: left after %v", begun, took)
			}
			_ = conn.Close()
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// A pipeListener hands out in-memory connections.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) dial() net.Conn {
	here, there := net.Pipe()
	l.conns <- there
	return here
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func pipeClient(l *pipeListener) *Client {
	c := NewClient("pipe")
	c.http.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) { return l.dial(), nil }
	return c
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "control.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: got %v, %v", info.Mode(), err)
	}
	if _, err := Listen(path); !errors.Is(err, ErrBusy) {
		t.Errorf("a second daemon: got %v", err)
	}
	// A daemon that was killed leaves its socket behind.
	if err := l.(*listener).UnixListener.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Listen(path)
	if err != nil {
		t.Fatalf("after a dead daemon: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestListenKeepsOtherFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "something else") {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(path); string(text) != "mine" {
		t.Errorf("the file was changed: %q, %v", text, err)
	}
}

func TestNotRunning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	_, err := NewClient(path).Status(t.Context())
	if !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), path) {
		t.Errorf("no socket: got %v", err)
	}
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.(*listener).UnixListener.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := NewClient(path).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a dead daemon's socket: got %v", err)
	}
}
