package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
)

// lasted sends text piece by piece, one a second, and tells how long the server
// had patience, and what it said.
func lasted(t *testing.T, s *site, first, piece string) (time.Duration, string) {
	t.Helper()
	c := s.dial(near)
	began := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := io.WriteString(c, first)
		for err == nil && piece != "" {
			time.Sleep(time.Second)
			_, err = io.WriteString(c, piece)
		}
	}()
	said, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	took := time.Since(began)
	c.Close()
	<-done
	return took, string(said)
}

// TestSlow: who sends slowly is left, before and after the login.
func TestSlow(t *testing.T) {
	for name, tt := range map[string]struct {
		first, piece string
		most         time.Duration
		says         string
	}{
		"silent":                 {"", "", headerTime + time.Second, ""},
		"a slow head":            {"GET /login HTTP/1.1\r\n", "X: y\r\n", headerTime + time.Second, ""},
		"idle":                   {"GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n", "", idleTime + time.Second, "200 OK"},
		"a slow login":           {"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n", "x", bodyTime + time.Second, "408"},
		"a login in slow pieces": {"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", bodyTime + time.Second, "408"},
		"a body without login":   {"PUT /api/v1/config HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", "x", 2 * time.Second, "401"},
		"a body for a page":      {"GET /flow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", "x", 2 * time.Second, "303"},
		"an order":               {"POST /api/v1/order HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\nContent-Length: 4000\r\n\r\n", "x", time.Minute, "408"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, plain)
				first := strings.Replace(tt.first, "TOKEN", s.token(model.RoleAdmin), 1)
				took, said := lasted(t, s, first, tt.piece)
				if took > tt.most || took < refusedTime || !strings.Contains(said, tt.says) || tt.says == "" && strings.Contains(said, "200") {
					t.Errorf("after %v: %.100s, want %s within %v", took, said, tt.says, tt.most)
				}
			})
		})
	}
}

func TestOversize(t *testing.T) {
	s := newSite(t, plain)
	in := s.session("admin")
	large := strings.Repeat("x", 128<<10)
	for name, tt := range map[string]struct {
		got  answer
		code int
	}{
		"head":       {s.ask(near, "GET", "/login", "", "X-Large", large), 431},
		"cookie":     {s.ask(near, "GET", "/api/v1/status", "", "Cookie", "fairlead="+large), 431},
		"address":    {s.ask(near, "GET", "/"+large, ""), 431},
		"login":      {s.login(near, "admin", large[:mostLogin]), 413},
		"order":      {s.ask(near, "POST", "/api/v1/order", large, in.headers...), 413},
		"documents":  {s.ask(near, "POST", "/api/v1/config/validate", strings.Repeat(large, 40), in.headers...), 413},
		"not let in": {s.ask(near, "POST", "/api/v1/order", large), 401},
	} {
		if tt.got.code != tt.code {
			t.Errorf("%s: got %d %.100s, want %d", name, tt.got.code, tt.got.body, tt.code)
		}
	}
}

// TestManyConnections: one address cannot take all of them.
func TestManyConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, plain)
		open := func(from string) bool {
			c := s.dial(from)
			t.Cleanup(func() { c.Close() })
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = c.Read(make([]byte, 1))
			}()
			synctest.Wait()
			select {
			case <-ended:
				return false
			default:
				return true
			}
		}
		got := 0
		for i := range 200 {
			if open(fmt.Sprintf("2001:db8::%x", i)) {
				got++
			}
		}
		if got != mostOpenEach {
			t.Errorf("one network has %d connections", got)
		}
		if !open("2001:db8:1::1") || !open("192.0.2.9") || !open(near) {
			t.Error("others find no connection")
		}
		for i := range 700 {
			if open(fmt.Sprintf("10.0.%d.%d", i/250, i%250)) {
				got++
			}
		}
		if got != mostOpen-3 {
			t.Errorf("%d connections", got+3)
		}
		time.Sleep(headerTime + time.Second)
		if !open(near) {
			t.Error("the places of those who said nothing are not free again")
		}
	})
}

func TestOverTLS(t *testing.T) { synctest.Test(t, testOverTLS) }

