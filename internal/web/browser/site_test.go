package browser

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/access"
	"fairlead/internal/model"
	"fairlead/internal/web"
)

const password = "a harbour at low tide"

// A site is the real web server and API, on a loopback address, before a daemon
// that pretends.
type site struct {
	*daemon
	url    string
	access *access.Store
	stop   func() // ends the server, as the daemon's death does
}

func newSite(t *testing.T, d *daemon) *site {
	t.Helper()
	dir := t.TempDir()
	users, err := access.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []model.Role{model.RoleViewer, model.RoleOperator, model.RoleAdmin} {
		if err := users.Add(role.String(), role, password); err != nil {
			t.Fatal(err)
		}
	}
	addr := freePort(t)
	s := &site{daemon: d, url: "http://" + addr.String(), access: users}
	server := web.New(web.Options{Access: users, StateDir: dir, Log: slog.New(slog.DiscardHandler)})
	server.Set(model.Web{Listen: addr})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, d) }()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the web server ended: %v", err)
		}
	}
	t.Cleanup(s.stop)
	for began := time.Now(); server.Status().State != model.ServiceRunning; {
		if time.Since(began) > pageTime {
			t.Fatalf("the web server does not run: %+v", server.Status())
		}
		time.Sleep(5 * time.Millisecond) // another process's loop: there is no event to wait for
	}
	return s
}

// freePort is an address that nobody listens on now.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return netip.MustParseAddrPort(l.Addr().String())
}

// cookie logs somebody in, and gives the session's cookie.
func (s *site) cookie(t *testing.T, role model.Role) *http.Cookie {
	t.Helper()
	body := fmt.Sprintf(`{"user":%q,"password":%q}`, role, password)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/v1/session", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if len(answer.Cookies()) == 0 {
		t.Fatalf("log in as %s: %s", role, answer.Status)
	}
	return answer.Cookies()[0]
}
