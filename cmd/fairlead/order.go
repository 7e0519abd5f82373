package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// patience is how long an order may take: a daemon that is stuck must be told
// from one that is slow.
const patience = 30 * time.Second

// socketFlag says where the daemon answers.
type socketFlag struct {
	Socket string `placeholder:"PATH" default:"${socket}" help:"Control socket of the daemon (default ${default})."`
}

func (f socketFlag) client(ctx context.Context) (*api.Client, context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	return api.NewClient(f.Socket), ctx, cancel
}

// orderFlags are those of every order about a server.
type orderFlags struct {
	socketFlag
	Target string `arg:"" name:"director/server" help:"The director and its server, for example nfs/nfs-02."`
	JSON   bool   `name:"json" help:"Print the outcome as JSON."`
}

// forceFlag is that of the orders which may move clients.
type forceFlag struct {
	Force bool `help:"Do it although a hook fails, or no server passes its check. May cost data."`
}

type (
	switchCommand struct {
		orderFlags
		forceFlag
	}
	drainCommand struct {
		orderFlags
		forceFlag
	}
	disableCommand struct {
		orderFlags
		forceFlag
	}
	enableCommand struct {
		orderFlags
	}
)

func (c *switchCommand) Run(ctx context.Context, env *surroundings) error {
	return c.give(ctx, env, model.VerbSwitch, c.Force)
}

func (c *drainCommand) Run(ctx context.Context, env *surroundings) error {
	return c.give(ctx, env, model.VerbDrain, c.Force)
}

func (c *disableCommand) Run(ctx context.Context, env *surroundings) error {
	return c.give(ctx, env, model.VerbDisable, c.Force)
}

func (c *enableCommand) Run(ctx context.Context, env *surroundings) error {
	return c.give(ctx, env, model.VerbEnable, false)
}

// give gives the order and prints its outcome.
func (c *orderFlags) give(ctx context.Context, env *surroundings, verb model.Verb, force bool) error {
	director, server, ok := strings.Cut(c.Target, "/")
	if !ok || director == "" || server == "" {
		return unable{fmt.Errorf("%q does not name a server: write DIRECTOR/SERVER, for example nfs/nfs-02", c.Target)}
	}
	done, err := c.await(ctx, env, api.Order{Verb: verb, Director: director, Server: server, Force: force})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.out, done)
	}
	text := done.Text
	if s := done.Switch; s != nil {
		text = fmt.Sprintf("%s: switched from %s to %s, epoch %d", director, orNone(s.From), orNone(s.To), s.Epoch)
	}
	_, err = fmt.Fprintln(env.out, text)
	return err
}

// orNone is the name of a server that there may not be.
func orNone(server string) string {
	if server == "" {
		return "no server"
	}
	return server
}

// await waits for the outcome of an order. Hooks may take minutes: meanwhile it
// says what is waited for, and gives up only when the daemon does not answer.
func (c *orderFlags) await(ctx context.Context, env *surroundings, order api.Order) (api.Ordered, error) {
	ctx, stop := context.WithCancelCause(ctx)
	client := api.NewClient(c.Socket)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var watcher sync.WaitGroup
	watcher.Go(func() {
		ask := func() (model.Status, error) {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			return client.Status(ctx)
		}
		stop(waiting(ctx, tick.C, ask, func(what string) { fmt.Fprintf(env.err, "%s…\n", what) }, order.Director))
	})
	done, err := client.Order(ctx, order)
	lost := context.Cause(ctx) // set before the order's end: the daemon was lost
	stop(nil)
	watcher.Wait()
	if err != nil && lost != nil {
		return done, lost
	}
	return done, err
}

// waiting tells at each tick what a director's switch waits for, when that is
// another thing than before. It returns when ctx ends, or with the error of a
// daemon that does not answer.
func waiting(ctx context.Context, tick <-chan time.Time, ask func() (model.Status, error), tell func(string), director string) error {
	told := ""
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick:
		}
		s, err := ask()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("wait for the order: %w", err)
		}
		for _, d := range s.Directors {
			if what := awaited(d); d.Name == director && what != "" && what != told {
				told = what
				tell(what)
			}
		}
	}
}

// awaited says what the switch of a director waits for; "" when none is under
// way.
func awaited(d model.DirectorStatus) string {
	switch d.Step {
	case model.StepNone:
		return ""
	case model.StepFence:
		return fmt.Sprintf("waiting for the fence hook, which stops %s", orNone(d.Desired))
	case model.StepPromote:
		return fmt.Sprintf("waiting for the promote hook of %s", d.To)
	case model.StepVerify:
		return fmt.Sprintf("waiting until %s passes its check", d.To)
	case model.StepOrder:
		return "waiting for an operator, who must say which server has the newest data"
	}
	return ""
}

type reloadCommand struct {
	socketFlag
	JSON bool `name:"json" help:"Print the outcome as JSON."`
}

func (c *reloadCommand) Run(ctx context.Context, env *surroundings) error {
	client, ctx, cancel := c.client(ctx)
	defer cancel()
	done, err := client.Reload(ctx)
	if c.JSON {
		return c.printJSON(env, done, err)
	}
	if err != nil {
		return err
	}
	for _, w := range done.Warnings {
		fmt.Fprint(env.err, w.Rendered)
	}
	_, err = fmt.Fprintf(env.out, "reloaded: generation %d, %s\n", done.Generation, count(len(done.Warnings), "warning"))
	return err
}

// printJSON prints what a person would be told, also when it was refused.
func (c *reloadCommand) printJSON(env *surroundings, done api.Reloaded, err error) error {
	var refused *api.Error
	if !errors.As(err, &refused) {
		if err != nil {
			return err
		}
		return printJSON(env.out, done)
	}
	if err := printJSON(env.out, refused); err != nil {
		return err
	}
	return silent{errors.New("the reload was refused")}
}
