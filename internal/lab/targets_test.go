package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"fairlead/internal/lab/site"
	"fairlead/internal/model"
	"fairlead/internal/topology"
)

// TestUDPEcho: a service without connections, checked by ARP and ICMP. Its datagrams go
// to the active server, and to the other one when that is gone: also those of a
// client that keeps its port.
func TestUDPEcho(t *testing.T) {
	p := newSegment(t)
	for _, h := range p.servers {
		p.serveUDP(h)
	}
	p.run(`flow echo director echo
  match iface eth0 dst 192.168.10.50 proto udp dstport 7007
  match iface eth0 dst 192.168.10.50 proto icmp

director echo
  mode gateway
  check interval 200ms timeout 200ms
  option icmpcheck
  option arpcheck
  server a 192.168.10.100 check
  server b 192.168.10.101 check sorry
`, func(st model.Status) bool { return active(st, "a") })
	var client net.Conn
	err := p.client.Do(func() (err error) {
		client, err = net.Dial("udp4", netip.AddrPortFrom(site.VIP, echoPort).String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p.cleanup(client.Close)
	said := func() string {
		reply := make([]byte, 16)
		_, err := client.Write([]byte("?"))
		if err := errors.Join(err, client.SetReadDeadline(time.Now().Add(100*time.Millisecond))); err != nil {
			t.Fatal(err)
		}
		n, _ := client.Read(reply) // lost: ask again
		return string(reply[:n])
	}
	p.until("a answers", func() bool { return said() == "a?" })
	checks := p.status().Directors[0].Servers[0]
	if checks.CheckedVIPs != site.VIP.String() {
		t.Errorf("a is checked at the virtual IPs %q, want %s", checks.CheckedVIPs, site.VIP)
	}
	if err := p.servers[0].Cut(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	p.until("b answers", func() bool { return said() == "b?" })
	t.Logf("b answers %v after a's cable was cut", time.Since(begin).Round(time.Millisecond))
}

// serveUDP answers each datagram with the host's name and what it said.
func (p *pool) serveUDP(h *topology.Host) {
	p.t.Helper()
	var c net.PacketConn
	err := h.Do(func() (err error) {
		c, err = net.ListenPacket("udp4", netip.AddrPortFrom(site.VIP, echoPort).String())
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.cleanup(c.Close)
	go func() {
		for b := make([]byte, 1500); ; {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return // closed
			}
			c.WriteTo(append([]byte(h.Name), b[:n]...), from)
		}
	}()
}

// TestHTTPServer: web servers, checked for a status of a path. One that still accepts
// connections and says that it is not well loses them.
func TestHTTPServer(t *testing.T) {
	p := newSegment(t)
	var unwell atomic.Bool
	for _, h := range p.servers {
		p.serveHTTP(h, &unwell)
	}
	p.run(`flow web director web
  match iface eth0 dst 192.168.10.50 proto tcp dstport 7007

director web
  mode gateway
  check interval 200ms port 7007 timeout 200ms
  option httpcheck uri /health statuscode 200 vhost www.example.com
  server a 192.168.10.100 check
  server b 192.168.10.101 check sorry
`, func(st model.Status) bool { return active(st, "a") })
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		err = p.client.Do(func() error { c, err = (&net.Dialer{}).DialContext(ctx, network, addr); return err })
		return c, err
	}}
	said := func() string {
		r, err := (&http.Client{Transport: transport, Timeout: time.Second}).Get(fmt.Sprintf("http://%s:%d/", site.VIP, echoPort))
		if err != nil {
			return err.Error()
		}
		defer r.Body.Close()
		text, _ := io.ReadAll(r.Body)
		return string(text)
	}
	if got := said(); got != "a" {
		t.Errorf("%q answers, want a", got)
	}
	unwell.Store(true)
	p.until("b answers", func() bool { return said() == "b" })
	const want = "192.168.10.100:7007 answers an HTTP request with the status 503, not with 200"
	if s := p.status().Directors[0].Servers[0]; s.Health != model.HealthDown || s.Why != want {
		t.Errorf("a is %v: %q, want down: %q", s.Health, s.Why, want)
	}
}

// serveHTTP is a web server that tells the host's name. The first host's is well until
// it is unwell.
func (p *pool) serveHTTP(h *topology.Host, unwell *atomic.Bool) {
	p.t.Helper()
	var l net.Listener
	err := h.Do(func() (err error) {
		l, err = net.Listen("tcp4", fmt.Sprintf(":%d", echoPort))
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("www.example.com/health", func(w http.ResponseWriter, _ *http.Request) {
		if unwell.Load() && h == p.servers[0] {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, h.Name) })
	server := &http.Server{Handler: mux}
	p.cleanup(server.Close)
	go server.Serve(l) // until Close
}
