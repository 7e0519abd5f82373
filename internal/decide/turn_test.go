package decide

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fairlead/internal/model"
)

// hooked is the note's configuration with both hooks.
func hooked() model.Config {
	return change(note(), func(d *model.Director) {
		d.Fence = model.Hook{Command: "/etc/fairlead/fence", Timeout: 30 * time.Second}
		d.Promote = model.Hook{Command: "/etc/fairlead/promote", Timeout: 30 * time.Second}
		d.Servers[1].Check = true
	})
}

// ended ends the hook that was asked for last.
func (s *story) ended(err string) {
	s.t.Helper()
	s.after(time.Second).step(HookEnded{At{s.now}, s.state.calls, err})
}

// say gives an order, whose answer may come later.
func (s *story) say(v model.Verb, server string, force bool) {
	s.orders++
	s.after(time.Second).step(Ordered{At: At{s.now}, ID: s.orders, Verb: v, Ref: ref(server), Force: force})
}

// did are the actions of the last event in short.
func (s *story) did() string {
	var all []string
	for _, a := range s.actions {
		switch a := a.(type) {
		case Told:
			all = append(all, "told:"+a.Event.Kind.String())
		case RunHook:
			all = append(all, fmt.Sprintf("%s:%s>%s", a.Kind, a.Old.Name, a.New.Name))
		case ProbeNow:
			all = append(all, "probe:"+a.Ref.Server)
		case Switched:
			all = append(all, "switched:"+a.Switch.To)
		case Release:
			all = append(all, "release")
		case Reply:
			all = append(all, "reply:"+a.Err+a.Text)
		}
	}
	return strings.Join(all, " ")
}

func (s *story) want(did string) {
	s.t.Helper()
	if got := s.did(); got != did {
		s.t.Errorf("at %v: actions = %q,\nwant %q", s.now.Sub(start), got, did)
	}
}

func (s *story) onHold(want model.Step) {
	s.t.Helper()
	d := s.director("nfs")
	if hold := s.state.Desired().Directors[0].Hold; d.Step != want || hold != (want != model.StepNone) {
		s.t.Errorf("step %v, on hold %v; want %v", d.Step, hold, want)
	}
}

// failing is the story of hooked until the fence hook runs.
func failing(t *testing.T, cfg model.Config) *story {
	s := newStory(t, cfg)
	s.pass("nfs-01")
	s.pass("nfs-02")
	s.fail("nfs-01", "no answer")
	s.pass("nfs-02")
	s.fail("nfs-01", "no answer")
	return s
}

func TestSwitchInSteps(t *testing.T) {
	s := failing(t, hooked())
	s.want("told:health told:hold told:fence fence:nfs-01>nfs-02")
	s.onHold(model.StepFence)
	s.active("nfs-01", 1, model.ReasonFirst)
	began := s.now
	run := only[RunHook](s.actions)[0]
	if run.Epoch != 2 || run.Reason != model.ReasonFailed || run.Why != "check failed: no answer" || run.Old.Addr != addr("192.168.10.100") ||
		len(run.VIPs) != 1 || run.VIPs[0] != addr("192.168.10.50") || run.Hook.Command != "/etc/fairlead/fence" {
		t.Errorf("hook = %+v", run)
	}
	s.pass("nfs-01") // it is being fenced: too late
	s.want("")
	s.step(HookEnded{At{s.now}, 77, ""})
	s.want("")
	s.ended("")
	fenced := s.now
	s.want("told:fence told:promote promote:nfs-01>nfs-02")
	s.ended("")
	promoted := s.now
	s.want("told:promote told:verify probe:nfs-02")
	s.after(200 * time.Millisecond).tick()
	s.want("probe:nfs-02")
	s.step(Probed{At{s.now}, model.ProbeResult{Ref: ref("nfs-02"), At: s.now, OK: true, Latency: time.Second}})
	s.onHold(model.StepVerify) // it began before the promotion ended
	s.pass("nfs-02")
	s.want("told:verify told:flip switched:nfs-02 release")
	s.active("nfs-02", 2, model.ReasonFailed)
	s.onHold(model.StepNone)
	sw := s.switched().Switch
	if sw.Held != began || sw.Fenced != fenced || sw.Promoted != promoted || sw.Verified != s.now || sw.At != s.now {
		t.Errorf("switch = %+v", sw)
	}
}

func TestHookFails(t *testing.T) {
	s := failing(t, hooked())
	s.ended("exit status 1")
	s.want("told:fence")
	s.onHold(model.StepFence)
	s.alarm("director nfs is on hold: the fence hook of nfs-01 failed\ninterface eth0 of director nfs does not exist")
	s.after(time.Hour).tick()
	s.want("")
	s.say(model.VerbSwitch, "nfs-02", false)
	s.want("told:fence fence:nfs-01>nfs-02")
	s.ended("exit status 1")
	s.want("told:fence reply:the fence hook of nfs-01 failed: exit status 1; the switch to nfs-02 stays on hold")
	s.say(model.VerbSwitch, "nfs-02", true)
	s.want("told:promote promote:nfs-01>nfs-02")
	s.ended("exit status 1")
	s.want("told:promote told:flip switched:nfs-02 release reply:nfs-02 is the active server of nfs now")
}

func TestHookPolicyTry(t *testing.T) {
	s := failing(t, change(hooked(), func(d *model.Director) { d.Fence.Policy = model.HookTry; d.Promote.Command = "" }))
	s.ended("exit status 1")
	s.want("told:fence told:flip switched:nfs-02 release")
	if sw := s.switched(); !sw.Switch.Fenced.IsZero() {
		t.Error("it was not fenced, but the switch says so")
	}
}

