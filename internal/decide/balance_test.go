package decide

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"fairlead/internal/model"
)

// balanced judges a director whose servers share the connections, and one that
// became such or ceased to be.
func (w *witness) balanced(d *director, cfg model.Director, before view, switches []model.Switch, at time.Time) error {
	w.gone[cfg.Name] = false
	delete(w.clients, cfg.Name)
	delete(w.holds, cfg.Name)
	delete(w.ended, cfg.Name)
	if d.choice.epoch < before.epoch {
		return fmt.Errorf("epoch %d after %d", d.choice.epoch, before.epoch)
	}
	if !cfg.Balanced() {
		return nil
	}
	if d.choice.active != "" || d.turn.step != model.StepNone {
		return fmt.Errorf("balanced, but %q is active, step %v", d.choice.active, d.turn.step)
	}
	if err := w.shares(d, cfg, at); err != nil {
		return err
	}
	for _, sw := range switches {
		if sw.To != "" || sw.Why == "" || sw.Epoch <= before.epoch {
			return errors.New("a switch of a balanced director takes one server out")
		}
		if err := w.shed(cfg, sw, at); before.balanced && err != nil {
			return fmt.Errorf("the connections of %s were ended by %v: %w", sw.From, sw.Reason, err)
		}
	}
	return nil
}

// shares: who gets connections, and whose were not ended.
func (w *witness) shares(d *director, cfg model.Director, at time.Time) error {
	anybody, nobody, regular := false, true, false // is a regular one up, gets none connections, gets a regular one any
	for i, s := range cfg.Servers {
		in := d.servers[i].share.in
		anybody, nobody, regular = anybody || !s.Sorry && w.sound(cfg, s), nobody && !in, regular || !s.Sorry && in
	}
	epochs := map[uint64]bool{}
	for _, srv := range d.servers {
		sh := srv.share
		if sh.epoch > d.choice.epoch || sh.epoch > 0 && epochs[sh.epoch] {
			return fmt.Errorf("%s has epoch %d of %d, not one of its own", srv.Name, sh.epoch, d.choice.epoch)
		}
		epochs[sh.epoch] = true
		switch lost := w.lost(cfg, srv.Server, at); {
		case sh.in && !w.allowed(cfg, srv.Server):
			return fmt.Errorf("%s gets connections, but is not to be used", srv.Name)
		case (sh.in || sh.had) && lost:
			return fmt.Errorf("%s is down and another one answers, but its connections were not ended", srv.Name)
		case sh.in && srv.Sorry && (anybody || regular):
			return fmt.Errorf("%s is sorry, and gets connections beside a regular server", srv.Name)
		case nobody && w.sound(cfg, srv.Server):
			return fmt.Errorf("nobody gets connections, but %s could", srv.Name)
		case !sh.in && !srv.Sorry && w.sound(cfg, srv.Server):
			return fmt.Errorf("%s could take connections", srv.Name)
		}
	}
	return nil
}

// shed: the connections of a server were ended for a reason that is true.
func (w *witness) shed(cfg model.Director, sw model.Switch, at time.Time) error {
	from, ok := cfg.Server(sw.From)
	switch sw.Reason {
	case model.ReasonFailed:
		if !ok || !w.lost(cfg, from, at) {
			return errors.New("nobody asked it while another one answered")
		}
	case model.ReasonOperator:
		if !ok || w.record(cfg.Name, from.Name).mark == model.MarkNone {
			return errors.New("no operator took it out")
		}
	case model.ReasonFailback:
		if !ok || !from.Sorry {
			return errors.New("it is a regular server")
		}
	case model.ReasonRemoved:
	default:
		return errors.New("it is no reason for that")
	}
	return nil
}

// lost: the server is down, and its last probe began when another one was
// answering.
func (w *witness) lost(cfg model.Director, srv model.Server, at time.Time) bool {
	o := w.opinion(cfg.Name, srv.Name)
	return o.failed() && slices.ContainsFunc(cfg.Servers, func(other model.Server) bool {
		return other.Name != srv.Name && w.answers(cfg, other, doubt(o), at) && !o.began.Before(w.opinion(cfg.Name, other.Name).passing)
	})
}

