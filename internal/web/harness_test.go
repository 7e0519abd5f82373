package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fairlead/internal/access"
	"fairlead/internal/api"
	"fairlead/internal/model"
)

const (
	good   = "correct horse battery"
	secret = "hunter2-in-the-configuration"
)

// fakeDaemon notes who asked for what.
type fakeDaemon struct {
	api.Daemon // what a test does not expect to be called

	mu     sync.Mutex // guards the following
	calls  []string
	audits []string
}

func (d *fakeDaemon) call(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, what)
}

func (d *fakeDaemon) called() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

func (d *fakeDaemon) audited() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.audits)
}

func (d *fakeDaemon) Diagnosis() (model.Diagnosis, error) { return model.Diagnosis{}, nil }

func (d *fakeDaemon) Examine(context.Context, model.Actor) (model.Diagnosis, error) {
	return model.Diagnosis{}, nil
}

func (d *fakeDaemon) Audit(by model.Actor, text string, failed error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	line := by.String() + " " + text
	if failed != nil {
		line += ": " + failed.Error()
	}
	d.audits = append(d.audits, line)
}

func (d *fakeDaemon) Status() model.Status {
	d.call("status")
	server := model.ServerStatus{Name: "nfs-01"}
	return model.Status{Directors: []model.DirectorStatus{{Name: "nfs", Servers: []model.ServerStatus{server}}}}
}

func (d *fakeDaemon) Changed() <-chan struct{} { return nil }

func (d *fakeDaemon) Reload(context.Context, model.Actor) (api.Reloaded, error) {
	d.call("reload")
	return api.Reloaded{}, nil
}

func (d *fakeDaemon) Order(_ context.Context, by model.Actor, o api.Order) (api.Ordered, error) {
	d.call(fmt.Sprintf("%s: %s %s/%s", by, o.Verb, o.Director, o.Server))
	return api.Ordered{Text: "done"}, nil
}

func (d *fakeDaemon) Restart(context.Context, model.Actor, string) error {
	d.call("restart")
	return nil
}

func (d *fakeDaemon) Events(ctx context.Context, _ api.Since, follow bool, emit func(model.Event) error) error {
	d.call("events")
	if follow {
		<-ctx.Done()
	}
	return nil
}

func (d *fakeDaemon) Capture(ctx context.Context, _ int, _ func(api.Packet) error) error {
	d.call("capture")
	<-ctx.Done()
	return nil
}

func (d *fakeDaemon) Connections(context.Context, api.ConnectionQuery) (api.Connections, error) {
	d.call("connections")
	return api.Connections{}, nil
}

func (d *fakeDaemon) Templates(context.Context, api.TemplateQuery) (api.Templates, error) {
	d.call("templates")
	return api.Templates{}, nil
}

func (d *fakeDaemon) ForgetTemplates(context.Context, model.Actor, string, netip.Prefix) (api.Forgotten, error) {
	d.call("forget templates")
	return api.Forgotten{}, nil
}

func (d *fakeDaemon) Explain(context.Context, api.DescribedPacket) (api.Explanation, error) {
	d.call("explain")
	return api.Explanation{}, nil
}

func (d *fakeDaemon) History(model.ServerRef) ([]api.Probed, error) {
	d.call("history")
	return nil, nil
}

func documents() []model.Document {
	return []model.Document{{Name: "services.cfg", Tab: model.TabServices,
		Text: "service notify\n  webhook https://hooks.example.org/" + secret + " events alarm\n"}}
}

func (d *fakeDaemon) Configuration(context.Context) (api.Configuration, error) {
	d.call("configuration")
	return api.Configuration{Hash: "h", Documents: documents(), Draft: &model.Draft{Hash: "d", Documents: documents()}}, nil
}

func (d *fakeDaemon) Check(_ context.Context, docs []model.Document) (api.Checked, error) {
	d.call("check")
	return api.Checked{}, nil
}

func (d *fakeDaemon) Diff(context.Context, []model.Document) (api.Difference, error) {
	d.call("diff")
	lines := []api.DiffLine{{Op: " ", Text: "  webhook https://hooks.example.org/" + secret + " events alarm"}}
	return api.Difference{Documents: []api.DocumentDiff{{Name: "services.cfg", Lines: lines}}}, nil
}

