package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gdamore/tcell/v2"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// simulated is a screen without a terminal.
func simulated(t *testing.T, width, height int) tcell.SimulationScreen {
	t.Helper()
	screen := tcell.NewSimulationScreen("UTF-8")
	if err := screen.Init(); err != nil {
		t.Fatal(err)
	}
	screen.SetSize(width, height)
	return screen
}

// shown is what stands on a screen.
func shown(screen tcell.SimulationScreen) string {
	cells, width, _ := screen.GetContents()
	var b strings.Builder
	for i := 0; i+width <= len(cells); i += width {
		row := ""
		for _, c := range cells[i : i+width] {
			row += string(c.Runes)
		}
		b.WriteString(strings.TrimRight(row, " ") + "\n")
	}
	screen.Size() // takes the screen's lock: the cells were read before the next picture
	return b.String()
}

func TestTopScreens(t *testing.T) {
	quiet, night := watching(quietStatus()), watching(brokenStatus())
	help, _ := press(quiet, "?")
	question, _ := press(night, "jx")
	refused, _ := quiet.step(topOrdered{order: api.Order{Verb: model.VerbSwitch, Director: "nfs", Server: "nfs-02"}, err: &api.Error{Message: "nfs-02 does not pass its check: no answer", Status: 409}})
	lost, _ := night.step(topUnanswered{night.now.Add(30 * time.Second), "no daemon answers on /run/fairlead/control.sock", "the data plane keeps forwarding"})
	for _, tt := range []struct {
		name          string
		view          topState
		width, height int
	}{
		{"quiet-80x24", quiet, 80, 24}, {"quiet-132x43", quiet, 132, 43}, {"night-80x24", night, 80, 24}, {"night-132x43", night, 132, 43},
		{"night-40x10", night, 40, 10}, {"help-80x24", help, 80, 24}, {"question-80x24", question, 80, 24}, {"refused-80x24", refused, 80, 24}, {"lost-80x24", lost, 80, 24},
	} {
		screen := simulated(t, tt.width, tt.height)
		v := &topView{screen: screen, state: tt.view}
		v.draw()
		golden(t, "top-"+tt.name+".txt", shown(screen))
		screen.Fini()
	}
}

// TestTopDoesNotObeyTheJournal: what a hook wrote cannot steer the terminal.
func TestTopDoesNotObeyTheJournal(t *testing.T) {
	screen := simulated(t, 80, 24)
	defer screen.Fini()
	view := watching(quietStatus())
	e := night()[0]
	e.Seq, e.Text = 99, "before\x1b[2Jafter\x07"
	view, _ = view.step(e)
	v := &topView{screen: screen, state: view}
	v.draw()
	if got := shown(screen); !strings.Contains(got, "before?[2Jafter?") {
		t.Errorf("got:\n%s", got)
	}
}

// TestTopStyles: where there are no colours the selected row still looks selected.
func TestTopStyles(t *testing.T) {
	bare := tcell.StyleDefault.Reverse(true)
	if got := terminalStyle(topGreen|topReverse, false); got != bare {
		t.Errorf("without colours: got %v", got)
	}
	if got := terminalStyle(topGreen|topReverse, true); got != bare.Foreground(tcell.ColorGreen) {
		t.Errorf("with colours: got %v", got)
	}
}

// topFake is a daemon that comes and goes.
type topFake struct {
	mu      sync.Mutex // guards the following
	gone    bool
	asked   int
	ordered []api.Order
	broken  bool
}

func (d *topFake) Status(context.Context) (model.Status, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if d.gone {
		return model.Status{}, api.ErrNotRunning
	}
	if d.broken {
		panic("a nil map")
	}
	s := quietStatus()
	s.At = time.Now()
	return s, nil
}

func (d *topFake) Events(ctx context.Context, since api.Since, _ bool, emit func(model.Event) error) error {
	for _, e := range night() {
		if !e.At.Before(since.At) {
			if err := emit(e); err != nil {
				return err
			}
		}
	}
	return errors.New("the daemon ended the stream of events")
}

// set changes the daemon, or looks at it.
func (d *topFake) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

func (d *topFake) Order(_ context.Context, order api.Order) (api.Ordered, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ordered = append(d.ordered, order)
	if !order.Force {
		return api.Ordered{}, &api.Error{Message: "nfs-02 does not pass its check", Status: 409}
	}
	return api.Ordered{Text: "nfs-02 is active"}, nil
}

// topBench is a view at work.
type topBench struct {
	daemon  *topFake
	screen  tcell.SimulationScreen
	hangups chan os.Signal
	ended   chan error
	stop    func()
}

