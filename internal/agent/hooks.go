package agent

import (
	"context"

	"fairlead/internal/decide"
	"fairlead/internal/hook"
)

// hookEnd tells the loop how a hook ended.
type hookEnd struct {
	id  uint64
	err string // "": it succeeded
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