func (d *fakeDaemon) Apply(context.Context, model.Actor, string, []model.Document) (api.AppliedConfiguration, error) {
	d.call("apply")
	return api.AppliedConfiguration{}, nil
}

func (d *fakeDaemon) SaveDraft(context.Context, model.Actor, string, []model.Document) (model.Draft, error) {
	d.call("save")
	return model.Draft{}, nil
}

func (d *fakeDaemon) DiscardDraft(context.Context, model.Actor, string) error {
	d.call("discard")
	return nil
}

func (d *fakeDaemon) Versions(context.Context) ([]model.Version, error) {
	d.call("versions")
	return nil, nil
}

func (d *fakeDaemon) Version(context.Context, uint64) (model.Version, error) {
	d.call("version")
	return model.Version{}, nil
}

func (d *fakeDaemon) Restore(context.Context, model.Actor, string, uint64) (api.AppliedConfiguration, error) {
	d.call("restore")
	return api.AppliedConfiguration{}, nil
}

// A network is in memory, so that a bubble of synctest can hold it.
type network struct {
	mu   sync.Mutex // guards the following
	open map[netip.AddrPort]*pipes
	busy map[netip.AddrPort]bool // used by another programme
	made int                     // listeners
}

// pipes is a listener.
type pipes struct {
	net   *network
	addr  netip.AddrPort
	conns chan net.Conn
	done  chan struct{}
}

func (n *network) listen(addr netip.AddrPort) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open[addr] != nil || n.busy[addr] {
		return nil, fmt.Errorf("listen on %s: %w", addr, syscall.EADDRINUSE)
	}
	n.made++
	n.open[addr] = &pipes{n, addr, make(chan net.Conn), make(chan struct{})}
	return n.open[addr], nil
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	if p.net.open[p.addr] == p {
		delete(p.net.open, p.addr)
		close(p.done)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return net.TCPAddrFromAddrPort(p.addr) }

// pipeEnd has the address that a test gives it.
type pipeEnd struct {
	net.Conn
	from netip.AddrPort
}

func (c pipeEnd) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.from) }

func (n *network) dial(from string, to netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	l := n.open[to]
	n.mu.Unlock()
	if l == nil {
		return nil, syscall.ECONNREFUSED
	}
	ours, theirs := net.Pipe()
	select {
	case l.conns <- pipeEnd{theirs, netip.AddrPortFrom(netip.MustParseAddr(from), 40000)}:
		return ours, nil
	case <-l.done:
		return nil, syscall.ECONNREFUSED
	}
}

var plain = model.DefaultWeb()

var overTLS = model.Web{Listen: netip.MustParseAddrPort("192.0.2.1:8480"), TLS: model.WebTLSOwn}

// site is a server at work, with one user and one token of each role.
type site struct {
	t      *testing.T
	web    model.Web
	server *Server
	access *access.Store
	daemon *fakeDaemon
	net    *network
	state  string
}

var roles = []model.Role{model.RoleViewer, model.RoleOperator, model.RoleAdmin}

func newSite(t *testing.T, web model.Web) *site {
	t.Helper()
	text, err := usersFile()
	if err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	file := filepath.Join(state, "users.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	// A file that is young is read at each look, and in a bubble's time one of today is.
	if old := time.Unix(1, 0); os.Chtimes(file, old, old) != nil {
		t.Fatalf("the time of %s cannot be set", file)
	}
	return start(t, web, state)
}

// usersFile is the file of users.json with a user of each role. Passwords are hashed
// slowly, so it is made once for all tests.
var usersFile = sync.OnceValues(func() (text []byte, err error) {
	dir, err := os.MkdirTemp("", "fairlead-web-test-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	users, err := access.Open(dir)
	if err != nil {
		return nil, err
	}
	for _, role := range roles {
		if err := users.Add(role.String(), role, good); err != nil {
			return nil, err
		}
	}
	return os.ReadFile(filepath.Join(dir, "users.json"))
})

// emptySite has no user.
func emptySite(t *testing.T, web model.Web) *site {
	t.Helper()
	return start(t, web, filepath.Join(t.TempDir(), "state"))
}

func start(t *testing.T, web model.Web, state string) *site {
	t.Helper()
	s := &site{t: t, web: web, daemon: &fakeDaemon{}, state: state,
		net: &network{open: map[netip.AddrPort]*pipes{}, busy: map[netip.AddrPort]bool{}}}
	var err error
	if s.access, err = access.Open(s.state); err != nil {
		t.Fatal(err)
	}
	metrics := func(status func() model.Status) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "directors", len(status().Directors)) })
	}
	s.server = New(Options{Access: s.access, Metrics: metrics, StateDir: s.state, Log: slog.New(slog.DiscardHandler)})
	s.server.listen = s.net.listen
	s.server.Set(web)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.server.Run(ctx, s.daemon) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	s.until(func() bool { return s.server.Status().State != model.ServiceOff })
	return s
}

