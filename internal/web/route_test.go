package web

import (
	"net/http"
	"strings"
	"testing"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// everyRoute is all that can be asked for behind the login.
func everyRoute() []api.Route {
	return append(api.Routes(),
		api.Route{Method: "GET", Pattern: "/metrics", Role: model.RoleViewer},
		api.Route{Method: "GET", Pattern: "/api/v1/session", Role: model.RoleViewer},
	)
}

// TestEveryRoute asks for each route without a login, and as each role, with a
// session and with a token.
func TestEveryRoute(t *testing.T) {
	s := newSite(t, plain)
	passes := s.passes()
	fill := strings.NewReplacer("{director}", "nfs", "{server}", "nfs-01", "{service}", "web", "{id}", "1")
	for _, route := range everyRoute() {
		path := fill.Replace(route.Pattern)
		for _, p := range passes {
			before := len(s.daemon.called())
			got := s.ask(near, route.Method, path, "{}", p.headers...)
			want := 0 // it is let in, whatever comes of it
			switch {
			case p.role == model.RoleNone:
				want = http.StatusUnauthorized
			case p.role < route.Role:
				want = http.StatusForbidden
			}
			refused := got.code == http.StatusUnauthorized || got.code == http.StatusForbidden
			if want == 0 && refused || want != 0 && got.code != want {
				t.Errorf("%s %s as %v %.13s: got %d %s", route.Method, path, p.role, p.headers, got.code, got.body)
			}
			if want != 0 && len(s.daemon.called()) != before {
				t.Errorf("%s %s as %v: refused, but the daemon was asked for %s", route.Method, path, p.role, s.daemon.called()[before:])
			}
			wantProtected(t, path, got)
		}
	}
	for _, path := range []string{"/api/", "/api/v1/", "/api/v1/nothing", "/api/v2/status", "/api/v1/session/x"} {
		if got := s.ask(near, "GET", path, ""); got.code != http.StatusUnauthorized {
			t.Errorf("%s without login: got %d", path, got.code)
		}
	}
}

// wantProtected looks for the headers that every answer has.
func wantProtected(t *testing.T, path string, got answer) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Security-Policy":      policy,
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got.header.Get(name) != want {
			t.Errorf("%s: %s is %q", path, name, got.header.Get(name))
		}
	}
	if cache := got.header.Get("Cache-Control"); cache != "no-store" && !strings.HasPrefix(path, "/static/") {
		t.Errorf("%s: Cache-Control is %q", path, cache)
	}
	if got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%s may be read by other sites", path)
	}
}

func TestPagesNeedALogin(t *testing.T) {
	s := newSite(t, plain)
	in := s.session("viewer")
	for _, path := range pages {
		for _, headers := range [][]string{nil, {"Cookie", "fairlead=x"}, {"Cookie", "__Host-fairlead=" + in.headers[1][9:]}, {"Authorization", "Bearer x"}} {
			got := s.ask(near, "GET", path, "", headers...)
			want := "/login"
			if path != "/" {
				want += "?next=%2F" + path[1:]
			}
			if got.code != http.StatusSeeOther || got.header.Get("Location") != want || strings.Contains(got.body, "<") {
				t.Errorf("%s with %q: got %d, %v", path, headers, got.code, got.header)
			}
			wantProtected(t, path, got)
		}
		got := s.ask(near, "GET", path, "", in.headers...)
		if got.code != http.StatusOK || !strings.Contains(got.body, "<!doctype html>") || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s with a session: got %d", path, got.code)
		}
		wantProtected(t, path, got)
		if got := s.ask(near, "POST", path, "x", in.headers...); got.code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: got %d", path, got.code)
		}
	}
	for next, want := range map[string]string{"": "/", "?next=/flow": "/flow", "?next=//evil.example": "/", "?next=/login": "/", "?next=/api/v1/status": "/", "?next=%0d%0aX-Evil:1": "/"} {
		if got := s.ask(near, "GET", "/login"+next, "", in.headers...); got.code != http.StatusSeeOther || got.header.Get("Location") != want {
			t.Errorf("the login %s of who is logged in: got %d, %v, want %s", next, got.code, got.header, want)
		}
	}
	for _, path := range []string{"/login", "/static/js/app.js", "/static/index.html", "/login?next=/flow"} {
		got := s.ask(near, "GET", path, "")
		if got.code != http.StatusOK {
			t.Errorf("%s: got %d", path, got.code)
		}
		wantProtected(t, path, got)
	}
	if calls := s.daemon.called(); len(calls) > 0 {
		t.Errorf("the pages ask the daemon for %q", calls)
	}
}

