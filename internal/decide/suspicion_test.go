package decide

import (
	"testing"
	"time"

	"fairlead/internal/model"
)

func (s *story) suspect(server string, held bool) {
	s.step(Suspected{At: At{s.now}, Ref: ref(server), Why: "a SYN came again", Held: held})
}

// pair is the note's configuration with both servers checked.
func pair() model.Config {
	return change(note(), func(d *model.Director) { d.Servers[1].Check = true })
}

// quiet is pair a minute after both servers were seen to be up.
func quiet(t *testing.T) *story {
	s := newStory(t, pair())
	s.up("nfs-01")
	s.up("nfs-02")
	return s.after(5 * time.Second)
}

// TestSuspicionOfAServerThatVanished: the decision comes within the timeout and
// a second of the first unanswered packet, not of the next regular probe.
func TestSuspicionOfAServerThatVanished(t *testing.T) {
	s := quiet(t)
	first := s.now
	s.suspect("nfs-01", false)
	s.want("told:suspect probe:nfs-01 probe:nfs-02")
	s.after(time.Millisecond).result("nfs-02", "")
	s.after(2*time.Second).result("nfs-01", "no answer within 2s")
	s.want("told:health told:flip switched:nfs-02 release")
	if took := s.now.Sub(first); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	if sw := s.switched(); sw.Switch.Suspected != first {
		t.Errorf("suspected %v, want %v", sw.Switch.Suspected, first)
	}
}

func TestSuspicionOfAHealthyServer(t *testing.T) {
	s := quiet(t)
	s.suspect("nfs-01", false)
	s.after(time.Millisecond).result("nfs-01", "")
	s.want("")
	s.after(10*time.Second).result("nfs-01", "refused")
	s.health("nfs-01", model.HealthUp) // the suspicion is spent
}

// TestLossyServerIsNotHammered: hints every 5 ms for a minute.
func TestLossyServerIsNotHammered(t *testing.T) {
	for _, held := range []bool{false, true} {
		s := quiet(t)
		begin, asked, told := s.now, 0, 0
		for s.now.Sub(begin) < time.Minute {
			s.after(5 * time.Millisecond)
			s.suspect("nfs-01", held)
			told += len(only[Told](s.actions))
			for _, p := range only[ProbeNow](s.actions) {
				if p.Ref == ref("nfs-01") {
					asked++
					s.after(time.Millisecond).result("nfs-01", "")
				}
			}
		}
		if asked > 600 || asked < 100 {
			t.Errorf("held %v: asked %d times in a minute, want at most 600", held, asked)
		}
		if told > asked+1 {
			t.Errorf("held %v: told %d times of %d runs of suspicion", held, told, asked)
		}
	}
}

func TestSuspicionByARP(t *testing.T) {
	s := quiet(t)
	s.link(link("eth0", macEth0, "192.168.10.2/24"))
	lost := model.Neighbour{Addr: addr("192.168.10.100"), Iface: "eth0", Failed: true}
	s.step(Neighbours{At{s.now}, lost})
	s.want("told:suspect probe:nfs-01 probe:nfs-02")
	if text := only[Told](s.actions)[0].Event.Text; text != "nfs-01 is suspected: the neighbour entry of nfs-01 failed: it does not answer ARP" {
		t.Errorf("text = %q", text)
	}
	lost.Addr = addr("192.168.10.101")
	s.after(time.Second).step(Neighbours{At{s.now}, lost})
	s.want("")
}

func TestHeldClientIsReleased(t *testing.T) {
	t.Run("when the server answers", func(t *testing.T) {
		s := quiet(t)
		s.suspect("nfs-01", true)
		s.after(10 * time.Millisecond).tick()
		s.want("probe:nfs-01")
		s.after(time.Millisecond).result("nfs-01", "")
		s.want("") // its process may just be dying
		s.after(99 * time.Millisecond).tick()
		s.want("probe:nfs-01")
		s.after(time.Millisecond).result("nfs-01", "")
		s.want("release")
	})
	t.Run("not by an answer from before", func(t *testing.T) {
		s := quiet(t)
		at := s.now.Add(-time.Millisecond)
		s.suspect("nfs-01", true)
		s.step(Probed{At{s.now}, model.ProbeResult{Ref: ref("nfs-01"), At: at, OK: true}})
		s.want("")
	})
	t.Run("when its time is over", func(t *testing.T) {
		s := quiet(t)
		s.suspect("nfs-01", true)
		s.after(10 * time.Millisecond).tick()
		s.want("probe:nfs-01")
		s.after(2989 * time.Millisecond).tick()
		s.want("")
		s.after(time.Millisecond).tick()
		s.want("release")
	})
	t.Run("with the switch", func(t *testing.T) {
		s := quiet(t)
		s.suspect("nfs-01", true)
		s.after(time.Millisecond).result("nfs-02", "")
		s.result("nfs-01", "refused")
		s.want("told:health told:flip switched:nfs-02 release")
	})
	t.Run("at once, of another server", func(t *testing.T) {
		s := quiet(t)
		s.suspect("nfs-02", true)
		s.want("release")
	})
	t.Run("at once, of a server that nobody checks", func(t *testing.T) {
		s := newStory(t, change(pair(), func(d *model.Director) { d.Servers[0].Check = false }))
		s.suspect("nfs-01", true)
		s.want("release")
	})
	t.Run("not while a switch holds", func(t *testing.T) {
		s := failing(t, hooked())
		s.suspect("nfs-01", true)
		s.after(time.Hour).tick()
		s.want("")
	})
}