// shares are the weights and epochs of the servers, as the kernel gets them.
func (s *story) shares(want ...model.DesiredServer) {
	s.t.Helper()
	d := s.state.Desired().Directors[0]
	for i := range d.Servers {
		d.Servers[i].MAC = model.MAC{}
	}
	if !d.Balanced || d.Active != "" || !reflect.DeepEqual(d.Servers, want) {
		s.t.Errorf("shares = %+v, want %+v", d.Servers, want)
	}
}

func share3(w1 int, e1 uint64, w2 int, e2 uint64, w3 int, e3 uint64) []model.DesiredServer {
	return []model.DesiredServer{{Name: "a", Weight: w1, Epoch: e1}, {Name: "b", Weight: w2, Epoch: e2}, {Name: "c", Weight: w3, Epoch: e3}}
}

// shared is a balanced director with two regular servers, which are up, and a
// sorry one, which is not known.
func shared(t *testing.T) *story {
	s := newStory(t, one(80, a, b, sorry(c)))
	s.up("a")
	s.up("b")
	s.shares(share3(10, 1, 5, 2, 0, 0)...)
	return s
}

func TestBalanced(t *testing.T) {
	t.Run("only the connections of the server that failed are reset", func(t *testing.T) {
		s := shared(t)
		s.down("b")
		s.want("told:health told:flip switched: release")
		if sw := s.switched().Switch; sw.From != "b" || sw.Epoch != 3 || sw.Reason != model.ReasonFailed || sw.FirstAttempt.IsZero() {
			t.Errorf("switch = %+v", sw)
		}
		s.shares(share3(10, 1, 0, 3, 0, 0)...)
		s.up("b")
		s.shares(share3(10, 1, 5, 3, 0, 0)...)
		if !s.director("nfs").Balanced {
			t.Error("the status does not say that it is balanced")
		}
	})
	t.Run("the sorry server only when no regular one can be used", func(t *testing.T) {
		s := shared(t)
		s.up("c")
		s.down("a")
		s.pass("c")
		s.down("b")
		s.shares(share3(0, 3, 0, 4, 1, 5)...)
		s.up("a")
		s.shares(share3(10, 3, 0, 4, 0, 5)...)
		s.now = s.state.Deadline()
		s.tick()
		s.want("told:flip switched: release")
		s.shares(share3(10, 3, 0, 4, 0, 6)...)
	})
	t.Run("when all fail, the last ones stay", func(t *testing.T) {
		s := shared(t)
		s.down("a")
		s.down("b")
		s.shares(share3(0, 3, 5, 2, 0, 0)...)
		s.alarm("director nfs: no server answers; those that were up last stay in use\ninterface eth0 of director nfs does not exist")
	})
	t.Run("a hint asks the server at once", func(t *testing.T) {
		s := shared(t)
		s.after(time.Second)
		s.suspect("b", false)
		s.want("told:suspect probe:a probe:b probe:c")
		s.after(time.Millisecond).result("b", "refused")
		s.want("told:health told:flip switched: release")
	})
}

func TestDrain(t *testing.T) {
	t.Run("its connections may last", func(t *testing.T) {
		s := shared(t)
		s.say(model.VerbDrain, "b", false)
		s.shares(share3(10, 1, 0, 2, 0, 0)...)
		if s.switched() != nil {
			t.Error("draining is no switch")
		}
		if want := s.now.Add(10 * time.Minute); s.state.Deadline() != want {
			t.Errorf("deadline %v, want %v", s.state.Deadline(), want)
		}
		s.after(10 * time.Minute).tick()
		s.want("told:flip switched: release")
		s.shares(share3(10, 1, 0, 3, 0, 0)...)
	})
	t.Run("enabled in time nothing happened", func(t *testing.T) {
		s := shared(t)
		s.say(model.VerbDrain, "b", false)
		s.say(model.VerbEnable, "b", false)
		s.shares(share3(10, 1, 5, 2, 0, 0)...)
	})
	t.Run("disabled its connections end at once", func(t *testing.T) {
		s := shared(t)
		s.say(model.VerbDisable, "b", false)
		s.want("reply:b is disabled until: fairlead enable nfs/b told:flip switched: release")
		s.say(model.VerbDisable, "a", false)
		s.want("reply:no other server of nfs can be used; a is not disabled")
	})
	t.Run("weight 0 in the configuration", func(t *testing.T) {
		s := shared(t)
		d := srv("d", "192.168.10.103", 1)
		cfg := one(80, a, b, d)
		s.reload(cfg)
		cfg.Directors[0].Servers[1].Weight = 0
		s.reload(cfg)
		if got := s.state.Desired().Directors[0].Servers[1]; got.Weight != 0 || got.Epoch != 2 {
			t.Errorf("b = %+v, want weight 0 and its epoch", got)
		}
	})
	t.Run("removed", func(t *testing.T) {
		s := shared(t)
		s.reload(one(80, a, srv("d", "192.168.10.103", 1)))
		if sw := s.switched(); sw == nil || sw.Switch.From != "b" || sw.Switch.Reason != model.ReasonRemoved || sw.Switch.Epoch != 3 {
			t.Errorf("switch = %+v", sw)
		}
	})
}

