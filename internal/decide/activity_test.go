package decide

import (
	"testing"
	"time"

	"fairlead/internal/model"
)

func TestFirstChoice(t *testing.T) {
	t.Run("waits for the check, then takes the regular server", func(t *testing.T) {
		s := newStory(t, note())
		s.active("", 0, model.ReasonWaiting)
		s.note("waiting for checks: nfs-01 is not known yet: no check has ended; nfs-02 is not checked")
		s.pass("nfs-01")
		s.active("nfs-01", 1, model.ReasonFirst)
		sw := s.switched()
		if sw == nil || sw.Director != "nfs" || sw.Switch.From != "" || sw.Switch.To != "nfs-01" || sw.Switch.Epoch != 1 || sw.Switch.At != s.now {
			t.Errorf("switch = %+v, want to nfs-01, epoch 1, now", sw)
		}
	})
	t.Run("takes the sorry server only when the regular one is known down", func(t *testing.T) {
		s := newStory(t, note())
		s.fail("nfs-01", "connection refused")
		s.active("", 0, model.ReasonWaiting)
		s.fail("nfs-01", "connection refused")
		s.active("nfs-02", 1, model.ReasonFirst)
	})
	t.Run("takes the sorry server at once when no regular one has weight", func(t *testing.T) {
		s := newStory(t, change(note(), func(d *model.Director) { d.Servers[0].Weight = 0 }))
		s.active("nfs-02", 1, model.ReasonFirst)
	})
	t.Run("waits for a heavier regular server", func(t *testing.T) {
		s := newStory(t, web(a, b))
		s.pass("b")
		s.active("", 0, model.ReasonWaiting)
		s.pass("a")
		s.active("a", 1, model.ReasonFirst)
	})
	t.Run("takes the lighter one when the heavier is down", func(t *testing.T) {
		s := newStory(t, web(a, b))
		s.pass("b")
		s.down("a")
		s.active("b", 1, model.ReasonFirst)
	})
	t.Run("has none when all are down, and takes the first that returns", func(t *testing.T) {
		s := newStory(t, web(a, b))
		s.down("a")
		s.down("b")
		s.active("", 0, model.ReasonNoServer)
		s.note("no server can be chosen: a is down: connection refused; b is down: connection refused")
		s.alarm("director nfs has no server; packets to it are dropped\ninterface eth0 of director nfs does not exist")
		s.up("b")
		s.active("b", 1, model.ReasonFirst)
	})
	t.Run("has none without servers", func(t *testing.T) {
		s := newStory(t, web())
		s.active("", 0, model.ReasonNoServer)
		s.note("it has no server")
	})
}

func TestFailover(t *testing.T) {
	s := newStory(t, note())
	s.pass("nfs-01")
	s.fail("nfs-01", "no answer within 2s")
	first := s.now
	s.active("nfs-01", 1, model.ReasonFirst)
	s.fail("nfs-01", "connection refused")
	s.active("nfs-02", 2, model.ReasonFailed)
	want := Switched{Director: "nfs", Switch: model.Switch{From: "nfs-01", To: "nfs-02", Reason: model.ReasonFailed,
		Why: "check failed: connection refused", Epoch: 2, At: s.now, FirstAttempt: first}}
	if got := s.switched(); got == nil || *got != want {
		t.Errorf("switch = %+v, want %+v", got, want)
	}
	if got := s.director("nfs"); got.Since != s.now || got.LastSwitch == nil || *got.LastSwitch != want.Switch {
		t.Errorf("since %v, last switch %+v; want %v, %+v", got.Since, got.LastSwitch, s.now, want.Switch)
	}
}

func TestFailoverInSilence(t *testing.T) {
	cfg := note()
	cfg.LVS.ExpireNoDestConn = false
	s := newStory(t, cfg)
	s.pass("nfs-01")
	s.down("nfs-01")
	if sw := s.switched(); sw == nil || !sw.Silent {
		t.Errorf("switch = %+v, want a silent one", sw)
	}
	if !s.state.Desired().Directors[0].Silent {
		t.Error("the desired director is not silent")
	}
	s.alarm("director nfs: no other server could take over from nfs-02\ninterface eth0 of director nfs does not exist\nafter a switch, old connections will be met with silence")
}

