package decide

import (
	"flag"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"

	"fairlead/internal/model"
)

var (
	seedFlag   = flag.Uint64("seed", 0, "replay only the trace of this seed")
	tracesFlag = flag.Uint64("traces", 10_000, "traces of the simulation")
)

const eventsPerTrace = 200

// TestSimulation plays random traces and lets a witness judge every event. A
// failure names its seed; replay it with
//
//	go test ./internal/decide -run TestSimulation -seed N
func TestSimulation(t *testing.T) {
	if *seedFlag != 0 {
		if err := play(*seedFlag, newWitness(), true); err != nil {
			t.Fatalf("seed %d: %v", *seedFlag, err)
		}
		return
	}
	reached, failed := playAll(*tracesFlag)
	for _, f := range failed {
		t.Errorf("seed %d: %v", f.seed, f.err)
	}
	if len(failed) > 0 {
		return
	}
	for _, r := range model.Reasons() {
		if r != model.ReasonNone && !reached.reasons[r] {
			t.Errorf("reason %v was never reached", r)
		}
	}
	for _, k := range []model.EventKind{model.EventSuspect, model.EventHealth, model.EventHold, model.EventFence,
		model.EventPromote, model.EventVerify, model.EventFlip, model.EventStay, model.EventCopy} {
		if !reached.kinds[k] {
			t.Errorf("no entry of kind %v was ever told", k)
		}
	}
	for step := model.StepNone; step <= model.StepOrder; step++ {
		if !reached.steps[step] {
			t.Errorf("step %v was never reached", step)
		}
	}
	for kind := stayNone; kind <= stayStale; kind++ {
		if !reached.stays[kind] {
			t.Errorf("stay %v was never reached", kind)
		}
	}
}

// reached is what the traces came to.
type reached struct {
	reasons map[model.Reason]bool
	kinds   map[model.EventKind]bool
	steps   map[model.Step]bool
	stays   map[stayKind]bool
}

func nothing() reached {
	return reached{map[model.Reason]bool{}, map[model.EventKind]bool{}, map[model.Step]bool{}, map[stayKind]bool{}}
}

func (r reached) add(o reached) {
	maps.Copy(r.reasons, o.reasons)
	maps.Copy(r.kinds, o.kinds)
	maps.Copy(r.steps, o.steps)
	maps.Copy(r.stays, o.stays)
}

type failure struct {
	seed uint64
	err  error
}

// playAll plays the traces on all processors. It returns what they came to
// and, for each processor, the first trace that failed.
func playAll(traces uint64) (reached, []failure) {
	var (
		mu     sync.Mutex // guards the following
		all    = nothing()
		failed []failure
		group  sync.WaitGroup
	)
	// States are short-lived: a larger heap than the usual few MB saves a third of the time.
	defer debug.SetGCPercent(debug.SetGCPercent(1000))
	workers := uint64(runtime.GOMAXPROCS(0))
	for first := range workers {
		group.Go(func() {
			mine := nothing()
			var failure *failure
			for seed := first + 1; seed <= traces && failure == nil; seed += workers {
				failure = playOne(seed, mine)
			}
			mu.Lock()
			defer mu.Unlock()
			all.add(mine)
			if failure != nil {
				failed = append(failed, *failure)
			}
		})
	}
	group.Wait()
	return all, failed
}

func playOne(seed uint64, all reached) *failure {
	w := newWitness()
	w.reached = all
	if err := play(seed, w, seed%256 == 1); err != nil {
		return &failure{seed, err}
	}
	return nil
}

// moment is a state as it was given to Step, and how it looked then.
type moment struct {
	state   State
	looked  string
	event   Event
	actions []Action
}