func testOverTLS(t *testing.T) {
	s := newSite(t, overTLS)
	a := s.login("192.0.2.77", "admin", good, "Host", "director.example.org")
	if c := a.cookie(); c.Name != "__Host-fairlead" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("got %+v", c)
	}
	if a.header.Get("Strict-Transport-Security") == "" {
		t.Errorf("no HSTS: %v", a.header)
	}
	in := s.session("admin")
	if got := s.ask(near, "POST", "/api/v1/order", order, in.headers...); got.code != http.StatusOK {
		t.Errorf("got %d", got.code)
	}
	unprefixed := []string{"Cookie", strings.TrimPrefix(in.headers[1], "__Host-")}
	if got := s.ask(near, "GET", "/api/v1/status", "", unprefixed...); got.code != http.StatusUnauthorized {
		t.Errorf("a cookie without the prefix: got %d", got.code)
	}
	pem, err := os.ReadFile(filepath.Join(s.state, ownCert))
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(pem)
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		for _, name := range []string{"192.0.2.1", "localhost", "127.0.0.1"} {
			raw, err := s.net.dial(near, s.web.Listen)
			if err != nil {
				t.Fatal(err)
			}
			c := tls.Client(raw, &tls.Config{RootCAs: trusted, ServerName: name, MinVersion: version, MaxVersion: version})
			if err := c.Handshake(); (err == nil) != ok {
				t.Errorf("%s for %s: %v", tls.VersionName(version), name, err)
			}
			raw.Close()
		}
	}
	raw, err := s.net.dial(near, s.web.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	go func() { _, _ = io.WriteString(raw, "GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n") }()
	if response, err := http.ReadResponse(bufio.NewReader(raw), nil); err == nil && response.StatusCode != http.StatusBadRequest {
		t.Errorf("without TLS: got %v", response.Status)
	}
	info, err := os.Stat(filepath.Join(s.state, ownKey))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the key: %v, %v", info.Mode(), err)
	}
	if why := s.server.Status().Why; !strings.HasPrefix(why, "on https://192.0.2.1:8480, with a certificate of its own whose SHA-256 is ") {
		t.Errorf("the status says %q", why)
	}
}

func own(t *testing.T, dir, addr string) *keeper {
	t.Helper()
	return &keeper{cert: filepath.Join(dir, ownCert), key: filepath.Join(dir, ownKey), own: true, addr: netip.MustParseAddrPort(addr), host: "director"}
}

func TestOwnCertificate(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	serial := func(k *keeper, at time.Time) string {
		t.Helper()
		if err := k.load(at); err != nil {
			t.Fatal(err)
		}
		if k.why != "" || !at.Before(k.now.Leaf.NotAfter) || !at.After(k.now.Leaf.NotBefore) {
			t.Errorf("%s: %s, %v to %v", k.addr, k.why, k.now.Leaf.NotBefore, k.now.Leaf.NotAfter)
		}
		return k.now.Leaf.SerialNumber.String()
	}
	first := serial(own(t, dir, "192.0.2.1:1"), at)
	kept := own(t, dir, "192.0.2.1:2")
	if serial(kept, at.Add(time.Hour)) != first || serial(own(t, dir, "0.0.0.0:1"), at) != first {
		t.Error("a certificate that fits was replaced")
	}
	kept.look(at.Add(validFor - renewBefore - time.Hour))
	if kept.now.Leaf.SerialNumber.String() != first {
		t.Error("renewed too early")
	}
	kept.look(at.Add(validFor - renewBefore + time.Hour))
	if kept.now.Leaf.SerialNumber.String() == first || kept.why != "" {
		t.Errorf("not renewed before its end: %s", kept.why)
	}
	second := kept.now.Leaf.SerialNumber.String()
	if got := serial(own(t, dir, "192.0.2.9:1"), at.Add(validFor)); got == second {
		t.Error("it is for another address")
	}
	other := own(t, dir, "192.0.2.9:1")
	other.host = "renamed"
	third := serial(other, at.Add(validFor))
	if err := other.now.Leaf.VerifyHostname("renamed"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{ownCert, ownKey} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("torn"), 0o600); err != nil {
			t.Fatal(err)
		}
		if next := serial(other, at.Add(validFor)); next == third {
			t.Errorf("%s is torn, and it goes on", name)
		} else {
			third = next
		}
	}
	nowhere := own(t, filepath.Join(dir, ownKey), "192.0.2.1:1")
	if err := nowhere.load(at); err != nil || nowhere.now == nil || !strings.Contains(nowhere.why, "lost when the daemon ends") {
		t.Errorf("on a disk that takes nothing: %v, %s", err, nowhere.why)
	}
}

// TestCertificateFiles: a new certificate is taken without a reload; one that is
// half written is not.
func TestCertificateFiles(t *testing.T) { synctest.Test(t, testCertificateFiles) }