// TestAlone: the service goes on, but nobody would take over.
func TestAlone(t *testing.T) {
	const network = "interface eth0 of director nfs does not exist"
	s := newStory(t, web(a, b))
	s.pass("a")
	s.alarm(network) // whether b is up is not known yet
	s.down("b")
	s.alarm("director nfs: no other server could take over from a\n" + network)
	s.up("b")
	s.alarm(network)
}

func TestFailoverWithoutAlternative(t *testing.T) {
	s := newStory(t, web(a, b))
	s.pass("a")
	s.down("b")
	s.after(time.Hour).down("a")
	s.active("a", 1, model.ReasonFirst)
	s.note("no other server is up; staying with a")
	s.alarm("director nfs: no other server is up; staying with a\ninterface eth0 of director nfs does not exist")
	s.pass("b")
	s.active("a", 1, model.ReasonFirst)
	s.pass("b")
	s.active("a", 1, model.ReasonFirst)
	s.fail("a", "connection refused")
	s.active("b", 2, model.ReasonFailed)
	s.note("")
}

func TestActiveServerReturnsBeforeAnyOther(t *testing.T) {
	s := newStory(t, web(a, b))
	s.pass("a")
	s.down("b")
	s.down("a")
	s.up("a")
	s.active("a", 1, model.ReasonFirst)
	s.note("")
}

func TestFailback(t *testing.T) {
	t.Run("a director that serves NFS waits for an order", func(t *testing.T) {
		s := newStory(t, note())
		s.pass("nfs-01")
		s.down("nfs-01")
		s.note("")
		s.up("nfs-01")
		s.active("nfs-02", 2, model.ReasonFailed)
		s.note("nfs-01 is up again; to return: fairlead switch nfs/nfs-01")
		if err := s.order("nfs-01"); err != "" {
			t.Fatal(err)
		}
		s.active("nfs-01", 3, model.ReasonOperator)
		s.note("")
	})
	t.Run("another director fails back by itself", func(t *testing.T) {
		s := newStory(t, web(a, sorry(b)))
		s.pass("b")
		s.down("a")
		s.active("b", 1, model.ReasonFirst)
		s.pass("a")
		s.active("b", 1, model.ReasonFirst)
		s.pass("a")
		s.active("a", 2, model.ReasonFailback)
		if sw := s.switched(); sw == nil || sw.Switch.Why != "a is up and preferred" {
			t.Errorf("switch = %+v", sw)
		}
	})
	t.Run("but not away from the server that an operator ordered", func(t *testing.T) {
		s := newStory(t, web(a, b, c))
		s.pass("a")
		s.pass("b")
		if err := s.order("b"); err != "" {
			t.Fatal(err)
		}
		s.pass("a")
		s.active("b", 2, model.ReasonOperator)
		s.note("a is up and preferred; to return: fairlead switch nfs/a")
		s.reload(web(a, b, c))
		s.active("b", 2, model.ReasonOperator)
		s.down("b")
		s.active("a", 3, model.ReasonFailed)
		s.up("b")
		s.active("a", 3, model.ReasonFailed)
	})
}

func TestOrder(t *testing.T) {
	ready := func(t *testing.T) *story {
		s := newStory(t, web(a, b, sorry(c), unchecked(srv("d", "192.168.10.103", 1)), srv("e", "192.168.10.104", 0),
			srv("f", "192.168.10.105", 1)))
		s.pass("a")
		s.down("b")
		s.pass("c")
		s.pass("e")
		s.active("a", 1, model.ReasonFirst)
		return s
	}
	tests := []struct{ ref, want string }{
		{"web/a", `there is no director "web"; the configuration has nfs`},
		{"nfs/x", `director nfs has no server "x"; it has a, b, c, d, e, f`},
		{"nfs/a", "a is the active server of nfs already; nothing changed"},
		{"nfs/b", "b is down: connection refused; not switched"},
		{"nfs/f", "f is not known yet: no check has ended; not switched"},
		{"nfs/e", "e has weight 0; not switched"},
		{"nfs/c", ""},
		{"nfs/d", ""},
	}
	for _, tt := range tests {
		t.Run(tt.ref, func(t *testing.T) {
			s := ready(t)
			if got := s.order(tt.ref); got != tt.want {
				t.Errorf("reply = %q, want %q", got, tt.want)
			}
			if tt.want != "" {
				s.active("a", 1, model.ReasonFirst)
				return
			}
			s.active(ref(tt.ref).Server, 2, model.ReasonOperator)
			if sw := s.switched(); sw == nil || sw.Switch.From != "a" {
				t.Errorf("switch = %+v, want from a", sw)
			}
		})
	}
	t.Run("without a configuration", func(t *testing.T) {
		s := &story{t: t, now: start}
		if got, want := s.order("nfs/a"), `there is no director "nfs"; the configuration has none`; got != want {
			t.Errorf("reply = %q, want %q", got, want)
		}
	})
}

