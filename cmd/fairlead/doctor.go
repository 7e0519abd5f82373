package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/config"
	"fairlead/internal/doctor"
	"fairlead/internal/model"
)

type doctorCommand struct {
	socketFlag
	File     []string      `short:"f" sep:"none" placeholder:"PATH" help:"Look by yourself, without the daemon, at what this configuration names: a file, a directory (its *.cfg files), or -. May be repeated."`
	Watch    bool          `help:"Look again and again, until Ctrl-C, and show what is new and what is mended."`
	Interval time.Duration `default:"1m" placeholder:"TIME" help:"With --watch: from one look to the next (default ${default})."`
	Strict   bool          `help:"Exit with 1 also when something could not be looked at."`
	JSON     bool          `name:"json" help:"Print the findings as JSON, with --watch one line a look."`
}

// leastInterval keeps a watch from doing nothing else.
const leastInterval = 10 * time.Second

func (c *doctorCommand) Run(ctx context.Context, env *surroundings) error {
	if c.Watch && c.Interval < leastInterval {
		return unable{fmt.Errorf("--interval must be at least %v", leastInterval)}
	}
	look, err := c.looker(env)
	if err != nil {
		return err
	}
	if c.Watch {
		return c.watch(ctx, env, look)
	}
	d, err := look(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(env.out, d)
	} else {
		err = printDiagnosis(env.out, d, env.colour)
	}
	if err != nil {
		return err
	}
	return judged(d, c.Strict)
}

// looker is how it is looked: by the daemon, or here.
func (c *doctorCommand) looker(env *surroundings) (func(context.Context) (model.Diagnosis, error), error) {
	if len(c.File) == 0 {
		return func(ctx context.Context) (model.Diagnosis, error) {
			client, ctx, cancel := c.client(ctx)
			defer cancel()
			return client.Examine(ctx)
		}, nil
	}
	if err := env.needRoot("fairlead doctor"); err != nil {
		return nil, err
	}
	cfg, err := readConfig(c.File, env.in)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (model.Diagnosis, error) {
		var progress func(string)
		if env.terminal && !c.JSON && !c.Watch {
			progress = func(what string) { fmt.Fprintf(env.err, "\r\x1b[K%s …", what) }
			defer fmt.Fprint(env.err, "\r\x1b[K")
		}
		d := doctor.Examine(ctx, cfg, progress)
		return d, ctx.Err()
	}, nil
}

// readConfig reads a configuration that must not have errors.
func readConfig(paths []string, in io.Reader) (model.Config, error) {
	sources, err := readSources(paths, in)
	if err != nil {
		return model.Config{}, err
	}
	file, found := config.Parse(sources)
	cfg, more := config.Check(file)
	if found = append(found, more...); config.Failed(found) {
		return model.Config{}, &api.Error{Message: "the configuration has errors; nothing was looked at", Diagnostics: api.Diagnostics(sources, found)}
	}
	return cfg, nil
}

// watch looks again and again, and prints what changed. A look that fails is told,
// and the next one is due as ever.
func (c *doctorCommand) watch(ctx context.Context, env *surroundings, look func(context.Context) (model.Diagnosis, error)) error {
	var before *model.Diagnosis
	due := time.NewTicker(c.Interval)
	defer due.Stop()
	for {
		d, err := look(ctx)
		if ctx.Err() != nil {
			return nil // Ctrl-C is how a watch ends
		}
		if before == nil && err != nil {
			return err
		}
		if err := c.tell(env, before, d, err); err != nil {
			return err
		}
		if err == nil {
			before = &d
		}
		select {
		case <-ctx.Done():
			return nil
		case <-due.C:
		}
	}
}

// tell prints one look of a watch.
func (c *doctorCommand) tell(env *surroundings, before *model.Diagnosis, d model.Diagnosis, failed error) error {
	switch {
	case failed != nil:
		_, err := fmt.Fprintf(env.err, "%s  not looked: %v\n", time.Now().Format(time.TimeOnly), failed)
		return err
	case c.JSON:
		return json.NewEncoder(env.out).Encode(d)
	case before == nil:
		return printDiagnosis(env.out, d, env.colour)
	}
	appeared, gone := d.Since(*before)
	p := page{colour: env.colour}
	at := d.At.Format(time.TimeOnly)
	for _, f := range gone {
		p.wrap(at+"  mended  ", f.What)
	}
	for _, f := range appeared {
		p.wrap(at+"  new     ", f.What)
		p.wrap("  do              ", f.Do)
	}
	_, err := io.WriteString(env.out, p.text.String())
	return err
}

// judged is the error that a diagnosis means for the exit code.
func judged(d model.Diagnosis, strict bool) error {
	switch {
	case len(d.Findings) > 0:
		return silent{errors.New("something will bite")}
	case strict && len(d.Unseen) > 0:
		return silent{errors.New("something was not looked at")}
	}
	return nil
}

// printDiagnosis shows findings in at most pageWidth columns.
func printDiagnosis(w io.Writer, d model.Diagnosis, colour bool) error {
	p := page{colour: colour}
	for _, f := range d.Findings {
		where := f.Director
		if f.Server != "" {
			where += "/" + f.Server
		}
		if where == "" {
			where = "this machine"
		}
		p.line("%s", p.paint(red, f.Kind.String())+"  "+p.paint(bold, where))
		p.wrap("  what  ", f.What)
		p.wrap("  why   ", f.Why)
		p.wrap("  do    ", f.Do)
		p.line("")
	}
	for i, u := range d.Unseen {
		if i == 0 {
			p.line("%s", p.paint(yellow, "Not looked at:"))
		}
		p.wrap("  ", u.What+": "+u.Because)
	}
	if len(d.Unseen) > 0 {
		p.line("")
	}
	sum := fmt.Sprintf("%s in %.1f s", count(len(d.Findings), "finding"), d.Took.Round(100*time.Millisecond).Seconds())
	if n := len(d.Unseen); n > 0 {
		sum += fmt.Sprintf("; %s not looked at", count(n, "thing"))
	}
	p.line("%s", sum)
	if _, err := io.WriteString(w, p.text.String()); err != nil {
		return fmt.Errorf("print the findings: %w", err)
	}
	return nil
}
