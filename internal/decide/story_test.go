package decide

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/model"
)

var start = time.Date(2014, 3, 4, 12, 0, 0, 0, time.UTC)

// A story tells events to a state, one after the other.
type story struct {
	t       *testing.T
	state   State
	now     time.Time
	actions []Action // of the last event
	orders  uint64
}

func newStory(t *testing.T, cfg model.Config) *story {
	s := &story{t: t, now: start}
	s.step(Configured{At: At{s.now}, Config: cfg})
	return s
}

// adoptedStory starts with a choice that was found in the kernel.
func adoptedStory(t *testing.T, cfg model.Config, found map[string]model.Adopted) *story {
	s := &story{t: t, now: start}
	s.step(Configured{At: At{s.now}, Config: cfg, Adopted: found})
	return s
}

func (s *story) step(e Event) {
	s.t.Helper()
	s.state, s.actions = Step(s.state, e)
}

func (s *story) after(d time.Duration) *story { s.now = s.now.Add(d); return s }

func (s *story) reload(cfg model.Config) {
	s.after(time.Second).step(Configured{At: At{s.now}, Config: cfg})
}

func (s *story) tick() { s.step(Ticked{At{s.now}}) }

// pass and fail are results of probes, a second after what was before.
func (s *story) pass(server string) { s.after(time.Second).result(server, "") }
func (s *story) fail(server, err string) {
	s.after(time.Second).result(server, err)
}

func (s *story) result(server, err string) {
	s.step(Probed{At{s.now}, model.ProbeResult{Ref: ref(server), At: s.now, OK: err == "", Err: err, Latency: time.Millisecond}})
}

// up and down let a server become what is said.
func (s *story) up(server string) {
	s.t.Helper()
	for range 2 {
		s.pass(server)
	}
	s.health(server, model.HealthUp)
}

func (s *story) down(server string) {
	s.t.Helper()
	for range 2 {
		s.fail(server, "connection refused")
	}
	s.health(server, model.HealthDown)
}

// order returns the error of the reply.
func (s *story) order(server string) string {
	s.t.Helper()
	s.after(time.Second).step(Ordered{At: At{s.now}, ID: 7, Ref: ref(server)})
	for _, a := range s.actions {
		if r, ok := a.(Reply); ok && r.ID == 7 {
			return r.Err
		}
	}
	s.t.Fatalf("order %s: no reply with its ID", server)
	return ""
}

func (s *story) director(name string) model.DirectorStatus {
	s.t.Helper()
	for _, d := range s.state.Status() {
		if d.Name == name {
			return d
		}
	}
	s.t.Fatalf("no director %s in the status", name)
	return model.DirectorStatus{}
}

// active checks the choice of director nfs.
func (s *story) active(want string, epoch uint64, reason model.Reason) {
	s.t.Helper()
	d := s.director("nfs")
	if d.Desired != want || d.Epoch != epoch || d.Reason != reason {
		s.t.Errorf("active %q, epoch %d, reason %v; want %q, %d, %v", d.Desired, d.Epoch, d.Reason, want, epoch, reason)
	}
}

func (s *story) health(server string, want model.Health) {
	s.t.Helper()
	if got := s.server(server).Health; got != want {
		s.t.Errorf("health of %s = %v, want %v", server, got, want)
	}
}

func (s *story) server(name string) model.ServerStatus {
	s.t.Helper()
	r := ref(name)
	for _, srv := range s.director(r.Director).Servers {
		if srv.Name == r.Server {
			return srv
		}
	}
	s.t.Fatalf("no server %s in the status", name)
	return model.ServerStatus{}
}

// switched is the one switch of the last event, nil when there was none.
func (s *story) switched() *Switched {
	s.t.Helper()
	all := only[Switched](s.actions)
	switch len(all) {
	case 0:
		return nil
	case 1:
		return &all[0]
	}
	s.t.Fatalf("%d switches in one event", len(all))
	return nil
}

func (s *story) note(want string) {
	s.t.Helper()
	if got := s.director("nfs").Note; got != want {
		s.t.Errorf("note = %q, want %q", got, want)
	}
}

// alarm checks that one alarm, and which, says so.
func (s *story) alarm(want string) {
	s.t.Helper()
	var all []string
	for _, a := range s.state.Alarms() {
		all = append(all, a.What)
		if a.What == "" || a.Why == "" || a.Do == "" {
			s.t.Errorf("alarm %+v does not say what, why and what to do", a)
		}
	}
	if got := strings.Join(all, "\n"); got != want {
		s.t.Errorf("alarms = %q, want %q", got, want)
	}
}

func only[T Action](actions []Action) []T {
	var all []T
	for _, a := range actions {
		if a, ok := a.(T); ok {
			all = append(all, a)
		}
	}
	return all
}

func ref(name string) model.ServerRef {
	d, s, ok := strings.Cut(name, "/")
	if !ok {
		return model.ServerRef{Director: "nfs", Server: name}
	}
	return model.ServerRef{Director: d, Server: s}
}

// note is the configuration of the application note.
func note() model.Config {
	return one(2049,
		model.Server{Name: "nfs-01", Addr: addr("192.168.10.100"), Weight: 10, Check: true},
		model.Server{Name: "nfs-02", Addr: addr("192.168.10.101"), Weight: 1, Sorry: true})
}

// web is a director like that of the note, which serves no NFS.
// The servers after the first are sorry, so that one is active at a time.
func web(servers ...model.Server) model.Config {
	servers = slices.Clone(servers)
	for i := range servers {
		servers[i].Sorry = i > 0
	}
	return one(80, servers...)
}

// one is a configuration with the director nfs.
func one(port uint16, servers ...model.Server) model.Config {
	servers = slices.Clone(servers)
	for i := range servers {
		servers[i].Port = port
	}
	dst := model.Cond[netip.Prefix]{Set: true, Value: netip.MustParsePrefix("192.168.10.50/32")}
	d := model.Director{Name: "nfs", Mode: model.ModeGateway, Servers: servers,
		Check: model.Check{Interval: 10 * time.Second, Timeout: 2 * time.Second, Port: port, Rise: 2, Fall: 2}}
	if port == model.NFSPort { // as the configuration language has it
		d.Failback, d.LastActive = model.FailbackManual, time.Minute
	}
	return model.Config{
		Flows: []model.Flow{{Name: "nfs", Policy: model.PolicyDirector, Director: "nfs",
			Rules: []model.Rule{{Iface: model.Cond[string]{Set: true, Value: "eth0"}, Dst: dst}}}},
		Directors: []model.Director{d},
		LVS:       model.LVS{ExpireNoDestConn: true},
	}
}

// change returns the configuration with a change of its first director.
func change(cfg model.Config, change func(*model.Director)) model.Config {
	cfg.Directors = slices.Clone(cfg.Directors)
	cfg.Directors[0].Servers = slices.Clone(cfg.Directors[0].Servers)
	change(&cfg.Directors[0])
	return cfg
}

func srv(name, ip string, weight int) model.Server {
	return model.Server{Name: name, Addr: addr(ip), Weight: weight, Check: true}
}

func sorry(s model.Server) model.Server     { s.Sorry = true; return s }
func unchecked(s model.Server) model.Server { s.Check = false; return s }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

var (
	a = srv("a", "192.168.10.100", 10)
	b = srv("b", "192.168.10.101", 5)
	c = srv("c", "192.168.10.102", 1)
)
