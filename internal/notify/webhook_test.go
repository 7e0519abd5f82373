package notify

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead/internal/model"
)

// happening is an event with everything in it.
var happening = model.Event{Seq: 42, At: time.UnixMilli(1_700_000_000_123), Kind: model.EventFlip, Director: "nfs", Server: "nfs-02", Epoch: 7,
	Reason: model.ReasonFailed, Text: "switched to nfs-02", Err: "connection refused", By: "alice", Took: 1500 * time.Millisecond}

var here = sender{"director-1", "1.2.3"}

// secretFile writes a token.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// receiver is a webhook that keeps what it got.
type receiver struct {
	*httptest.Server
	got  *http.Request
	body []byte
}

func newReceiver(t *testing.T, answer http.HandlerFunc) *receiver {
	r := &receiver{}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.got = req
		r.body, _ = io.ReadAll(req.Body)
		answer(w, req)
	}))
	r.Config.ErrorLog = log.New(io.Discard, "", 0)
	r.StartTLS()
	t.Cleanup(r.Close)
	return r
}

// trusting are webhooks that trust a server's certificate.
func trusting(servers ...*receiver) webhooks {
	roots := x509.NewCertPool()
	for _, s := range servers {
		roots.AddCert(s.Certificate())
	}
	return newWebhooks(roots)
}

func post(t *testing.T, w webhooks, to string) error {
	t.Helper()
	target := model.Target{Kind: model.TargetWebhook, To: to, Timeout: 5 * time.Second, SecretFile: secretFile(t, "t0k3n-of-it\n")}
	return conceal(w.post(t.Context(), target, here, happening), target)
}

func TestWebhook(t *testing.T) {
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	if err := post(t, trusting(r), r.URL+"/services/s3cr3t?key=v4lue"); err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]string{"Authorization": "Bearer t0k3n-of-it", "Content-Type": "application/json", "User-Agent": "fairlead",
		"Idempotency-Key": "director-1-42-1700000000123", "Fairlead-Event-Id": "director-1-42-1700000000123"} {
		if got := r.got.Header.Get(header); got != want {
			t.Errorf("%s is %q, want %q", header, got, want)
		}
	}
	if r.got.Method != http.MethodPost || r.got.URL.RequestURI() != "/services/s3cr3t?key=v4lue" {
		t.Errorf("got %s %s", r.got.Method, r.got.URL)
	}
	want := `{"form":1,"id":"director-1-42-1700000000123","host":"director-1","version":"1.2.3","summary":"director-1: nfs: switched to nfs-02",` +
		`"event":{"seq":42,"at":"2023-11-14T22:13:20.123Z","kind":"flip","director":"nfs","server":"nfs-02","epoch":7,"reason":"server-failed",` +
		`"text":"switched to nfs-02","error":"connection refused","by":"alice","took_seconds":1.5}}` + "\n"
	if string(r.body) != want {
		t.Errorf("got  %s\nwant %s", r.body, want)
	}
}

// TestDocumentedMessage: docs/how-to/notify.md shows every field.
func TestDocumentedMessage(t *testing.T) {
	text, err := os.ReadFile("../../docs/how-to/notify.md")
	if err != nil {
		t.Fatal(err)
	}
	m := newMessage(here, happening)
	b, _ := json.Marshal(m)
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for name := range all["event"].(map[string]any) {
		all["event."+name] = nil
	}
	delete(all, "event")
	for name := range all {
		if !strings.Contains(string(text), "| `"+name+"` |") {
			t.Errorf("docs/how-to/notify.md lacks the field %s", name)
		}
	}
	for _, f := range m.facts() {
		if !strings.Contains(string(text), "`FAIRLEAD_"+f[0]+"`") {
			t.Errorf("docs/how-to/notify.md lacks the variable FAIRLEAD_%s", f[0])
		}
	}
}

func TestAnswers(t *testing.T) {
	code := 0
	r := newReceiver(t, func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(code)
		io.WriteString(w, "no: "+req.Header.Get("Authorization")+req.URL.String())
	})
	for c, want := range map[int]string{
		200: "", 204: "", 304: "304 Not Modified: redirects", 400: "400 Bad Request: the receiver does not want it",
		401: "401 Unauthorized: see whether the token is right", 404: "404 Not Found", 503: "503 Service Unavailable",
	} {
		code = c
		err := post(t, trusting(r), r.URL+"/services/s3cr3t")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) || errors.Is(err, errRefused) != (c == 400) {
			t.Errorf("%d: got %v, want %q", c, err, want)
		}
	}
}