func TestStatic(t *testing.T) {
	s := emptySite(t, plain)
	first := s.ask(near, "GET", "/static/js/app.js", "")
	tag := first.header.Get("ETag")
	if first.code != http.StatusOK || first.header.Get("Content-Type") != "text/javascript; charset=utf-8" || first.header.Get("Cache-Control") != "no-cache" || tag == "" {
		t.Errorf("got %d %v", first.code, first.header)
	}
	if again := s.ask(near, "GET", "/static/js/app.js", "", "If-None-Match", tag); again.code != http.StatusNotModified || again.body != "" {
		t.Errorf("with its tag: got %d", again.code)
	}
	if other := s.ask(near, "GET", "/static/css/base.css", ""); other.header.Get("ETag") == tag {
		t.Error("two files have one tag")
	}
	if got := s.ask(near, "DELETE", "/static/js/app.js", ""); got.code != http.StatusMethodNotAllowed || got.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("DELETE: got %d %v", got.code, got.header)
	}
}

// TestTraversal: no path leads out of the embedded files, or past the login.
func TestTraversal(t *testing.T) {
	s := newSite(t, plain)
	for _, path := range []string{
		"/static/../doc.go", "/static/%2e%2e/doc.go", "/static/%252e%252e/doc.go", "/static/..%2fdoc.go", "/static/%2e%2e%2fdoc.go",
		`/static/..\doc.go`, "/static/..%5cdoc.go", "/static/%00", "/static/js/app.js%00.html", "/static//js/app.js", "/static/./js/app.js",
		"/static/js/", "/static/js", "/static/", "/static", "/static/..", "/static/js/../app.js", "//etc/passwd", "/static//etc/passwd",
		"/static/../../../../etc/passwd", "/etc/passwd", "/flow/../api/v1/status", "/login/../api/v1/status", "/static/../api/v1/status",
		"/static/%2e%2e/api/v1/status", "//api/v1/status", "/%2fapi/v1/status", "/API/v1/status", "/api%2fv1%2fstatus", "/api/v1/../../metrics",
		"/api/v1/status/", "/api/v1/./status", "/static/..;/api/v1/status", "/metrics/", "/metrics%2f", "/users.json", "/static/users.json",
		"/%66low", "/flow%2f", "/flow/", "/index.html", "*", "http://127.0.0.1:8480/api/v1/status", "http://127.0.0.1:8480/static/../doc.go",
	} {
		got, err := s.raw(near, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if got.code < 300 || strings.Contains(got.body, "package web") || strings.Contains(got.body, "root:") {
			t.Errorf("%s: got %d %.60s", path, got.code, got.body)
		}
	}
	if calls := s.daemon.called(); len(calls) > 0 {
		t.Errorf("the daemon was asked for %q", calls)
	}
	in := s.session("viewer")
	for _, path := range []string{"/api/v1/../../static/js/app.js", "/api/v1/directors/..", "/api/v1/directors/%2e%2e", "/api/v1/config/versions/..%2f..%2fstatus"} {
		if got := s.ask(near, "GET", path, "", in.headers...); got.code < 400 {
			t.Errorf("%s with a session: got %d %.60s", path, got.code, got.body)
		}
	}
}

// TestNoSecretReachesAViewer reads all that a viewer may read.
func TestNoSecretReachesAViewer(t *testing.T) {
	s := newSite(t, plain)
	fill := strings.NewReplacer("{director}", "nfs", "{server}", "nfs-01", "{service}", "web", "{id}", "1")
	body := `{"documents":[{"name":"services.cfg","tab":"services","text":"service notify\n"}]}`
	for _, role := range []model.Role{model.RoleViewer, model.RoleOperator} {
		in := s.session(role.String())
		for _, route := range everyRoute() {
			got := s.ask(near, route.Method, fill.Replace(route.Pattern), body, in.headers...)
			for _, hidden := range []string{secret, "argon2id", s.token(model.RoleAdmin), in.headers[1]} {
				if strings.Contains(got.body, hidden) {
					t.Errorf("%s %s tells a %v %q", route.Method, route.Pattern, role, hidden)
				}
			}
			if err := s.access.RemoveToken("token-admin"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := s.ask(near, "GET", "/api/v1/config", "", s.session("admin").headers...); !strings.Contains(got.body, secret) {
		t.Errorf("the test finds nothing to hide: %s", got.body)
	}
}