func found(active string, epoch uint64, r model.Reason) map[string]model.Adopted {
	return map[string]model.Adopted{"nfs": {Active: active, Epoch: epoch, Reason: r, Since: start.Add(-time.Hour)}}
}

func TestAdoption(t *testing.T) {
	t.Run("keeps server, epoch and since until the check says down", func(t *testing.T) {
		s := adoptedStory(t, note(), found("nfs-01", 4, model.ReasonFailback))
		s.active("nfs-01", 4, model.ReasonAdopted)
		if s.switched() != nil {
			t.Error("adoption is no switch")
		}
		d := s.director("nfs")
		if d.Since != start.Add(-time.Hour) || d.LastSwitch == nil || d.LastSwitch.Reason != model.ReasonFailback || d.LastSwitch.Epoch != 4 {
			t.Errorf("status = %+v, want since and reason of the kernel", d)
		}
		if got := s.state.Desired().Directors[0]; got.Reason != model.ReasonFailback || got.Since != d.Since.UnixNano() {
			t.Errorf("desired %+v, want what the kernel holds", got)
		}
		s.fail("nfs-01", "connection refused")
		s.active("nfs-01", 4, model.ReasonAdopted)
		s.fail("nfs-01", "connection refused")
		s.active("nfs-02", 5, model.ReasonFailed)
	})
	t.Run("the same name at another address is another server", func(t *testing.T) {
		kernel := found("nfs-01", 4, model.ReasonFailback)
		at := func(a string) map[string]model.Adopted {
			held := kernel["nfs"]
			held.Addr = addr(a)
			return map[string]model.Adopted{"nfs": held}
		}
		adoptedStory(t, note(), at("192.168.10.100")).active("nfs-01", 4, model.ReasonAdopted)
		s := adoptedStory(t, note(), at("192.168.10.77"))
		if d := s.director("nfs"); d.Desired == "nfs-01" && d.Epoch == 4 {
			t.Errorf("nfs-01 goes on in epoch %d, but its connections were another machine's", d.Epoch)
		}
	})
	t.Run("keeps the sorry server of an NFS director", func(t *testing.T) {
		s := adoptedStory(t, note(), found("nfs-02", 2, model.ReasonFailed))
		s.up("nfs-01")
		s.active("nfs-02", 2, model.ReasonAdopted)
	})
	t.Run("another director fails back", func(t *testing.T) {
		s := adoptedStory(t, web(a, sorry(b)), found("b", 2, model.ReasonFailed))
		s.active("b", 2, model.ReasonAdopted)
		s.up("a")
		s.active("a", 3, model.ReasonFailback)
	})
	t.Run("an unknown active server is not left for a worse one", func(t *testing.T) {
		s := adoptedStory(t, web(a, unchecked(sorry(b))), found("a", 2, model.ReasonFirst))
		s.active("a", 2, model.ReasonAdopted)
		s.note("")
	})
	t.Run("an operator's order lasts over a restart", func(t *testing.T) {
		s := adoptedStory(t, web(a, b), found("b", 2, model.ReasonOperator))
		s.up("a")
		s.active("b", 2, model.ReasonAdopted)
	})
	t.Run("a server that the configuration lost meanwhile", func(t *testing.T) {
		s := adoptedStory(t, note(), found("nfs-09", 2, model.ReasonFirst))
		s.active("nfs-02", 3, model.ReasonRemoved)
	})
	t.Run("no server is no choice, but the epoch stays", func(t *testing.T) {
		s := adoptedStory(t, note(), found("", 3, model.ReasonNoServer))
		s.active("", 3, model.ReasonWaiting)
		s.pass("nfs-01")
		s.active("nfs-01", 4, model.ReasonFirst)
	})
	t.Run("only at the start", func(t *testing.T) {
		s := newStory(t, note())
		s.pass("nfs-01")
		s.step(Configured{At: At{s.now}, Config: note(), Adopted: found("nfs-02", 9, model.ReasonFirst)})
		s.active("nfs-01", 1, model.ReasonFirst)
	})
	t.Run("the choice of a director that the configuration lost meanwhile", func(t *testing.T) {
		empty := note()
		empty.Flows, empty.Directors = nil, nil
		s := adoptedStory(t, empty, found("nfs-01", 6, model.ReasonFirst))
		s.reload(note())
		s.pass("nfs-01")
		s.active("nfs-01", 6, model.ReasonFirst)
	})
}

