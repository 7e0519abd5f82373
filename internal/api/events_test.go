package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// journalDaemon has the entries of a switch, and none to follow.
type journalDaemon struct {
	*wholeDaemon
	since  Since
	follow bool
}

func (d *journalDaemon) Events(ctx context.Context, since Since, follow bool, emit func(model.Event) error) error {
	d.since, d.follow = since, follow
	for i, e := range []model.Event{
		{Kind: model.EventStart, Text: "began"},
		{Kind: model.EventHealth, Director: "nfs", Server: "nfs-01", Text: "down\nfor good"},
		{Kind: model.EventFlip, Director: "nfs", Server: "nfs-02", Text: "decided"},
		{Kind: model.EventHealth, Director: "web", Server: "web-01", Text: "up"},
	} {
		e.Seq, e.At = uint64(i)+1, noon
		if e.Seq <= since.Seq {
			continue
		}
		if err := emit(e); err != nil {
			return err
		}
	}
	if !follow {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestEventFilters(t *testing.T) {
	for query, want := range map[string]string{
		"":                                    "1 2 3 4",
		"?kind=health":                        "2 4",
		"?kind=health&kind=flip":              "2 3 4",
		"?kind=health,flip&director=nfs":      "2 3",
		"?director=nfs&since=2":               "3",
		"?director=nobody":                    "",
		"?follow=0&since=3":                   "4",
		"?since=2026-11-23T12:00:00Z&kind=up": "400",
	} {
		d := &journalDaemon{wholeDaemon: newWholeDaemon()}
		got := exchange{method: "GET", path: "/api/v1/events" + query}.on(t, web(t, d, model.RoleViewer))
		var seqs []string
		for line := range strings.Lines(got.answer) {
			var e model.Event
			if got.code == 200 {
				e = decodeEvent(t, line)
				seqs = append(seqs, fmt.Sprint(e.Seq))
			}
		}
		if got.code != 200 {
			seqs = []string{fmt.Sprint(got.code)}
		}
		if all := strings.Join(seqs, " "); all != want || d.follow {
			t.Errorf("%s: got %s, follow %t, want %s", query, all, d.follow, want)
		}
	}
}

func decodeEvent(t *testing.T, line string) model.Event {
	t.Helper()
	e, err := decode[model.Event]([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestEventStream: entries come at once, each with its number as its id, and a
// reader that comes back gets what it missed.
func TestEventStream(t *testing.T) {
	for _, tt := range []struct {
		query, last string
		want        string
	}{
		{"", "", "1 2 3 4"},
		{"?since=1", "3", "4"},
		{"?kind=health", "2", "4"},
		{"", "x", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			d, l := &journalDaemon{wholeDaemon: newWholeDaemon()}, newPipeListener()
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- New(l, quiet).Run(ctx, d) }()
			answered := askEvents(t, pipeClient(l), tt.query, tt.last)
			if tt.want == "" {
				if answered.StatusCode != 400 {
					t.Errorf("%q: got %s", tt.last, answered.Status)
				}
			} else if got := readEvents(t, answered.Body, len(strings.Fields(tt.want))); got != tt.want {
				t.Errorf("%s after %q: got %s, want %s", tt.query, tt.last, got, tt.want)
			}
			// The stream ends with its request.
			_ = answered.Body.Close()
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func askEvents(t *testing.T, c *Client, query, last string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://fairlead/api/v1/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	answered, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return answered
}

// readEvents reads so many events, and returns their ids.
func readEvents(t *testing.T, body io.Reader, n int) string {
	t.Helper()
	lines, id := bufio.NewScanner(body), ""
	var ids []string
	for len(ids) < n && lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "data":
			if e := decodeEvent(t, value); fmt.Sprint(e.Seq) != id {
				t.Errorf("the entry %d has the id %s", e.Seq, id)
			}
			ids = append(ids, id)
		}
	}
	return strings.Join(ids, " ")
}

// TestEventStreamBreaks: the reader is told why.
func TestEventStreamBreaks(t *testing.T) {
	d := newWholeDaemon()
	s := web(t, d, model.RoleViewer)
	close(d.frames)
	got := exchange{method: "GET", path: "/api/v1/events", header: http.Header{"Accept": {"text/event-stream"}}}.on(t, s)
	if want := "event: end\ndata: {\"stream_ended\":\"read the journal: the disk is gone\"}\n\n"; !strings.HasSuffix(got.answer, want) {
		t.Errorf("got %s", got.answer)
	}
	d.refuse = errors.New("no journal")
	got = exchange{method: "GET", path: "/api/v1/events"}.on(t, s)
	if got.code != 500 || !strings.Contains(got.answer, `"detail":"no journal"`) {
		t.Errorf("at once: got %d %s", got.code, got.answer)
	}
}

// waitingDaemon has a journal without entries, and tells when a reader left it.
type waitingDaemon struct {
	*wholeDaemon
	left chan struct{}
}

func (d *waitingDaemon) Events(ctx context.Context, _ Since, _ bool, _ func(model.Event) error) error {
	<-ctx.Done()
	close(d.left)
	return ctx.Err()
}

// TestStreamEndsWithItsRequest: nobody goes on reading the journal for a client
// that has left.
func TestStreamEndsWithItsRequest(t *testing.T) {
	d := &waitingDaemon{wholeDaemon: newWholeDaemon(), left: make(chan struct{})}
	c := NewClient(serve(t, d))
	ctx, leave := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer leave()
	if err := c.Events(ctx, Since{}, true, func(model.Event) error { return nil }); err != nil {
		t.Error(err)
	}
	select {
	case <-d.left:
	case <-time.After(5 * time.Second):
		t.Error("the journal is still read")
	}
}

// TestClient: what the command line asks for comes back as it was.
func TestClient(t *testing.T) {
	d := newWholeDaemon()
	c := NewClient(serve(t, d))
	ctx := t.Context()
	if got, err := c.Connections(ctx, ConnectionQuery{Director: "nfs", State: "open", Limit: 7}); err != nil || got.Known != 2 || got.Connections[0].Age != time.Second || d.query.Limit != 7 {
		t.Errorf("Connections: got %+v, %v of %+v", got, err, d.query)
	}
	network := netip.MustParsePrefix("192.168.10.0/24")
	if got, err := c.Templates(ctx, TemplateQuery{Director: "web", Client: network, Limit: 7}); err != nil || len(got.Templates) != 1 || got.Templates[0].Left != time.Second ||
		d.query != (ConnectionQuery{Director: "web", Client: network, Limit: 7}) {
		t.Errorf("Templates: got %+v, %v of %+v", got, err, d.query)
	}
	if got, err := c.ForgetTemplates(ctx, "web", network); err != nil || got.Forgotten != 7 || d.query.Client != network {
		t.Errorf("ForgetTemplates: got %+v, %v of %+v", got, err, d.query)
	}
	for _, director := range []string{"", "none"} {
		if _, err := c.ForgetTemplates(ctx, director, netip.Prefix{}); err == nil {
			t.Errorf("the templates of %q were forgotten", director)
		}
	}
	if got, err := c.History(ctx, model.ServerRef{Director: "nfs", Server: "nfs-01"}); err != nil || len(got) != 2 || got[0].Latency != time.Millisecond {
		t.Errorf("History: got %+v, %v", got, err)
	}
	_, err := c.History(ctx, model.ServerRef{Director: "a/b", Server: "c?d"})
	var told *Error
	if !errors.Is(err, ErrNotFound) || !errors.As(err, &told) || told.Status != 404 || !strings.Contains(told.Message, "a/b/c?d") {
		t.Errorf("History of nobody: got %v", err)
	}
	if got, err := c.Configuration(ctx); err != nil || got.Hash != "h1" || got.Redacted || got.Documents[1].Text != secretText {
		t.Errorf("Configuration: got %+v, %v", got, err)
	}
	if err := c.Restart(ctx, "lvs"); err != nil {
		t.Errorf("Restart: %v", err)
	}
	if err := c.Restart(ctx, "x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Restart of nothing: got %v", err)
	}
	if len(d.calls) == 0 || d.calls[0] != "root: restart lvs" {
		t.Errorf("who asked: got %q", d.calls)
	}
}

// TestSomebodyElseOnTheSocket: who is not root, and may open the socket, is named.
func TestSomebodyElseOnTheSocket(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("run this test as root: it takes another user's name")
	}
	for _, tt := range []struct {
		uid  int
		want string
	}{{0, "root (control socket)"}, {65534, "root (control socket, uid 65534)"}} {
		here, there, err := pairAs(tt.uid)
		if err != nil {
			t.Fatal(err)
		}
		if got := peer(there); got.String() != tt.want || got.Role != model.RoleAdmin {
			t.Errorf("uid %d: got %v", tt.uid, got)
		}
		_, _ = here.Close(), there.Close()
	}
}

// pairAs makes a pair of connected sockets as that user. Only this thread takes
// its name, and gives it back.
func pairAs(uid int) (net.Conn, net.Conn, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const keep = ^uintptr(0)
	if _, _, failed := unix.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(uid), keep); failed != 0 {
		return nil, nil, failed
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if _, _, failed := unix.RawSyscall(unix.SYS_SETRESUID, keep, 0, keep); failed != 0 || err != nil {
		return nil, nil, errors.Join(err, failed)
	}
	here, err := connOf(fds[0])
	if err != nil {
		return nil, nil, err
	}
	there, err := connOf(fds[1])
	return here, there, err
}

func connOf(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "pair")
	defer f.Close() // FileConn has its own
	return net.FileConn(f)
}
