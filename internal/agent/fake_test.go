package agent

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fairlead/internal/announce"
	"fairlead/internal/api"
	"fairlead/internal/model"
	"fairlead/internal/netstate"
	"fairlead/internal/probe"
	"fairlead/internal/reset"
)

// journal keeps what the parts were told, in order.
type journal struct {
	mu    sync.Mutex // guards the following
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

// since are the lines from that index on.
func (j *journal) since(from int) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines[from:])
}

func (j *journal) len() int { return len(j.since(0)) }

// fakePlane is a kernel in memory. It outlives the agents that use it.
type fakePlane struct {
	journal  *journal
	traffics atomic.Int64 // calls of Traffic
	slow     atomic.Int64 // how long an Apply takes, ns

	mu        sync.Mutex // guards the following
	held      model.Applied
	chosen    map[string]model.DesiredDirector
	conns     []model.Connection
	templates []model.Template
	explains  model.Explanation // is answered
	explained []string          // was asked
	refuse    error             // of Apply
	unread    error             // of Applied
	onSettle  func()            // called with mu held
	onApply   func(model.Desired)
	settles   int
	lost      uint64
	refused   uint64
	beats     int
	trusted   map[string]time.Time // no SYN of the director is kept until then

	sightings chan model.Sighting
}

func newFakePlane(j *journal) *fakePlane {
	return &fakePlane{journal: j, chosen: map[string]model.DesiredDirector{}, trusted: map[string]time.Time{}, sightings: make(chan model.Sighting),
		held: model.Applied{Ifaces: map[string]model.Attached{}, VIPs: map[netip.Addr]model.AppliedVIP{}, Directors: map[string]model.Adopted{}}}
}

func (p *fakePlane) Applied() (model.Applied, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unread != nil {
		return model.Applied{}, p.unread
	}
	return model.Applied{Ifaces: maps.Clone(p.held.Ifaces), VIPs: maps.Clone(p.held.VIPs), Directors: maps.Clone(p.held.Directors), Flows: maps.Clone(p.held.Flows)}, nil
}

func (p *fakePlane) Apply(want model.Desired) error {
	time.Sleep(time.Duration(p.slow.Load())) // in a synctest bubble
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.onApply != nil {
		p.onApply(want)
	}
	if p.refuse != nil {
		p.journal.add("apply refused")
		return p.refuse
	}
	clear(p.held.Ifaces)
	for _, name := range want.Rules.Ifaces {
		p.held.Ifaces[name] = model.Attached{Mode: model.AttachGeneric, Why: "fake"}
	}
	clear(p.held.VIPs)
	for _, v := range want.Rules.VIPs {
		p.held.VIPs[v.Addr] = model.AppliedVIP{Announce: v.Announce}
	}
	p.held.Flows = map[string]bool{}
	for _, r := range want.Rules.Rules {
		p.held.Flows[r.Flow] = true
	}
	var names []string
	var unknown error
	for _, d := range want.Directors {
		switch held := p.held.Directors[d.Name]; {
		case d.Active != "" && d.MAC.Known() || d.Active == "" && d.Hold:
			p.choose(d)
		case d.Hold && held.Epoch != 0:
			held.Hold = true // the choice stays; nothing is forwarded to it
			p.held.Directors[d.Name] = held
		case d.Active != "" && !d.Hold:
			unknown = fmt.Errorf("apply %s/%s: its MAC address is not known: it does not answer ARP", d.Name, d.Active)
		}
		name := d.Name + "=" + p.held.Directors[d.Name].Active
		if p.held.Directors[d.Name].Hold {
			name += " on hold"
		}
		names = append(names, name)
	}
	p.journal.add("apply %s", strings.Join(names, " "))
	return unknown
}

func (p *fakePlane) choose(d model.DesiredDirector) {
	if d.Epoch == 0 {
		return // Applied leaves it out
	}
	if p.held.Directors[d.Name].Epoch != d.Epoch {
		for i := range p.conns {
			p.conns[i].Old = p.conns[i].Old || p.conns[i].Director == d.Name
		}
	}
	p.held.Directors[d.Name] = model.Adopted{Active: d.Active, Epoch: d.Epoch, Reason: d.Reason, Since: time.Unix(0, d.Since), Hold: d.Hold, Addr: d.Addr}
}

func (p *fakePlane) Watch(ctx context.Context, emit func(model.Sighting)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-p.sightings:
			emit(s)
		}
	}
}

func (p *fakePlane) Beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beats++
}

func (p *fakePlane) Trust(director string, d time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trusted[director] = time.Now().Add(d)
	return nil
}

