package decide

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"fairlead/internal/model"
)

// restarted is the story of a new daemon, which finds what it is given.
func (s *story) restarted(cfg model.Config, kernel map[string]model.Adopted, memory model.Memory, lost string) *story {
	n := &story{t: s.t, now: s.now.Add(time.Second)}
	n.step(Configured{At: At{n.now}, Config: cfg, Adopted: kernel, Memory: memory, Lost: lost})
	return n
}

// kernel is what the data plane holds of the state.
func (s *story) kernel() map[string]model.Adopted {
	all := map[string]model.Adopted{}
	for _, d := range s.state.Desired().Directors {
		all[d.Name] = model.Adopted{Active: d.Active, Addr: d.Addr, Epoch: d.Epoch, Reason: d.Reason, Since: time.Unix(0, d.Since).UTC(), Hold: d.Hold}
	}
	return all
}

// switched is the story of pair after nfs-01 failed.
func switchedStory(t *testing.T) *story {
	s := quiet(t)
	s.down("nfs-01")
	s.active("nfs-02", 2, model.ReasonFailed)
	return s
}

func TestMemory(t *testing.T) {
	s := switchedStory(t)
	s.say(model.VerbDisable, "nfs-01", false)
	want := model.Memory{Directors: []model.Remembered{{Name: "nfs", Active: "nfs-02", Addr: "192.168.10.101", Epoch: 2,
		Reason: model.ReasonFailed, Why: "check failed: connection refused", From: "nfs-01", Since: s.director("nfs").Since,
		Marks: []model.Marked{{Server: "nfs-01", Mark: model.MarkDisabled}}}}}
	if got := s.state.Memory(); !reflect.DeepEqual(got, want) {
		t.Errorf("memory =\n%+v, want\n%+v", got, want)
	}
	empty := pair()
	empty.Flows, empty.Directors = nil, nil
	s.reload(empty)
	if got := s.state.Memory(); !reflect.DeepEqual(got, want) {
		t.Errorf("without the director: memory =\n%+v, want\n%+v", got, want)
	}
}

// A director that the configuration loses and gets back goes on where it was: the
// server that failed before may hold older data.
func TestDirectorReturns(t *testing.T) {
	s := switchedStory(t)
	s.up("nfs-01")
	empty := pair()
	empty.Flows, empty.Directors = nil, nil
	kernel := s.kernel()
	s.reload(empty)
	all := map[string]*story{
		"by a reload":                  s,
		"after a restart":              s.restarted(empty, kernel, s.state.Memory(), ""),
		"after a restart, from memory": s.restarted(empty, nil, s.state.Memory(), ""),
		"after a restart, from kernel": s.restarted(empty, kernel, model.Memory{}, "state.json is torn"),
	}
	for name, s := range all {
		t.Run(name, func(t *testing.T) {
			s.t = t
			s.reload(pair())
			s.up("nfs-01")
			if d := s.director("nfs"); d.Desired != "nfs-02" || d.Epoch != 2 || d.Reason != model.ReasonFailed {
				t.Errorf("active %s, epoch %d, reason %v", d.Desired, d.Epoch, d.Reason)
			}
		})
	}
	s = failing(t, hooked())
	s.reload(empty)
	s.reload(hooked())
	s.want("told:hold told:fence fence:nfs-01>nfs-02")
}

