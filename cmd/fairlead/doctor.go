package main

import (
	"context"
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
	sourceFlags
	Strict bool `help:"Exit with 1 also when something could not be looked at."`
	JSON   bool `name:"json" help:"Print the findings as JSON."`
}

func (c *doctorCommand) Run(ctx context.Context, env *surroundings) error {
	if err := env.needRoot("fairlead doctor"); err != nil {
		return err
	}
	sources, err := readSources(c.File, env.in)
	if err != nil {
		return err
	}
	file, found := config.Parse(sources)
	cfg, more := config.Check(file)
	if found = append(found, more...); config.Failed(found) {
		return &api.Error{Message: "the configuration has errors; nothing was looked at", Diagnostics: api.Diagnostics(sources, found)}
	}
	var progress func(string)
	if env.terminal && !c.JSON {
		progress = func(what string) { fmt.Fprintf(env.err, "\r\x1b[K%s …", what) }
	}
	d := doctor.Examine(ctx, cfg, progress)
	if progress != nil {
		fmt.Fprint(env.err, "\r\x1b[K")
	}
	if err := ctx.Err(); err != nil {
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