// Pass sends a frame to the active server, unless it would be kept.
func (p *fakePlane) Pass(frame []byte, iface int) ([]byte, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	held := p.held.Directors["nfs"]
	if held.Hold || time.Now().After(p.trusted["nfs"]) {
		p.journal.add("kept again: SYN of %d", binary.BigEndian.Uint16(frame[34:]))
		return nil, false, nil
	}
	return fmt.Appendf(nil, "SYN of %d to %s", binary.BigEndian.Uint16(frame[34:]), held.Active), true, nil
}

func (p *fakePlane) Connections() iter.Seq[model.Connection] {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Values(slices.Clone(p.conns))
}

func (p *fakePlane) Templates() ([]model.Template, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.templates), nil
}

func (p *fakePlane) ForgetTemplates(director string, client netip.Prefix) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := len(p.templates)
	p.templates = slices.DeleteFunc(p.templates, func(t model.Template) bool {
		return t.Director == director && (!client.IsValid() || client.Overlaps(t.Client))
	})
	return before - len(p.templates), nil
}

func (p *fakePlane) Explain(frame []byte, iface int) (model.Explanation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.explained = append(p.explained, fmt.Sprintf("%d: %x", iface, frame))
	return p.explains, nil
}

func (p *fakePlane) Traffic() (model.Traffic, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.traffics.Add(1)
	t := model.Traffic{
		Lost:    p.lost,
		Table:   model.TableStatus{Refused: p.refused},
		Flows:   map[string]map[string]model.Counter{"nfs": {"forward": {Packets: 7, Bytes: 700}}},
		Servers: map[model.ServerRef]model.Counter{}, Conns: map[model.ServerRef]model.ConnCount{},
	}
	for _, c := range p.conns {
		ref := model.ServerRef{Director: c.Director, Server: c.Server}
		n := t.Conns[ref]
		if c.Old {
			n.Old++
		} else {
			n.Present++
		}
		t.Conns[ref] = n
		t.Servers[ref] = t.Servers[ref].Add(model.Counter{Packets: 1, Bytes: 60})
	}
	return t, nil
}

func (p *fakePlane) Settle() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settles++
	p.journal.add("settle")
	if p.onSettle != nil {
		p.onSettle()
	}
	return nil
}

func (p *fakePlane) Sweep(director string) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := 0
	for _, c := range p.conns {
		if c.Director == director && c.Old && !c.Ended {
			old++
		}
	}
	p.journal.add("sweep %s: %d old", director, old)
	return old, nil
}

func (p *fakePlane) Capture(_ context.Context, snaplen int, emit func(api.Packet) error) error {
	return emit(api.Packet{Length: snaplen})
}

// connect adds connections of the present choice.
func (p *fakePlane) connect(ports ...uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, port := range ports {
		p.conns = append(p.conns, model.Connection{
			Client: netip.AddrPortFrom(netip.MustParseAddr("192.168.10.10"), port), VIP: netip.MustParseAddrPort("192.168.10.50:2049"),
			Director: "nfs", Server: p.held.Directors["nfs"].Active, ServerMAC: model.MAC{2, 0, 0, 0, 0, 9},
			HasAck: true, Packets: model.MostPackets,
		})
	}
}

// end marks connections as ended by their client.
func (p *fakePlane) end(ports ...uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, c := range p.conns {
		p.conns[i].Ended = c.Ended || slices.Contains(ports, c.Client.Port())
	}
}

func (p *fakePlane) set(change func(*fakePlane)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *fakePlane) active() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held.Directors["nfs"].Active
}

// fakeSender notes the ports of the clients that get resets, and what else goes
// to either end.
type fakeSender struct {
	journal *journal
	err     error
	packets map[uint16]int // to or because of a client, by its port
}

func (s *fakeSender) Send(orders []reset.Order) (int, error) {
	s.journal.add("reset%s", s.count(orders))
	return len(orders), s.err
}

func (s *fakeSender) SendServers(iface string, orders []reset.Order) (int, error) {
	for _, o := range orders {
		if o.Tickle {
			s.packets[o.Connection.Client.Port()]++
		}
	}
	s.journal.add("reset servers by %s:%s", iface, ports(orders))
	return len(orders), s.err
}

func (s *fakeSender) count(orders []reset.Order) string {
	for _, o := range orders {
		if o.RST {
			s.packets[o.Connection.Client.Port()]++
		}
		if o.Tickle {
			s.packets[o.Connection.Client.Port()]++
		}
	}
	return ports(orders)
}

