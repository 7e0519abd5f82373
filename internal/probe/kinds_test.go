package probe

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// short is the timeout of checks that are to run into it.
const short = 300 * time.Millisecond

// askOnce puts one test to an address and returns its error in words; "": it passed.
func askOnce(t *testing.T, addr netip.AddrPort, test model.Test, timeout time.Duration) string {
	t.Helper()
	test.Port = addr.Port()
	r := probeOnce(t, Target{Addr: addr.Addr(), Tests: []model.Test{test}, Timeout: timeout})
	if len(r.Tests) != 1 || r.Tests[0].OK != r.OK || r.Tests[0].Error != r.Err {
		t.Errorf("got %+v: one test must have the outcome of the probe", r)
	}
	return strings.ReplaceAll(r.Err, addr.String(), "SERVER")
}

// serve lets a function speak to each connection, until the test ends.
func serve(t *testing.T, speak func(net.Conn)) netip.AddrPort {
	t.Helper()
	ln, addr := listen(t)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // the test has ended
			}
			go func() {
				defer conn.Close()
				speak(conn)
			}()
		}
	}()
	return addr
}

func TestHTTP(t *testing.T) {
	var asked *http.Request
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r
		switch r.URL.Path {
		case "/moved":
			w.WriteHeader(http.StatusFound)
		case "/ill":
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer web.Close()
	addr := netip.MustParseAddrPort(web.Listener.Addr().String())
	for _, tt := range []struct {
		uri    string
		status int
		vhost  string
		want   string
	}{
		{"/", 0, "", ""},
		{"/", 200, "www.example.com", ""},
		{"/moved?a=b", 0, "", ""},
		{"/moved", 302, "", ""},
		{"/moved", 200, "", "SERVER answers an HTTP request with the status 302, not with 200"},
		{"/ill", 0, "", "SERVER answers an HTTP request with the status 503, not with 200 to 399"},
		{"/ill", 503, "", ""},
	} {
		got := askOnce(t, addr, model.Test{Kind: model.CheckHTTP, URI: tt.uri, Status: tt.status, VHost: tt.vhost}, patience)
		if got != tt.want {
			t.Errorf("%+v: got %q", tt, got)
		}
		host := tt.vhost
		if host == "" {
			host = addr.String()
		}
		if asked.Host != host || asked.RequestURI != tt.uri || asked.Method != http.MethodGet {
			t.Errorf("%+v: the server was asked %s %s at %s", tt, asked.Method, asked.RequestURI, asked.Host)
		}
	}
}

const patience = 10 * time.Second

func TestTLS(t *testing.T) {
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.StartTLS()
	defer web.Close()
	addr := netip.MustParseAddrPort(web.Listener.Addr().String())
	dir := t.TempDir()
	file := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}))
	empty := file("empty.pem", nil)
	for _, tt := range []struct {
		name, ca string
		want     string // a part of it
	}{
		{"", "", ""},
		{"", good, ""},
		{"example.com", good, ""},
		{"other.example.org", good, "SERVER has a certificate that does not pass: x509: certificate is valid for example.com"},
		{"example.com", "", "SERVER has a certificate that does not pass: x509: certificate signed by unknown authority"},
		{"", empty, "SERVER cannot be asked: the file of authorities " + empty + " has no certificate in PEM form"},
		{"", filepath.Join(dir, "none"), "cannot be read: no such file or directory"},
	} {
		got := askOnce(t, addr, model.Test{Kind: model.CheckTLS, Name: tt.name, CA: tt.ca}, patience)
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%+v: got %q", tt, got)
		}
	}
}

// The hostile ways of a server that accepts connections.
var hostile = map[string]func(net.Conn){
	"says nothing": func(c net.Conn) { io.Copy(io.Discard, c) },
	"ends at once": func(net.Conn) {},
	"garbage":      func(c net.Conn) { c.Write([]byte("\x00\x01\x02 no protocol\r\n\r\n")); io.Copy(io.Discard, c) },
	"slow-loris":   func(c net.Conn) { drip(c, "HTTP/1.1 2") },
	"endless":      func(c net.Conn) { flood(c, strings.Repeat("x", 4096)) },
	"endless line": func(c net.Conn) { c.Write([]byte("HTTP/1.1 200 ")); flood(c, strings.Repeat("x", 4096)) },
	"4 GiB of TLS": func(c net.Conn) { flood(c, "\x16\x03\x03\x40\x00\x02\xff\xff\xff"+strings.Repeat("x", 16379)) },
	"4 GiB of body": func(c net.Conn) {
		c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n"))
		flood(c, "x")
	},
}

// drip sends a text byte by byte, and never ends it.
func drip(c net.Conn, text string) {
	for i := 0; ; i++ {
		if _, err := c.Write([]byte{text[min(i, len(text)-1)]}); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond) // of the server's: the check must not wait for it
	}
}

func flood(c net.Conn, text string) {
	all := bytes.Repeat([]byte(text), 64<<10/len(text)+1) // a write for each text would take its time
	for {
		if _, err := c.Write(all); err != nil {
			return
		}
	}
}

