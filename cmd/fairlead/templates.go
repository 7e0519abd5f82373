package main

import (
	"context"
	"fmt"
	"io"
	"unicode/utf8"

	"fairlead/internal/api"
)

type templatesCommand struct {
	socketFlag
	Director string `placeholder:"DIRECTOR" help:"Only those of this director."`
	Client   string `placeholder:"ADDR|NET" help:"Only those of this client, or that share something with this network."`
	Limit    int    `default:"200" placeholder:"N" help:"Show at most so many (default ${default}; the daemon gives at most 10,000)."`
	JSON     bool   `name:"json" help:"Print the templates as JSON."`
}

func (c *templatesCommand) Run(ctx context.Context, env *surroundings) error {
	of, err := narrow(c.Client, c.Limit)
	if err != nil {
		return err
	}
	client, ctx, cancel := c.client(ctx)
	defer cancel()
	found, err := client.Templates(ctx, api.TemplateQuery{Director: c.Director, Client: of, Limit: c.Limit})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.out, found)
	}
	return printTemplates(env.out, found, env.colour)
}

// printTemplates shows templates in at most pageWidth columns.
func printTemplates(w io.Writer, found api.Templates, colour bool) error {
	p := &page{colour: colour}
	client, server := len("client"), len("director/server")
	for _, t := range found.Templates {
		client = max(client, len(t.Client.String()))
		server = max(server, utf8.RuneCountInString(t.Director+"/"+t.Server))
	}
	const rest = len("waits") + len("3d04h ") + 3*len("  ")
	server = max(min(server, pageWidth-client-rest), len("director/server"))
	if len(found.Templates) > 0 {
		p.line("%s", p.paint(bold, fmt.Sprintf("%-*s  %-*s  state  ends in", client, "client", server, "director/server")))
	}
	for _, t := range found.Templates {
		state := "holds"
		if !t.Holds {
			state = "waits"
		}
		p.line("%-*s  %-*s  %s  %s", client, t.Client, server, middle(t.Director+"/"+t.Server, server), state, ago(t.Left))
	}
	p.line("%s", totals("template", len(found.Templates), found.Matched, found.Known))
	if _, err := io.WriteString(w, p.text.String()); err != nil {
		return fmt.Errorf("print the templates: %w", err)
	}
	return nil
}

type forgetCommand struct {
	socketFlag
	Director string `arg:"" name:"director" help:"The director whose clients may go to any server again."`
	Client   string `placeholder:"ADDR|NET" help:"Only this client, or the clients of this network."`
	JSON     bool   `name:"json" help:"Print the outcome as JSON."`
}

func (c *forgetCommand) Run(ctx context.Context, env *surroundings) error {
	of, err := parseClient(c.Client)
	if err != nil {
		return err
	}
	client, ctx, cancel := c.client(ctx)
	defer cancel()
	done, err := client.ForgetTemplates(ctx, c.Director, of)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.out, done)
	}
	_, err = fmt.Fprintf(env.out, "%s: %s removed; connections go on\n", c.Director, count(done.Forgotten, "template"))
	return err
}