func ports(orders []reset.Order) string {
	text := ""
	for _, o := range orders {
		text += fmt.Sprintf(" %d", o.Connection.Client.Port())
	}
	return text
}

// fakeFrames notes the frames that are sent.
type fakeFrames struct{ journal *journal }

func (f fakeFrames) Send(iface int, frame []byte) error {
	f.journal.add("sent by %d: %s", iface, frame)
	return nil
}

// hand sends a fact, as parts must: it waits for the loop, or for the end.
func hand[T any](ctx context.Context, to chan<- T, fact T) {
	select {
	case <-ctx.Done():
	case to <- fact:
	}
}

// fakeProber answers for servers that are up unless they are in down: at once
// when it is asked, and every second.
type fakeProber struct {
	results chan<- model.ProbeResult
	wake    chan struct{}

	mu      sync.Mutex // guards the following
	targets []probe.Target
	down    map[string]bool
}

func (p *fakeProber) Set(targets []probe.Target) {
	p.mu.Lock()
	p.targets = targets
	p.mu.Unlock()
	p.stir()
}

func (p *fakeProber) Now(model.ServerRef, time.Duration) { p.stir() }

func (p *fakeProber) stir() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *fakeProber) kill(server string, down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down[server] = down
}

func (p *fakeProber) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		time.Sleep(time.Millisecond) // in a synctest bubble: the way there and back
		p.mu.Lock()
		var results []model.ProbeResult
		for _, t := range p.targets {
			r := model.ProbeResult{Ref: t.Ref, At: time.Now(), OK: !p.down[t.Ref.Server]}
			if !r.OK {
				r.Err = "no answer"
			}
			results = append(results, r)
		}
		p.mu.Unlock()
		for _, r := range results {
			hand(ctx, p.results, r)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case <-p.wake:
		}
	}
}

// fakePaths has all paths, unless it is to refuse those of a server.
type fakePaths struct {
	mu      sync.Mutex // guards the following
	applied []model.Path
	refused map[netip.Addr]string
}

func (p *fakePaths) Apply(want []model.Path) map[model.Path]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.applied = want
	why := make(map[model.Path]string)
	for _, path := range want {
		if p.refused[path.Server] != "" {
			why[path] = p.refused[path.Server]
		}
	}
	return why
}

func (p *fakePaths) refuse(server, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = map[netip.Addr]string{netip.MustParseAddr(server): why}
}

// fakeWatcher resolves the addresses it is asked for, unless it is mute.
type fakeWatcher struct {
	facts chan<- netstate.Fact
	keep  chan []netip.Addr
	mute  bool
}

func (w *fakeWatcher) Keep(near, routed []netip.Addr) {
	w.keep <- append(slices.Clone(near), routed...)
}

func (w *fakeWatcher) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case addrs := <-w.keep:
			for _, a := range addrs {
				if !w.mute {
					hand(ctx, w.facts, netstate.Fact{Neighbour: &model.Neighbour{Addr: a, Iface: "eth0", MAC: macOf(a)}})
				}
			}
		}
	}
}

func macOf(a netip.Addr) model.MAC { return model.MAC{2, 0, 0, 0, 0, a.As4()[3]} }

// fakeAnnouncer finds every address free after 600 ms, and notes the wishes.
type fakeAnnouncer struct {
	journal *journal
	seen    chan<- model.VIPStatus
	wants   chan []announce.Want
	fail    error
	quit    bool
}

func (a *fakeAnnouncer) Set(wants []announce.Want) { a.wants <- wants }

func (a *fakeAnnouncer) Run(ctx context.Context) error {
	known := map[netip.Addr]bool{}
	for {
		if a.fail != nil || a.quit {
			return a.fail
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case wants := <-a.wants:
			for _, w := range wants {
				a.journal.add("announce %s on %s held=%t answering=%t", w.Addr, w.Iface, w.Held, w.Answering)
				if known[w.Addr] {
					continue
				}
				known[w.Addr] = true
				if !w.Held {
					hand(ctx, a.seen, model.VIPStatus{Addr: w.Addr, State: model.VIPProbing})
					time.Sleep(600 * time.Millisecond) // in a synctest bubble
				}
				hand(ctx, a.seen, model.VIPStatus{Addr: w.Addr, State: model.VIPAnnounced})
			}
		}
	}
}

// fakeControl serves nobody.
type fakeControl struct{}

func (fakeControl) Run(ctx context.Context, _ api.Daemon) error {
	<-ctx.Done()
	return nil
}

var errRefused = errors.New("the verifier said no")
