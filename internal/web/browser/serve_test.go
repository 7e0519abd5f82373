package browser

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// A site serves the pages and the API for a daemon that pretends.
type site struct {
	*daemon
	url    string
	server *httptest.Server

	mu     sync.Mutex // guards the following
	role   model.Role // of who logs in
	logged bool
}

func newSite(t *testing.T, d *daemon, role model.Role) *site {
	s := &site{daemon: d, role: role, logged: true}
	s.server = httptest.NewServer(s.handler())
	s.url = s.server.URL
	t.Cleanup(func() {
		s.server.CloseClientConnections()
		s.server.Close()
	})
	return s
}

func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(os.DirFS("../static"))))
	for _, page := range []string{"/{$}", "/flow", "/l4", "/services", "/servers", "/connections", "/events", "/login"} {
		mux.HandleFunc("GET "+page, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "../static/index.html") })
	}
	mux.HandleFunc("GET /api/v1/session", s.session)
	mux.HandleFunc("POST /api/v1/session", s.login)
	mux.HandleFunc("DELETE /api/v1/session", s.logout)
	mux.HandleFunc("GET /api/v1/stream", s.stream)
	mux.HandleFunc("GET /api/v1/events", s.journal)
	mux.HandleFunc("GET /api/v1/connections", s.connections)
	mux.HandleFunc("GET /api/v1/servers/{director}/{server}/history", s.probed)
	mux.HandleFunc("POST /api/v1/order", s.order)
	mux.HandleFunc("GET /api/v1/config", func(w http.ResponseWriter, r *http.Request) {
		c, err := s.Configuration(r.Context())
		w.Header().Set("ETag", strconv.Quote(c.Hash))
		answer(w, c, err)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		s.mu.Lock()
		ok := s.logged || !strings.HasPrefix(r.URL.Path, "/api/") || r.Method == http.MethodPost && r.URL.Path == "/api/v1/session"
		s.mu.Unlock()
		if !ok {
			problem(w, http.StatusUnauthorized, errors.New("log in first"))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, value any, err error) {
	switch {
	case errors.Is(err, api.ErrNotFound):
		problem(w, http.StatusNotFound, err)
	case err != nil:
		problem(w, http.StatusConflict, err)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value)
	}
}

func problem(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": err.Error()})
}

func (s *site) who() map[string]string {
	return map[string]string{"name": "ana", "role": s.role.String(), "csrf": "token-of-the-test"}
}

func (s *site) session(w http.ResponseWriter, _ *http.Request) { answer(w, s.who(), nil) }

func (s *site) login(w http.ResponseWriter, r *http.Request) {
	var given struct{ User, Password string }
	_ = json.NewDecoder(r.Body).Decode(&given)
	if given.User != "ana" || given.Password != "right" {
		problem(w, http.StatusUnauthorized, errors.New("name or password is wrong"))
		return
	}
	s.mu.Lock()
	s.logged = true
	s.mu.Unlock()
	answer(w, s.who(), nil)
}

func (s *site) logout(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	s.logged = false
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func (s *site) order(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Fairlead-CSRF") != "token-of-the-test" {
		problem(w, http.StatusForbidden, errors.New("the token against forged requests is missing"))
		return
	}
	var o api.Order
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		problem(w, http.StatusBadRequest, err)
		return
	}
	done, err := s.Order(r.Context(), model.Actor{Name: "ana", Role: s.role, Via: "127.0.0.1"}, o)
	answer(w, done, err)
}

func (s *site) probed(w http.ResponseWriter, r *http.Request) {
	all, err := s.History(model.ServerRef{Director: r.PathValue("director"), Server: r.PathValue("server")})
	if all == nil {
		all = []api.Probed{}
	}
	answer(w, all, err)
}

func (s *site) connections(w http.ResponseWriter, r *http.Request) {
	q := api.ConnectionQuery{Director: r.FormValue("director"), Server: r.FormValue("server"), State: r.FormValue("state")}
	q.Limit, _ = strconv.Atoi(r.FormValue("limit"))
	if text := r.FormValue("client"); text != "" {
		prefix, err := netip.ParsePrefix(text)
		if a, failed := netip.ParseAddr(text); failed == nil {
			prefix, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			problem(w, http.StatusBadRequest, fmt.Errorf("client %q: write an address or a prefix such as 192.168.10.0/24", text))
			return
		}
		q.Client = prefix
	}
	found, err := s.Connections(r.Context(), q)
	answer(w, found, err)
}

func (s *site) journal(w http.ResponseWriter, r *http.Request) {
	from := r.Header.Get("Last-Event-ID")
	if from == "" {
		from = r.FormValue("since")
	}
	since, err := api.ParseSince(from, time.Now())
	if err != nil {
		problem(w, http.StatusBadRequest, err)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	flush(w)
	_ = s.Events(r.Context(), since, r.FormValue("follow") == "1", func(e model.Event) error {
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "id: %d\ndata: %s\n\n", e.Seq, text); err != nil {
			return err
		}
		flush(w)
		return nil
	})
}

func flush(w http.ResponseWriter) { w.(http.Flusher).Flush() }

// stream sends the picture, and then what changed, twice a second and at once after
// a change that is more than a counter.
func (s *site) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	changed := s.Changed()
	last := picture(s.Status())
	send := func(event string, value any) bool {
		text, err := json.Marshal(value)
		if err == nil {
			_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, text)
		}
		flush(w)
		return err == nil
	}
	for ok := send("live", last); ok; {
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case <-time.After(500 * time.Millisecond):
		}
		changed = s.Changed()
		next := picture(s.Status())
		ok = send("patch", mergePatch(last, next))
		last = next
	}
}

// picture is the status as the stream tells it: maps by name.
func picture(status model.Status) map[string]any {
	text, _ := json.Marshal(status)
	var p map[string]any
	_ = json.Unmarshal(text, &p)
	p["heartbeat"] = p["turned"]
	for _, list := range []string{"interfaces", "services", "flows", "directors"} {
		p[list] = named(p[list])
	}
	for _, d := range p["directors"].(map[string]any) {
		d := d.(map[string]any)
		d["servers"] = named(d["servers"])
	}
	return p
}

func named(list any) map[string]any {
	all := map[string]any{}
	items, _ := list.([]any)
	for i, item := range items {
		item := item.(map[string]any)
		all[item["name"].(string)] = item
		item["order"] = i
	}
	return all
}

// mergePatch is the patch (RFC 7396) that makes have into want.
func mergePatch(have, want map[string]any) map[string]any {
	patch := map[string]any{}
	for name := range have {
		if _, ok := want[name]; !ok {
			patch[name] = nil
		}
	}
	for name, w := range want {
		h, ok := have[name]
		hm, hok := h.(map[string]any)
		wm, wok := w.(map[string]any)
		switch {
		case ok && hok && wok:
			if p := mergePatch(hm, wm); len(p) > 0 {
				patch[name] = p
			}
		case !ok || !reflect.DeepEqual(h, w):
			patch[name] = w
		}
	}
	return patch
}
