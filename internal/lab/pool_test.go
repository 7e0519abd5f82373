package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/api"
	"fairlead/internal/dataplane"
	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/site"
	"fairlead/internal/model"
	"fairlead/internal/topology"
)

// echoPort is the port of the pool's service.
const echoPort = 7007

// poolConfig is a director with two regular servers.
const poolConfig = `flow pool director pool
  match iface eth0 dst 192.168.10.50 proto tcp dstport 7007

director pool
  balance roundrobin
  mode gateway
  check interval 200ms port 7007 timeout 200ms
  option tcpcheck
  server a 192.168.10.100:7007 weight 1 check
  server b 192.168.10.101:7007 weight 1 check

sysctl expire_nodest_conn=1
`

// pool is a balanced director between a client and two echo servers.
type pool struct {
	t        *testing.T
	dir      string
	client   *topology.Host
	director *topology.Host
	servers  []*topology.Host // a, b
	control  *api.Client
	direct   []*echo // with b, past the director: what the noise of this machine is
}

// newPool builds a pool, and waits until both servers get connections.
func newPool(t *testing.T) *pool {
	t.Helper()
	p := newSegment(t)
	for _, h := range p.servers {
		p.serve(h)
	}
	p.run(poolConfig, func(st model.Status) bool { return active(st, "a") && active(st, "b") })
	for range 4 {
		p.direct = append(p.direct, p.open(netip.AddrPortFrom(p.servers[1].Addr.Addr(), echoPort)))
	}
	return p
}

// newSegment builds the hosts, on which nothing runs yet.
func newSegment(t *testing.T) *pool {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces: run it as root")
	}
	// A later run of the lab sweeps what has this name, should this one be killed.
	p := &pool{t: t, dir: filepath.Join(os.TempDir(), fmt.Sprintf("fairlead-lab-%d", os.Getpid()))}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Unmount(p.path("bpf"), unix.MNT_DETACH)
		if err := os.RemoveAll(p.dir); err != nil {
			t.Error(err)
		}
		wantNothingOf(t, os.Getpid())
	})
	segment := must[*topology.Segment](t)(topology.Build("fairlead-lab"))
	p.cleanup(segment.Close)
	p.client = must[*topology.Host](t)(segment.Add(site.ClientSpec))
	p.director = must[*topology.Host](t)(segment.Add(site.DirectorSpec))
	for i, name := range []string{"a", "b"} {
		spec := topology.Spec{Name: name, Addr: site.ServerSpecs[i].Addr, VIP: site.VIP}
		p.servers = append(p.servers, must[*topology.Host](t)(segment.Add(spec)))
	}
	p.cleanup(must[io.Closer](t)(segment.PrepareNative(p.director, dataplane.AttachPass)).Close)
	return p
}

func (p *pool) path(name string) string { return filepath.Join(p.dir, name) }

func (p *pool) cleanup(f func() error) {
	p.t.Cleanup(func() {
		if err := f(); err != nil {
			p.t.Error(err)
		}
	})
}