// running runs a view in a bubble of its own.
func running(t *testing.T, do func(t *testing.T, b topBench)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		b := topBench{daemon: &topFake{}, screen: simulated(t, 100, 30), hangups: make(chan os.Signal, 1), ended: make(chan error, 1), stop: stop}
		v := &topView{daemon: b.daemon, screen: b.screen, hangups: b.hangups, told: make(chan any, topQueue), state: topState{interval: time.Second},
			look: func() string { return "the data plane keeps forwarding" }}
		go func() {
			defer func() {
				if value := recover(); value != nil {
					b.ended <- errors.New(strings.SplitN(value.(string), "\n", 2)[0])
				}
			}()
			b.ended <- v.run(ctx)
		}()
		do(t, b)
		stop()
		synctest.Wait()
		b.screen.Fini()
	})
}

// keys presses keys, one after the other.
func (b topBench) keys(text string) {
	for _, char := range text {
		b.screen.InjectKey(tcell.KeyRune, char, tcell.ModNone)
		synctest.Wait()
	}
}

func wantShown(t *testing.T, screen tcell.SimulationScreen, want string) {
	t.Helper()
	synctest.Wait()
	if got := shown(screen); !strings.Contains(got, want) {
		t.Errorf("want %q in:\n%s", want, got)
	}
}

func TestTopLives(t *testing.T) {
	running(t, func(t *testing.T, b topBench) {
		d, screen := b.daemon, b.screen
		time.Sleep(1100 * time.Millisecond)
		wantShown(t, screen, "nfs-01 is active")
		b.keys("js")
		wantShown(t, screen, "Switch nfs from nfs-01 to nfs-02 now?")
		b.keys("y")
		wantShown(t, screen, "F forces it")
		b.keys("Fy")
		wantShown(t, screen, "Done: nfs-02 is active")
		d.set(func() {
			if len(d.ordered) != 2 || d.ordered[0].Force || !d.ordered[1].Force {
				t.Errorf("ordered %+v", d.ordered)
			}
		})
		d.set(func() { d.gone = true })
		time.Sleep(time.Minute)
		wantShown(t, screen, "The daemon does not answer since ")
		d.set(func() { d.gone = false })
		time.Sleep(2 * time.Second)
		if got := shown(screen); strings.Contains(got, "does not answer") {
			t.Errorf("the daemon is back, and yet:\n%s", got)
		}
		asked := 0
		d.set(func() { asked = d.asked })
		b.keys("rrr") // every 10 seconds
		time.Sleep(time.Minute)
		d.set(func() {
			if n := d.asked - asked; n < 5 || n > 7 {
				t.Errorf("asked %d times in a minute, every 10 seconds", n)
			}
		})
		screen.SetSize(40, 10)
		screen.PostEvent(tcell.NewEventResize(40, 10))
		wantShown(t, screen, "nfs-02")
		b.keys("q")
		if err := <-b.ended; err != nil {
			t.Error(err)
		}
	})
}

// TestTopEnds: by a signal, with its terminal, and when something breaks.
func TestTopEnds(t *testing.T) {
	running(t, func(t *testing.T, b topBench) {
		b.stop()
		if err := <-b.ended; err != nil {
			t.Error(err)
		}
	})
	running(t, func(t *testing.T, b topBench) {
		b.hangups <- syscall.SIGHUP
		if err := <-b.ended; err != nil {
			t.Error(err)
		}
	})
	running(t, func(t *testing.T, b topBench) {
		b.daemon.set(func() { b.daemon.broken = true })
		if err := <-b.ended; err == nil || err.Error() != "a nil map" {
			t.Errorf("after a panic: got %v", err)
		}
	})
	running(t, func(t *testing.T, b topBench) {
		b.screen.PostEvent(tcell.NewEventError(errors.New("input/output error")))
		if err := <-b.ended; err == nil || !strings.Contains(err.Error(), "read the terminal: input/output error") {
			t.Errorf("after an error: got %v", err)
		}
	})
}

func TestTopNeedsATerminal(t *testing.T) {
	for args, want := range map[string]string{
		"top":                "top needs a terminal; elsewhere, use `fairlead status`",
		"top --interval 1ms": "between 200ms and 1m",
		"top --socket /none": "no daemon answers",
	} {
		got := shell{terminal: args != "top"}.run(t.Context(), strings.Fields(args)...)
		if got.code != exitUnable || !strings.Contains(got.err, want) || got.out != "" {
			t.Errorf("%s: got %+v", args, got)
		}
	}
}
