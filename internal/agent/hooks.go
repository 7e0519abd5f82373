package agent

import (
	"context"
	"slices"

	"fairlead/internal/decide"
	"fairlead/internal/hook"
	"fairlead/internal/model"
)

// hookEnd tells the loop how a hook ended.
type hookEnd struct {
	id  uint64
	err string // "": it succeeded
}

// beginHooks begins the hooks that are due of directors that the kernel holds. A
// hook whose switch was given up meanwhile is forgotten.
func (l *loop) beginHooks() {
	for director, a := range l.due {
		switch {
		case !l.hooking(director):
			delete(l.due, director)
		case l.holding(director):
			delete(l.due, director)
			l.runHook(a)
		}
	}
}

// hooking tells whether a director's switch is under way, as it must be for a
// hook of it.
func (l *loop) hooking(director string) bool {
	return slices.ContainsFunc(l.desired.Directors, func(d model.DesiredDirector) bool { return d.Name == director && d.Hold })
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

// runHook begins a hook. One of the director that still runs is ended: nobody
// waits for its answer any more.
func (l *loop) runHook(a decide.RunHook) {
	if cancel := l.hooks[a.Director]; cancel != nil {
		cancel()
	}
	ctx, cancel := context.WithCancel(l.ctx)
	l.hooks[a.Director] = cancel
	l.group.Go(func() error {
		defer cancel()
		o := l.parts.Hooks.Run(ctx, hook.Call{
			Kind: a.Kind, Hook: a.Hook, Director: a.Director, VIPs: a.VIPs,
			Old: a.Old, New: a.New, Epoch: a.Epoch, Reason: a.Reason, Why: a.Why,
		})
		end := hookEnd{id: a.ID}
		if o.Err != nil {
			end.err = o.Err.Error()
		}
		select {
		case l.hookEnds <- end:
		case <-ctx.Done():
		}
		return nil
	})
}
