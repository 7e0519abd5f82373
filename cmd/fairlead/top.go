package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"sync"
	"time"
	"unicode"

	"github.com/gdamore/tcell/v2"

	"fairlead/internal/api"
	"fairlead/internal/dataplane"
	"fairlead/internal/model"
)

const (
	topPatience = 5 * time.Second // for one status
	topHistory  = 24 * time.Hour  // of the journal, at the start
	topRetry    = time.Second     // between two tries to follow the journal
	topQueue    = 64              // what was told and not taken yet; its senders wait beyond it
)

type topCommand struct {
	socketFlag
	pinFlag
	Interval time.Duration `default:"1s" placeholder:"TIME" help:"How often to ask the daemon, from 200ms to 1m (default ${default})."`
}

func (c *topCommand) Run(ctx context.Context, env *surroundings) error {
	if !env.terminal {
		return unable{errors.New("top needs a terminal; elsewhere, use `fairlead status` or `fairlead events --follow`")}
	}
	if c.Interval < 200*time.Millisecond || c.Interval > time.Minute {
		return unable{errors.New("--interval must be between 200ms and 1m")}
	}
	client := api.NewClient(c.Socket)
	v := &topView{daemon: client, socket: c.Socket, look: func() string { return outlook(c.PinDir) }, hangups: env.hangups, told: make(chan any, topQueue)}
	first, err := v.ask(ctx)
	if err != nil {
		return err
	}
	v.state, _ = topState{interval: c.Interval}.step(topAnswered{time.Now(), first})
	screen, err := tcell.NewScreen()
	if err != nil {
		return unable{fmt.Errorf("use the terminal: %w; set TERM to what your terminal is", err)}
	}
	if err := screen.Init(); err != nil {
		return unable{fmt.Errorf("use the terminal: %w", err)}
	}
	defer screen.Fini() // also when something panics
	v.screen = screen
	return v.run(ctx)
}

// outlook says what the data plane does without a daemon.
func outlook(dir string) string {
	found, err := dataplane.Look(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no data plane is found"
	case err != nil:
		return "what the data plane does is not known"
	case len(found.Applied.Ifaces) == 0 || len(found.Targets) == 0:
		return "the data plane forwards nothing"
	}
	return "the data plane keeps forwarding"
}

// topDaemon is what the view needs of a daemon.
type topDaemon interface {
	Status(ctx context.Context) (model.Status, error)
	Events(ctx context.Context, since api.Since, follow bool, emit func(model.Event) error) error
	Order(ctx context.Context, order api.Order) (api.Ordered, error)
}

// topView joins the state of the view with the terminal and the daemon. One
// goroutine owns the state and the screen; the others ask, and tell it.
type topView struct {
	daemon  topDaemon
	socket  string
	look    func() string // what the data plane does without a daemon
	screen  tcell.Screen
	hangups <-chan os.Signal
	state   topState
	told    chan any
	asking  bool // a question for the status is under way
	helpers sync.WaitGroup
}

// panicked is what a helper goroutine could not survive. The owner panics in its
// place, where the screen is put back.
type panicked struct {
	value any
	stack []byte
}

// run shows the view until the user quits, the terminal goes or ctx ends.
func (v *topView) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer v.helpers.Wait()
	defer cancel()
	keys := make(chan tcell.Event, topQueue)
	v.help(ctx, func() { v.screen.ChannelEvents(keys, ctx.Done()) })
	v.help(ctx, func() { v.follow(ctx) })
	clock := time.NewTicker(time.Second)
	defer clock.Stop()
	asks := time.NewTimer(v.state.interval)
	defer asks.Stop()
	for {
		v.draw()
		var act topAct
		before := v.state.interval
		select {
		case <-ctx.Done():
			return nil
		case <-v.hangups:
			return nil // the terminal is gone
		case now := <-clock.C:
			v.state, act = v.state.step(topTicked{now})
		case <-asks.C:
			v.asking = true
			v.help(ctx, func() { v.tell(ctx, v.answer(ctx)) })
		case event, ok := <-keys:
			if !ok {
				return nil
			}
			var err error
			if act, err = v.pressed(event); err != nil {
				return err
			}
		case told := <-v.told:
			if v.take(told) {
				v.asking = false
				asks.Reset(v.state.interval)
			}
		}
		if before != v.state.interval && !v.asking {
			asks.Reset(v.state.interval)
		}
		if act.quit {
			return nil
		}
		if act.order != nil {
			v.help(ctx, func() { v.tell(ctx, v.order(ctx, *act.order)) })
		}
	}
}

