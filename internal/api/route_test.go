package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
)

// filled puts names into a pattern.
func filled(pattern string) string {
	return strings.NewReplacer("{director}", "nfs", "{server}", "nfs-01", "{service}", "lvs", "{id}", "9").Replace(pattern)
}

// TestEveryRouteNeedsItsRole tries each route with each role. Whoever may not,
// is told which role it needs, and the daemon is not asked.
func TestEveryRouteNeedsItsRole(t *testing.T) {
	for _, route := range Routes() {
		if route.Role == model.RoleNone {
			t.Errorf("%s %s needs no role", route.Method, route.Pattern)
		}
		for _, role := range []model.Role{model.RoleNone, model.RoleViewer, model.RoleOperator, model.RoleAdmin} {
			d := newWholeDaemon()
			s := web(t, d, role)
			r, err := http.NewRequestWithContext(t.Context(), route.Method, s.URL+filled(route.Pattern), strings.NewReader("not JSON"))
			if err != nil {
				t.Fatal(err)
			}
			answered, err := s.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			var p Problem
			if answered.StatusCode == http.StatusForbidden {
				if err := json.NewDecoder(answered.Body).Decode(&p); err != nil {
					t.Errorf("%s %s: %v", route.Method, route.Pattern, err)
				}
			}
			_ = answered.Body.Close()
			if allowed := role >= route.Role; allowed != (p.Status == 0) {
				t.Errorf("%s %s as %s: got %d %+v", route.Method, route.Pattern, role, answered.StatusCode, p)
			}
			if p.Status == 0 {
				continue
			}
			if p.Type != "/problems/role-needed" || !strings.Contains(p.Detail, "needs the role "+route.Role.String()) {
				t.Errorf("%s %s as %s: got %+v", route.Method, route.Pattern, role, p)
			}
			if audits := len(d.audited); (audits == 1) != (route.Method != "GET") || len(d.calls) != 0 || d.looked != 0 {
				t.Errorf("%s %s as %s: the daemon was asked %v, and told %v", route.Method, route.Pattern, role, d.calls, d.audited)
			}
		}
	}
}

func TestRefusalsDoNotFillTheJournal(t *testing.T) {
	d := newWholeDaemon()
	s := web(t, d, model.RoleViewer)
	for range 20 {
		exchange{method: "PUT", path: "/api/v1/config"}.on(t, s)
	}
	if len(d.audited) != 1 || !strings.HasPrefix(d.audited[0], "eva (192.0.2.1): tried PUT /api/v1/config: ") {
		t.Errorf("got %q", d.audited)
	}
	var f refusals
	if !f.due(noon) || f.due(noon.Add(refusalEvery-1)) || !f.due(noon.Add(refusalEvery)) {
		t.Error("the journal is told at other times")
	}
}

// An asked request, and what should come of it.
type asked struct {
	method, path, body string
	header             http.Header
	code               int
	want               string // part of the answer
	call               string // what the daemon was asked
}