// play plays one trace. A thorough one also checks that no state that was ever
// given to Step has changed since, and that a replay comes to the same.
func play(seed uint64, w *witness, thorough bool) error {
	var (
		world   = newWorld(seed)
		state   State
		history []moment
	)
	var event Event = Configured{At: At{world.now}, Config: world.config}
	restart := false
	for n := range eventsPerTrace {
		if restart {
			world.pass(state)
			event = Configured{At: At{world.now}, Config: world.config}
		} else if n > 0 {
			event, restart = world.next(state)
		}
		if restart {
			state, event, restart = State{}, w.restart(event.(Configured), world), false
		}
		if thorough {
			history = append(history, moment{state: state, looked: look(state), event: event})
		}
		w.see(state, event)
		next, actions := Step(state, event)
		if thorough {
			history[n].actions = actions
		}
		if err := w.judge(next, event, actions); err != nil {
			return fmt.Errorf("event %d: %w, after %s", n, err, said(event))
		}
		if n%16 == 0 {
			if err := shown(next); err != nil {
				return fmt.Errorf("event %d, %T: %w", n, event, err)
			}
		}
		state = next
		world.learn(only[RunHook](actions))
		if restart = w.settle(state, world); !restart {
			w.performed(only[RunHook](actions))
		}
	}
	return replay(history)
}

// said is an event as text; a configuration is too long to be read.
func said(e Event) string {
	if _, ok := e.(Configured); ok {
		return "a configuration"
	}
	return fmt.Sprintf("%T %+v", e, e)
}

// look is everything in a state, as text.
func look(s State) string {
	absent := maps.Clone(s.absent)
	text := ""
	for _, name := range slices.Sorted(maps.Keys(absent)) {
		if m := absent[name]; m.Pending != nil {
			text += fmt.Sprintf("%+v", *m.Pending) // not its address
			m.Pending = nil
			absent[name] = m
		}
	}
	s.absent = absent
	return fmt.Sprintf("%+v", s) + text
}

func replay(history []moment) error {
	for n, m := range history {
		if look(m.state) != m.looked {
			return fmt.Errorf("the state before event %d, %T, was changed", n, m.event)
		}
		next, actions := Step(m.state, m.event)
		if !reflect.DeepEqual(actions, m.actions) {
			return fmt.Errorf("event %d, %T: a replay gives %v, not %v", n, m.event, actions, m.actions)
		}
		last := n+1 == len(history)
		if !last && history[n+1].looked != look(State{}) && look(next) != history[n+1].looked {
			return fmt.Errorf("event %d, %T: a replay leads to another state", n, m.event)
		}
	}
	return nil
}

// shown: what is desired of the kernel and what people see agree.
func shown(s State) error {
	want, status := s.Desired(), s.Status()
	if len(want.Directors) != len(status) {
		return fmt.Errorf("%d directors are desired, %d shown", len(want.Directors), len(status))
	}
	for i, st := range status {
		if err := agree(want.Directors[i], st); err != nil {
			return fmt.Errorf("director %s: %w", st.Name, err)
		}
	}
	for _, v := range want.Rules.VIPs {
		if iface, own := s.net.Owner(v.Addr); own {
			return fmt.Errorf("claims %s, which is an address of %s", v.Addr, iface)
		}
		state := s.vip(v.Addr).State
		if state != model.VIPConflict && v.Announce != (state == model.VIPAnnounced) {
			return fmt.Errorf("%s: announce %v, but it is %v", v.Addr, v.Announce, s.vip(v.Addr).State)
		}
	}
	for _, a := range s.Alarms() {
		if a.What == "" || a.Why == "" || a.Do == "" {
			return fmt.Errorf("alarm %+v does not say what, why and what to do", a)
		}
	}
	return nil
}

func agree(d model.DesiredDirector, st model.DirectorStatus) error {
	adopted := st.Reason == model.ReasonAdopted
	if d.Name != st.Name || d.Active != st.Desired || d.Epoch != st.Epoch || d.Reason != st.Reason && !adopted ||
		d.Since != unixNano(st.Since) || len(d.Servers) != len(st.Servers) {
		return fmt.Errorf("desired %+v, shown %+v", d, st)
	}
	for i, srv := range st.Servers {
		if d.Servers[i].Name != srv.Name || d.Servers[i].MAC != srv.MAC || srv.Name == d.Active && d.MAC != srv.MAC {
			return fmt.Errorf("MAC of %s: desired %v, shown %v", srv.Name, d.Servers[i].MAC, srv.MAC)
		}
	}
	return nil
}
