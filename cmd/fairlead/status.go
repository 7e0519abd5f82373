package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/dataplane"
	"fairlead/internal/model"
)

const (
	// statusPatience is how long a status may take. Somebody waits who wants to
	// know whether the daemon lives.
	statusPatience = 10 * time.Second
	// stuckAfter is how old a heartbeat may be. The daemon's loop turns several
	// times a second.
	stuckAfter = 5 * time.Second
)

type statusCommand struct {
	socketFlag
	pinFlag
	JSON bool `name:"json" help:"Print the whole status as JSON."`
}

func (c *statusCommand) Run(ctx context.Context, env *surroundings) error {
	asked, cancel := context.WithTimeout(ctx, statusPatience)
	defer cancel()
	s, err := api.NewClient(c.Socket).Status(asked)
	if err != nil && ctx.Err() == nil {
		return c.alone(env, unanswered(err, c.Socket, statusPatience))
	}
	if err != nil {
		return err
	}
	print := func() error { return printStatus(env.out, s, env.colour) }
	if c.JSON {
		print = func() error { return printJSON(env.out, s) }
	}
	if err := print(); err != nil {
		return err
	}
	if hangs(s) > 0 {
		return unable{silent{errors.New("the daemon hangs")}}
	}
	return nil
}

// hangs is for how long the daemon's loop has not turned; 0: it turns, or the
// status does not say.
func hangs(s model.Status) time.Duration {
	if s.Turned.IsZero() || s.At.Sub(s.Turned) < stuckAfter {
		return 0
	}
	return s.At.Sub(s.Turned)
}

// unanswered says in plain words that a question got no answer in time.
func unanswered(err error, socket string, patience time.Duration) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("the daemon on %s took the question and did not answer within %v", socket, patience)
}

// alone shows what the data plane does when no daemon answers. The status was
// asked for and cannot be had, so this is an error all the same.
func (c *statusCommand) alone(env *surroundings, asking error) error {
	if errors.Is(asking, api.ErrForbidden) {
		return asking
	}
	found, err := dataplane.Look(c.PinDir)
	if err != nil {
		return unable{fmt.Errorf("%w; %s", asking, unseen(err, c.PinDir))}
	}
	o := orphanOf(found, asking, time.Now())
	if c.JSON {
		err = printJSON(env.out, o)
	} else {
		err = printOrphan(env.out, o, env.colour)
	}
	if err != nil {
		return err
	}
	return unable{silent{asking}}
}
