package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/model"
	"fairlead/internal/netstate"
)

func TestFirstStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(600*time.Millisecond + prompt) // until the announcer has found the address free
		s := b.agent.Status()
		d := s.Directors[0]
		if d.Desired != "nfs-01" || d.Applied != "nfs-01" || d.Epoch != 1 || d.Reason != model.ReasonFirst {
			t.Errorf("director: got %+v", d)
		}
		if d.LastSwitch == nil || d.LastSwitch.AppliedMono == 0 || d.LastSwitch.DecidedMono > d.LastSwitch.AppliedMono {
			t.Errorf("last switch: got %+v", d.LastSwitch)
		}
		if one, two := d.Servers[0], d.Servers[1]; one.Health != model.HealthUp || !one.Active || !one.MAC.Known() || two.Health != model.HealthUnchecked || two.Active {
			t.Errorf("servers: got %+v", d.Servers)
		}
		if f := s.Flows[0]; !f.Applied || f.VIPs[0].State != model.VIPAnnounced || f.Total.Packets != 7 {
			t.Errorf("flow: got %+v", f)
		}
		if i := s.Interfaces[0]; i.Name != "eth0" || i.Applied != "generic" || !i.Up {
			t.Errorf("interface: got %+v", i)
		}
		if len(s.Alarms) != 0 || s.Generation != 1 || s.Version != "test" {
			t.Errorf("status: got %+v", s)
		}
		b.wantLines(b.only("announce"),
			"announce 192.168.10.50 on eth0 held=false answering=false",
			"announce 192.168.10.50 on eth0 held=false answering=true")
		b.end()
	})
}

func TestFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		b.plane.connect(1001, 1002, 1003)
		b.plane.end(1003)
		b.plane.set(func(p *fakePlane) {
			p.conns = append(p.conns, model.Connection{Director: "another", Server: "nfs-01", Old: true})
			// A packet that was in flight at the switch brings one more.
			p.onSettle = func() {
				p.conns = append(p.conns, model.Connection{Client: netip.MustParseAddrPort("192.168.10.10:1004"),
					VIP: p.conns[0].VIP, Director: "nfs", Server: "nfs-01", Old: true})
				p.onSettle = nil
			}
		})
		from := b.len()
		b.prober.kill("nfs-01", true)
		b.until("nfs-02")
		b.wantLines(b.since(from), "apply nfs=nfs-02", "reset 1001 1002 1003", "settle", "reset 1004", "reset servers by eth0: 1001 1002 1003")

		from = b.len()
		b.plane.end(1001, 1004)
		pass(600 * time.Millisecond)
		b.wantLines(b.since(from), "reset 1002")
		if s := b.director().LastSwitch; s.Known != 3 || s.Reset != 3 || s.Ended != 2 {
			t.Errorf("record: got %+v", s)
		}
		b.plane.end(1002)
		from = b.len()
		pass(600 * time.Millisecond)
		b.wantLines(b.since(from), "sweep nfs: 0 old")

		d := b.director()
		s := d.LastSwitch
		if d.Applied != "nfs-02" || s.From != "nfs-01" || s.Reason != model.ReasonFailed || s.Known != 3 || s.Reset != 3 || s.Ended != 3 {
			t.Errorf("got %+v, %+v", d, s)
		}
		if s.DecidedMono <= 0 || s.AppliedMono < s.DecidedMono || s.ResetMono < s.AppliedMono || s.FirstAttempt.IsZero() {
			t.Errorf("instants: got %+v", s)
		}
		from = b.len()
		pass(time.Hour)
		for _, line := range b.since(from) {
			if strings.HasPrefix(line, "reset") || strings.HasPrefix(line, "sweep") {
				t.Errorf("after the end: %s", line)
			}
		}
		b.end()
	})
}

// TestResetsEnd: a client that never answers is not pestered for ever, and is
// swept until the table has forgotten it.
func TestResetsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		b.plane.connect(1001)
		from := b.len()
		b.prober.kill("nfs-01", true)
		pass(time.Minute)
		resets, sweeps := 0, 0
		for _, line := range b.since(from) {
			if line == "reset 1001" {
				resets++
			}
			if line == "sweep nfs: 1 old" {
				sweeps++
			}
		}
		if resets != 1+6 || sweeps < 10 || b.sender.packets[1001] != model.MostPackets {
			t.Errorf("got %d resets, %d packets and %d sweeps", resets, b.sender.packets[1001], sweeps)
		}
		if s := b.director().LastSwitch; s.Known != 1 || s.Reset != 1 || s.Ended != 0 {
			t.Errorf("record: got %+v", s)
		}
		b.end()
	})
}

func TestApplyFailsAndIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		b.plane.connect(1001)
		from := b.len()
		b.plane.set(func(p *fakePlane) { p.refuse = errRefused })
		b.prober.kill("nfs-01", true)
		pass(10 * time.Second)

		d := b.director()
		if d.Desired != "nfs-02" || d.Applied != "nfs-01" || !strings.Contains(d.Why, "verifier") || d.LastSwitch.AppliedMono != 0 {
			t.Errorf("got %+v, %+v", d, d.LastSwitch)
		}
		if a := b.agent.Status().Alarms; len(a) == 0 || a[len(a)-1].Why != errRefused.Error() {
			t.Errorf("alarms: got %+v", a)
		}
		tries := b.since(from)
		for _, line := range tries {
			if line != "apply refused" {
				t.Errorf("while the data plane has the old server: %s", line)
			}
		}
		if len(tries) < 6 || len(tries) > 12 {
			t.Errorf("tried %d times in 10 s", len(tries))
		}
		b.plane.set(func(p *fakePlane) { p.refuse = nil })
		from = b.len()
		pass(retryMost)
		b.wantLines(b.since(from)[:2], "apply nfs=nfs-02", "reset 1001")
		if d := b.director(); d.Applied != "nfs-02" || d.Why != "" || d.LastSwitch.AppliedMono-d.LastSwitch.DecidedMono < int64(time.Second) {
			t.Errorf("got %+v, %+v", d, d.LastSwitch)
		}
		b.end()
	})
}

// TestDriftHeals: what somebody else took out of the kernel comes back.
func TestDriftHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		b.plane.set(func(p *fakePlane) { delete(p.held.Directors, "nfs") })
		if got := b.director().Applied; got != "" {
			t.Errorf("shown as applied: %q", got)
		}
		pass(refresh)
		if got := b.director().Applied; got != "nfs-01" {
			t.Errorf("after a refresh: got %q", got)
		}
		b.end()
	})
}

func TestOrderedSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		done, err := b.order(t.Context(), ref("nfs-02"))
		if err != nil || done.To != "nfs-02" || done.Reason != model.ReasonOperator || done.AppliedMono == 0 || b.plane.active() != "nfs-02" {
			t.Errorf("got %+v, %v", done, err)
		}
		if _, err := b.order(t.Context(), ref("nfs-09")); err == nil || !strings.Contains(err.Error(), "nfs-09") {
			t.Errorf("an unknown server: got %v", err)
		}
		b.plane.set(func(p *fakePlane) { p.refuse = errRefused })
		if _, err := b.order(t.Context(), ref("nfs-01")); !errors.Is(err, errRefused) || !strings.Contains(err.Error(), "tried again") {
			t.Errorf("while Apply fails: got %v", err)
		}
		// The kernel has nfs-02, but of the epoch before: that is not this switch.
		if done, err := b.order(t.Context(), ref("nfs-02")); !errors.Is(err, errRefused) || done.AppliedMono != 0 {
			t.Errorf("back while Apply fails: got %+v, %v", done, err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.order(gone, ref("nfs-01")); !errors.Is(err, context.Canceled) {
			t.Errorf("after the client has left: got %v", err)
		}
		b.end()
	})
}

// TestNewerSwitchSupersedes: the series of the first switch ends, and every old
// connection is in the second's.
func TestNewerSwitchSupersedes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		b.plane.connect(1001)
		if _, err := b.order(t.Context(), ref("nfs-02")); err != nil {
			t.Fatal(err)
		}
		pass(100 * time.Millisecond)
		b.plane.connect(1002)
		from := b.len()
		if _, err := b.order(t.Context(), ref("nfs-01")); err != nil {
			t.Fatal(err)
		}
		pass(700 * time.Millisecond)
		b.wantLines(b.since(from), "apply nfs=nfs-01", "reset 1001 1002", "settle", "reset servers by eth0: 1001 1002", "reset 1001 1002")
		b.end()
	})
}

func TestSilentSwitchSendsNoReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.files.set(b.files.get() + "sysctl expire_nodest_conn=0\n")
		b.start(nil)
		pass(2 * time.Second)
		b.plane.connect(1001)
		from := b.len()
		if _, err := b.order(t.Context(), ref("nfs-02")); err != nil {
			t.Fatal(err)
		}
		pass(5 * time.Second)
		b.wantLines(b.since(from), "apply nfs=nfs-02", "sweep nfs: 1 old", "sweep nfs: 1 old")
		b.end()
	})
}

