package web

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

const order = `{"verb":"drain","director":"nfs","server":"nfs-01"}`

func TestSession(t *testing.T) {
	s := newSite(t, plain)
	a := s.login("198.51.100.7", "operator", good)
	c := a.cookie()
	if a.code != http.StatusOK || c.Name != "fairlead" || !c.HttpOnly || c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 0 {
		t.Errorf("got %d, cookie %+v", a.code, c)
	}
	in := s.session("operator")
	if got := s.ask(near, "GET", "/api/v1/session", "", in.headers...); !strings.Contains(got.body, `"name":"operator","role":"operator","csrf":"`+in.headers[3]) {
		t.Errorf("got %s", got.body)
	}
	if got := s.ask(near, "POST", "/api/v1/order", order, in.headers...); got.code != http.StatusOK {
		t.Errorf("an order: got %d %s", got.code, got.body)
	}
	if calls := s.daemon.called(); len(calls) != 1 || calls[0] != "operator (127.0.0.1): drain nfs/nfs-01" {
		t.Errorf("the daemon got %q", calls)
	}
	out := s.ask(near, "DELETE", "/api/v1/session", "", in.headers...)
	if c := out.cookie(); out.code != http.StatusNoContent || c.Name != "fairlead" || c.MaxAge >= 0 || c.Value != "" {
		t.Errorf("log out: got %d, %+v", out.code, c)
	}
	if got := s.ask(near, "GET", "/api/v1/session", "", in.headers...); got.code != http.StatusUnauthorized {
		t.Errorf("after the end: got %d", got.code)
	}
	want := "operator (198.51.100.7) logged in|operator (127.0.0.1) logged in|operator (127.0.0.1) logged out"
	if got := strings.Join(s.daemon.audited(), "|"); got != want {
		t.Errorf("the journal has %s, want %s", got, want)
	}
}

// TestFixation: the session that somebody may have planted is not the one of the
// login, and is worth nothing afterwards.
func TestFixation(t *testing.T) {
	s := newSite(t, plain)
	planted := s.session("viewer")
	a := s.login(near, "admin", good, "Cookie", planted.headers[1])
	if value := a.cookie().Value; value == "" || strings.HasSuffix(planted.headers[1], value) {
		t.Errorf("the login keeps the cookie %q", value)
	}
	if got := s.ask(near, "GET", "/api/v1/session", "", planted.headers...); got.code != http.StatusUnauthorized {
		t.Errorf("the session from before: got %d %s", got.code, got.body)
	}
	a = s.login(near, "admin", good, "Cookie", "fairlead=chosen-by-somebody")
	if a.cookie().Value == "chosen-by-somebody" {
		t.Error("the login takes the cookie that it is given")
	}
}