// requests are what each route understands and refuses.
func requests() []asked {
	match := http.Header{"If-Match": {`"h1"`}}
	docs := `{"documents":[{"name":"flow.cfg","tab":"flow","text":"x"}]}`
	return []asked{
		{"GET", "/status", "", nil, 200, `"generation":4`, ""},
		{"GET", "/health", "", nil, 200, `"services":[{"name":"lvs","title":"LVS","state":"running"}],"generation":4,"version":"1.2.3"}`, ""},
		{"GET", "/flows", "", nil, 200, `[{"name":"nfs"`, ""},
		{"GET", "/directors", "", nil, 200, `[{"name":"nfs"`, ""},
		{"GET", "/directors/nfs", "", nil, 200, `{"name":"nfs"`, ""},
		{"GET", "/directors/web", "", nil, 404, `find the director \"web\": there is no such thing`, ""},
		{"GET", "/servers", "", nil, 200, `{"director":"nfs","name":"nfs-02"`, ""},
		{"GET", "/servers?director=nfs", "", nil, 200, `{"director":"nfs","name":"nfs-02"`, ""},
		{"GET", "/servers?director=web", "", nil, 404, "web", ""},
		{"GET", "/servers/nfs/nfs-02", "", nil, 200, `{"director":"nfs","name":"nfs-02"`, ""},
		{"GET", "/servers/nfs/nfs-03", "", nil, 404, "nfs-03", ""},
		{"GET", "/servers/web/nfs-01", "", nil, 404, "web", ""},
		{"GET", "/servers/nfs/nfs-01/history", "", nil, 200, `"latency_ns":1000000`, ""},
		{"GET", "/servers/nfs/x/history", "", nil, 404, "nfs/x", ""},
		{"GET", "/connections", "", nil, 200, `"age_ns":1000000000`, ""},
		{"GET", "/connections?state=ended", "", nil, 200, `{"connections":[],`, ""},
		{"GET", "/connections?state=gone", "", nil, 400, `no state \"gone\"`, ""},
		{"GET", "/connections?limit=0", "", nil, 400, "from 1 to 10000", ""},
		{"GET", "/connections?limit=10001", "", nil, 400, "from 1 to 10000", ""},
		{"GET", "/connections?client=web-01", "", nil, 400, "neither an address nor a network", ""},
		{"GET", "/explain?from=192.168.10.7&to=192.168.10.50:2049", "", nil, 200, `"chosen_by":"director"`, ""},
		{"GET", "/explain?from=x&to=192.168.10.50:2049", "", nil, 400, "from must be an IP address", ""},
		{"GET", "/explain?from=192.168.10.7&to=192.168.10.50", "", nil, 400, "tcp needs a destination port", ""},
		{"GET", "/explain?from=192.168.10.7&to=192.168.10.50:1&flags=URG", "", nil, 400, "not some of SYN, ACK, FIN, RST", ""},
		{"GET", "/explain?from=192.168.10.7&to=192.168.10.50:1&payload=1401", "", nil, 400, "from 0 to 1400", ""},
		{"GET", "/explain?from=192.168.10.7&to=192.168.10.50:1&proto=any", "", nil, 400, "not tcp, udp or icmp", ""},
		{"GET", "/templates?director=web&client=192.168.10.0/24&limit=5", "", nil, 200, `{"client":"192.168.10.0/24","director":"web","server":"web-01","left_ns":1000000000,"holds":true}`, ""},
		{"GET", "/templates?client=web-01", "", nil, 400, "list templates: the client", ""},
		{"GET", "/templates?limit=0", "", nil, 400, "from 1 to 10000", ""},
		{"DELETE", "/templates?director=web", "", nil, 200, `{"forgotten":7}`, ""},
		{"DELETE", "/templates", "", nil, 400, "the director is missing", ""},
		{"DELETE", "/templates?director=none", "", nil, 404, "no director none", ""},
		{"GET", "/events?kind=party", "", nil, 400, `unknown event \"party\"`, ""},
		{"GET", "/doctor", "", nil, 200, `"findings":[{"kind":"handles","director":"nfs","server":"nfs-02"`, ""},
		{"POST", "/doctor", "", nil, 200, `"not_looked_at":[]`, "eva: examine"},
		{"POST", "/order", `{"verb":"drain","director":"nfs","server":"nfs-01"}`, nil, 200, "drain nfs/nfs-01", "eva: drain nfs/nfs-01"},
		{"POST", "/order", `{"verb":"drain","director":"web","server":"w"}`, nil, 409, "/problems/refused", "eva: drain web/w"},
		{"POST", "/services/lvs/restart", "", nil, 204, "", "eva: restart lvs"},
		{"POST", "/services/x/restart", "", nil, 404, "/problems/not-found", "eva: restart x"},
		{"POST", "/reload", "", nil, 200, `{"generation":2,"warnings":[]}`, "eva: reload"},
		{"GET", "/config", "", nil, 200, `"hash":"h1"`, ""},
		{"POST", "/config/validate", docs, nil, 200, `"ok":true`, ""},
		{"POST", "/config/validate", `{"texts":[]}`, nil, 400, `unknown field \"texts\"`, ""},
		{"POST", "/config/diff", docs, nil, 200, `"effects":["`, ""},
		{"PUT", "/config", docs, match, 200, `{"generation":5,"hash":"h2","version":9,"warnings":[]}`, "eva: apply h1 1"},
		{"PUT", "/config", docs, nil, 428, "If-Match is missing", ""},
		{"PUT", "/config", docs, http.Header{"If-Match": {`"h0"`}}, 412, "/problems/conflict", "eva: apply h0 1"},
		{"PUT", "/config", docs, http.Header{"If-Match": {`*`}}, 400, "one hash in double quotes", ""},
		{"PUT", "/config", docs, http.Header{"If-Match": {`W/"h1"`}}, 400, "one hash in double quotes", ""},
		{"PUT", "/config", docs, http.Header{"If-Match": {`"h1", "h2"`}}, 400, "one hash in double quotes", ""},
		{"PUT", "/config", docs, http.Header{"If-Match": {`"h1"`, `"h2"`}}, 400, "one hash in double quotes", ""},
		{"PUT", "/config", docs, http.Header{"If-Match": {`""`}}, 400, "one hash in double quotes", ""},
		{"PUT", "/config", docs + docs, match, 400, "more than one value", ""},
		{"PUT", "/config", docs + "}", match, 400, "more than one value", ""},
		{"PUT", "/config", "", match, 400, "read the request", ""},
		{"PUT", "/config/draft", docs, nil, 200, `"hash":"d1"`, `eva: draft ""`},
		{"PUT", "/config/draft", docs, http.Header{"If-Match": {`*`}}, 200, `"by":"eva"`, `eva: draft ""`},
		{"PUT", "/config/draft", docs, match, 412, "/problems/conflict", `eva: draft "h1"`},
		{"DELETE", "/config/draft", "", match, 204, "", `eva: discard "h1"`},
		{"GET", "/config/versions", "", nil, 200, `[{"id":9`, ""},
		{"GET", "/config/versions/9", "", nil, 200, `"documents":[`, ""},
		{"GET", "/config/versions/8", "", nil, 404, "/problems/not-found", ""},
		{"GET", "/config/versions/x", "", nil, 404, "versions are numbers", ""},
		{"POST", "/config/versions/9/restore", "", match, 200, `"version":9`, "eva: apply h1 0"},
		{"POST", "/config/versions/9/restore", "", nil, 428, "If-Match is missing", ""},
		{"POST", "/config/versions/x/restore", "", match, 404, "versions are numbers", ""},
		{"PATCH", "/config", "", nil, 405, "takes GET, PUT, not PATCH", ""},
		{"HEAD", "/stream", "", nil, 405, "", ""},
		{"GET", "/events", "", nil, 200, `{"seq":1,`, ""},
		{"GET", "/events?since=soon", "", nil, 400, "read the beginning", ""},
		{"POST", "/order", `{"director":"nfs","server":"nfs-01"}`, nil, 400, "the verb is missing", ""},
		{"POST", "/capture", `{"snaplen":-1}`, nil, 400, "below zero", ""},
		{"GET", "/openapi.json", "", nil, 200, `"openapi": "3.1.0"`, ""},
	}
}