func TestRestart(t *testing.T) {
	t.Run("the true last switch is shown", func(t *testing.T) {
		s := switchedStory(t)
		n := s.restarted(pair(), s.kernel(), s.state.Memory(), "")
		n.active("nfs-02", 2, model.ReasonFailed)
		if sw := n.director("nfs").LastSwitch; sw == nil || sw.From != "nfs-01" || sw.Why != "check failed: connection refused" {
			t.Errorf("last switch = %+v", sw)
		}
		n.want("")
	})
	t.Run("decided, but not applied", func(t *testing.T) {
		s := quiet(t)
		kernel := s.kernel()
		s.down("nfs-01")
		n := s.restarted(pair(), kernel, s.state.Memory(), "")
		n.want("told:flip switched:nfs-02")
		n.active("nfs-02", 2, model.ReasonFailed)
	})
	t.Run("the kernel is newer than the memory", func(t *testing.T) {
		s := quiet(t)
		memory := s.state.Memory()
		s.down("nfs-01")
		s.restarted(pair(), s.kernel(), memory, "").active("nfs-02", 2, model.ReasonAdopted)
	})
	t.Run("in the middle of a switch: its step begins anew", func(t *testing.T) {
		s := failing(t, hooked())
		s.ended("")
		n := s.restarted(hooked(), s.kernel(), s.state.Memory(), "")
		n.want("told:hold told:promote promote:nfs-01>nfs-02")
		n.onHold(model.StepPromote)
	})
	t.Run("on hold, and nobody remembers why", func(t *testing.T) {
		s := failing(t, hooked())
		n := s.restarted(hooked(), s.kernel(), model.Memory{}, "state.json is torn")
		n.onHold(model.StepOrder)
		n.active("nfs-01", 1, model.ReasonAdopted)
		n.say(model.VerbSwitch, "nfs-01", false)
		n.want("told:hold told:promote promote:>nfs-01")
	})
	t.Run("with marks", func(t *testing.T) {
		s := quiet(t)
		s.say(model.VerbDrain, "nfs-02", false)
		n := s.restarted(pair(), s.kernel(), s.state.Memory(), "")
		n.pass("nfs-02")
		n.down("nfs-01")
		n.active("nfs-01", 1, model.ReasonFirst)
	})
}

func TestReboot(t *testing.T) {
	t.Run("the active server is kept while it is unknown", func(t *testing.T) {
		s := switchedStory(t)
		n := s.restarted(pair(), nil, s.state.Memory(), "")
		n.active("nfs-02", 2, model.ReasonFailed)
		n.note("nfs-02 is kept from the memory on disk; its check has not passed yet")
		n.up("nfs-01")
		n.active("nfs-02", 2, model.ReasonFailed)
	})
	t.Run("it has its time to return", func(t *testing.T) {
		s := switchedStory(t)
		n := s.restarted(pair(), nil, s.state.Memory(), "")
		n.up("nfs-01")
		up := n.server("nfs-01").Since
		n.down("nfs-02")
		n.active("nfs-02", 2, model.ReasonFailed)
		if n.actions[len(n.actions)-1].(Told).Event.Kind != model.EventStay || !strings.HasPrefix(n.director("nfs").Note, "waiting for nfs-02") {
			t.Errorf("actions %q, note %q", n.did(), n.director("nfs").Note)
		}
		if got := n.state.Deadline(); got != up.Add(time.Minute) {
			t.Errorf("deadline %v, want %v", got, up.Add(time.Minute))
		}
		n.pass("nfs-01")
		n.now = up.Add(time.Minute)
		n.tick()
		n.active("nfs-01", 3, model.ReasonFailed)
	})
	t.Run("a first start", func(t *testing.T) {
		s := &story{t: t, now: start}
		s.restarted(pair(), nil, model.Memory{}, "").onHold(model.StepNone)
	})
	t.Run("the memory is lost: an operator must say", func(t *testing.T) {
		s := &story{t: t, now: start}
		n := s.restarted(pair(), nil, model.Memory{}, "state.json: unexpected end")
		n.onHold(model.StepOrder)
		n.up("nfs-01")
		n.active("", 0, model.ReasonNone)
		n.alarm("director nfs is on hold: no packet is forwarded\ninterface eth0 of director nfs does not exist\nthe memory of the switches was lost")
		n.say(model.VerbSwitch, "nfs-01", false)
		n.active("nfs-01", 1, model.ReasonOperator)
		n.onHold(model.StepNone)
	})
}