func TestCSRF(t *testing.T) {
	s := newSite(t, plain)
	in, other := s.session("admin"), s.session("admin")
	token := []string{"Authorization", "Bearer " + s.token(model.RoleAdmin)}
	cookie, proof := in.headers[:2], in.headers[3]
	with := func(headers ...string) []string { return append(append([]string(nil), cookie...), headers...) }
	for name, tt := range map[string]struct {
		headers []string
		code    int
	}{
		"none":                  {cookie, 403},
		"empty":                 {with(csrfHeader, ""), 403},
		"another":               {with(csrfHeader, "x"), 403},
		"of another session":    {with(csrfHeader, other.headers[3]), 403},
		"twice":                 {with(csrfHeader, proof, csrfHeader, proof), 403},
		"the cookie's value":    {with(csrfHeader, strings.TrimPrefix(cookie[1], "fairlead=")), 403},
		"right":                 {in.headers, 200},
		"own origin":            {append(with(csrfHeader, proof), "Origin", "http://127.0.0.1:8480"), 200},
		"another origin":        {append(with(csrfHeader, proof), "Origin", "http://evil.example"), 403},
		"another port":          {append(with(csrfHeader, proof), "Origin", "http://127.0.0.1:9999"), 403},
		"no origin":             {append(with(csrfHeader, proof), "Origin", "null"), 403},
		"same origin by fetch":  {append(with(csrfHeader, proof), "Sec-Fetch-Site", "same-origin"), 200},
		"cross-site by fetch":   {append(with(csrfHeader, proof), "Sec-Fetch-Site", "cross-site"), 403},
		"same site by fetch":    {append(with(csrfHeader, proof), "Sec-Fetch-Site", "same-site"), 403},
		"a token":               {token, 200},
		"a token and a cookie":  {append(with(), token...), 200},
		"a bad token, a cookie": {append(in.headers[:4:4], "Authorization", "Bearer x"), 401},
		"another scheme":        {append(in.headers[:4:4], "Authorization", "Basic YWRtaW46eA=="), 401},
		"two tokens":            {append(token[:2:2], token...), 401},
	} {
		before := len(s.daemon.called())
		got := s.ask(near, "POST", "/api/v1/order", order, tt.headers...)
		if asked := len(s.daemon.called()) > before; got.code != tt.code || asked != (tt.code == 200) {
			t.Errorf("%s: got %d %s, want %d", name, got.code, got.body, tt.code)
		}
	}
	for _, route := range append(api.Routes(), api.Route{Method: "DELETE", Pattern: "/api/v1/session"}) {
		if route.Method == "GET" {
			continue
		}
		path := strings.NewReplacer("{service}", "web", "{id}", "1").Replace(route.Pattern)
		if got := s.ask(near, route.Method, path, "{}", cookie...); got.code != http.StatusForbidden {
			t.Errorf("%s %s without %s: got %d", route.Method, path, csrfHeader, got.code)
		}
	}
	if got := s.ask(near, "GET", "/api/v1/session", "", cookie...); got.code != http.StatusOK {
		t.Errorf("the session has ended: %d", got.code)
	}
}

func TestLoginFromElsewhere(t *testing.T) {
	s := newSite(t, plain)
	right := `{"user":"admin","password":"` + good + `"}`
	for name, tt := range map[string]struct {
		body    string
		headers []string
		code    int
	}{
		"a form":           {"user=admin&password=" + good, []string{"Content-Type", "application/x-www-form-urlencoded"}, 400},
		"text":             {right, []string{"Content-Type", "text/plain"}, 400},
		"no type":          {right, nil, 400},
		"another site":     {right, []string{"Content-Type", "application/json", "Sec-Fetch-Site", "cross-site"}, 403},
		"another origin":   {right, []string{"Content-Type", "application/json", "Origin", "http://evil.example"}, 403},
		"unknown field":    {`{"user":"admin","pasword":"hunter2hunter2"}`, []string{"Content-Type", "application/json"}, 400},
		"not JSON":         {"hunter2hunter2", []string{"Content-Type", "application/json"}, 400},
		"two":              {right + right, []string{"Content-Type", "application/json"}, 400},
		"too large":        {`{"user":"` + strings.Repeat("x", mostLogin) + `"}`, []string{"Content-Type", "application/json"}, 413},
		"nothing":          {"", []string{"Content-Type", "application/json"}, 400},
		"in the query":     {"{}", []string{"Content-Type", "application/json"}, 401},
		"with a character": {right, []string{"Content-Type", "application/json; charset=utf-8"}, 200},
	} {
		got := s.ask(near, "POST", "/api/v1/session?user=admin&password=correct+horse+battery", tt.body, tt.headers...)
		if got.code != tt.code || (got.cookie().Value != "") != (tt.code == 200) || strings.Contains(got.body, "hunter2") {
			t.Errorf("%s: got %d %s, want %d", name, got.code, got.body, tt.code)
		}
	}
}

// TestTokenInTheQuery: what stands in an address ends up in logs.
func TestTokenInTheQuery(t *testing.T) {
	s := newSite(t, plain)
	token := s.token(model.RoleAdmin)
	for _, query := range []string{"token=", "access_token=", "authorization=Bearer+", "bearer="} {
		for _, path := range []string{"/api/v1/status", "/metrics", "/api/v1/session"} {
			if got := s.ask(near, "GET", path+"?"+query+token, ""); got.code != http.StatusUnauthorized {
				t.Errorf("%s?%s: got %d", path, query, got.code)
			}
		}
	}
	if got := s.ask(near, "DELETE", "/api/v1/session", "", "Authorization", "Bearer "+token); got.code != http.StatusBadRequest {
		t.Errorf("a token logs out: got %d", got.code)
	}
}