// TestRequests holds each answer to what is wanted, and to the description.
func TestRequests(t *testing.T) {
	doc := description(t)
	for _, tt := range requests() {
		d := newWholeDaemon()
		got := exchange{method: tt.method, path: "/api/v1" + tt.path, body: tt.body, header: tt.header}.on(t, web(t, d, model.RoleAdmin))
		if got.code != tt.code || !strings.Contains(got.answer, tt.want) || strings.Join(d.calls, "; ") != tt.call {
			t.Errorf("%s %s %.30s: got %d %s, asked %q; want %d %s, %q", tt.method, tt.path, tt.body, got.code, got.answer, d.calls, tt.code, tt.want, tt.call)
		}
		if err := described(doc, got); err != nil {
			t.Errorf("%s %s: the answer %d %.200s is not as described: %v", tt.method, tt.path, got.code, got.answer, err)
		}
	}
}

// TestErrorsHaveTheirKind: what an error of the daemon wraps decides.
func TestErrorsHaveTheirKind(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want Kind
	}{
		{fmt.Errorf("x: %w", ErrNotFound), KindNotFound},
		{fmt.Errorf("x: %w", ErrConflict), KindConflict},
		{fmt.Errorf("x: %w", ErrNotAllowed), KindForbidden},
		{errors.New("the disk is full"), KindFailed},
		{&Error{Message: "errors", Diagnostics: []Diagnostic{{Line: 3}}}, KindInvalid},
		{fmt.Errorf("x: %w", KindThrottled.New("wait")), KindThrottled},
	} {
		d := newWholeDaemon()
		d.fail = tt.err
		got := exchange{method: "PUT", path: "/api/v1/config", body: `{"documents":[]}`, header: http.Header{"If-Match": {`"h1"`}}}.on(t, web(t, d, model.RoleAdmin))
		var p Problem
		if err := json.Unmarshal([]byte(got.answer), &p); err != nil {
			t.Fatal(err)
		}
		if got.code != tt.want.Status() || p.Status != got.code || p.Type != tt.want.Type() || p.Title != tt.want.Title() || p.Detail == "" {
			t.Errorf("%v: got %d %s", tt.err, got.code, got.answer)
		}
		if tt.want == KindInvalid && (len(p.Diagnostics) != 1 || p.Diagnostics[0].Line != 3) {
			t.Errorf("the findings: got %+v", p.Diagnostics)
		}
		back := &Error{Type: p.Type}
		for _, target := range []error{ErrNotFound, ErrConflict, ErrNotAllowed} {
			if errors.Is(back, target) != errors.Is(tt.err, target) {
				t.Errorf("%v: the client's error is %v: %t", tt.err, target, errors.Is(back, target))
			}
		}
	}
}

