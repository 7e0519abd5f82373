package agent

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"fairlead/internal/announce"
	"fairlead/internal/decide"
	"fairlead/internal/desk"
	"fairlead/internal/freshness"
	"fairlead/internal/hold"
	"fairlead/internal/model"
	"fairlead/internal/probe"
	"fairlead/internal/rounds"
)

// loop owns the state. Only its goroutine touches what is in here.
type loop struct {
	*Agent
	state      decide.State
	loaded     desk.Loaded
	generation uint64
	since      time.Time // start of the daemon
	hookTime   map[string]time.Duration
	refused    string // why the last reload was refused; "": it was not

	links map[string]model.Link
	held  map[netip.Addr]bool // virtual IPs that an earlier daemon announced

	ctx   context.Context // of the daemon
	group *errgroup.Group

	memory    remembrance
	desired   model.Desired // after the last event
	kernel    kernel
	switches  map[string]record // the last one of each director
	rounds    *rounds.Rounds
	reports   chan rounds.Report
	hooks     map[string]context.CancelFunc // that end the hook that runs, by director
	due       map[string]decide.RunHook     // hooks that wait for the kernel or for the one before, by director
	hookEnds  chan hookEnd
	returns   map[string]context.CancelFunc // that end the looks for the first client, by director
	comebacks chan comeback
	notes     []model.Event // for the journal, held back

	complaints map[string]complaint
	keeper     *hold.Keeper
	expired    time.Time          // when the keeper dropped what was too old
	unkept     int                // SYNs that found no room
	onHold     map[string]bool    // directors that were on hold since their last release
	releases   map[string]release // that wait for the kernel
	framing    sync.Mutex         // held by the one goroutine that sends frames on
	sentOns    chan sentOn
	lost       losses // sightings
	crowded    losses // connections that found no room

	asked    uint64           // the last order's ID
	awaiting map[uint64]order // orders without their answer

	paths paths

	later time.Time // when events that led to no action are carried out at the latest; zero: there are none

	// What the parts were told last.
	targets []probe.Target
	copies  []freshness.Target
	wants   []announce.Want
	kept    kept
}

func newLoop(ctx context.Context, a *Agent, group *errgroup.Group) *loop {
	// A round may report while the loop is busy with an Apply.
	reports := make(chan rounds.Report, 16)
	return &loop{
		Agent:     a,
		loaded:    a.first,
		since:     time.Now(),
		links:     make(map[string]model.Link),
		held:      make(map[netip.Addr]bool),
		ctx:       ctx,
		group:     group,
		memory:    remembrance{store: a.parts.Memory, log: a.log, done: make(chan error, 1)},
		kernel:    kernel{plane: a.parts.Plane, log: a.log},
		switches:  make(map[string]record),
		rounds:    rounds.New(ctx, group, a.parts.Plane, a.parts.Resets, reports),
		reports:   reports,
		hooks:     make(map[string]context.CancelFunc),
		due:       make(map[string]decide.RunHook),
		hookEnds:  make(chan hookEnd),
		returns:   make(map[string]context.CancelFunc),
		comebacks: make(chan comeback),

		complaints: make(map[string]complaint),
		keeper:     hold.New(keepMost),
		onHold:     make(map[string]bool),
		releases:   make(map[string]release),
		sentOns:    make(chan sentOn),

		awaiting: make(map[uint64]order),
	}
}

// begin adopts what the kernel and the disk hold: the choices, and the virtual
// IPs that are announced already. All of it is known before the first Apply, and
// the links come first: a desired value without them would take the data plane down.
func (l *loop) begin() error {
	applied, err := l.parts.Plane.Applied()
	if err != nil {
		return fmt.Errorf("adopt what the data plane holds: %w", err)
	}
	if err := l.refuseEmpty(applied); err != nil {
		return err
	}
	found := decide.Configured{At: now(), Config: l.loaded.Config, Adopted: applied.Directors}
	at := found.At
	if found.Memory, err = l.parts.Memory.Load(); err != nil {
		found.Lost = err.Error()
	}
	var actions []decide.Action
	for _, link := range l.loaded.Links {
		l.links[link.Name] = link
		actions = append(actions, l.step(decide.Linked{At: at, Link: link})...)
	}
	actions = append(actions, l.step(found)...)
	for addr, vip := range applied.VIPs {
		if vip.Announce {
			l.held[addr] = true
			held := model.VIPStatus{Addr: addr, State: model.VIPAnnounced}
			actions = append(actions, l.step(decide.VIPSeen{At: at, VIP: held})...)
		}
	}
	l.generation, l.hookTime = 1, hookTimes(l.loaded.Config)
	l.equip(l.loaded.Config)
	l.kernel.adopt(applied, at.At)
	l.noteStart(at.At)
	l.finish(at.At, actions)
	for name := range applied.Directors {
		l.resume(name)
	}
	return nil
}