func TestFirstUser(t *testing.T) {
	s := emptySite(t, plain)
	want := "fairlead user add NAME --role admin --state-dir " + s.state
	for name, got := range map[string]answer{
		"session": s.ask(near, "GET", "/api/v1/session", ""),
		"login":   s.login(near, "admin", good),
	} {
		if got.code != http.StatusUnauthorized || !strings.Contains(got.detail(), want) || got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: got %d %s", name, got.code, got.body)
		}
	}
	if err := s.access.Add("anna", model.RoleAdmin, good); err != nil {
		t.Fatal(err)
	}
	if got := s.ask(near, "GET", "/api/v1/session", ""); got.code != http.StatusUnauthorized || strings.Contains(got.body, "user add") || got.header.Get("WWW-Authenticate") == "" {
		t.Errorf("with a user: got %d %s", got.code, got.body)
	}
}

// TestBruteForce: the guesser is held up, the user elsewhere is not, and the
// journal is not filled.
func TestBruteForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, plain)
		wrong, held := 0, 0
		for i := range 300 {
			forged := fmt.Sprintf("10.9.8.%d", i%250)
			got := s.login("203.0.113.5", "admin", fmt.Sprint("guess number ", i), "X-Forwarded-For", forged, "X-Real-Ip", forged, "Forwarded", "for="+forged)
			switch got.code {
			case http.StatusUnauthorized:
				wrong++
			case http.StatusTooManyRequests:
				held++
				if got.header.Get("Retry-After") == "" || got.header.Get("Retry-After") == "0" {
					t.Errorf("no Retry-After: %v", got.header)
				}
			default:
				t.Fatalf("got %d %s", got.code, got.body)
			}
		}
		if wrong > 10 || held < 290 {
			t.Errorf("%d guesses were looked at, %d held up", wrong, held)
		}
		if got := s.login("203.0.113.5", "admin", good); got.code != http.StatusTooManyRequests {
			t.Errorf("the right one while held up: got %d", got.code)
		}
		if got := s.login("198.51.100.1", "admin", good); got.code != http.StatusOK {
			t.Errorf("the user elsewhere: got %d %s", got.code, got.body)
		}
		time.Sleep(2 * tallyTime)
		audits := s.daemon.audited()
		if len(audits) != tellOfOne+2 || audits[0] != "somebody (203.0.113.5) tried to log in as admin: the name or the password is wrong" ||
			!strings.Contains(audits[len(audits)-1], "tried to log in 298 more times") {
			t.Errorf("the journal has %q", audits)
		}
	})
}

// TestWhatTheJournalTells: no password that was typed for a name, and no line of
// somebody else's making.
func TestWhatTheJournalTells(t *testing.T) {
	s := newSite(t, plain)
	for i, name := range []string{"my own password", "x\r\nadmin logged in", "\u202eadmin", "admin"} {
		got := s.login(fmt.Sprintf("10.0.0.%d", i), name, "typed by somebody\r\n", "Host", "localhost")
		if got.code != http.StatusUnauthorized || got.cookie().Value != "" || got.header.Get("X") != "" {
			t.Errorf("%q: got %d %v", name, got.code, got.header)
		}
	}
	want := strings.Repeat("as an unknown user: the name or the password is wrong|", 3) + "as admin: the name or the password is wrong|"
	got := ""
	for i, line := range s.daemon.audited() {
		_, end, _ := strings.Cut(line, fmt.Sprintf("somebody (10.0.0.%d) tried to log in ", i))
		got += end + "|"
	}
	if got != want {
		t.Errorf("the journal has %q", got)
	}
}

