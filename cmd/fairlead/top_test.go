package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gdamore/tcell/v2"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// after is a status some time later, with traffic.
func after(s model.Status, d time.Duration, packets, bytes uint64) model.Status {
	s.At = s.At.Add(d)
	s.Directors = append([]model.DirectorStatus{}, s.Directors...)
	first := &s.Directors[0]
	first.Total = first.Total.Add(model.Counter{Packets: packets, Bytes: bytes})
	first.Servers = append([]model.ServerStatus{}, first.Servers...)
	first.Servers[0].Total = first.Servers[0].Total.Add(model.Counter{Packets: packets, Bytes: bytes})
	return s
}

// watching is the view after two statuses and the journal of a night.
func watching(s model.Status) topState {
	view := topState{interval: time.Second}
	for _, e := range night() {
		view, _ = view.step(e)
	}
	view, _ = view.step(topAnswered{s.At, s})
	next := after(s, 2*time.Second, 24690, 20<<20)
	view, _ = view.step(topAnswered{next.At, next})
	return view
}

// press is the view after some keys, and the last act.
func press(s topState, keys string) (topState, topAct) {
	var act topAct
	for _, char := range keys {
		key := topPressed{tcell.KeyRune, char}
		switch char {
		case '\n':
			key = topPressed{key: tcell.KeyEnter}
		case '\x1b':
			key = topPressed{key: tcell.KeyEscape}
		case '\b':
			key = topPressed{key: tcell.KeyBackspace2}
		}
		s, act = s.step(key)
	}
	return s, act
}

