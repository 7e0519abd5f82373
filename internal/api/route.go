package api

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"fairlead/internal/model"
)

// Route is an address of the API and the role that it needs.
type Route struct {
	Method  string
	Pattern string // as http.ServeMux reads it, without the method
	Role    model.Role
}

// Routes lists all routes that NewHandler serves.
func Routes() []Route {
	var all []Route
	for _, r := range table() {
		all = append(all, r.Route)
	}
	return all
}

// A route is a Route with what it does.
type route struct {
	Route
	body  limit
	serve func(*handler, http.ResponseWriter, *request)
}

// A request is one whose sender may ask for this, with its whole body.
type request struct {
	*http.Request
	by   model.Actor
	text []byte
}

// table is the one table of routes.
func table() []route {
	const viewer, operator, admin = model.RoleViewer, model.RoleOperator, model.RoleAdmin
	return []route{
		{Route{"GET", "/api/v1/status", viewer}, small, reply(KindFailed, (*handler).status)},
		{Route{"GET", "/api/v1/stream", viewer}, small, (*handler).live},
		{Route{"GET", "/api/v1/flows", viewer}, small, reply(KindFailed, (*handler).flows)},
		{Route{"GET", "/api/v1/directors", viewer}, small, reply(KindFailed, (*handler).directors)},
		{Route{"GET", "/api/v1/directors/{director}", viewer}, small, reply(KindFailed, (*handler).director)},
		{Route{"GET", "/api/v1/servers", viewer}, small, reply(KindFailed, (*handler).servers)},
		{Route{"GET", "/api/v1/servers/{director}/{server}", viewer}, small, reply(KindFailed, (*handler).server)},
		{Route{"GET", "/api/v1/servers/{director}/{server}/history", viewer}, small, reply(KindFailed, (*handler).history)},
		{Route{"GET", "/api/v1/connections", viewer}, small, reply(KindFailed, (*handler).connections)},
		{Route{"GET", "/api/v1/templates", viewer}, small, reply(KindFailed, (*handler).templates)},
		{Route{"DELETE", "/api/v1/templates", operator}, small, reply(KindRefused, (*handler).forgetTemplates)},
		{Route{"GET", "/api/v1/explain", viewer}, small, reply(KindFailed, (*handler).explain)},
		{Route{"GET", "/api/v1/events", viewer}, small, (*handler).events},
		{Route{"GET", "/api/v1/health", viewer}, small, reply(KindFailed, (*handler).health)},
		{Route{"GET", "/api/v1/doctor", viewer}, small, reply(KindFailed, (*handler).diagnosis)},
		{Route{"POST", "/api/v1/doctor", operator}, small, reply(KindFailed, (*handler).examine)},
		{Route{"POST", "/api/v1/order", operator}, small, reply(KindRefused, (*handler).order)},
		{Route{"POST", "/api/v1/services/{service}/restart", admin}, small, reply(KindRefused, (*handler).restart)},
		{Route{"POST", "/api/v1/reload", admin}, small, reply(KindInvalid, (*handler).reload)},
		{Route{"POST", "/api/v1/capture", admin}, small, (*handler).capture},
		{Route{"GET", "/api/v1/config", viewer}, small, (*handler).configuration},
		{Route{"POST", "/api/v1/config/validate", viewer}, large, reply(KindFailed, (*handler).validate)},
		{Route{"POST", "/api/v1/config/diff", operator}, large, reply(KindFailed, (*handler).diff)},
		{Route{"PUT", "/api/v1/config", admin}, large, reply(KindFailed, (*handler).apply)},
		{Route{"PUT", "/api/v1/config/draft", admin}, large, reply(KindFailed, (*handler).saveDraft)},
		{Route{"DELETE", "/api/v1/config/draft", admin}, small, reply(KindFailed, (*handler).discardDraft)},
		{Route{"GET", "/api/v1/config/versions", admin}, small, reply(KindFailed, (*handler).versions)},
		{Route{"GET", "/api/v1/config/versions/{id}", admin}, small, reply(KindFailed, (*handler).version)},
		{Route{"POST", "/api/v1/config/versions/{id}/restore", admin}, small, reply(KindFailed, (*handler).restore)},
		{Route{"GET", "/api/v1/openapi.json", viewer}, small, (*handler).openAPI},
	}
}

// queries are what a route takes after its question mark; any other takes nothing.
func queries(r Route) []string {
	switch r.Method + " " + r.Pattern {
	case "GET /api/v1/servers":
		return []string{"director"}
	case "GET /api/v1/connections":
		return []string{"director", "server", "client", "state", "limit"}
	case "GET /api/v1/templates":
		return []string{"director", "client", "limit"}
	case "DELETE /api/v1/templates":
		return []string{"director", "client"}
	case "GET /api/v1/explain":
		return []string{"from", "to", "proto", "iface", "flags", "payload", "icmptype"}
	case "GET /api/v1/events":
		return []string{"since", "follow", "kind", "director"}
	}
	return nil
}