// until waits for something that another goroutine does at once.
func (s *site) until(done func() bool) {
	s.t.Helper()
	for range 1000 {
		if done() {
			return
		}
		wait := time.NewTimer(5 * time.Millisecond)
		<-wait.C
	}
	s.t.Fatal("it does not come about")
}

func (s *site) token(role model.Role) string {
	s.t.Helper()
	token, err := s.access.AddToken("token-"+role.String(), role)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

func (s *site) dial(from string) net.Conn {
	s.t.Helper()
	c, err := s.net.dial(from, s.web.Listen)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.web.TLS != model.WebTLSOff {
		return tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	}
	return c
}

// answer is what came back.
type answer struct {
	code   int
	header http.Header
	body   string
}

func (a answer) detail() string {
	var p api.Problem
	if json.Unmarshal([]byte(a.body), &p) != nil {
		return ""
	}
	return p.Detail
}

func (a answer) cookie() *http.Cookie {
	all := (&http.Response{Header: a.header}).Cookies()
	if len(all) != 1 {
		return &http.Cookie{}
	}
	return all[0]
}

const near = "127.0.0.1"

// ask sends one request over a connection of its own. Headers are pairs. Streams
// are left after a moment.
func (s *site) ask(from, method, path, body string, headers ...string) answer {
	s.t.Helper()
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nConnection: close\r\n", method, path)
	hosted := false
	for i := 0; i < len(headers); i += 2 {
		head += headers[i] + ": " + headers[i+1] + "\r\n"
		hosted = hosted || headers[i] == "Host"
	}
	if !hosted {
		head += "Host: " + s.web.Listen.String() + "\r\n"
	}
	if body != "" {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	a, err := s.raw(from, head+"\r\n"+body)
	if err != nil {
		s.t.Errorf("%s %s: %v", method, path, err)
	}
	return a
}

func (s *site) raw(from, text string) (answer, error) {
	s.t.Helper()
	c := s.dial(from)
	defer c.Close()
	go func() { _, _ = io.WriteString(c, text) }() // ends with the connection
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return answer{}, err
	}
	kind := response.Header.Get("Content-Type")
	if strings.HasPrefix(kind, "text/event-stream") || strings.HasPrefix(kind, "application/x-ndjson") {
		return answer{response.StatusCode, response.Header, ""}, nil
	}
	body, err := io.ReadAll(response.Body)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // the head of an answer to HEAD
	}
	return answer{response.StatusCode, response.Header, string(body)}, err
}

// pass is what a session or a token lets in.
type pass struct {
	role    model.Role
	headers []string
}

func (s *site) login(from, name, password string, headers ...string) answer {
	s.t.Helper()
	body, err := json.Marshal(map[string]string{"user": name, "password": password})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.ask(from, "POST", "/api/v1/session", string(body), append([]string{"Content-Type", "application/json"}, headers...)...)
}

// session logs in, and returns the headers of the session's requests.
func (s *site) session(name string) pass {
	s.t.Helper()
	a := s.login(near, name, good)
	var who loggedIn
	if err := json.Unmarshal([]byte(a.body), &who); err != nil || a.code != http.StatusOK {
		s.t.Fatalf("log in: %d %s", a.code, a.body)
	}
	return pass{who.Role, []string{"Cookie", a.cookie().Name + "=" + a.cookie().Value, csrfHeader, who.CSRF}}
}

func (s *site) passes() []pass {
	s.t.Helper()
	all := []pass{{}}
	for _, role := range roles {
		all = append(all, s.session(role.String()), pass{role, []string{"Authorization", "Bearer " + s.token(role)}})
	}
	return all
}