func testCertificateFiles(t *testing.T) {
	dir := t.TempDir()
	web := model.Web{Listen: overTLS.Listen, TLS: model.WebTLSFiles, Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	s := newSite(t, web)
	if got := s.server.Status(); got.State != model.ServiceFailed || !strings.Contains(got.Why, web.Cert+": no such file") {
		t.Errorf("without files: got %+v", got)
	}
	place := func(host string) made {
		m, err := makeCertificate(web.Listen.Addr(), host, time.Now())
		if err == nil {
			err = m.save(web.Cert, web.Key)
		}
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	name := func() string {
		raw, err := s.net.dial(near, web.Listen)
		if err != nil {
			return err.Error()
		}
		defer raw.Close()
		c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
		if err := c.Handshake(); err != nil {
			return err.Error()
		}
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	place("one")
	s.server.Set(web)
	s.until(func() bool { return name() == "Fairlead on one" })
	two := place("two")
	s.until(func() bool { return name() == "Fairlead on two" })
	if err := os.WriteFile(web.Cert, two.cert[:40], 0o600); err != nil {
		t.Fatal(err)
	}
	s.until(func() bool { return strings.Contains(s.server.Status().Why, "from before is still in use") })
	if got := name(); got != "Fairlead on two" || s.server.Status().State != model.ServiceRunning {
		t.Errorf("with a torn file: got %s, %+v", got, s.server.Status())
	}
	place("three")
	s.until(func() bool {
		return name() == "Fairlead on three" && !strings.Contains(s.server.Status().Why, "before")
	})
	if block, _ := pem.Decode(two.key); block == nil {
		t.Error("no key")
	}
}

func TestSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, plain)
		in := s.session("viewer")
		other := plain
		other.Listen = netip.MustParseAddrPort("127.0.0.1:8481")
		s.net.mu.Lock()
		s.net.busy[other.Listen] = true
		s.net.mu.Unlock()

		c := s.dial(near)
		defer c.Close()
		said := make(chan string, 1000)
		go func() {
			defer close(said)
			_, _ = io.WriteString(c, "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nCookie: "+in.headers[1]+"\r\n\r\n")
			for buffer := make([]byte, 4096); ; {
				n, err := c.Read(buffer)
				if err != nil {
					return
				}
				said <- string(buffer[:n])
			}
		}()
		set := func(w model.Web, state, why string) {
			t.Helper()
			s.server.Set(w)
			time.Sleep(10 * time.Second)
			if got := s.server.Status(); got.State != state || !strings.Contains(got.Why, why) || got.Name != "web" || got.Title == "" {
				t.Errorf("got %+v, want %s %s", got, state, why)
			}
		}
		streaming := func() bool {
			for {
				select {
				case _, open := <-said:
					if !open {
						return false
					}
				default:
					return true
				}
			}
		}
		set(plain, model.ServiceRunning, "on http://127.0.0.1:8480")
		if s.net.made != 1 || !streaming() {
			t.Errorf("what did not change was disturbed: %d listeners", s.net.made)
		}
		set(other, model.ServiceFailed, "listen on 127.0.0.1:8481")
		if !streaming() || s.ask(near, "GET", "/login", "").code != 200 {
			t.Error("the old address was given up before the new one was there")
		}
		set(model.Web{Listen: overTLS.Listen}, model.ServiceFailed, "without TLS")
		set(other, model.ServiceFailed, "stays on http://127.0.0.1:8480")
		s.net.mu.Lock()
		s.net.busy[other.Listen] = false
		s.net.mu.Unlock()
		s.server.Set(other)
		time.Sleep(stopTime / 2)
		if streaming() {
			t.Error("a stream holds the change up")
		}
		set(other, model.ServiceRunning, "on http://127.0.0.1:8481")
		if streaming() || s.net.open[plain.Listen] != nil {
			t.Error("the old address is still served")
		}
		s.web = other
		if s.ask(near, "GET", "/login", "").code != 200 {
			t.Error("the new address is not served")
		}
		overTLSThere := other
		overTLSThere.TLS = model.WebTLSOwn
		set(overTLSThere, model.ServiceRunning, "on https://127.0.0.1:8481")
		set(model.Web{Off: true}, model.ServiceOff, "")
		if len(s.net.open) != 0 {
			t.Errorf("still open: %v", s.net.open)
		}
		set(plain, model.ServiceRunning, "on http://127.0.0.1:8480")
	})
}

