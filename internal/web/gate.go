package web

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"fairlead/internal/access"
	"fairlead/internal/api"
	"fairlead/internal/model"
)

const (
	refusedTime = 500 * time.Millisecond // for the body of who is turned away
	bodyTime    = 10 * time.Second       // for the body of a login, and for one that nobody reads
	writeTime   = 30 * time.Second       // for an answer of ours
)

// policy lets a page load its own files and ask its own server, nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// pages are the addresses of the pages behind the login.
var pages = []string{"/", "/flow", "/l4", "/services", "/servers", "/connections", "/events", "/doctor"}

// A gate answers all requests: it lets in or turns away, and hands on.
type gate struct {
	access  *access.Store
	daemon  api.Daemon
	log     *slog.Logger
	state   string // the state directory, for words
	assets  assets
	api     http.Handler
	metrics http.Handler // nil: none
	cross   *http.CrossOriginProtection
	host    string // the machine's name
	running *running
	failed  *tally
	roster  roster // of the goroutine that looks
}

func newGate(o Options, d api.Daemon, host string) (*gate, error) {
	all, err := readAssets()
	if err != nil {
		return nil, err
	}
	g := &gate{
		access:  o.Access,
		daemon:  d,
		log:     o.Log,
		state:   o.StateDir,
		assets:  all,
		api:     api.NewHandler(d, o.Log, func(r *http.Request) model.Actor { return visitorOf(r).actor }),
		cross:   http.NewCrossOriginProtection(),
		host:    host,
		running: newRunning(),
		failed:  newTally(),
	}
	if o.Metrics != nil {
		g.metrics = o.Metrics(d.Status)
	}
	return g, nil
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header(), r.TLS != nil)
	control := http.NewResponseController(w)
	// net/http reads the body of who is turned away, too, so that the answer is not
	// lost. It must not take long: enter and login give more time.
	if r.ContentLength != 0 && !limitRead(w, refusedTime) {
		return
	}
	// The connection's last answer may have left its own limit.
	if control.SetWriteDeadline(time.Time{}) != nil {
		return
	}
	if r.TLS == nil && !g.trusts(r.Host) {
		api.WriteProblem(w, api.KindForbidden, fmt.Errorf("these pages are not served under the name %q: use the address, or localhost", r.Host))
		return
	}
	g.route(w, r)
}

func (g *gate) route(w http.ResponseWriter, r *http.Request) {
	switch p := r.URL.Path; {
	case strings.HasPrefix(p, "/static/"):
		g.static(w, r)
	case p == "/login":
		if v, err := g.visitor(r); err == nil && v.cookie != "" {
			onwards(w, r)
			return
		}
		g.page(w, r)
	case slices.Contains(pages, p):
		if v, err := g.visitor(r); err != nil || v.cookie == "" {
			redirect(w, r)
			return
		}
		g.page(w, r)
	case p == "/api/v1/session" && r.Method == http.MethodPost:
		g.login(w, r)
	case p == "/api/v1/session":
		g.enter(w, r, g.session)
	case p == "/metrics" && g.metrics != nil:
		g.enter(w, r, g.scrape)
	case strings.HasPrefix(p, "/api/"):
		g.enter(w, r, g.api.ServeHTTP)
	default:
		notFound(w, r)
	}
}

// redirect sends a browser to the login, which leads back to the page.
func redirect(w http.ResponseWriter, r *http.Request) {
	if !only(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	target := "/login"
	if r.URL.Path != "/" {
		target += "?next=" + url.QueryEscape(r.URL.Path)
	}
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusSeeOther)
}

// onwards sends a browser that is logged in already to the page that it wanted.
func onwards(w http.ResponseWriter, r *http.Request) {
	if !only(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	target := "/"
	if next := r.URL.Query().Get("next"); slices.Contains(pages, next) {
		target = next
	}
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusSeeOther)
}

// protect sets the headers that every answer has.
func protect(h http.Header, secure bool) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// trusts tells whether a request without TLS may be for this name. A page from
// elsewhere can have its own name lead to a loopback address (DNS rebinding), and
// then speak to us as its own server; an address it cannot have.
func (g *gate) trusts(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")); err == nil {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || g.host != "" && host == strings.ToLower(g.host)
}

// A visitor is who sent a request.
type visitor struct {
	actor  model.Actor
	cookie string // of a session, with what proves that its requests are its own
	csrf   string
	token  string // or the secret of a token
}

type visitorKey struct{}

// visitorOf is who sent a request that was let in; nobody otherwise.
func visitorOf(r *http.Request) visitor {
	v, _ := r.Context().Value(visitorKey{}).(visitor)
	return v
}