func TestKinds(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		if seen[k.Type()] || k.Status() < 400 || k.Title() == "" || k.Type() == "/problems/" {
			t.Errorf("kind %d: %s %d %q", k, k.Type(), k.Status(), k.Title())
		}
		seen[k.Type()] = true
	}
}

func TestConnectionQuery(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "{Director: Server: Client:invalid Prefix State: Limit:0}",
		"client=192.168.10.10":                  "{Director: Server: Client:192.168.10.10/32 State: Limit:0}",
		"client=fd00%3A%3A1":                    "{Director: Server: Client:fd00::1/128 State: Limit:0}",
		"client=10.1.2.3%2F8":                   "{Director: Server: Client:10.0.0.0/8 State: Limit:0}",
		"client=::ffff:1.2.3.4":                 "{Director: Server: Client:1.2.3.4/32 State: Limit:0}",
		"director=a&server=b&state=old&limit=5": "{Director:a Server:b Client:invalid Prefix State:old Limit:5}",
	} {
		d := newWholeDaemon()
		got := exchange{method: "GET", path: "/api/v1/connections?" + text}.on(t, web(t, d, model.RoleViewer))
		if got.code != 200 || fmt.Sprintf("%+v", d.query) != want {
			t.Errorf("%s: got %d %+v, want %s", text, got.code, d.query, want)
		}
		if again, err := parseConnectionQuery(d.query.values()); err != nil || again != d.query {
			t.Errorf("%s: written and read again: got %+v, %v", text, again, err)
		}
	}
}

