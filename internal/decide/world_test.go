package decide

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/model"
)

// A world makes up random events as they could reach a daemon: servers die and
// return, people reload and order, the daemon crashes, results come late or
// twice, and the clock steps back.
type world struct {
	dice   *rand.Rand
	now    time.Time
	config model.Config
	alive  map[model.ServerRef]bool
	focus  model.ServerRef // the server that was probed last: results come in runs
	last   Event
	orders uint64
	calls  []uint64 // the hooks that were asked for
}

func newWorld(seed uint64) *world {
	w := &world{dice: rand.New(rand.NewPCG(seed, 1)), now: start, alive: map[model.ServerRef]bool{}}
	w.config = w.newConfig()
	return w
}

func (w *world) chance(percent int) bool { return w.dice.IntN(100) < percent }

// next makes the next event; restart says that a new daemon gets it, with a
// state of its own.
func (w *world) next(s State) (e Event, restart bool) {
	w.pass(s)
	switch n := w.dice.IntN(100); {
	case n < 35:
		e = w.probe()
	case n < 45:
		e = w.measurement(s)
	case n < 53:
		e = Ticked{At{w.now}}
	case n < 60:
		e = w.suspicion(s)
	case n < 68:
		e = w.hookEnd()
	case n < 76:
		e = w.order()
	case n < 80:
		w.config = w.changed(w.config)
		e = Configured{At: At{w.now}, Config: w.config}
	case n < 82:
		if w.chance(30) {
			w.config = w.changed(w.config)
		}
		return Configured{At: At{w.now}, Config: w.config}, true
	case n < 85 && w.last != nil:
		e = w.last
		if o, ok := e.(Ordered); ok {
			w.orders++
			o.ID = w.orders
			e = o
		}
	default:
		e = w.fact()
	}
	w.last = e
	return e, false
}

// suspicion is a hint, mostly of an active server.
func (w *world) suspicion(s State) Event {
	ref := w.ref()
	if d := s.director(ref.Director); d != nil && d.choice.active != "" && w.chance(80) {
		ref.Server = d.choice.active
	}
	if w.chance(60) {
		w.focus, w.alive[ref] = ref, w.chance(30)
	}
	return Suspected{At: At{w.now}, Ref: ref, Why: "a SYN came again", Held: w.chance(50)}
}

// hookEnd is the end of a hook: mostly of the last one, sometimes too late.
func (w *world) hookEnd() Event {
	e := HookEnded{At: At{w.now}, ID: uint64(w.dice.IntN(5))}
	if n := len(w.calls); n > 0 && w.chance(85) {
		e.ID = w.calls[n-1-w.dice.IntN(min(n, 2))]
	}
	if w.chance(30) {
		e.Err = "exit status 1"
	}
	return e
}

// pass lets time pass: mostly to the deadline or a little, sometimes not at all
// or backwards.
func (w *world) pass(s State) {
	deadline := s.Deadline()
	switch n := w.dice.IntN(100); {
	case n < 30 && !deadline.IsZero():
		w.now = deadline
	case n < 32:
		w.now = w.now.Add(-time.Duration(w.dice.IntN(5000)) * time.Millisecond)
	case n < 37:
	default:
		w.now = w.now.Add(time.Duration(1+w.dice.IntN(3000)) * time.Millisecond)
	}
}

func (w *world) ref() model.ServerRef {
	if w.chance(3) || len(w.config.Directors) == 0 {
		return model.ServerRef{Director: "nobody", Server: "s0"}
	}
	d := w.config.Directors[w.dice.IntN(len(w.config.Directors))]
	if w.chance(3) || len(d.Servers) == 0 {
		return model.ServerRef{Director: d.Name, Server: "nobody"}
	}
	return model.ServerRef{Director: d.Name, Server: d.Servers[w.dice.IntN(len(d.Servers))].Name}
}