// TestListenerFails: it is opened again.
func TestListenerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, plain)
		s.net.open[plain.Listen].Close()
		time.Sleep(time.Second)
		if got := s.server.Status(); got.State != model.ServiceFailed || !strings.Contains(got.Why, "the listener failed") {
			t.Errorf("got %+v", got)
		}
		time.Sleep(2 * retryEvery)
		if got := s.server.Status(); got.State != model.ServiceRunning {
			t.Errorf("got %+v", got)
		}
	})
}

// TestPortInUse: the words of a real one.
func TestPortInUse(t *testing.T) {
	first, err := listenOn(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	taken := first.Addr().(*net.TCPAddr).AddrPort()
	if _, err := listenOn(taken); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("another programme uses the port %d", taken.Port())) {
		t.Errorf("got %v", err)
	}
	if _, err := listenOn(netip.MustParseAddrPort("203.0.113.1:0")); err == nil || !strings.Contains(err.Error(), "does not have the address 203.0.113.1") {
		t.Errorf("got %v", err)
	}
}

func TestTally(t *testing.T) {
	ty := newTally()
	var told int
	var sums []string
	for i := range 500 {
		if ty.count(netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 100)})) {
			told++
		}
	}
	audit := func(by model.Actor, text string) { sums = append(sums, by.String()+" "+text) }
	ty.sum(time.Now(), audit)
	if told != tellOfAll || len(sums) != 0 {
		t.Errorf("told %d, and %q", told, sums)
	}
	ty.sum(time.Now().Add(tallyTime), audit)
	if len(sums) > tellOfAll+1 || !strings.Contains(sums[len(sums)-1], "many addresses") {
		t.Errorf("got %q", sums)
	}
	total := told
	for _, line := range sums {
		n := 0
		_, rest, _ := strings.Cut(line, "log in ")
		if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
			t.Error(err)
		}
		total += n
	}
	if total != 500 {
		t.Errorf("%d are told of 500", total)
	}
	if len(ty.counts) != 0 || !ty.count(netip.MustParseAddr("10.0.0.1")) {
		t.Error("the next minute does not begin anew")
	}
}

// TestAnswerIsNotLost: over a real network, the body of who is turned away is read
// when it comes at once. A connection that is closed before is reset, and the
// answer may be lost with it.
func TestAnswerIsNotLost(t *testing.T) {
	s := newSite(t, plain)
	l, err := listenOn(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	other := New(s.server.options)
	other.listen = func(netip.AddrPort) (net.Listener, error) { return l, nil }
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- other.Run(ctx, s.daemon) }()
	defer func() { stop(); <-ended }()
	other.Set(plain)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answers := bufio.NewReader(c)
	body := strings.Repeat("x", 200<<10)
	for i := range 20 {
		if _, err := fmt.Fprintf(c, "PUT /api/v1/config HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		response, err := http.ReadResponse(answers, nil)
		if err != nil || response.StatusCode != http.StatusUnauthorized {
			t.Fatalf("request %d: got %+v, %v", i, response, err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHTTP2: browsers speak it over TLS: streams, orders and slow bodies.
func TestHTTP2(t *testing.T) { synctest.Test(t, testHTTP2) }

func testHTTP2(t *testing.T) {
	s := newSite(t, overTLS)
	client := &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return s.net.dial("192.0.2.77", s.web.Listen)
		},
	}}
	defer client.CloseIdleConnections()
	token := s.token(model.RoleAdmin)
	ask := func(method, path string, body io.Reader) (*http.Response, error) {
		request, err := http.NewRequestWithContext(t.Context(), method, "https://director"+path, body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		return client.Do(request)
	}
	stream, err := ask("GET", "/api/v1/stream", nil)
	if err != nil || stream.ProtoMajor != 2 || stream.StatusCode != http.StatusOK {
		t.Fatalf("got %+v, %v", stream, err)
	}
	defer stream.Body.Close()
	time.Sleep(5 * time.Minute)
	done, err := ask("POST", "/api/v1/order", strings.NewReader(order))
	if err != nil || done.StatusCode != http.StatusOK || done.ProtoMajor != 2 {
		t.Errorf("an order after minutes: got %+v, %v", done, err)
	} else {
		done.Body.Close()
	}
	if n, err := stream.Body.Read(make([]byte, 10)); err != nil || n == 0 {
		t.Errorf("the stream has ended: %v", err)
	}
	slow, never := io.Pipe()
	defer never.Close()
	began := time.Now()
	response, err := ask("POST", "/api/v1/order", slow)
	if err == nil {
		response.Body.Close()
	}
	if took := time.Since(began); took > time.Minute || err == nil && response.StatusCode != http.StatusRequestTimeout {
		t.Errorf("a body that never comes: got %+v, %v after %v", response, err, took)
	}
}