func TestBalancedChanges(t *testing.T) {
	t.Run("a second regular server disturbs nobody", func(t *testing.T) {
		s := newStory(t, web(a, b, c))
		s.up("a")
		s.reload(one(80, a, b, sorry(c)))
		s.want("")
		s.shares(share3(10, 1, 0, 0, 0, 0)...)
	})
	t.Run("a restart goes on with the servers' epochs", func(t *testing.T) {
		s := shared(t)
		n := s.restarted(one(80, a, b, sorry(c)), map[string]model.Adopted{"nfs": {Epoch: 2, Servers: map[string]uint64{"a": 1, "b": 2}}}, s.state.Memory(), "")
		n.want("")
		n.shares(share3(10, 1, 5, 2, 0, 0)...)
	})
	t.Run("an order to switch is refused", func(t *testing.T) {
		s := shared(t)
		s.say(model.VerbSwitch, "b", false)
		s.want("reply:the servers of nfs share its connections; to take one out: fairlead drain or disable nfs/SERVER")
	})
}

// TestSilenceTogether: when all servers fall silent at once, the first one that
// answers again is no proof against the others.
func TestSilenceTogether(t *testing.T) {
	silent := func(t *testing.T) *story {
		s := shared(t)
		s.up("c")
		for range 6 {
			s.after(time.Second)
			for _, name := range []string{"a", "b", "c"} {
				s.result(name, "no answer")
			}
		}
		s.health("a", model.HealthDown)
		s.health("b", model.HealthDown)
		s.shares(share3(10, 1, 5, 2, 0, 0)...)
		return s
	}
	t.Run("both return", func(t *testing.T) {
		s := silent(t)
		s.pass("a")
		s.want("probe:b")
		s.pass("a")
		s.want("told:health")
		s.alarm("interface eth0 of director nfs does not exist")
		s.after(50*time.Millisecond).result("b", "")
		s.shares(share3(10, 1, 5, 2, 0, 0)...)
		s.pass("b")
		s.shares(share3(10, 1, 5, 2, 0, 0)...)
	})
	t.Run("one stays away", func(t *testing.T) {
		s := silent(t)
		s.up("a")
		s.after(time.Second)
		s.step(Probed{At{s.now}, model.ProbeResult{Ref: ref("b"), At: s.now, Err: "no answer", Latency: 2001 * time.Millisecond}})
		s.want("") // that probe began before a answered
		s.after(time.Millisecond).result("b", "no answer")
		s.want("told:flip switched: release")
		s.shares(share3(10, 1, 0, 3, 0, 0)...)
	})
	t.Run("the sorry server returns first", func(t *testing.T) {
		s := silent(t)
		s.pass("c")
		s.want("probe:a probe:b")
		s.pass("c")
		s.shares(share3(10, 1, 5, 2, 0, 0)...)
		s.result("a", "")
		s.result("b", "no answer")
		s.shares(share3(10, 1, 0, 3, 0, 0)...)
	})
	t.Run("a client waits until the other was asked", func(t *testing.T) {
		s := silent(t)
		s.up("a")
		s.suspect("b", true)
		s.want("")
		s.after(time.Second).result("b", "no answer")
		s.want("told:flip switched: release")
	})
	t.Run("one is found before the other", func(t *testing.T) {
		for _, err := range []string{"", "no answer"} {
			s := shared(t)
			s.fail("a", "no answer")
			s.after(50 * time.Millisecond).tick()
			s.want("probe:a")
			s.after(time.Second).result("a", "no answer")
			s.want("told:health") // b was asked and should have answered by now
			s.result("b", err)
			if sw := s.switched(); (sw != nil) != (err == "") {
				t.Errorf("b: %q: switch %+v", err, sw)
			}
		}
	})
}