// TestRedirects: a message goes to nobody but the host that was named.
func TestRedirects(t *testing.T) {
	thief := newReceiver(t, func(http.ResponseWriter, *http.Request) {})
	where, how := "", 0
	r := newReceiver(t, nil)
	r.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/there" {
			r.got, r.body = req, nil
			r.body, _ = io.ReadAll(req.Body)
			return
		}
		http.Redirect(w, req, where, how)
	})
	for _, tt := range []struct {
		where string
		how   int
		ok    bool
	}{
		{"/there", 307, true}, {"/there", 308, true},
		{"/there", 302, false}, // it would come without the message
		{thief.URL, 307, false}, {thief.URL, 302, false}, {"/here", 307, false},
		{strings.Replace(r.URL, "https", "http", 1) + "/there", 307, false},
	} {
		where, how, r.got = tt.where, tt.how, nil
		err := post(t, trusting(r, thief), r.URL+"/here")
		if (err == nil) != tt.ok || tt.ok && (r.got == nil || len(r.body) == 0 || r.got.Header.Get("Authorization") == "") {
			t.Errorf("%d to %s: %v", tt.how, tt.where, err)
		}
	}
	if thief.got != nil {
		t.Error("another host got the message")
	}
}

func TestSameHost(t *testing.T) {
	request := func(method, url string) *http.Request {
		return httptest.NewRequest(method, url, nil)
	}
	first := request(http.MethodPost, "https://a.example/x")
	for to, want := range map[string]error{"https://a.example/y": nil, "http://a.example/x": http.ErrUseLastResponse,
		"https://b.example/x": http.ErrUseLastResponse, "https://a.example:8443/x": http.ErrUseLastResponse} {
		if got := sameHost(request(http.MethodPost, to), []*http.Request{first}); got != want {
			t.Errorf("to %s: %v", to, got)
		}
	}
	if sameHost(request(http.MethodPost, "https://a.example/y"), []*http.Request{first, first, first, first}) == nil {
		t.Error("redirects are followed without end")
	}
}

func TestCertificateIsVerified(t *testing.T) {
	r := newReceiver(t, func(http.ResponseWriter, *http.Request) {})
	if err := post(t, newWebhooks(nil), r.URL); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority's certificate: %v", err)
	}
	if err := post(t, trusting(r), strings.Replace(r.URL, "127.0.0.1", "localhost", 1)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("another name's certificate: %v", err)
	}
	if r.got != nil {
		t.Error("the message was sent")
	}
}

// TestSecretsAreNotShown whatever goes wrong.
func TestSecretsAreNotShown(t *testing.T) {
	over := make(chan struct{}) // a handler that ended when the client goes could still be heard by it
	hangs := newReceiver(t, func(http.ResponseWriter, *http.Request) { <-over })
	defer close(over)
	closed := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	gone := newReceiver(t, nil)
	gone.Close()
	const path = "/services/s3cr3t-path/x?key=s3cr3t-query"
	for name, to := range map[string]string{
		"hangs": hangs.URL + path, "closes": closed.URL + path, "is gone": gone.URL + path, "no host": "https://nosuchhost.invalid" + path,
		"no URL": "https://host:port" + path, "no URL at all": "s3cr3t-path\x7f", "another scheme": "gopher://127.0.0.1" + path,
		"with a password": "https://user:s3cr3t-word@127.0.0.1:1" + path, "no TLS": strings.Replace(hangs.URL, "https", "http", 1) + path,
	} {
		target := model.Target{Kind: model.TargetWebhook, To: to, Timeout: 300 * time.Millisecond, SecretFile: secretFile(t, "s3cr3t-token")}
		w := trusting(hangs, closed)
		raw := w.post(t.Context(), target, here, happening) // which has none, so that conceal has nothing to do
		err := conceal(raw, target)
		if err == nil || strings.Contains(raw.Error()+err.Error(), "s3cr3t") || strings.Contains(place(target), "s3cr3t") {
			t.Errorf("%s: %v, %s", name, err, place(target))
		}
	}
	target := model.Target{Kind: model.TargetWebhook, To: "https://127.0.0.1" + path, SecretFile: secretFile(t, "s3cr3t-token")}
	for _, text := range []string{target.To, "Post " + path, "/services/s3cr3t-path/x", "s3cr3t-path", "s3cr3t-query", "Bearer s3cr3t-token", "czNjcjN0LXRva2Vu"} {
		err := conceal(errors.Join(errors.New("it said "+text), errRefused), target)
		if strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "czNjc") || !errors.Is(err, errRefused) {
			t.Errorf("%v", err)
		}
	}
}

func TestWebhookEndsWithItsContext(t *testing.T) {
	over := make(chan struct{}) // a handler that ended when the client goes could still be heard by it
	hangs := newReceiver(t, func(http.ResponseWriter, *http.Request) { <-over })
	defer close(over)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	begin := time.Now()
	err := trusting(hangs).post(ctx, model.Target{To: hangs.URL, Timeout: time.Minute}, here, happening)
	if err == nil || time.Since(begin) > 20*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
}

func TestReadSecret(t *testing.T) {
	open := secretFile(t, "token")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		secretFile(t, "token\r\n"): "", open: "everybody on this machine", t.TempDir(): "is not a file", "/nonexistent/token": "no such file",
		secretFile(t, " \n"): "is empty", secretFile(t, "one\nX-Evil: two"): "more than one line", secretFile(t, strings.Repeat("x", longestSecret+1)): "more than",
	} {
		got, err := readSecret(path)
		if want == "" && (got != "token" || err != nil) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
}