// TestStreamEndsWithTheLogin: what was let in by a login ends with it.
func TestStreamEndsWithTheLogin(t *testing.T) {
	for name, end := range map[string]func(*site, pass) error{
		"user removed": func(s *site, _ pass) error { return s.access.Remove("viewer") },
		"password":     func(s *site, _ pass) error { return s.access.SetPassword("viewer", "another long one") },
		"role":         func(s *site, _ pass) error { return s.access.SetRole("viewer", model.RoleOperator) },
		"logged out": func(s *site, in pass) error {
			s.ask(near, "DELETE", "/api/v1/session", "", in.headers...)
			return nil
		},
		"12 hours":  func(*site, pass) error { time.Sleep(12 * time.Hour); return nil },
		"nothing":   func(*site, pass) error { return nil },
		"11 hours":  func(*site, pass) error { time.Sleep(11 * time.Hour); return nil },
		"new token": func(s *site, _ pass) error { _, err := s.access.AddToken("x", model.RoleViewer); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, plain)
				in := s.session("viewer")
				c := s.dial(near)
				defer c.Close()
				head := "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nCookie: " + in.headers[1] + "\r\n\r\n"
				ended := make(chan struct{})
				go func() {
					_, _ = c.Write([]byte(head))
					for buffer := make([]byte, 4096); ; {
						if n, err := c.Read(buffer); err != nil || strings.HasPrefix(string(buffer[:n]), "0\r\n") || strings.Contains(string(buffer[:n]), "\r\n0\r\n\r\n") {
							close(ended)
							return
						}
					}
				}()
				time.Sleep(time.Second)
				if err := end(s, in); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * lookEvery)
				want := name != "nothing" && name != "11 hours" && name != "new token"
				select {
				case <-ended:
					if !want {
						t.Error("the stream ended")
					}
				default:
					if want {
						t.Error("the stream goes on")
					}
				}
			})
		})
	}
}

func TestNames(t *testing.T) {
	s := newSite(t, plain)
	token := s.token(model.RoleViewer)
	for host, code := range map[string]int{
		"127.0.0.1:8480": 200, "127.0.0.1": 200, "localhost": 200, "localhost:9000": 200, "LOCALHOST.": 200, "[::1]:8480": 200, "[::1]": 200, "192.0.2.7": 200,
		"evil.example": 403, "evil.example:8480": 403, "127.0.0.1.evil.example": 403, "localhost.evil.example": 403, "xlocalhost": 403, "": 400,
		"127.0.0.1.": 403, "2130706433": 403, "0x7f.1": 403, "localhost:8480@evil.example": 403,
	} {
		if host == "" {
			code = 403 // HTTP/1.1 allows an empty one
		}
		for _, path := range []string{"/api/v1/status", "/login", "/static/js/app.js"} {
			got := s.ask(near, "GET", path, "", "Host", host, "Authorization", "Bearer "+token)
			if got.code != code && !(code == 403 && got.code == 400) {
				t.Errorf("%s for %q: got %d %s, want %d", path, host, got.code, got.body, code)
			}
		}
	}
}

// TestHeaderInjection: what comes in an address or a header never begins a line
// of the answer.
func TestHeaderInjection(t *testing.T) {
	s := newSite(t, plain)
	for _, request := range []string{
		"GET /flow%0d%0aX-Evil:%20yes HTTP/1.1\r\nHost: localhost\r\n",
		"GET /flow?next=%0d%0aX-Evil:%20yes HTTP/1.1\r\nHost: localhost\r\n",
		"GET /%0d%0aX-Evil:%20yes HTTP/1.1\r\nHost: localhost\r\n",
		"GET /api/v1/directors/%0d%0aX-Evil:%20yes HTTP/1.1\r\nHost: localhost\r\n",
		"GET /flow HTTP/1.1\r\nHost: localhost%0d%0aX-Evil: yes\r\n",
		"GET /flow HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n",
		"GET /flow HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n",
		"GET /static/%0d%0aX-Evil:%20yes HTTP/1.1\r\nHost: localhost\r\n",
		"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Original-URL: /static/js/app.js\r\n",
		"GET\t/flow HTTP/1.1\r\nHost: localhost\r\n",
		"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
	} {
		got, err := s.raw(near, request+"Connection: close\r\n\r\n")
		if err != nil {
			t.Errorf("%q: %v", request, err)
		}
		location := got.header.Get("Location")
		if got.header.Get("X-Evil") != "" || got.code < 300 || strings.Contains(location, "evil") || location != "" && !strings.HasPrefix(location, "/login") {
			t.Errorf("%q: got %d %v", request, got.code, got.header)
		}
	}
}
