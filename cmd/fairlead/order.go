package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"fairlead/internal/control"
	"fairlead/internal/model"
)

// patience is how long an order may take: a daemon that is stuck must be told
// from one that is slow.
const patience = 30 * time.Second

// socketFlag says where the daemon answers.
type socketFlag struct {
	Socket string `placeholder:"PATH" default:"${socket}" help:"Control socket of the daemon (default ${default})."`
}

func (f socketFlag) client(ctx context.Context) (*control.Client, context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	return control.NewClient(f.Socket), ctx, cancel
}

type statusCommand struct {
	socketFlag
	JSON bool `name:"json" help:"Print the whole status as JSON."`
}

func (c *statusCommand) Run(ctx context.Context, env *surroundings) error {
	client, ctx, cancel := c.client(ctx)
	defer cancel()
	s, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.out, s)
	}
	return printStatus(env.out, s, env.terminal)
}

type switchCommand struct {
	socketFlag
	Target string `arg:"" name:"director/server" help:"The director, and the server that it shall use."`
	JSON   bool   `name:"json" help:"Print the record of the switch as JSON."`
}

func (c *switchCommand) Run(ctx context.Context, env *surroundings) error {
	director, server, ok := strings.Cut(c.Target, "/")
	if !ok || director == "" || server == "" {
		return unable{fmt.Errorf("%q does not name a server: write DIRECTOR/SERVER, for example nfs/nfs-02", c.Target)}
	}
	client, ctx, cancel := c.client(ctx)
	defer cancel()
	done, err := client.Switch(ctx, model.ServerRef{Director: director, Server: server})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.out, done)
	}
	from := done.From
	if from == "" {
		from = "no server"
	}
	_, err = fmt.Fprintf(env.out, "%s: switched from %s to %s, epoch %d\n", director, from, done.To, done.Epoch)
	return err
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
func (c *reloadCommand) printJSON(env *surroundings, done control.Reloaded, err error) error {
	var refused *control.Error
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