// TestNamesInPathsAreOnlyNames: what looks like a way to a file is looked up as a
// name, or is no address.
func TestNamesInPathsAreOnlyNames(t *testing.T) {
	s := web(t, newWholeDaemon(), model.RoleAdmin)
	for _, tt := range []struct{ path, want string }{
		{"/api/v1/directors/..%2f..%2fetc%2fpasswd", `find the director \"../../etc/passwd\"`},
		{"/api/v1/directors/%2e%2e", "no such"},
		{"/api/v1/servers/nfs/%00", `find the server \"\\x00\"`},
		{"/api/v1/servers/nfs/%252e", `find the server \"%2e\"`},
		{"/api/v1/directors/../status", "no such address"},
		{"/api/v1//status", "no such address"},
		{"/api/v1/status/", "no such address"},
		{"/api/v1/config/versions/..%2f9", "versions are numbers"},
		{"/api/v1/services/..%2flvs/restart", "/problems/"},
	} {
		// A client would tidy the path; a connection of our own does not.
		got := raw(t, s.Listener.Addr().String(), "GET "+tt.path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if !strings.Contains(got, tt.want) || !strings.Contains(got, "application/problem+json") {
			t.Errorf("%s: got %s", tt.path, got)
		}
	}
}

func raw(t *testing.T, address, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// TestLargeBodies: documents may be large, anything else may not, and nothing is
// read of who may not ask.
func TestLargeBodies(t *testing.T) {
	for _, tt := range []struct {
		path string
		size int64
		role model.Role
		code int
	}{
		{"/api/v1/config/validate", large.bytes / 2, model.RoleViewer, 200},
		{"/api/v1/config/validate", large.bytes + 1, model.RoleViewer, 413},
		{"/api/v1/config/diff", large.bytes + 1, model.RoleViewer, 403},
		{"/api/v1/order", small.bytes + 1, model.RoleOperator, 413},
	} {
		body := `{"documents":[{"name":"a","tab":"other","text":"` + strings.Repeat("x", int(tt.size)) + `"}]}`
		got := exchange{method: "POST", path: tt.path, body: body}.on(t, web(t, newWholeDaemon(), tt.role))
		if got.code != tt.code {
			t.Errorf("%s, %d bytes: got %d %.100s", tt.path, tt.size, got.code, got.answer)
		}
	}
}

// TestSlowDocumentsAreLeft: whoever sends a part and then nothing is told so.
func TestSlowDocumentsAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := &http.Server{Handler: NewHandler(newWholeDaemon(), quiet, func(*http.Request) model.Actor { return model.Actor{Role: model.RoleAdmin} })}
		done := make(chan error, 1)
		go func() { done <- s.Serve(l) }()
		conn := l.dial()
		if _, err := io.WriteString(conn, "POST /api/v1/config/validate HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		answer, _ := io.ReadAll(conn)
		if took := time.Since(start); !strings.Contains(string(answer), "408 Request Timeout") || took > large.time+time.Second {
			t.Errorf("after %v: got %s", took, answer)
		}
		_ = s.Close()
		<-done
	})
}

// TestSecrets: nobody below an admin reads a secret, in no answer. Where it goes
// may be read.
func TestSecrets(t *testing.T) {
	for _, tt := range []struct{ line, told string }{
		{"webhook https://hooks.test/T0KEN", "webhook https://hooks.test/***"},
		{"webhook https://hooks.test/p?key=T0KEN&x=1 events flip", "webhook https://hooks.test/*** events flip"},
		{"webhook https://hooks.test?T0KEN", "webhook https://hooks.test/***"},
		{"webhook https://me:T0KEN@hooks.test", "webhook https://***/***"},
		{"webhook https://T0KEN/w@hooks.test/p", "webhook https://***/***"},
		{"webhook\thooks.test/T0KEN", "webhook ***"},
		{"# webhook  T0KEN", "# webhook ***"},
	} {
		testSecret(t, "service notify\n    "+tt.line+"\n", tt.told)
	}
}