// TestReloadResetsMoved: a reload that hands a virtual IP to another director
// makes connections old without a switch.
func TestReloadResetsMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		b.plane.connect(1001, 1002)
		b.plane.mu.Lock()
		b.plane.conns[1].Old = true
		b.plane.mu.Unlock()
		from := b.len()
		if _, err := b.agent.Reload(t.Context(), operator); err != nil {
			t.Fatal(err)
		}
		pass(0)
		if got := b.since(from); !slices.Contains(got, "reset 1002") {
			t.Errorf("got %q, want the old connection reset", got)
		}
		b.plane.end(1002)
		b.end()
	})
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		from := b.len()
		before := b.agent.Status()

		b.files.set(strings.Replace(note, "balance", "blance", 1))
		_, err := b.agent.Reload(t.Context(), operator)
		var found *api.Error
		if !errors.As(err, &found) || len(found.Diagnostics) == 0 || !strings.Contains(found.Message, "nothing was changed") {
			t.Errorf("a bad configuration: got %#v", err)
		}
		b.files.set(strings.Replace(note, "192.168.10.50", "192.168.10.2", 1))
		if _, err = b.agent.Reload(t.Context(), operator); !errors.As(err, &found) ||
			!slices.ContainsFunc(found.Diagnostics, func(d api.Diagnostic) bool { return strings.Contains(d.Message, "claims 192.168.10.2,") }) {
			t.Errorf("the machine's own address: got %#v", err)
		}
		after := b.agent.Status()
		if after.Generation != 1 || fmt.Sprint(after.Directors[0].Servers[0].Health, after.Directors[0].Applied) != fmt.Sprint(before.Directors[0].Servers[0].Health, before.Directors[0].Applied) {
			t.Errorf("something changed: %+v", after)
		}
		if len(after.Alarms) != 1 || !strings.Contains(after.Alarms[0].What, "reload was refused") || !strings.Contains(after.Alarms[0].Do, "fairlead check --host -f ") {
			t.Errorf("alarms: got %+v", after.Alarms)
		}
		b.wantLines(b.since(from))

		b.files.set(strings.Replace(note, "interval 10", "interval 7", 1))
		done, err := b.agent.Reload(t.Context(), operator)
		if s := b.agent.Status(); err != nil || done.Generation != 2 || s.Generation != 2 || len(s.Alarms) != 0 || s.Directors[0].Epoch != 1 {
			t.Errorf("a good configuration: got %+v, %v, %+v", done, err, s)
		}
		b.files.set(strings.Replace(note, "nfs-02", "nfs-99", 1))
		b.hangups <- syscall.SIGHUP
		pass(0)
		if d := b.director(); d.Servers[1].Name != "nfs-99" {
			t.Errorf("after a hangup: got %+v", d.Servers)
		}
		b.end()
	})
}

func TestStopLeavesTheDataPlane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		b.plane.connect(1001)
		if _, err := b.order(t.Context(), ref("nfs-02")); err != nil {
			t.Fatal(err)
		}
		from := b.len()
		b.end()
		pass(time.Hour)
		for _, line := range b.since(from) {
			if strings.HasPrefix(line, "apply") || strings.HasPrefix(line, "announce") {
				t.Errorf("after the stop: %s", line)
			}
		}
		if b.plane.active() != "nfs-02" || len(b.plane.held.Ifaces) != 1 {
			t.Errorf("the kernel holds %+v", b.plane.held)
		}
	})
}

func TestPartThatFailsEndsTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(func() { b.announcer.fail = errRefused })
		err := <-b.ended
		if !errors.Is(err, errRefused) || !strings.Contains(err.Error(), "announcer") {
			t.Errorf("got %v", err)
		}
		b.stop()
		b.start(func() { b.announcer.quit = true })
		if err := <-b.ended; err == nil || !strings.Contains(err.Error(), "run the announcer: it ended by itself") {
			t.Errorf("a part that ends without a word: got %v", err)
		}
		b.stop()
	})
}

func TestUnreadableKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		b.plane.set(func(p *fakePlane) { p.unread = errRefused })
		pass(lasts)
		s := b.agent.Status()
		if s.Directors[0].Applied != "" || s.Directors[0].Desired != "nfs-01" || s.Flows[0].Applied || s.Interfaces[0].Applied != "" {
			t.Errorf("shown although it was not read: %+v", s)
		}
		if len(s.Alarms) != 1 || !strings.Contains(s.Alarms[0].What, "not known") {
			t.Errorf("alarms: got %+v", s.Alarms)
		}
		b.end()

		b.plane = newFakePlane(b.journal)
		b.plane.unread = errRefused
		from := b.len()
		b.start(nil)
		if err := <-b.ended; !errors.Is(err, errRefused) || len(b.since(from)) != 0 {
			t.Errorf("a start on an unreadable kernel: got %v, %q", err, b.since(from))
		}
		b.stop()
	})
}

func TestStatusIsReadOncePerInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		before := b.plane.traffics.Load()
		for range 10 {
			b.agent.Status()
		}
		if n := b.plane.traffics.Load() - before; n != 1 {
			t.Errorf("read %d times for ten people at once", n)
		}
		// After a switch nobody is shown what was before it.
		if _, err := b.order(t.Context(), ref("nfs-02")); err != nil {
			t.Fatal(err)
		}
		if got := b.director().Applied; got != "nfs-02" {
			t.Errorf("after a switch: got %q", got)
		}
		b.end()
	})
}

func TestConflictNamesTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		b.seen <- model.VIPStatus{Addr: netip.MustParseAddr("192.168.10.50"), State: model.VIPConflict, Why: "192.168.10.50 is answered by 02:00:00:00:00:64"}
		pass(prompt)
		alarms := b.agent.Status().Alarms
		if len(alarms) != 1 || !strings.Contains(alarms[0].What, "the real server nfs-01") || !strings.Contains(alarms[0].Do, "arp_ignore=1") {
			t.Errorf("got %+v", alarms)
		}
		b.end()
	})
}

func TestFactsOfTheNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		pass(2 * time.Second)
		link := model.Link{Name: "eth0", Index: 2, Up: true, MAC: model.MAC{2, 0, 0, 0, 0, 2}, Addrs: []netip.Prefix{netip.MustParsePrefix("192.168.10.2/24")}}
		b.watcher.facts <- netstate.Fact{Link: &netstate.LinkFact{Link: link, Gone: true}}
		pass(0)
		if s := b.agent.Status(); s.Interfaces[0].Up || len(s.Alarms) != 1 || !strings.Contains(s.Alarms[0].What, "does not exist") {
			t.Errorf("a link that is gone: got %+v, %+v", s.Interfaces, s.Alarms)
		}
		b.watcher.facts <- netstate.Fact{Link: &netstate.LinkFact{Link: link}}
		pass(0)
		if s := b.agent.Status(); !s.Interfaces[0].Up || len(s.Alarms) != 0 {
			t.Errorf("a link that returned: got %+v, %+v", s.Interfaces, s.Alarms)
		}
		link.Up = false
		b.watcher.facts <- netstate.Fact{Link: &netstate.LinkFact{Link: link}}
		pass(0)
		if s := b.agent.Status(); s.Interfaces[0].Up || len(s.Alarms) != 1 {
			t.Errorf("a link without carrier: got %+v, %+v", s.Interfaces, s.Alarms)
		}
		b.end()
	})
}

// TestStatusHasNoNull: who reads the JSON need not look for missing lists.
func TestStatusHasNoNull(t *testing.T) {
	for _, v := range []view{
		{},
		{directors: []model.DirectorStatus{{}}, flows: []model.FlowStatus{{}}},
	} {
		text, err := json.Marshal(compose(v, observation{}))
		if err != nil || strings.Contains(strings.Replace(string(text), `"sources":null`, "", 1), "null") {
			t.Errorf("got %s, %v", text, err)
		}
	}
}

func TestBackoff(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: retryFirst, 2: 2 * retryFirst, 4: 8 * retryFirst, 7: retryMost, 1 << 20: retryMost} {
		if got := backoff(failures); got != want {
			t.Errorf("after %d failures: got %v, want %v", failures, got, want)
		}
	}
}

func TestMonotonic(t *testing.T) {
	m := readMonotonic()
	if got := m.at(m.start.Add(5 * time.Second)); got != m.base+5e9 {
		t.Errorf("got %d, want %d", got, m.base+5e9)
	}
	before := readMonotonic()
	if d := before.base - m.at(before.start); d < -1e6 || d > 1e6 {
		t.Errorf("two readings differ by %d ns", d)
	}
}

// operator is who gives the orders of the tests.
var operator = model.Actor{Name: "alice", Role: model.RoleOperator, Via: "192.0.2.1"}

// command gives an order as the API does.
func (b *bench) command(ctx context.Context, verb model.Verb, ref model.ServerRef, force bool) (api.Ordered, error) {
	return b.agent.Order(ctx, operator, api.Order{Verb: verb, Director: ref.Director, Server: ref.Server, Force: force})
}
