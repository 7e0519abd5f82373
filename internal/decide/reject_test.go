package decide

import (
	"testing"

	"fairlead/internal/model"
)

// TestReject: clients are refused while no server is up, and only if somebody asked
// for it; never while it is not known.
func TestReject(t *testing.T) {
	rejects := func(t *testing.T, s *story, want bool, when string) {
		t.Helper()
		if got := s.state.Desired().Directors[0].Reject; got != want {
			t.Errorf("%s: rejects is %t, want %t", when, got, want)
		}
	}
	asked := func(d *model.Director) { d.OnNoServer = model.NoServerReject }
	s := newStory(t, change(web(a, sorry(b)), asked))
	rejects(t, s, false, "at the start")
	s.down("a")
	rejects(t, s, false, "the other is not known")
	s.down("b")
	rejects(t, s, true, "both are down")
	s.up("b")
	rejects(t, s, false, "one is up")
	s.down("b")
	rejects(t, s, true, "the active one is down, and nobody takes its place")
	s.up("b")
	rejects(t, s, false, "it is back")

	s = newStory(t, web(a, sorry(b)))
	s.down("a")
	s.down("b")
	rejects(t, s, false, "nobody asked for it")

	s = newStory(t, change(web(a, unchecked(sorry(b))), asked))
	s.down("a")
	rejects(t, s, false, "an unchecked server counts as up")

	s = newStory(t, change(web(a, b, sorry(c)), asked)) // balanced
	s.down("a")
	s.down("b")
	rejects(t, s, false, "the sorry server is not known")
	s.down("c")
	rejects(t, s, true, "all servers of a balanced director are down")
	s.up("b")
	rejects(t, s, false, "one is up")
}

// TestSorryServersInOrder: the first checked sorry server that is up is taken, and
// the next when it fails.
func TestSorryServersInOrder(t *testing.T) {
	s := newStory(t, web(a, sorry(b), sorry(c)))
	s.up("a")
	s.up("b")
	s.up("c")
	s.active("a", 1, model.ReasonFirst)
	s.down("a")
	s.active("b", 2, model.ReasonFailed)
	s.down("b")
	s.pass("c")
	s.active("c", 3, model.ReasonFailed)
	s.up("b")
	s.active("b", 4, model.ReasonFailback)
	s.down("c")
	s.down("b")
	s.active("b", 4, model.ReasonFailback) // nobody is up: it stays
	s.up("a")
	s.fail("b", "refused") // it was asked once more
	s.active("a", 5, model.ReasonFailed)
}