func (w *world) probe() Event {
	if w.chance(50) {
		w.focus = w.ref()
	}
	r := w.focus
	if w.chance(15) {
		w.alive[r] = !w.alive[r]
	}
	known := w.now
	if w.chance(10) {
		known = known.Add(-time.Duration(w.dice.IntN(2000)) * time.Millisecond)
	}
	result := model.ProbeResult{Ref: r, At: known, OK: w.alive[r] != w.chance(5),
		Latency: time.Duration(w.dice.IntN(2000)) * time.Millisecond >> w.dice.IntN(12)}
	if !result.OK {
		result.Err = "connection refused"
	}
	return Probed{At{w.now}, result}
}

// learn takes note of the hooks that were asked for.
func (w *world) learn(runs []RunHook) {
	for _, r := range runs {
		w.calls = append(w.calls, r.ID)
	}
}

func (w *world) order() Event {
	w.orders++
	verb := model.VerbSwitch
	if w.chance(40) {
		verb = model.Verb(w.dice.IntN(4))
	}
	return Ordered{At: At{w.now}, ID: w.orders, Verb: verb, Ref: w.ref(), Force: w.chance(25)}
}

func (w *world) fact() Event {
	iface := [...]string{"eth0", "eth1", "lo"}[w.dice.IntN(3)]
	mac := model.MAC{2, 0, 0, 0, 0, byte(w.dice.IntN(4))}
	if w.chance(30) {
		mac = model.MAC{}
	}
	switch w.dice.IntN(3) {
	case 0:
		return Neighbours{At{w.now}, model.Neighbour{Addr: w.serverAddr(), Iface: iface, MAC: mac, Failed: !mac.Known() && w.chance(60)}}
	case 1:
		l := model.Link{Name: iface, MAC: mac, Up: w.chance(80)}
		for range w.dice.IntN(3) {
			own := netip.AddrFrom4([4]byte{192, 168, 10, byte(w.dice.IntN(60))})
			l.Addrs = append(l.Addrs, netip.PrefixFrom(own, 16+w.dice.IntN(17)))
		}
		return Linked{At: At{w.now}, Link: l, Gone: w.chance(20)}
	}
	state := [...]string{model.VIPProbing, model.VIPAnnounced, model.VIPConflict}[w.dice.IntN(3)]
	return VIPSeen{At{w.now}, model.VIPStatus{Addr: w.vip(w.dice.IntN(4)), State: state, Why: "02:00:00:00:00:09 answers"}}
}

func (w *world) vip(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 168, 10, byte(50 + n)}) }

func (w *world) serverAddr() netip.Addr {
	return netip.AddrFrom4([4]byte{192, 168, 10, byte(100 + w.dice.IntN(8))})
}

func (w *world) newConfig() model.Config {
	cfg := model.Config{LVS: model.LVS{ExpireNoDestConn: w.chance(80)}}
	for i := range 1 + w.dice.IntN(3) {
		cfg.Directors = append(cfg.Directors, w.newDirector(i))
	}
	cfg.Flows = w.flows(cfg)
	return cfg
}

func (w *world) flows(cfg model.Config) []model.Flow {
	var all []model.Flow
	for i, d := range cfg.Directors {
		r := model.Rule{Dst: model.Cond[netip.Prefix]{Set: true, Value: netip.PrefixFrom(w.vip(i), 32)}}
		if w.chance(50) {
			r.Iface = model.Cond[string]{Set: true, Value: "eth0"}
		}
		all = append(all, model.Flow{Name: "f" + d.Name, Policy: model.PolicyDirector, Director: d.Name, Rules: []model.Rule{r}})
	}
	return all
}

func (w *world) newDirector(i int) model.Director {
	d := model.Director{Name: fmt.Sprintf("d%d", i), Mode: model.ModeGateway, Check: model.Check{
		Interval: 10 * time.Second, Timeout: time.Duration(500+w.dice.IntN(2000)) * time.Millisecond,
		Port: 80, Rise: 1 + w.dice.IntN(3), Fall: 1 + w.dice.IntN(3)}}
	if w.chance(40) {
		d.Check.Port = model.NFSPort
	}
	for range w.dice.IntN(6) {
		d.Servers = w.withServer(d.Servers)
	}
	w.failover(&d)
	return d
}