// TestHostileServers: each kind has one clear error for each way, in bounded time
// and memory.
func TestHostileServers(t *testing.T) {
	const (
		notHTTP = "SERVER answers an HTTP request with something that is not HTTP: "
		notTLS  = "SERVER answers a TLS handshake with something that is not TLS"
		late    = "SERVER accepts connections, but does not answer an HTTP request within 300ms"
		lateTLS = "SERVER accepts connections, but does not answer a TLS handshake within 300ms"
		ends    = "SERVER accepts connections, but ends them without an answer to an HTTP request"
		endsTLS = "SERVER accepts connections, but ends them without an answer to a TLS handshake"
	)
	for name, want := range map[string]struct{ http, tls string }{
		"says nothing":  {late, lateTLS},
		"ends at once":  {ends, endsTLS},
		"garbage":       {notHTTP + `"\x00\x01\x02 no protocol\r\n\r\n"`, notTLS},
		"slow-loris":    {late, notTLS},
		"endless":       {notHTTP + `"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"`, notTLS},
		"endless line":  {notHTTP + `"HTTP/1.1 200 xxxxxxxxxxxxxxxxxxx"`, notTLS},
		"4 GiB of TLS":  {notHTTP + `"\x16\x03\x03@\x00\x02\xff\xff\xffxxxxxxxxxxxxxxxxxxxxxxx"`, "SERVER does not answer a TLS handshake: tls: "},
		"4 GiB of body": {"", notTLS},
	} {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, hostile[name])
			for _, test := range []struct {
				model.Test
				want string
			}{
				{model.Test{Kind: model.CheckTCP}, ""},
				{model.Test{Kind: model.CheckHTTP, URI: "/"}, want.http},
				{model.Test{Kind: model.CheckTLS}, want.tls},
			} {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				begin := time.Now()
				got := askOnce(t, addr, test.Test, short)
				runtime.ReadMemStats(&after)
				if got != test.want && !(strings.HasSuffix(test.want, ": ") && strings.HasPrefix(got, test.want)) {
					t.Errorf("%s: got  %q\nwant %q", test.Kind, got, test.want)
				}
				if took := time.Since(begin); took > patience {
					t.Errorf("%s took %v", test.Kind, took)
				}
				if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
					t.Errorf("%s used %d bytes", test.Kind, used)
				}
			}
		})
	}
}

// TestNoTimeWait: no kind leaves a local port behind.
func TestNoTimeWait(t *testing.T) {
	for _, test := range []model.Test{{Kind: model.CheckTCP}, {Kind: model.CheckHTTP, URI: "/"}, {Kind: model.CheckTLS}} {
		ended := make(chan error, 1)
		addr := serve(t, func(c net.Conn) {
			_, failed := c.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
			_, err := io.Copy(io.Discard, c)
			ended <- errors.Join(failed, err)
		})
		askOnce(t, addr, test, patience)
		if err := <-ended; !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%s: the server's connection ended with %v, want a reset", test.Kind, err)
		}
	}
}

func TestICMP(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("echo requests need a raw socket, so this test must run as root")
	}
	ten := netip.MustParseAddrPort("127.0.0.10:0")
	if got := askOnce(t, ten, model.Test{Kind: model.CheckICMP}, patience); got != "" {
		t.Errorf("got %q, want a reply of this machine", got)
	}
	r := probeOnce(t, Target{Addr: ten.Addr(), Source: netip.MustParseAddr("127.0.0.9"), Tests: []model.Test{{Kind: model.CheckICMP}}})
	if !r.OK || r.Tests[0].At != "127.0.0.10" {
		t.Errorf("got %+v, want it to pass from another address", r)
	}
}

// TestAllMustPass: one test that fails ends the others, and is the error.
func TestAllMustPass(t *testing.T) {
	tests := []model.Test{{Kind: model.CheckTCP, Port: 1}, {Kind: model.CheckTCP, Port: 2}, {Kind: model.CheckTCP, Port: 3}}
	var wrong uint16
	answer := func(ctx context.Context, q question) error {
		switch {
		case q.Port == wrong:
			return unix.ECONNREFUSED
		case q.Port == 3:
			return took(time.Second)(ctx)
		}
		return nil
	}
	for port, want := range map[uint16]string{
		0: "1 true, 2 true, 3 true",
		2: "1 true, 2 false",
		3: "1 true, 2 true, 3 false",
	} {
		inBubble(t, accept, func(t *testing.T, b bench) {
			wrong, b.put = port, answer
			target := nfs01
			target.Tests = tests
			b.Set([]Target{target})
			r := <-b.results
			var got []string
			for _, one := range r.Tests {
				got = append(got, fmt.Sprintf("%s %t", strings.TrimPrefix(one.At, "192.168.10.100:"), one.OK))
			}
			if strings.Join(got, ", ") != want || r.OK != (port == 0) {
				t.Errorf("port %d fails: got %v, %+v", port, got, r)
			}
			if failed := fmt.Sprintf("connection refused by 192.168.10.100:%d", port); !r.OK && r.Err != failed {
				t.Errorf("got %q, want %q", r.Err, failed)
			}
			if most := time.Second; r.Latency > most || port == 2 && r.Latency != 0 {
				t.Errorf("port %d: it took %v", port, r.Latency)
			}
		})
	}
}
