package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"os"
	"strconv"

	"fairlead/internal/access"
	"fairlead/internal/api"
	"fairlead/internal/model"
)

// mostLogin bounds the body of a login, bytes.
const mostLogin = 4 << 10

// credentials are what a login sends.
type credentials struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// loggedIn is what the pages know of their session.
type loggedIn struct {
	Name string     `json:"name"`
	Role model.Role `json:"role"`
	CSRF string     `json:"csrf,omitempty"` // absent with a token
}

// cookieName is the session's cookie. With the prefix browsers take it over TLS
// only, and from this very host.
func cookieName(r *http.Request) string {
	if r.TLS != nil {
		return "__Host-fairlead"
	}
	return "fairlead"
}

func setCookie(w http.ResponseWriter, r *http.Request, value string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name:     cookieName(r),
		Value:    value,
		Path:     "/",
		MaxAge:   age,
		Secure:   r.TLS != nil,
		HttpOnly: true,
		SameSite: http.SameSiteStrictMode,
	})
}

func (g *gate) login(w http.ResponseWriter, r *http.Request) {
	if err := g.cross.Check(r); err != nil {
		api.WriteProblem(w, api.KindForbidden, fmt.Errorf("the request comes from another site: %w", err))
		return
	}
	who, err := readCredentials(w, r)
	if err != nil {
		api.WriteProblem(w, api.KindMalformed, err)
		return
	}
	from := address(r)
	session, err := g.access.Login(r.Context(), who.User, who.Password, from)
	if err != nil {
		g.refuse(w, r, who.User, err)
		return
	}
	// A session from before ends: its secret may be known to others.
	for _, c := range r.CookiesNamed(cookieName(r)) {
		g.access.End(c.Value)
	}
	g.daemon.Audit(model.Actor{Name: session.Name, Role: session.Role, Via: from.String()}, "logged in", nil)
	setCookie(w, r, session.Cookie, 0)
	writeJSON(w, loggedIn{session.Name, session.Role, session.CSRF})
}

// readCredentials reads the body of a login. A form of another site cannot send
// JSON.
func readCredentials(w http.ResponseWriter, r *http.Request) (credentials, error) {
	var who credentials
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return who, errors.New("log in: send JSON, with Content-Type: application/json")
	}
	if !limitRead(w, bodyTime) {
		return who, errors.New("log in: the client has left")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostLogin))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return who, api.KindTooLarge.New("log in: the request is too large")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return who, api.KindSlow.New("log in: the request did not arrive in time")
	case err != nil:
		return who, fmt.Errorf("log in: read the request: %w", err)
	case !limitRead(w, 0):
		return who, errors.New("log in: the client has left")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	// What is wrong is not repeated: it may be the password.
	if err := d.Decode(&who); err != nil {
		return who, errors.New(`log in: send {"user": …, "password": …}`)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return who, errors.New("log in: send one JSON object only")
	}
	return who, nil
}

// refuse answers a login that failed.
func (g *gate) refuse(w http.ResponseWriter, r *http.Request, name string, err error) {
	var held *access.Throttled
	switch {
	case errors.Is(err, access.ErrWrong):
		g.tell(r, name, err)
		if users, failed := g.access.Users(); failed == nil && len(users) == 0 {
			err = g.firstUser()
		}
		api.WriteProblem(w, api.KindLogin, err)
	case errors.As(err, &held):
		g.tell(r, name, err)
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(held.Wait.Seconds()))))
		api.WriteProblem(w, api.KindThrottled, err)
	case errors.Is(err, access.ErrBusy):
		w.Header().Set("Retry-After", "5")
		api.WriteProblem(w, api.KindUnavailable, err)
	default:
		g.log.Warn("nobody can log in", "error", err)
		api.WriteProblem(w, api.KindFailed, errors.New("nobody can log in, because the users cannot be read; `fairlead user list` on the director tells why"))
	}
}

// tell enters a login that failed in the journal. A name that is no user's is
// left out: people type passwords there.
func (g *gate) tell(r *http.Request, name string, failed error) {
	who := "an unknown user"
	users, err := g.access.Users()
	for _, u := range users {
		if err == nil && u.Name == name {
			who = name
		}
	}
	if g.failed.count(address(r)) {
		g.daemon.Audit(model.Actor{Name: "somebody", Via: address(r).String()}, "tried to log in as "+who, failed)
	}
}

// session tells of a session, or ends it.
func (g *gate) session(w http.ResponseWriter, r *http.Request) {
	v := visitorOf(r)
	if !only(w, r, http.MethodGet, http.MethodHead, http.MethodDelete) {
		return
	}
	if safe(r) {
		writeJSON(w, loggedIn{v.actor.Name, v.actor.Role, v.csrf})
		return
	}
	if v.cookie == "" {
		api.WriteProblem(w, api.KindMalformed, errors.New("log out: a token has no session; `fairlead token remove` ends its use"))
		return
	}
	g.access.End(v.cookie)
	g.daemon.Audit(v.actor, "logged out", nil)
	setCookie(w, r, "", -1)
	w.WriteHeader(http.StatusNoContent)
}

func writeJSON(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		api.WriteProblem(w, api.KindFailed, err)
		return
	}
	if !limitWrite(w) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // a client that has left is not told
}
