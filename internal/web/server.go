package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"fairlead/internal/access"
	"fairlead/internal/api"
	"fairlead/internal/model"
)

const (
	headerTime = 10 * time.Second // for the head of a request, and for the TLS handshake
	idleTime   = time.Minute      // between two requests
	headBytes  = 16 << 10
	stopTime   = 2 * time.Second // for answers under way when a listener is given up
	lookEvery  = time.Second     // after ended logins and changed certificates
	retryEvery = 5 * time.Second // when the address could not be opened
)

// Options are what a Server works with.
type Options struct {
	Access   *access.Store
	Metrics  func(status func() model.Status) http.Handler // nil: no /metrics
	StateDir string                                        // where its own certificate is kept
	Log      *slog.Logger
}

// Server serves the pages and the API where Set says.
type Server struct {
	options Options
	listen  func(netip.AddrPort) (net.Listener, error)
	changed chan struct{} // holds a token when want is new

	mu     sync.Mutex // guards the following
	want   model.Web
	status model.ServiceStatus
}

// New returns a server that Run starts.
func New(o Options) *Server {
	return &Server{
		options: o,
		listen:  listenOn,
		changed: make(chan struct{}, 1),
		want:    model.Web{Off: true},
		status:  model.ServiceStatus{Name: "web", Title: "Web pages and API", State: model.ServiceOff},
	}
}

// Set tells where to serve from now on. What stays the same is not disturbed. A
// new address is opened before the old one is given up.
func (s *Server) Set(w model.Web) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want = w
	select {
	case s.changed <- struct{}{}:
	default: // Run has not looked yet, and will see this one
	}
}

// Status tells where the pages are, or why they are not.
func (s *Server) Status() model.ServiceStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

func (s *Server) tell(state, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.State != state || s.status.Why != why {
		s.options.Log.Info("web pages", "state", state, "why", why)
	}
	s.status.State, s.status.Why = state, why
}

// Run serves for the daemon until ctx ends. What fails is told by Status and
// tried again.
func (s *Server) Run(ctx context.Context, d api.Daemon) error {
	host, err := os.Hostname()
	if err != nil {
		host = "" // then localhost and addresses must do
	}
	g, err := newGate(s.options, d, host)
	if err != nil {
		return err
	}
	r := &runner{Server: s, gate: g, host: host}
	defer r.close()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
			r.settle()
		case err := <-r.serving():
			r.lost(err)
		case <-tick.C:
			r.look()
		}
	}
}

// A runner is a Server at work.
type runner struct {
	*Server
	gate *gate
	host string
	now  *binding  // nil: nothing is served
	next time.Time // when to try again; zero: all is as it should be
}

// A binding is an address that is served.
type binding struct {
	web    model.Web
	server *http.Server
	keeper *keeper // nil: without TLS
	ended  chan error
}

// serving tells of the end of the server at work.
func (r *runner) serving() <-chan error {
	if r.now == nil {
		return nil
	}
	return r.now.ended
}

func (r *runner) lost(err error) {
	r.now = nil
	r.tell(model.ServiceFailed, fmt.Sprintf("the listener failed: %v; it is opened again", err))
	r.next = time.Now().Add(retryEvery)
}

// look does what time brings with it.
func (r *runner) look() {
	at := time.Now()
	r.gate.running.check()
	r.gate.notice()
	r.gate.failed.sum(at, func(by model.Actor, text string) { r.gate.daemon.Audit(by, text, nil) })
	if r.now != nil && r.now.keeper != nil {
		r.now.keeper.look(at)
	}
	if !r.next.IsZero() && !at.Before(r.next) {
		r.settle()
	} else if r.next.IsZero() && r.now != nil {
		r.tell(model.ServiceRunning, r.now.words())
	}
}

// settle brings about what is wanted.
func (r *runner) settle() {
	r.mu.Lock()
	want := r.want
	r.mu.Unlock()
	r.next = time.Time{}
	if want.Off {
		r.close()
		r.tell(model.ServiceOff, "")
		return
	}
	if r.now != nil && r.now.web == want {
		r.tell(model.ServiceRunning, r.now.words())
		return
	}
	fresh, err := r.open(want)
	if err != nil {
		r.next = time.Now().Add(retryEvery)
		why := err.Error()
		if r.now != nil {
			why += "; until then it stays " + r.now.words()
		}
		r.tell(model.ServiceFailed, why)
		return
	}
	r.close()
	r.now = fresh
	r.tell(model.ServiceRunning, fresh.words())
}

// open begins to serve what is wanted, beside what is served already.
func (r *runner) open(want model.Web) (*binding, error) {
	b := &binding{web: want, ended: make(chan error, 1)}
	if want.TLS == model.WebTLSOff && !want.Listen.Addr().Unmap().IsLoopback() {
		return nil, fmt.Errorf("serve on %s without TLS: passwords would cross the network in the clear; write `tls own`, or listen on 127.0.0.1", want.Listen)
	}
	if want.TLS != model.WebTLSOff {
		b.keeper = r.keeper(want)
		if err := b.keeper.load(time.Now()); err != nil {
			return nil, err
		}
	}
	if r.now != nil && r.now.web.Listen == want.Listen {
		r.close() // an address cannot be opened twice
	}
	l, err := r.listen(want.Listen)
	if err != nil {
		return nil, err
	}
	b.serve(bound(l), r.gate, r.options.Log)
	return b, nil
}

func (r *runner) keeper(want model.Web) *keeper {
	k := &keeper{cert: want.Cert, key: want.Key, own: want.TLS == model.WebTLSOwn, addr: want.Listen, host: r.host}
	if k.own {
		k.cert, k.key = filepath.Join(r.options.StateDir, ownCert), filepath.Join(r.options.StateDir, ownKey)
	}
	return k
}

func (b *binding) serve(l net.Listener, g *gate, log *slog.Logger) {
	b.server = &http.Server{
		Handler:           g,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 64},
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	run := func() error { return b.server.Serve(l) }
	if b.keeper != nil {
		b.server.TLSConfig = b.keeper.config()
		run = func() error { return b.server.ServeTLS(l, "", "") }
	}
	go func() { b.ended <- run() }()
}

// close gives the present listener up. Streams end; other answers have a moment.
func (r *runner) close() {
	if r.now == nil {
		return
	}
	r.gate.running.endReading()
	grace, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if err := r.now.server.Shutdown(grace); errors.Is(err, context.DeadlineExceeded) {
		_ = r.now.server.Close() // who is cut off knows
	}
	<-r.now.ended
	r.now = nil
}

// words say where the pages are.
func (b *binding) words() string {
	if b.keeper == nil {
		return "on http://" + b.web.Listen.String()
	}
	return "on https://" + b.web.Listen.String() + b.keeper.words()
}