func TestOrderThatIsGivenUp(t *testing.T) {
	s := &story{t: t, now: start}
	n := s.restarted(hooked(), nil, model.Memory{}, "state.json: unexpected end")
	n.up("nfs-01")
	n.pass("nfs-02")
	n.say(model.VerbSwitch, "nfs-02", false)
	n.onHold(model.StepPromote)
	n.reload(change(hooked(), func(d *model.Director) { d.Servers = d.Servers[:1] }))
	n.onHold(model.StepOrder) // nfs-01 may hold old data
	n.active("", 0, model.ReasonNone)
}

func TestMarks(t *testing.T) {
	t.Run("disabling the active server leaves it", func(t *testing.T) {
		s := quiet(t)
		s.say(model.VerbDisable, "nfs-01", false)
		s.want("told:flip switched:nfs-02 release reply:nfs-02 is the active server of nfs now")
		s.active("nfs-02", 2, model.ReasonOperator)
		s.say(model.VerbSwitch, "nfs-01", true)
		s.want("reply:nfs-01 is disabled; not switched; first: fairlead enable nfs/nfs-01")
		s.say(model.VerbEnable, "nfs-01", false)
		s.want("reply:nfs-01 may be used again")
	})
	t.Run("when no other can be used it is refused", func(t *testing.T) {
		s := quiet(t)
		s.down("nfs-02")
		s.say(model.VerbDisable, "nfs-01", false)
		s.want("reply:no other server of nfs can be used; nfs-01 is not disabled")
		s.say(model.VerbDisable, "nfs-01", true)
		s.want("reply:nfs-01 is disabled until: fairlead enable nfs/nfs-01; it stays active until another server can be used")
		s.up("nfs-02")
		s.active("nfs-02", 2, model.ReasonOperator)
	})
	t.Run("the target of a switch", func(t *testing.T) {
		s := failing(t, hooked())
		s.say(model.VerbDisable, "nfs-02", false)
		s.want("reply:a switch to nfs-02 is under way; first switch to another server")
	})
}

func TestForce(t *testing.T) {
	s := quiet(t)
	s.down("nfs-02")
	s.say(model.VerbSwitch, "nfs-02", true)
	s.active("nfs-02", 2, model.ReasonOperator)
	s.fail("nfs-02", "refused")
	s.active("nfs-02", 2, model.ReasonOperator)
	s.up("nfs-02")
	s.pass("nfs-01")
	s.down("nfs-02")
	s.active("nfs-01", 3, model.ReasonFailed)
}

func TestHoldDown(t *testing.T) {
	s := newStory(t, change(web(a, sorry(b)), func(d *model.Director) { d.HoldDown = time.Minute }))
	s.up("a")
	s.up("b")
	s.down("a")
	s.active("b", 2, model.ReasonFailed)
	switched := s.now
	s.up("a")
	s.active("b", 2, model.ReasonFailed)
	s.alarm("director nfs is left alone with b until 12:01:06\ninterface eth0 of director nfs does not exist")
	s.say(model.VerbSwitch, "a", false)
	s.active("a", 3, model.ReasonOperator)
	s.pass("b")
	s.down("a")
	s.active("a", 3, model.ReasonOperator)
	s.now = switched.Add(time.Minute)
	s.result("b", "")
	s.active("b", 4, model.ReasonFailed)
}

func TestFailbackDelay(t *testing.T) {
	s := newStory(t, change(web(a, sorry(b)), func(d *model.Director) {
		d.Failback, d.FailbackDelay = model.FailbackDelay, time.Minute
	}))
	s.up("a")
	s.up("b")
	s.down("a")
	s.up("a")
	s.active("b", 2, model.ReasonFailed)
	s.now = s.state.Deadline()
	if up := s.server("a").Since; s.now != up.Add(time.Minute) {
		t.Errorf("deadline %v, want a minute after %v", s.now, up)
	}
	s.tick()
	s.active("a", 3, model.ReasonFailback)
}