// TestQuiescent: weight 0 in the configuration ends no connection.
func TestQuiescent(t *testing.T) {
	quiet := b
	quiet.Weight = 0
	t.Run("one of two", func(t *testing.T) {
		s := newStory(t, one(80, a, b))
		s.up("a")
		s.up("b")
		s.reload(one(80, a, quiet))
		s.want("")
		keeping := share3(10, 1, 0, 2, 0, 0)[:2]
		keeping[1].Keeps = true
		s.shares(keeping...)
		if !s.state.Deadline().IsZero() {
			t.Errorf("its connections may last until %v only", s.state.Deadline())
		}
		s.reload(one(80, a, b))
		s.want("told:flip")
		s.shares(share3(10, 1, 5, 2, 0, 0)[:2]...)
		s.reload(one(80, a, quiet))
		s.down("b")
		s.want("told:health told:flip switched: release")
		s.shares(share3(10, 1, 0, 3, 0, 0)[:2]...)
	})
	t.Run("its templates", func(t *testing.T) {
		s := newStory(t, one(80, a, b))
		s.up("a")
		s.up("b")
		keeps := func(want bool, when string) {
			t.Helper()
			if s.state.Desired().Directors[0].Servers[1].Keeps != want {
				t.Errorf("%s: its templates hold: %v", when, !want)
			}
		}
		keeps(false, "with weight")
		cfg := one(80, a, quiet)
		s.reload(cfg)
		keeps(true, "quiescent")
		cfg.LVS.ExpireQuiescentTemplate = true
		s.reload(cfg)
		keeps(false, "expire_quiescent_template=1")
		s.reload(one(80, a, quiet))
		s.say(model.VerbDrain, "b", false)
		keeps(false, "drained")
		s.say(model.VerbEnable, "b", false)
		keeps(true, "enabled")
		s.fail("b", "no answer")
		s.down("b")
		keeps(false, "down")
	})
	t.Run("from the start", func(t *testing.T) {
		s := newStory(t, one(80, a, quiet, sorry(c)))
		for _, name := range []string{"a", "b", "c"} {
			s.up(name)
		}
		s.shares(share3(10, 1, 0, 0, 0, 0)...)
		s.down("a")
		s.shares(share3(0, 2, 0, 0, 1, 3)...)
	})
	t.Run("drained after that", func(t *testing.T) {
		s := newStory(t, one(80, a, b))
		s.up("a")
		s.up("b")
		s.reload(one(80, a, quiet))
		s.say(model.VerbDrain, "b", false)
		if want := s.now.Add(10 * time.Minute); s.state.Deadline() != want {
			t.Errorf("deadline %v, want %v", s.state.Deadline(), want)
		}
		s.say(model.VerbEnable, "b", false)
		if !s.state.Deadline().IsZero() {
			t.Errorf("enabled, its connections may last until %v only", s.state.Deadline())
		}
	})
	t.Run("where one server at a time is meant", func(t *testing.T) {
		for what, cfg := range map[string]model.Config{
			"NFS":      one(model.NFSPort, a, quiet, sorry(c)),
			"a hook":   change(one(80, a, quiet, sorry(c)), func(d *model.Director) { d.Fence.Command = "/etc/fairlead/fence" }),
			"holddown": change(one(80, a, quiet), func(d *model.Director) { d.HoldDown = time.Minute }),
		} {
			s := newStory(t, cfg)
			s.up("a")
			if s.director("nfs").Balanced || s.director("nfs").Desired != "a" {
				t.Errorf("%s: %+v", what, s.director("nfs"))
			}
		}
	})
}
