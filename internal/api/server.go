package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"fairlead/internal/model"
)

const (
	maxBody    = 64 << 10 // of a request, bytes
	headerTime = 5 * time.Second
	writeTime  = 10 * time.Second // a client that reads nothing for so long is left
	stopTime   = 2 * time.Second  // for answers under way when the daemon stops
)

// Server answers on one listener.
type Server struct {
	listener net.Listener
	log      *slog.Logger
}

// New returns a server for the listener. Run starts it and closes the listener.
func New(l net.Listener, log *slog.Logger) *Server {
	return &Server{listener: l, log: log}
}

// Run answers for the daemon until ctx ends.
func (s *Server) Run(ctx context.Context, d Core) error {
	stopping, stop := context.WithCancel(ctx)
	defer stop()
	server := &http.Server{
		Handler:           newHandler(d, s.log),
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		// Requests end with the daemon: a capture would hold it up for ever.
		BaseContext: func(net.Listener) context.Context { return stopping },
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve the control socket: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-failed
	return err
}

// A handler turns requests into calls of the daemon.
type handler struct {
	daemon    Core
	log       *slog.Logger
	capturing chan struct{} // holds the one token of the capture
}

func newHandler(d Core, log *slog.Logger) http.Handler {
	h := &handler{daemon: d, log: log, capturing: make(chan struct{}, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/status", only(http.MethodGet, h.status))
	mux.HandleFunc("/api/v1/reload", only(http.MethodPost, h.reload))
	mux.HandleFunc("/api/v1/order", only(http.MethodPost, h.order))
	mux.HandleFunc("/api/v1/events", only(http.MethodGet, h.events))
	mux.HandleFunc("/api/v1/capture", only(http.MethodPost, h.capture))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h.fail(w, http.StatusNotFound, fmt.Errorf("no such address: %s", r.URL.Path))
	})
	return mux
}

func only(method string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method {
			w.Header().Set("Allow", method)
			answer(w, http.StatusMethodNotAllowed, Error{Message: fmt.Sprintf("%s takes %s, not %s", r.URL.Path, method, r.Method)})
			return
		}
		body, err := readBody(w, r)
		if err != nil {
			answer(w, http.StatusBadRequest, Error{Message: err.Error()})
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next(w, r)
	}
}

// readBody reads a request to its end. Only this has a time limit: the server's
// own one would go on, and end a capture.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(headerTime)); err != nil {
		return nil, fmt.Errorf("limit the time of the request: %w", err)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("lift the time limit of the request: %w", err)
	}
	return body, nil
}

func (h *handler) status(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, h.daemon.Status())
}

func (h *handler) reload(w http.ResponseWriter, r *http.Request) {
	done, err := h.daemon.Reload(r.Context(), root)
	if err != nil {
		h.fail(w, http.StatusUnprocessableEntity, err)
		return
	}
	answer(w, http.StatusOK, done)
}

func (h *handler) order(w http.ResponseWriter, r *http.Request) {
	var order Order
	if err := decode(r.Body, &order); err != nil {
		h.fail(w, http.StatusBadRequest, err)
		return
	}
	if order.Director == "" || order.Server == "" {
		h.fail(w, http.StatusBadRequest, fmt.Errorf("order a %s: both the director and the server must be named", order.Verb))
		return
	}
	done, err := h.daemon.Order(r.Context(), root, order)
	if err != nil {
		h.fail(w, http.StatusConflict, err)
		return
	}
	answer(w, http.StatusOK, done)
}

// decode reads exactly one JSON value without unknown fields.
func decode(body io.Reader, into any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	if d.More() {
		return errors.New("read the request: more than one value")
	}
	return nil
}

func (h *handler) fail(w http.ResponseWriter, code int, err error) {
	var refused *Error
	if errors.As(err, &refused) {
		answer(w, code, refused)
		return
	}
	answer(w, code, Error{Message: err.Error()})
}

func answer(w http.ResponseWriter, code int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		code, body = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	// A client that has left is its own affair: there is nobody to tell.
	if http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime)) != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n'))
}

// root is who speaks through the control socket.
var root = model.Actor{Name: "root", Role: model.RoleAdmin, Via: "control socket"}