// testSecret asks about a text with T0KEN in it.
func testSecret(t *testing.T, text, told string) {
	sent := fmt.Sprintf(`{"documents":[{"name":"services.cfg","tab":"services","text":%q}]}`, strings.ReplaceAll(text, "T0KEN", "MINE")+"flow bad\n")
	for _, tt := range []struct {
		method, path, body string
		role               model.Role
	}{
		{"GET", "/api/v1/config", "", model.RoleViewer},
		{"GET", "/api/v1/config", "", model.RoleOperator},
		{"GET", "/api/v1/config/versions/9", "", model.RoleOperator},
		{"PUT", "/api/v1/config/draft", sent, model.RoleOperator},
		{"POST", "/api/v1/config/validate", sent, model.RoleViewer},
		{"POST", "/api/v1/config/validate", `{"documents":[]}`, model.RoleViewer},
		{"POST", "/api/v1/config/diff", sent, model.RoleOperator},
	} {
		for _, role := range []model.Role{tt.role, model.RoleAdmin} {
			d := newWholeDaemon()
			d.docs[1].Text = text
			d.draft = &model.Draft{Hash: "d1", Documents: d.docs}
			got := exchange{method: tt.method, path: tt.path, body: tt.body}.on(t, web(t, d, role))
			answer := strings.NewReplacer(`\t`, "\t").Replace(got.answer)
			shown := strings.Contains(answer, "0KEN") || strings.Contains(answer, "MINE")
			if refused := got.code == http.StatusForbidden; shown != (role == model.RoleAdmin) || got.code != 200 && !refused {
				t.Errorf("%s %s of %q as %s: got %d %s", tt.method, tt.path, text, role, got.code, answer)
			}
			if role == model.RoleAdmin {
				continue
			}
			if tt.path == "/api/v1/config" && (!strings.Contains(answer, `"redacted":true`) || strings.Count(answer, told) != 2) {
				t.Errorf("the rest of %q as %s: got %s", text, role, answer)
			}
			if strings.HasSuffix(tt.path, "/diff") && (strings.Count(answer, told) != 2 || !strings.Contains(answer, "notified at "+strings.Fields(strings.TrimPrefix(told, "# "))[1]+" changes")) {
				t.Errorf("the difference of %q: got %s", text, answer)
			}
			if strings.HasPrefix(tt.path, "/api/v1/config/validate") && tt.body == sent && !strings.Contains(answer, `"message":"of flow bad, `) {
				t.Errorf("another line of %q as %s: got %s", text, role, answer)
			}
			if d.docs[1].Text != text {
				t.Error("the daemon's own documents were changed")
			}
		}
	}
}

// TestETagOfConfiguration: what is left out does not change the hash.
func TestETagOfConfiguration(t *testing.T) {
	d := newWholeDaemon()
	if got := (exchange{method: "GET", path: "/api/v1/config"}).on(t, web(t, d, model.RoleViewer)); got.answered.Header.Get("ETag") != `"h1"` {
		t.Errorf("the ETag: got %s", got.answered.Header.Get("ETag"))
	}
}

// TestTheDaemonsStatusStaysAsItIs: no null is sent, and nothing shared is written.
func TestTheDaemonsStatusStaysAsItIs(t *testing.T) {
	d := newWholeDaemon()
	d.status = model.Status{Flows: []model.FlowStatus{{Name: "a"}}, Directors: []model.DirectorStatus{{Name: "b"}}}
	before := reflect.ValueOf(d.status.Flows[0])
	got := exchange{method: "GET", path: "/api/v1/status"}.on(t, web(t, d, model.RoleViewer))
	if strings.Contains(got.answer, "null") {
		t.Errorf("got %s", got.answer)
	}
	if !before.FieldByName("VIPs").IsNil() || d.status.Flows[0].VIPs != nil || d.status.Directors[0].Servers != nil {
		t.Error("the daemon's status was written to")
	}
}

// TestRefusedReload: whatever kept the configuration from coming into force, it
// is the configuration that was refused.
func TestRefusedReload(t *testing.T) {
	d := newWholeDaemon()
	d.fail = errors.New("read /etc/fairlead: permission denied")
	if got := (exchange{method: "POST", path: "/api/v1/reload"}).on(t, web(t, d, model.RoleAdmin)); got.code != 422 || !strings.Contains(got.answer, "permission denied") {
		t.Errorf("got %d %s", got.code, got.answer)
	}
}