// serve tells everybody who connects to a host its name, and then what they say.
func (p *pool) serve(h *topology.Host) {
	p.t.Helper()
	var l net.Listener
	err := h.Do(func() (err error) {
		l, err = net.Listen("tcp4", fmt.Sprintf(":%d", echoPort))
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	var all sync.WaitGroup
	ended := make(chan struct{})
	p.t.Cleanup(func() {
		close(ended)
		l.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			all.Go(func() {
				<-ended
				c.Close() // nobody may have told it that the client is gone
			})
			all.Go(func() {
				if _, err := io.WriteString(c, h.Name); err == nil {
					io.Copy(c, c)
				}
				c.Close()
			})
		}
	})
}

// configure writes the director's configuration.
func (p *pool) configure(text string) {
	p.t.Helper()
	if err := os.WriteFile(p.path("pool.cfg"), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// run starts the director's programme and waits until it is ready.
func (p *pool) run(config string, ready func(model.Status) bool) {
	p.t.Helper()
	p.configure(config)
	log := must[*os.File](p.t)(os.Create(p.path("log")))
	defer log.Close() // the process has its own
	cmd := exec.Command(must[string](p.t)(program()), "run", "-f", p.path("pool.cfg"), "--socket", p.path("socket"),
		"--state-dir", p.path("state"), "--pin-dir", p.path("bpf"), "--attach", "native")
	cmd.Stdout, cmd.Stderr = log, log
	daemon := must[*topology.Process](p.t)(p.director.Start(cmd))
	p.cleanup(func() error { return daemon.Stop(8 * time.Second) })
	p.control = api.NewClient(p.path("socket"))
	p.until("the director is ready", func() bool {
		st, err := p.control.Status(p.t.Context())
		return err == nil && st.Flows[0].VIPs[0].State == model.VIPAnnounced && ready(st)
	})
}

// active tells whether a server gets new connections.
func active(st model.Status, name string) bool {
	return slices.ContainsFunc(st.Directors[0].Servers, func(s model.ServerStatus) bool { return s.Name == name && s.Active })
}

// status is the director's.
func (p *pool) status() model.Status {
	p.t.Helper()
	return must[model.Status](p.t)(p.control.Status(p.t.Context()))
}

func (p *pool) until(what string, done func() bool) {
	p.t.Helper()
	end, tick := time.After(15*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-end:
			log, _ := os.ReadFile(p.path("log"))
			p.t.Fatalf("%s: not within 15 s; the director printed:\n%s", what, log)
		case <-tick.C:
		}
	}
}

// echo is a connection on which a client says something all the time.
type echo struct {
	server string // that took it
	conn   net.Conn
	ended  chan struct{}

	mu   sync.Mutex // guards the following
	at   []clock.Instant
	end  clock.Instant
	fail error
}

// echoTime is the time between two words of a client.
const echoTime = 5 * time.Millisecond

// open connects to a service, which tells the name of its server.
func (p *pool) open(to netip.AddrPort) *echo {
	p.t.Helper()
	e := &echo{ended: make(chan struct{})}
	err := p.client.Do(func() (err error) {
		e.conn, err = net.DialTimeout("tcp4", to.String(), 5*time.Second)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		e.conn.Close()
		<-e.ended
	})
	name := []byte{0}
	if err := e.conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		p.t.Error(err)
	}
	_, err = io.ReadFull(e.conn, name)
	go e.talk() // ends soon, also after an error
	if err = errors.Join(err, e.conn.SetReadDeadline(time.Time{})); err != nil {
		p.t.Fatal(err)
	}
	e.server = string(name)
	return e
}

// openMany opens connections through the director, and counts them by server.
func (p *pool) openMany(n int) (all []*echo, by map[string]int) {
	p.t.Helper()
	by = map[string]int{}
	for range n {
		e := p.open(netip.AddrPortFrom(site.VIP, echoPort))
		all = append(all, e)
		by[e.server]++
	}
	return all, by
}

func (e *echo) talk() {
	defer close(e.ended)
	tick := time.NewTicker(echoTime)
	defer tick.Stop()
	word := []byte{'.'}
	for ; ; <-tick.C {
		_, err := e.conn.Write(word)
		if err == nil {
			_, err = io.ReadFull(e.conn, word)
		}
		e.mu.Lock()
		if e.end = clock.Now(); err != nil {
			e.fail = err
			e.mu.Unlock()
			return
		}
		e.at = append(e.at, e.end)
		e.mu.Unlock()
	}
}

// gap is the longest time without an answer between two instants.
func (e *echo) gap(from, to clock.Instant) (longest time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	last := from
	for _, at := range append(slices.Clip(e.at), to) {
		if at > from && at <= to {
			longest = max(longest, at.Since(last))
			last = at
		}
	}
	return longest
}

// over is when and how the connection ended; nil: it did not.
func (e *echo) over() (clock.Instant, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.end, e.fail
}

// of are the connections of one server.
func of(all []*echo, server string) []*echo {
	return slices.DeleteFunc(slices.Clone(all), func(e *echo) bool { return e.server != server })
}

// noticed is the longest pause that is nobody's fault, beyond what a busy machine
// does to connections past the director.
const noticed = 50 * time.Millisecond

// noise is the longest pause of the connections past the director.
func (p *pool) noise(from, to clock.Instant) (longest time.Duration) {
	for _, e := range p.direct {
		longest = max(longest, e.gap(from, to))
	}
	return longest
}

// wantReset: all connections are reset as soon as it was decided.
func (p *pool) wantReset(all []*echo, decided clock.Instant) {
	p.t.Helper()
	for _, e := range all {
		select {
		case <-e.ended:
		case <-time.After(2 * time.Second):
		}
	}
	var latest time.Duration
	noise := p.noise(decided, clock.Now())
	for i, e := range all {
		at, err := e.over()
		d := at.Since(decided)
		if !errors.Is(err, syscall.ECONNRESET) || d < 0 || d > noticed+noise {
			p.t.Errorf("connection %d of %s ended %v after the decision (noise %v): %v", i, e.server, d, noise, err)
		}
		latest = max(latest, d)
	}
	p.t.Logf("%d connections were reset, the last %v after the decision, noise %v", len(all), latest, noise)
}

// wantUndisturbed: no connection ended, or paused since an instant.
func (p *pool) wantUndisturbed(all []*echo, since clock.Instant) {
	p.t.Helper()
	now := clock.Now()
	noise := p.noise(since, now)
	var longest time.Duration
	for i, e := range all {
		gap := e.gap(since, now)
		if _, err := e.over(); err != nil || gap > noticed+noise {
			p.t.Errorf("connection %d of %s paused for %v (noise %v): %v", i, e.server, gap, noise, err)
		}
		longest = max(longest, gap)
	}
	p.t.Logf("%d connections undisturbed for %v: longest pause %v, noise %v", len(all), now.Since(since), longest, noise)
}