// unasked finds what a request asks for that its address does not know. A misspelt
// word would else be overlooked, and the answer be taken for what it is not.
func unasked(chosen Route, r *http.Request) error {
	known := queries(chosen)
	for _, name := range slices.Sorted(maps.Keys(r.URL.Query())) {
		switch {
		case slices.Contains(known, name):
		case known == nil:
			return malformed("%s takes no parameters, and %q is one", r.URL.Path, name)
		default:
			return malformed("%s does not know the parameter %q; it takes %s", r.URL.Path, name, strings.Join(known, ", "))
		}
	}
	return nil
}

// reply makes a route of a function that gives one answer. An error that does
// not say what it means is of the kind.
func reply[T any](kind Kind, answer func(*handler, *request) (T, error)) func(*handler, http.ResponseWriter, *request) {
	return func(h *handler, w http.ResponseWriter, r *request) {
		value, err := answer(h, r)
		if err != nil {
			WriteProblem(w, kind, err)
			return
		}
		writeJSON(w, value)
	}
}

// A handler turns requests into calls of the daemon.
type handler struct {
	daemon    Daemon
	log       *slog.Logger
	who       func(*http.Request) model.Actor
	viewers   *hub
	capturing chan struct{} // holds the one token of the capture
	refusals  refusals
}

// NewHandler serves all Routes for the daemon. who tells whose request it is;
// the handler checks the role only.
func NewHandler(d Daemon, log *slog.Logger, who func(*http.Request) model.Actor) http.Handler {
	return newHandler(d, log, who, table())
}

func newHandler(d Daemon, log *slog.Logger, who func(*http.Request) model.Actor, routes []route) http.Handler {
	h := &handler{daemon: d, log: log, who: who, capturing: make(chan struct{}, 1)}
	h.viewers = newHub(h.look, d.Changed)
	patterns := make(map[string]map[string]route) // by pattern and method
	for _, r := range routes {
		if patterns[r.Pattern] == nil {
			patterns[r.Pattern] = make(map[string]route)
		}
		patterns[r.Pattern][r.Method] = r
	}
	mux := http.NewServeMux()
	for pattern, methods := range patterns {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { h.choose(methods, w, r) })
	}
	mux.HandleFunc("/", notFound)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would send who asks for "/a/../b" elsewhere. There is no such address.
		if p := r.URL.EscapedPath(); path.Clean(p) != p {
			notFound(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func notFound(w http.ResponseWriter, r *http.Request) {
	WriteProblem(w, KindNotFound, fmt.Errorf("no such address: %s", r.URL.Path))
}

// choose takes the route of the request's method.
func (h *handler) choose(methods map[string]route, w http.ResponseWriter, r *http.Request) {
	chosen, ok := methods[r.Method]
	if !ok {
		allowed := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
		w.Header().Set("Allow", allowed)
		WriteProblem(w, KindMethod, fmt.Errorf("%s takes %s, not %s", r.URL.Path, allowed, r.Method))
		return
	}
	h.enter(chosen, w, r)
}

// enter is the one place where the role is checked. Nothing of the body is read
// before.
func (h *handler) enter(chosen route, w http.ResponseWriter, r *http.Request) {
	by := h.who(r)
	if by.Role < chosen.Role {
		err := fmt.Errorf("%s %s needs the role %s, and %s has the role %s; ask an admin", r.Method, r.URL.Path, chosen.Role, by.Name, by.Role)
		h.audit(by, r, err)
		WriteProblem(w, KindRole, err)
		return
	}
	if err := unasked(chosen.Route, r); err != nil {
		WriteProblem(w, KindMalformed, err)
		return
	}
	text, err := readBody(w, r, chosen.body)
	if err != nil {
		WriteProblem(w, KindMalformed, err)
		return
	}
	chosen.serve(h, w, &request{Request: r, by: by, text: text})
}

// refusalEvery bounds what refused attempts can push out of the journal.
const refusalEvery = 10 * time.Second

// refusals remembers when the last refused attempt was entered in the journal.
type refusals struct {
	mu   sync.Mutex // guards the following
	last time.Time
}

func (f *refusals) due(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.last.IsZero() && now.Sub(f.last) < refusalEvery {
		return false
	}
	f.last = now
	return true
}

// audit enters who tried to change something without the role for it.
func (h *handler) audit(by model.Actor, r *http.Request, refused error) {
	if r.Method == http.MethodGet {
		return
	}
	if h.refusals.due(time.Now()) {
		h.daemon.Audit(by, fmt.Sprintf("tried %s %s", r.Method, r.URL.Path), refused)
		return
	}
	h.log.Debug("request refused", "by", by.String(), "method", r.Method, "path", r.URL.Path)
}