var errNobody = errors.New("log in, or send a token: Authorization: Bearer TOKEN")

// visitor finds out who sent a request. A token counts alone: one that is wrong
// is not made good by a cookie.
func (g *gate) visitor(r *http.Request) (visitor, error) {
	via := address(r).String()
	if sent := r.Header.Values("Authorization"); len(sent) > 0 {
		scheme, secret, _ := strings.Cut(sent[0], " ")
		if len(sent) > 1 || !strings.EqualFold(scheme, "Bearer") {
			return visitor{}, errNobody
		}
		actor, ok := g.access.Token(secret)
		if !ok {
			return visitor{}, errors.New("the token is not valid: it was removed, or is not complete")
		}
		actor.Via = via
		return visitor{actor: actor, token: secret}, nil
	}
	for _, c := range r.CookiesNamed(cookieName(r)) {
		if s, ok := g.access.Session(c.Value); ok {
			return visitor{actor: model.Actor{Name: s.Name, Role: s.Role, Via: via}, cookie: c.Value, csrf: s.CSRF}, nil
		}
	}
	return visitor{}, errNobody
}

// still tells whether a visitor may go on as the one who was let in.
func (g *gate) still(v visitor) bool {
	if v.token != "" {
		actor, ok := g.access.Token(v.token)
		return ok && actor.Role == v.actor.Role
	}
	s, ok := g.access.Session(v.cookie)
	return ok && s.Role == v.actor.Role
}

// address is where a request comes from. What it says of that itself
// (X-Forwarded-For) anybody can write.
func address(r *http.Request) netip.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return from.Addr().Unmap()
}

// enter lets those in who are known, and whose request is their own.
func (g *gate) enter(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	v, err := g.visitor(r)
	if err != nil {
		g.turnAway(w, err)
		return
	}
	if err := g.own(r, v); err != nil {
		g.log.Debug("request refused", "by", v.actor.String(), "method", r.Method, "path", r.URL.Path, "why", err)
		api.WriteProblem(w, api.KindForbidden, err)
		return
	}
	ctx, leave := g.running.begin(context.WithValue(r.Context(), visitorKey{}, v), func() bool { return g.still(v) }, safe(r))
	defer leave()
	if r.ContentLength != 0 && !limitRead(w, bodyTime) {
		return
	}
	next(w, r.WithContext(ctx))
}

func safe(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// own tells whether a request that changes something was sent by our own pages: a
// browser adds the cookie to what others make it send (CSRF). Programmes with a
// token have no cookie.
func (g *gate) own(r *http.Request, v visitor) error {
	if v.cookie == "" || safe(r) {
		return nil
	}
	if err := g.cross.Check(r); err != nil {
		return fmt.Errorf("the request comes from another site: %w", err)
	}
	sent := r.Header.Values(csrfHeader)
	if len(sent) != 1 || subtle.ConstantTimeCompare([]byte(sent[0]), []byte(v.csrf)) != 1 {
		return fmt.Errorf("the header %s is missing or is not that of the session: load the page again", csrfHeader)
	}
	return nil
}

const csrfHeader = "X-Fairlead-CSRF"

// turnAway answers who is not known. When there is no user yet, it tells how to
// make one.
func (g *gate) turnAway(w http.ResponseWriter, why error) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="fairlead"`)
	users, err := g.access.Users()
	if err != nil {
		why = errors.New("nobody can log in, because the users cannot be read; `fairlead user list` on the director tells why")
	} else if len(users) == 0 {
		why = g.firstUser()
	}
	api.WriteProblem(w, api.KindLogin, why)
}

// usualState is the state directory that the commands take when none is named.
const usualState = "/var/lib/fairlead"

func (g *gate) firstUser() error {
	where := ""
	if g.state != usualState {
		where = " --state-dir " + g.state
	}
	return fmt.Errorf("there is no user yet: on the director, run `sudo fairlead user add NAME --role admin%s`, and log in with that name", where)
}

// scrape answers Prometheus, and whoever may see the status.
func (g *gate) scrape(w http.ResponseWriter, r *http.Request) {
	if v := visitorOf(r); v.actor.Role < model.RoleViewer {
		api.WriteProblem(w, api.KindRole, fmt.Errorf("the metrics need the role viewer, and %s has %s", v.actor.Name, v.actor.Role))
		return
	}
	if only(w, r, http.MethodGet, http.MethodHead) && limitWrite(w) {
		g.metrics.ServeHTTP(w, r)
	}
}