// refuseEmpty keeps an empty configuration from taking a service away that an
// earlier daemon left running: its files may have been cut short.
func (l *loop) refuseEmpty(applied model.Applied) error {
	if len(applied.VIPs) == 0 || len(l.loaded.Config.Flows) > 0 {
		return nil
	}
	return fmt.Errorf("the configuration is empty, but the data plane forwards %d virtual IPs, and goes on; put the files back, or stop forwarding with fairlead detach", len(applied.VIPs))
}

// run handles one thing at a time until ctx ends.
func (l *loop) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	awake := time.NewTicker(turnEvery)
	defer awake.Stop()
	for {
		l.turn()
		timer.Reset(l.pause())
		select {
		case <-ctx.Done():
			l.memory.last()
			return nil
		case <-awake.C:
		case r := <-l.parts.Results:
			l.probed(r)
		case m := <-l.parts.Measured:
			l.handleSoon(decide.Measured{At: now(), Result: m}, unhurried)
		case f := <-l.parts.Facts:
			l.fact(f)
		case v := <-l.parts.Seen:
			l.handleSoon(decide.VIPSeen{At: now(), VIP: v}, prompt)
		case o := <-l.orders:
			l.take(o)
		case n := <-l.loads:
			l.load(n)
		case r := <-l.reports:
			l.report(r)
		case s := <-l.sightings:
			l.sighted(s)
		case c := <-l.comebacks:
			l.cameBack(c)
		case h := <-l.hookEnds:
			l.hookEnded(h)
		case err := <-l.memory.done:
			l.memory.ended(err)
			l.finish(time.Now(), nil)
		case s := <-l.sentOns:
			l.wentOn(s)
		case n := <-l.losses:
			l.loss(n)
		case <-timer.C:
			l.tick()
		}
	}
}

func now() decide.At { return decide.At{At: time.Now()} }

// pause is how long nothing is due.
func (l *loop) pause() time.Duration {
	due := l.kernel.due()
	for _, d := range []time.Time{l.state.Deadline(), l.memory.due(), l.later} {
		if !d.IsZero() && d.Before(due) {
			due = d
		}
	}
	// Never zero: a deadline that stays in the past must not spin.
	return max(time.Until(due), time.Millisecond)
}

// tick does what is due: the decisions' deadline, and by finish whatever the
// kernel needs.
func (l *loop) tick() {
	at := now()
	if d := l.state.Deadline(); !d.IsZero() && !d.After(at.At) {
		l.handle(decide.Ticked{At: at})
		return
	}
	l.finish(at.At, nil)
}

const (
	// unhurried is how long a result that led to nothing may wait: a thousand servers
	// have a hundred results a second.
	unhurried = 100 * time.Millisecond
	// prompt is how long a new MAC address of a server may, which the data plane needs, or
	// a new state of a virtual IP: ten thousand are taken at a start.
	prompt = 5 * time.Millisecond
)

// batch is how many results are taken up together, at most.
const batch = 1000

// probed takes the outcome of a probe, and those of others that wait behind it: at a
// start a thousand servers are up within a second, and each would be carried out
// alone. A switch, or whatever else is not just told, waits for no further one.
func (l *loop) probed(r model.ProbeResult) {
	var actions []decide.Action
	var at decide.At
	for n := 1; ; n++ {
		l.history.add(r)
		l.parts.Metrics.Probed(r)
		at = now()
		more := l.step(decide.Probed{At: at, Result: r})
		actions = append(actions, more...)
		if n == batch || slices.ContainsFunc(more, pressing) {
			break
		}
		select {
		case r = <-l.parts.Results:
			continue
		default:
		}
		break
	}
	l.soon(at.At, actions, unhurried)
}