// failover draws how a director switches.
func (w *world) failover(d *model.Director) {
	d.Failback = model.Failback(w.dice.IntN(3))
	d.FailbackDelay = time.Duration(w.dice.IntN(20)) * time.Second
	d.OnNoServer = model.NoServer(d.FailbackDelay / time.Second % 2) // no dice of its own: the seeds keep their traces
	d.LastActive, d.HoldDown, d.Fence, d.Promote = 0, 0, model.Hook{}, model.Hook{}
	if w.chance(50) {
		d.LastActive = time.Duration(w.dice.IntN(30)) * time.Second
	}
	if w.chance(30) {
		d.HoldDown = time.Duration(w.dice.IntN(60)) * time.Second
	}
	d.Sync = w.sync()
	hook := model.Hook{Command: "/etc/fairlead/hook", Timeout: 30 * time.Second}
	if w.chance(40) {
		d.Fence = hook
		d.Fence.Policy = model.HookPolicy(w.dice.IntN(5) / 4)
	}
	if w.chance(30) {
		d.Promote = hook
		d.Promote.Policy = model.HookPolicy(w.dice.IntN(5) / 4)
	}
}

// withServer adds a server under the first name that is free.
func (w *world) withServer(all []model.Server) []model.Server {
	for n := range 5 {
		name := fmt.Sprintf("s%d", n)
		if slices.ContainsFunc(all, func(s model.Server) bool { return s.Name == name }) {
			continue
		}
		s := model.Server{Name: name, Addr: w.serverAddr(), Weight: 1 + w.dice.IntN(5), Check: w.chance(75), Sorry: w.chance(30)}
		if w.chance(85) && slices.ContainsFunc(all, func(s model.Server) bool { return !s.Sorry }) {
			s.Sorry = true // else it is balanced
		}
		if w.chance(10) {
			s.Weight = 0
		}
		return slices.Insert(slices.Clone(all), w.dice.IntN(len(all)+1), s)
	}
	return all
}

// changed is the configuration after somebody edited it, perhaps not at all.
func (w *world) changed(cfg model.Config) model.Config {
	cfg.Directors = slices.Clone(cfg.Directors)
	switch n := w.dice.IntN(100); {
	case n < 15:
	case n < 25:
		return w.newConfig()
	case n < 40 && len(cfg.Directors) > 0: // a director vanishes
		i := w.dice.IntN(len(cfg.Directors))
		cfg.Directors = slices.Delete(cfg.Directors, i, i+1)
	case n < 55: // one appears or returns, another is made anew
		i := w.dice.IntN(3)
		name := fmt.Sprintf("d%d", i)
		cfg.Directors = slices.DeleteFunc(cfg.Directors, func(d model.Director) bool { return d.Name == name })
		cfg.Directors = append(cfg.Directors, w.newDirector(i))
	case len(cfg.Directors) > 0:
		i := w.dice.IntN(len(cfg.Directors))
		cfg.Directors[i] = w.edited(cfg.Directors[i])
	}
	cfg.Flows = w.flows(cfg)
	return cfg
}

func (w *world) edited(d model.Director) model.Director {
	d.Servers = slices.Clone(d.Servers)
	if len(d.Servers) == 0 {
		d.Servers = w.withServer(d.Servers)
		return d
	}
	i := w.dice.IntN(len(d.Servers))
	switch w.dice.IntN(10) {
	case 0:
		d.Servers[i].Weight = w.dice.IntN(6)
	case 1:
		d.Servers[i].Weight = 0
	case 2:
		d.Servers[i].Addr = w.serverAddr()
	case 3:
		d.Servers[i].Check = !d.Servers[i].Check
	case 4:
		d.Servers[i].Sorry = !d.Servers[i].Sorry
	case 5:
		d.Servers = slices.Delete(d.Servers, i, i+1)
	case 6:
		d.Servers = w.withServer(d.Servers)
	case 7:
		d.Check.Rise, d.Check.Fall = 1+w.dice.IntN(3), 1+w.dice.IntN(3)
		d.Check.Port = [...]uint16{80, model.NFSPort}[w.dice.IntN(2)]
	case 8:
		w.failover(&d)
	case 9:
		d.Sync.MaxLag = time.Duration(w.dice.IntN(20)) * time.Second
	}
	return d
}