func TestReload(t *testing.T) {
	quiet := func(t *testing.T) *story {
		s := newStory(t, web(a, b, sorry(c)))
		for _, name := range []string{"a", "b", "c"} {
			s.up(name)
		}
		s.active("a", 1, model.ReasonFirst)
		return s
	}
	t.Run("without a change disturbs nothing", func(t *testing.T) {
		s := quiet(t)
		since := s.director("nfs").Since
		s.reload(web(a, b, sorry(c)))
		s.active("a", 1, model.ReasonFirst)
		if len(s.actions) != 0 || s.director("nfs").Since != since {
			t.Errorf("actions %v, since %v; want none, %v", s.actions, s.director("nfs").Since, since)
		}
	})
	t.Run("keeps a confirmation that is due", func(t *testing.T) {
		s := quiet(t)
		s.fail("a", "connection refused")
		want := s.state.Deadline()
		s.after(-time.Second).reload(web(a, b))
		if got := s.state.Deadline(); got != want {
			t.Errorf("deadline = %v, want %v", got, want)
		}
	})
	t.Run("without the active server", func(t *testing.T) {
		s := quiet(t)
		s.reload(web(b, sorry(c)))
		s.active("b", 2, model.ReasonRemoved)
		if sw := s.switched(); sw == nil || sw.Switch.From != "a" || sw.Switch.Why != "the configuration no longer has a" {
			t.Errorf("switch = %+v", sw)
		}
	})
	t.Run("with another address of the active server: it is another server", func(t *testing.T) {
		s := quiet(t)
		s.reload(web(srv("a", "192.168.10.110", 10), b))
		s.active("b", 2, model.ReasonRemoved)
		if sw := s.switched(); sw == nil || sw.Switch.Why != "the address of a changed to 192.168.10.110" {
			t.Errorf("switch = %+v", sw)
		}
	})
	t.Run("with another address of an unchecked active server", func(t *testing.T) {
		s := newStory(t, web(unchecked(a)))
		s.reload(web(unchecked(srv("a", "192.168.10.110", 10))))
		s.active("a", 2, model.ReasonRemoved)
	})
	t.Run("without the active server and any other", func(t *testing.T) {
		s := quiet(t)
		s.reload(web(srv("d", "192.168.10.103", 1)))
		s.active("", 2, model.ReasonRemoved)
		s.pass("d")
		s.active("d", 3, model.ReasonRemoved)
	})
	t.Run("with weight 0 of the active server", func(t *testing.T) {
		s := quiet(t)
		quiescent := a
		quiescent.Weight = 0
		s.reload(web(quiescent, b))
		s.active("b", 2, model.ReasonQuiescent)
	})
	t.Run("with weight 0 of the active server and no other", func(t *testing.T) {
		s := quiet(t)
		s.down("b")
		quiescent := a
		quiescent.Weight = 0
		s.reload(web(quiescent, b))
		s.active("a", 1, model.ReasonFirst)
		s.note("a has weight 0, but no other server is up; staying with it")
		s.up("b")
		s.active("b", 2, model.ReasonQuiescent)
	})
	t.Run("that prefers another server", func(t *testing.T) {
		s := quiet(t)
		s.reload(web(b, a))
		s.active("b", 2, model.ReasonPreferred)
	})
	t.Run("that prefers another server, of NFS", func(t *testing.T) {
		s := newStory(t, note())
		s.pass("nfs-01")
		s.reload(change(note(), func(d *model.Director) { d.Servers[0].Sorry, d.Servers[1].Sorry = true, false }))
		s.active("nfs-01", 1, model.ReasonFirst)
		s.note("nfs-02 is not checked and preferred; to return: fairlead switch nfs/nfs-02")
	})
	t.Run("without the director, then with it: it goes on where it was", func(t *testing.T) {
		s := quiet(t)
		empty := web()
		empty.Flows, empty.Directors = nil, nil
		s.reload(empty)
		if len(s.state.Status()) != 0 {
			t.Error("the director is still there")
		}
		s.reload(empty)
		s.reload(web(a))
		s.active("a", 1, model.ReasonFirst)
	})
}