// pressing tells whether an action is more than an entry for the journal or a
// question.
func pressing(a decide.Action) bool {
	switch a.(type) {
	case decide.Told, decide.ProbeNow:
		return false
	}
	return true
}

// handleSoon handles an event of which there may be thousands. One that leads to no
// action may wait so long until it is carried out and shown, together with others.
func (l *loop) handleSoon(e decide.Event, wait time.Duration) {
	l.soon(e.When(), l.step(e), wait)
}

// soon carries out actions at once, and what led to none a little later.
func (l *loop) soon(at time.Time, actions []decide.Action, wait time.Duration) {
	if len(actions) > 0 {
		l.finish(at, actions)
		return
	}
	if by := at.Add(wait); l.later.IsZero() || by.Before(l.later) {
		l.later = by
	}
}

// handle takes one event from the decision to its last effect.
func (l *loop) handle(e decide.Event) { l.finish(e.When(), l.step(e)) }

func (l *loop) step(e decide.Event) []decide.Action {
	var actions []decide.Action
	l.state, actions = decide.Step(l.state, e)
	return actions
}

// finish brings everything to the desired value, publishes the outcome, and
// performs the actions. The order matters: the disk before the data plane, so
// that no reboot forgets a switch that happened; the data plane before the
// clients and the hooks, so that nobody is reset, let go, fenced or promoted while
// packets would still reach the old server; and an order is answered when the status shows it.
func (l *loop) finish(at time.Time, actions []decide.Action) {
	l.later = time.Time{}
	for _, a := range actions {
		switch a := a.(type) {
		case decide.Switched:
			l.record(at, a)
		case decide.Told:
			l.note(a.Event)
		case decide.Release:
			l.orderRelease(a.Director, switches(actions, a.Director))
		}
	}
	l.memory.keep(l.state.Memory())
	l.desired = l.state.Desired()
	l.noteHolds()
	if l.kernel.reconcile(l.desired) {
		l.confirm()
	}
	l.release(at)
	l.tell()
	l.publish(at)
	for _, a := range actions {
		l.perform(a, actions)
	}
	l.moveHooks()
	l.enterNotes()
}

// perform does what an action asks for, but for those that finish has seen to.
func (l *loop) perform(a decide.Action, all []decide.Action) {
	switch a := a.(type) {
	case decide.ProbeNow:
		l.parts.Prober.Now(a.Ref, a.Timeout)
	case decide.RunHook:
		l.due[a.Director] = a // begun by moveHooks, like one that waited; in place of an older one
	case decide.Reply:
		l.reply(a, all)
	case decide.Switched, decide.Told, decide.Release:
	}
}

// load takes a configuration into force, or notes why it was refused.
func (l *loop) load(n load) {
	at := now()
	if n.refused != nil {
		l.refused = n.refused.Error()
		l.noteReload(at.At, n.by, n.refused)
		l.finish(at.At, nil)
		n.answer <- l.generation
		return
	}
	l.refused = ""
	l.loaded, l.hookTime = n.loaded, hookTimes(n.loaded.Config)
	l.equip(n.loaded.Config)
	l.generation++
	l.noteReload(at.At, n.by, nil)
	l.handle(decide.Configured{At: at, Config: n.loaded.Config})
	l.resetMoved()
	n.answer <- l.generation
}

// resetMoved resets what a new configuration has made old without a switch: the
// connections of a virtual IP that went to another director.
func (l *loop) resetMoved() {
	traffic, err := l.parts.Plane.Traffic()
	if err != nil {
		l.log.Error("old connections cannot be counted", "error", err)
		return
	}
	old := make(map[string]bool)
	for ref, n := range traffic.Conns {
		old[ref.Director] = old[ref.Director] || n.Old > 0
	}
	for _, d := range l.desired.Directors {
		if old[d.Name] {
			l.rounds.Start(l.job(d, d.Silent))
		}
	}
}
