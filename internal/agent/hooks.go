package agent

import (
	"context"

	"fairlead/internal/decide"
	"fairlead/internal/hook"
	"fairlead/internal/model"
)

// hookEnd tells the loop how a hook ended.
type hookEnd struct {
	director string
	id       uint64
	err      string // "": it succeeded
}

// moveHooks ends the hooks that nobody waits for any more, and begins those that
// are due of directors that the kernel holds. A director never has two at once:
// the next one begins when the one before has returned.
func (l *loop) moveHooks() {
	if len(l.hooks) == 0 && len(l.due) == 0 {
		return
	}
	awaited := make(map[string]bool)
	for _, d := range l.state.Status() {
		awaited[d.Name] = d.Step == model.StepFence || d.Step == model.StepPromote
	}
	for director, cancel := range l.hooks {
		if _, newer := l.due[director]; newer || !awaited[director] {
			cancel()
		}
	}
	for director, a := range l.due {
		switch {
		case !awaited[director]:
			delete(l.due, director)
		case l.hooks[director] == nil && l.holding(director):
			delete(l.due, director)
			l.runHook(a)
		}
	}
}

// holding tells whether the kernel was seen to forward nothing of a director. It
// need not have the director's choice: the MAC address of a dead server may never
// be known. One that never had a choice is not read back.
func (l *loop) holding(director string) bool {
	if held, ok := l.kernel.applied.Directors[director]; ok {
		return held.Hold
	}
	return l.kernel.tried && l.kernel.err == nil
}

// runHook begins a hook.
func (l *loop) runHook(a decide.RunHook) {
	ctx, cancel := context.WithCancel(l.ctx)
	l.hooks[a.Director] = cancel
	l.group.Go(func() error {
		defer cancel()
		o := l.parts.Hooks.Run(ctx, hook.Call{
			Kind: a.Kind, Hook: a.Hook, Director: a.Director, VIPs: a.VIPs,
			Old: a.Old, New: a.New, Epoch: a.Epoch, Reason: a.Reason, Why: a.Why,
		})
		end := hookEnd{director: a.Director, id: a.ID}
		if o.Err != nil {
			end.err = o.Err.Error()
		}
		select {
		case l.hookEnds <- end:
		case <-l.ctx.Done():
		}
		return nil
	})
}

// hookEnded takes the end of a hook. The decisions pass over one that they do not
// wait for.
func (l *loop) hookEnded(h hookEnd) {
	delete(l.hooks, h.director)
	l.handle(decide.HookEnded{At: now(), ID: h.id, Err: h.err})
}
