package hook

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"fairlead/internal/program"
)

// Runner runs hooks. Its methods may be called from several goroutines.
type Runner struct {
	log *slog.Logger
}

// New returns a Runner.
func New(log *slog.Logger) *Runner { return &Runner{log: log} }

// Run runs a hook and returns when it has ended, at most 2 s after its timeout
// or the end of ctx.
func (r *Runner) Run(ctx context.Context, c Call) Outcome {
	begin := time.Now()
	log := r.log.With("hook", c.Kind.String(), "director", c.Director, "command", c.Hook.Command, "epoch", c.Epoch)
	log.Info("hook begins", "old", c.Old.Name, "new", c.New.Name)
	output, err := run(ctx, c)
	o := Outcome{Took: time.Since(begin), Output: output}
	if err != nil {
		o.Err = fmt.Errorf("%s hook %s of director %s: %w", c.Kind, c.Hook.Command, c.Director, err)
	}
	log.Info("hook ended", "took", o.Took, "ok", err == nil, "output", o.Output)
	return o
}

func run(ctx context.Context, c Call) (output string, err error) {
	f := c.facts()
	input, err := f.input()
	if err != nil {
		return "", fmt.Errorf("write its input: %w", err)
	}
	return program.Run(ctx, program.Call{
		Path: c.Hook.Command, Facts: f.list(), Input: input, Timeout: c.Hook.Timeout,
		Ended: "its switch was given up, or the daemon ends",
	})
}