// picture is what the view shows, as text.
func picture(s topState, width, height int) string {
	var b strings.Builder
	for _, l := range s.lines(width, height) {
		text := ""
		for _, span := range l {
			text += span.text
		}
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	return b.String()
}

func wantPicture(t *testing.T, what string, s topState, want ...string) {
	t.Helper()
	got := strings.Join(strings.Fields(picture(s, 80, 24)), " ")
	for _, w := range want {
		without, unwanted := strings.CutPrefix(w, "not: ")
		if strings.Contains(got, without) == unwanted {
			t.Errorf("%s: want %q in:\n%s", what, w, picture(s, 80, 24))
		}
	}
}

func TestTopOrders(t *testing.T) {
	quiet := watching(quietStatus())
	for _, tt := range []struct {
		keys, asks string
		want       *api.Order
	}{
		{"js", "Switch nfs from nfs-01 to nfs-02 now? The 41 connections of nfs are reset", &api.Order{Verb: model.VerbSwitch, Director: "nfs", Server: "nfs-02"}},
		{"d", "Drain nfs/nfs-01? It gets no new connections until it is enabled again. It is active: another server takes over", &api.Order{Verb: model.VerbDrain, Director: "nfs", Server: "nfs-01"}},
		{"jd", "Drain nfs/nfs-02? It gets no new connections until it is enabled again. (y/n)", &api.Order{Verb: model.VerbDrain, Director: "nfs", Server: "nfs-02"}},
		{"x", "Disable nfs/nfs-01? It is not used at all until it is enabled again. The 41 connections of nfs-01 are reset", &api.Order{Verb: model.VerbDisable, Director: "nfs", Server: "nfs-01"}},
		{"jx", "nfs-02 has no connection to reset. (y/n)", &api.Order{Verb: model.VerbDisable, Director: "nfs", Server: "nfs-02"}},
		{"e", "Enable nfs/nfs-01? It may be used again", &api.Order{Verb: model.VerbEnable, Director: "nfs", Server: "nfs-01"}},
		{"s", "nfs/nfs-01 is active already.", nil},
		{"ps", "The view is paused", nil},
		{"fnowhere\ns", "No server is selected.", nil},
	} {
		view, act := press(quiet, tt.keys)
		if act.order != nil {
			t.Errorf("%q: carried out without a question", tt.keys)
		}
		wantPicture(t, tt.keys, view, tt.asks)
		for _, no := range []string{"n", "\x1b", "q", "Y", "\n"} {
			left, act := press(view, no)
			if tt.want != nil && (act != topAct{} || left.question != nil) {
				t.Errorf("%q and %q: got %+v", tt.keys, no, act)
			}
		}
		view, act = press(view, "y")
		switch {
		case tt.want == nil && act.order != nil, tt.want != nil && (act.order == nil || *act.order != *tt.want):
			t.Errorf("%q: ordered %+v, want %+v", tt.keys, act.order, tt.want)
		case tt.want != nil:
			again, _ := press(view, "e")
			wantPicture(t, "a second order", again, "An order is being carried out")
		}
	}
}

// TestTopForce: force is offered after a refusal only, asks once more, and is not
// offered again.
func TestTopForce(t *testing.T) {
	order := api.Order{Verb: model.VerbSwitch, Director: "nfs", Server: "nfs-02"}
	refusal := &api.Error{Message: "nfs-02 does not pass its check", Status: http.StatusConflict}
	view := watching(quietStatus())
	if forced, _ := press(view, "F"); forced.question != nil {
		t.Error("forced what nobody refused")
	}
	view, _ = press(view, "jsy")
	refused, _ := view.step(topOrdered{order: order, err: fmt.Errorf("order: %w", refusal)})
	wantPicture(t, "refused", refused, "Refused: nfs-02 does not pass its check. F forces it, which may cost data; Esc leaves it.")
	for _, keys := range []string{"\x1bF", "eF", "FnF"} {
		if left, act := press(refused, keys); act.order != nil || left.question != nil && left.question.order.Force {
			t.Errorf("%q: got %+v", keys, left.question)
		}
	}
	asked, act := press(refused, "F")
	if act.order != nil {
		t.Error("forced without a question")
	}
	wantPicture(t, "F", asked, "Force it: switch nfs/nfs-02?", "this may cost data. (y/n)")
	forced, act := press(asked, "y")
	if act.order == nil || !act.order.Force || act.order.Server != "nfs-02" {
		t.Errorf("got %+v", act.order)
	}
	again, _ := forced.step(topOrdered{order: *act.order, err: refusal})
	wantPicture(t, "refused with force", again, "Refused:", "not: F forces it")
	for _, end := range []topOrdered{
		{order: api.Order{Verb: model.VerbEnable, Director: "nfs", Server: "nfs-02"}, err: refusal},
		{order: order, err: errors.New("no daemon answers")},
		{order: order, err: &api.Error{Message: "there is no such server", Status: http.StatusNotFound}},
	} {
		if failed, _ := view.step(end); failed.refused != nil || failed.message == "" {
			t.Errorf("%+v: force is offered", end)
		}
	}
	done, _ := view.step(topOrdered{order: order, done: api.Ordered{Switch: &model.Switch{From: "nfs-01", To: "nfs-02", Epoch: 8}}})
	wantPicture(t, "done", done, "Done: nfs switched from nfs-01 to nfs-02, epoch 8.")
}

// TestTopQuestionIsOld: what is confirmed is what was asked.
func TestTopQuestionIsOld(t *testing.T) {
	view, _ := press(watching(quietStatus()), "d")
	s := after(quietStatus(), 3*time.Second, 0, 0)
	same, _ := view.step(topAnswered{s.At, s})
	if same.question == nil {
		t.Error("the question is gone, though nothing changed")
	}
	s.Directors[0].Applied = "nfs-02"
	view, _ = view.step(topAnswered{s.At, s})
	if _, act := press(view, "y"); act.order != nil {
		t.Errorf("confirmed %+v", act.order)
	}
	wantPicture(t, "changed", view, "the active server of nfs has changed meanwhile")
	lost, _ := press(watching(quietStatus()), "d")
	lost, _ = lost.step(topUnanswered{at: s.At, forwards: "x"})
	if _, act := press(lost, "y"); act.order != nil {
		t.Errorf("confirmed without a daemon: %+v", act.order)
	}
}

func TestTopKeys(t *testing.T) {
	view := watching(brokenStatus())
	names := func(s topState) string { return s.selected.String() }
	for _, tt := range []struct{ keys, want string }{
		{"", "nfs/nfs-01"}, {"j", "nfs/nfs-02"}, {"jk", "nfs/nfs-01"}, {"k", "nfs/nfs-01"}, {"jjj", "pool/pool-01"}, {"jjjjjjj", "pool/pool-02"},
		{"fpool", "pool/pool-01"}, {"fpool-02\n", "pool/pool-02"}, {"fxx\b\b\n", "nfs/nfs-01"}, {"fpool\x1b", "pool/pool-01"},
	} {
		if got, _ := press(view, tt.keys); names(got) != tt.want {
			t.Errorf("%q: selected %s, want %s", tt.keys, names(got), tt.want)
		}
	}
	for key, want := range map[tcell.Key]string{tcell.KeyDown: "nfs/nfs-02", tcell.KeyEnd: "pool/pool-02", tcell.KeyPgDn: "pool/pool-02", tcell.KeyHome: "nfs/nfs-01", tcell.KeyPgUp: "nfs/nfs-01"} {
		if got, _ := view.step(topPressed{key: key}); names(got) != want {
			t.Errorf("%s: selected %s, want %s", tcell.KeyNames[key], names(got), want)
		}
	}
	for _, keys := range []string{"q", "fx\nq"} {
		if _, act := press(view, keys); !act.quit {
			t.Errorf("%q does not quit", keys)
		}
	}
	for _, keys := range []string{"", "?", "d", "fx"} {
		before, _ := press(view, keys)
		if _, act := before.step(topPressed{key: tcell.KeyCtrlC}); !act.quit {
			t.Errorf("Ctrl-C after %q does not quit", keys)
		}
	}
	if help, act := press(view, "?q"); act.quit || help.help {
		t.Error("a key that ends the help has done more")
	}
	interval := time.Second
	for _, want := range []time.Duration{2 * time.Second, 5 * time.Second, 10 * time.Second, 500 * time.Millisecond, time.Second} {
		view, _ = press(view, "r")
		if interval = view.interval; interval != want {
			t.Errorf("interval: got %v, want %v", interval, want)
		}
	}
}

func TestTopPauses(t *testing.T) {
	view, _ := press(watching(quietStatus()), "p")
	next := after(view.status, time.Hour, 1, 1)
	still, _ := view.step(topAnswered{next.At, next})
	wantPicture(t, "paused", still, "PAUSED as of 03:14:17")
	moving, _ := press(still, "p")
	moving, _ = moving.step(topAnswered{next.At, next})
	wantPicture(t, "on again", moving, "04:14:17", "not: PAUSED")
}

// TestTopRates: a rate needs two readings, and counters that did not go back.
func TestTopRates(t *testing.T) {
	first, _ := topState{}.step(topAnswered{status: quietStatus()})
	if first.rates != nil {
		t.Errorf("of one reading: got %v", first.rates)
	}
	ref := model.ServerRef{Director: "nfs", Server: "nfs-01"}
	if got := watching(quietStatus()).rates; got[ref] != (topRate{12345, 10 << 20}) || got[model.ServerRef{Director: "nfs"}] != got[ref] {
		t.Errorf("got %v", got)
	}
	reset := after(quietStatus(), time.Second, 0, 0)
	reset.Directors[0].Servers[0].Total = model.Counter{Packets: 1, Bytes: 1 << 60}
	if got, known := ratesOf(quietStatus(), reset)[ref]; known {
		t.Errorf("a counter that was cleared: got %v", got)
	}
	blind := after(quietStatus(), time.Second, 0, 0)
	blind.Blind = "permission denied"
	if got := ratesOf(quietStatus(), blind); got != nil {
		t.Errorf("counters that were not read: got %v", got)
	}
}

// TestTopEvents: an interrupted journal goes on without a gap or an echo.
func TestTopEvents(t *testing.T) {
	view := topState{}
	e := night()[0]
	for i := range 3 * topEvents {
		e.Seq, e.At = uint64(i), e.At.Add(time.Second)
		view, _ = view.step(e)
		view, _ = view.step(e)
	}
	if n := len(view.events); n != topEvents || view.events[n-1].Seq != 3*topEvents-1 || view.events[0].Seq != 2*topEvents {
		t.Errorf("got %d entries, %d to %d", n, view.events[0].Seq, view.events[n-1].Seq)
	}
}

func TestTopLosesTheDaemon(t *testing.T) {
	view := watching(quietStatus())
	at := view.now.Add(time.Second)
	view, _ = view.step(topUnanswered{at, "no daemon answers on /run/x", "the data plane keeps forwarding"})
	view, _ = view.step(topUnanswered{at.Add(12 * time.Second), "no daemon answers on /run/x", "the data plane keeps forwarding"})
	wantPicture(t, "lost", view, "The daemon does not answer since 03:14:18 (12s); the data plane keeps forwarding. Nobody checks the servers, and nobody switches.", "as of 03:14:17", "No alarms when the daemon was last heard.")
	for _, l := range view.lines(80, 24) {
		for _, span := range l {
			if span.style&(topGreen|topYellow) != 0 {
				t.Errorf("%q looks measured", span.text)
			}
		}
	}
	asked, _ := press(view, "js")
	wantPicture(t, "an order", asked, "The daemon does not answer: no order can be given.")
	back, _ := view.step(topAnswered{at.Add(time.Minute), quietStatus()})
	wantPicture(t, "back", back, "not: does not answer", "every 1s")
	hanging := quietStatus()
	hanging.Turned = hanging.At.Add(-time.Minute)
	wantPicture(t, "hangs", watching(hanging), "The daemon hangs: its last sign of life is 1m02s old")
}

// TestTopFits: whatever the size, no line is too long and none is too many, and
// what was selected is seen.
func TestTopFits(t *testing.T) {
	many := quietStatus()
	for i := range 300 {
		d := many.Directors[0]
		d.Name = fmt.Sprintf("director-%03d", i)
		many.Directors = append(many.Directors, d)
	}
	lost, _ := watching(brokenStatus()).step(topUnanswered{at: brokenStatus().At, why: "no daemon", forwards: "the data plane keeps forwarding"})
	asked, _ := press(watching(brokenStatus()), "jx")
	end, _ := watching(many).step(topPressed{key: tcell.KeyEnd})
	for name, view := range map[string]topState{"empty": {}, "quiet": watching(quietStatus()), "night": watching(brokenStatus()), "many": watching(many), "end": end, "lost": lost, "asked": asked, "help": {help: true}} {
		for width := 0; width <= 140; width += 20 {
			for height := 0; height <= 50; height += 1 + height/12 {
				lines := view.lines(width, height)
				if len(lines) > height {
					t.Fatalf("%s, %dx%d: %d lines", name, width, height, len(lines))
				}
				seen := false
				for _, l := range lines {
					n := 0
					for _, span := range l {
						n += utf8.RuneCountInString(span.text)
						seen = seen || span.style&topReverse != 0
					}
					if n > width {
						t.Fatalf("%s, %dx%d: a line of %d: %v", name, width, height, n, l)
					}
				}
				if (name == "many" || name == "end") && height >= 10 && width >= 40 && !seen {
					t.Fatalf("%s, %dx%d: the selected server is not seen", name, width, height)
				}
			}
		}
	}
}