func TestPromotionOfAnUncheckedServer(t *testing.T) {
	s := failing(t, change(hooked(), func(d *model.Director) { d.Servers[1].Check = false }))
	s.ended("")
	s.ended("")
	s.want("told:promote told:verify probe:nfs-02")
	if !strings.Contains(fmt.Sprint(s.state.Targets()), "nfs/nfs-02") {
		t.Error("the server that is asked is no target")
	}
	s.after(1200 * time.Millisecond).tick()
	s.want("told:verify told:flip switched:nfs-02 release")
}

func TestLongVerification(t *testing.T) {
	s := failing(t, hooked())
	s.ended("")
	s.ended("")
	s.after(31 * time.Second).tick()
	s.alarm("director nfs is on hold: nfs-02 was promoted, but its check does not pass\ninterface eth0 of director nfs does not exist")
	s.pass("nfs-02")
	s.active("nfs-02", 2, model.ReasonFailed)
}

func TestOrdersDuringASwitch(t *testing.T) {
	three := change(hooked(), func(d *model.Director) {
		d.Servers = append(d.Servers, model.Server{Name: "nfs-03", Addr: addr("192.168.10.102"), Port: 2049, Weight: 1, Sorry: true, Check: true})
	})
	ready := func(t *testing.T) *story {
		s := failing(t, three)
		s.pass("nfs-03")
		return s
	}
	t.Run("another server, after the fence", func(t *testing.T) {
		s := ready(t)
		s.ended("")
		s.say(model.VerbSwitch, "nfs-03", false)
		s.want("told:hold told:fence fence:nfs-02>nfs-03") // nfs-02 may be promoted by half
		s.ended("")
		s.want("told:fence told:promote promote:nfs-02>nfs-03")
	})
	t.Run("another server, before the fence ended", func(t *testing.T) {
		s := ready(t)
		s.say(model.VerbSwitch, "nfs-03", false)
		s.want("told:hold told:fence fence:nfs-01>nfs-03")
	})
	t.Run("the old server: the switch is called off", func(t *testing.T) {
		s := ready(t)
		s.say(model.VerbSwitch, "nfs-01", false)
		s.want("told:hold told:promote promote:>nfs-01")
		s.ended("")
		s.pass("nfs-01")
		s.want("told:verify told:stay release reply:the switch was called off; nfs-01 stays the active server of nfs")
		s.active("nfs-01", 1, model.ReasonFirst)
		s.tick()
		s.onHold(model.StepNone)
	})
	t.Run("a later order takes the place of an earlier one", func(t *testing.T) {
		s := ready(t)
		s.say(model.VerbSwitch, "nfs-03", false)
		s.say(model.VerbSwitch, "nfs-02", false)
		s.want("reply:a later order took its place: switch to nfs-02 told:hold told:fence fence:nfs-01>nfs-02")
	})
}

func TestReloadDuringASwitch(t *testing.T) {
	s := failing(t, hooked())
	s.reload(change(hooked(), func(d *model.Director) { d.Check.Rise = 1 }))
	s.onHold(model.StepFence)
	s.reload(change(hooked(), func(d *model.Director) { d.Servers = d.Servers[:1] }))
	s.onHold(model.StepNone)
	s.active("nfs-01", 1, model.ReasonFirst)
}

// A server whose promotion had begun may be writing: when the configuration
// drops it, no other one is promoted until an operator says so, and it is fenced.
func TestPromotedServerIsDropped(t *testing.T) {
	three := change(hooked(), func(d *model.Director) {
		d.Servers = append(d.Servers, model.Server{Name: "nfs-03", Addr: addr("192.168.10.102"), Port: 2049, Weight: 1, Sorry: true, Check: true})
	})
	without := change(three, func(d *model.Director) { d.Servers = append(d.Servers[:1:1], d.Servers[2]) })
	moved := change(three, func(d *model.Director) { d.Servers[1].Addr = addr("192.168.10.110") })
	for name, after := range map[string]model.Config{"gone": without, "another address": moved} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %v", name, restart), func(t *testing.T) {
				s := failing(t, three)
				s.pass("nfs-03")
				s.ended("")
				s.want("told:fence told:promote promote:nfs-01>nfs-02")
				if restart {
					s = s.restarted(after, s.kernel(), s.state.Memory(), "")
				} else {
					s.reload(after)
				}
				s.onHold(model.StepOrder)
				s = s.restarted(after, s.kernel(), s.state.Memory(), "")
				s.onHold(model.StepOrder)
				s.pass("nfs-03")
				s.say(model.VerbSwitch, "nfs-03", false)
				s.want("told:hold told:fence fence:nfs-02>nfs-03")
				if run := only[RunHook](s.actions)[0]; run.Old.Addr != addr("192.168.10.101") {
					t.Errorf("fences %v", run.Old)
				}
			})
		}
	}
	t.Run("while it is fenced for another one", func(t *testing.T) {
		s := failing(t, three)
		s.pass("nfs-03")
		s.ended("")
		s.say(model.VerbSwitch, "nfs-03", false)
		s.want("told:hold told:fence fence:nfs-02>nfs-03")
		s.reload(change(three, func(d *model.Director) { d.Servers = d.Servers[:2] }))
		s.onHold(model.StepOrder)
		s.say(model.VerbSwitch, "nfs-01", false)
		s.want("told:hold told:fence fence:nfs-02>nfs-01")
	})
}

func TestFirstChoiceRunsNoHook(t *testing.T) {
	s := newStory(t, hooked())
	s.pass("nfs-01")
	s.want("told:health told:flip switched:nfs-01 release")
}

func TestPromotionOfAServerThatIsDown(t *testing.T) {
	s := newStory(t, hooked())
	s.pass("nfs-01")
	s.down("nfs-02")
	s.after(time.Hour).down("nfs-01")
	s.onHold(model.StepFence)
}