// help runs what may wait on a goroutine of its own.
func (v *topView) help(ctx context.Context, do func()) {
	v.helpers.Go(func() {
		defer func() {
			if value := recover(); value != nil {
				v.tell(ctx, panicked{value, debug.Stack()})
			}
		}()
		do()
	})
}

func (v *topView) tell(ctx context.Context, what any) {
	select {
	case v.told <- what:
	case <-ctx.Done():
	}
}

// take takes what the helpers told, and all that waits behind it, before the next
// picture. It tells whether an answer to a question for the status was among it.
func (v *topView) take(told any) (answered bool) {
	for {
		switch what := told.(type) {
		case panicked:
			panic(fmt.Sprintf("%v\n%s", what.value, what.stack))
		case topAnswered, topUnanswered:
			answered = true
		}
		v.state, _ = v.state.step(told)
		select {
		case told = <-v.told:
		default:
			return answered
		}
	}
}

// pressed hands a key to the state.
func (v *topView) pressed(event tcell.Event) (act topAct, err error) {
	switch e := event.(type) {
	case *tcell.EventKey:
		v.state, act = v.state.step(topPressed{e.Key(), e.Rune()})
	case *tcell.EventResize:
		v.screen.Sync()
	case *tcell.EventError:
		return act, fmt.Errorf("read the terminal: %w", e)
	}
	return act, nil
}

func (v *topView) ask(ctx context.Context) (model.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, topPatience)
	defer cancel()
	s, err := v.daemon.Status(ctx)
	return s, unanswered(err, v.socket, topPatience)
}

// answer is what the daemon says of its status, or what is known without it.
func (v *topView) answer(ctx context.Context) any {
	s, err := v.ask(ctx)
	if err != nil {
		return topUnanswered{time.Now(), err.Error(), v.look()}
	}
	return topAnswered{time.Now(), s}
}

func (v *topView) order(ctx context.Context, order api.Order) topOrdered {
	done, err := v.daemon.Order(ctx, order)
	return topOrdered{order, done, err}
}

// follow reads the journal, again and again from the last entry on: the daemon
// may go and come back.
func (v *topView) follow(ctx context.Context) {
	since := api.Since{At: time.Now().Add(-topHistory)}
	for {
		// Whether the daemon answers is shown by its status already.
		_ = v.daemon.Events(ctx, since, true, func(e model.Event) error {
			since = api.Since{At: e.At}
			v.tell(ctx, e)
			return ctx.Err()
		})
		select {
		case <-ctx.Done():
			return
		case <-time.After(topRetry):
		}
	}
}

// draw brings the state to the screen, which sends only what differs.
func (v *topView) draw() {
	width, height := v.screen.Size()
	colours := v.screen.Colors() > 0 // NO_COLOR is respected there
	for y, line := range v.state.lines(width, height) {
		x := 0
		for _, span := range line {
			style := terminalStyle(span.style, colours)
			for _, char := range span.text {
				if !unicode.IsPrint(char) {
					char = '?' // what a hook or a server said must not steer the terminal
				}
				v.screen.SetContent(x, y, char, nil, style)
				x++
			}
		}
		for ; x < width; x++ { // not Clear, after which all would be sent again
			v.screen.SetContent(x, y, ' ', nil, tcell.StyleDefault)
		}
	}
	v.screen.Show()
}

// terminalStyle is a style in the terminal's terms. Where there are no colours none
// is asked for: tcell would show some of them in reverse.
func terminalStyle(s topStyle, colours bool) tcell.Style {
	style := tcell.StyleDefault.Bold(s&topBold != 0).Dim(s&topDim != 0).Reverse(s&topReverse != 0)
	switch {
	case !colours:
		return style
	case s&topRed != 0:
		return style.Foreground(tcell.ColorMaroon)
	case s&topGreen != 0:
		return style.Foreground(tcell.ColorGreen)
	case s&topYellow != 0:
		return style.Foreground(tcell.ColorOlive)
	}
	return style
}