// TestNobodyAnswers: the director's own network fails, and returns.
func TestNobodyAnswers(t *testing.T) {
	lost := func(t *testing.T) *story {
		s := newStory(t, change(web(a, sorry(b)), func(d *model.Director) { d.Check.Rise = 1 }))
		s.up("a")
		s.up("b")
		s.after(5 * time.Second)
		s.fail("a", "no answer")
		s.result("b", "no answer")
		s.fail("a", "no answer")
		s.result("b", "no answer")
		s.active("a", 1, model.ReasonFirst)
		s.note("no server answers; staying with a: it is probably the director's own network")
		s.alarm("director nfs: no server answers; staying with a\ninterface eth0 of director nfs does not exist")
		return s
	}
	t.Run("the other one was asked, and its answer is overdue", func(t *testing.T) {
		s := newStory(t, change(web(a, sorry(b)), func(d *model.Director) { d.Check.Rise = 1 }))
		s.up("a")
		s.up("b")
		s.after(5 * time.Second)
		s.suspect("a", false)
		s.want("told:suspect probe:a probe:b")
		s.after(2*time.Second).result("a", "no answer")
		s.active("a", 1, model.ReasonFirst)
		s.result("b", "no answer")
		s.active("a", 1, model.ReasonFirst)
	})
	t.Run("the active one answers first", func(t *testing.T) {
		s := lost(t)
		s.pass("a")
		s.pass("b")
		s.active("a", 1, model.ReasonFirst)
	})
	t.Run("the other one answers first, then the active one", func(t *testing.T) {
		s := lost(t)
		s.pass("b")
		s.want("told:health probe:a")
		s.active("a", 1, model.ReasonFirst)
		s.pass("a")
		s.active("a", 1, model.ReasonFirst)
	})
	t.Run("the active one does not answer", func(t *testing.T) {
		s := lost(t)
		s.pass("b")
		s.fail("a", "no answer")
		s.active("b", 2, model.ReasonFailed)
	})
}

// TestCandidateMustAnswer: one that passed long ago is asked first.
func TestCandidateMustAnswer(t *testing.T) {
	s := newStory(t, pair())
	s.up("nfs-02")
	s.up("nfs-01")
	s.after(time.Minute)
	s.fail("nfs-01", "refused")
	s.want("probe:nfs-02")
	s.fail("nfs-01", "refused")
	s.active("nfs-01", 1, model.ReasonFirst)
	s.pass("nfs-02")
	s.active("nfs-02", 2, model.ReasonFailed)
}

func (w *witness) suspected(s State, e Suspected) {
	v, r := w.views[e.Ref.Director], w.servers[e.Ref]
	d, ok := w.directorOf(e.Ref.Director)
	if !ok {
		return
	}
	if v.balanced {
		in := s.director(d.Name).serving(e.Ref.Server) != nil
		if r != nil && in && r.asked[3] == true && !w.severed(s, e.Ref) && r.opinion().health != model.HealthDown {
			r.results = append(r.results, hintOf(e))
		}
		return
	}
	if e.Held && w.clients[d.Name].since.IsZero() {
		w.clients[d.Name] = client{v.active, e.When()}
	}
	srv, _ := d.Server(v.active)
	if r == nil || v.step != model.StepNone || v.active != e.Ref.Server || srv.Addr != v.server.Addr || r.asked[3] == false ||
		w.severed(s, e.Ref) || r.opinion().health == model.HealthDown {
		return
	}
	r.results = append(r.results, hintOf(e))
}

// hintOf: the server is believed to answer when a probe passes that began after it;
// while a client waits, a little later.
func hintOf(e Suspected) result {
	began := e.When()
	if e.Held {
		began = began.Add(110 * time.Millisecond)
	}
	return result{at: e.When(), began: began, hint: true}
}
