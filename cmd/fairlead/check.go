package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"fairlead/internal/api"
	"fairlead/internal/config"
	"fairlead/internal/model"
)

type checkCommand struct {
	sourceFlags
	Host bool `help:"Also compare with the interfaces and files of this machine, as run and reload do."`
	JSON bool `name:"json" help:"Print the findings as JSON."`
}

// checked is what `check --json` prints.
type checked struct {
	OK          bool             `json:"ok"`
	Errors      int              `json:"errors"`
	Warnings    int              `json:"warnings"`
	Notes       []string         `json:"notes"` // of a configuration without errors: how each director fails back
	Diagnostics []api.Diagnostic `json:"diagnostics"`
}

func (c *checkCommand) Run(env *surroundings) error {
	sources, err := readSources(c.File, env.in)
	if err != nil {
		return err
	}
	file, found := config.Parse(sources)
	cfg, more := config.Check(file)
	found = append(found, more...)
	if c.Host && !config.Failed(found) {
		links, err := hostLinks()
		if err != nil {
			return err
		}
		found = append(found, config.CheckHost(cfg, file, links)...)
		found = append(found, config.CheckHooks(file, hookTrouble(config.Hooks(cfg)))...)
		found = append(found, config.CheckAuthorities(file, authoritiesTrouble(config.Authorities(cfg)))...)
	}
	result := judge(api.Diagnostics(sources, found))
	if result.OK {
		result.Notes = append(result.Notes, config.Notes(cfg, file)...)
	}
	if c.JSON {
		err = printJSON(env.out, result)
	} else {
		err = printFindings(env, result, cfg, sources)
	}
	if err == nil && !result.OK {
		err = silent{errors.New("the configuration has errors")}
	}
	return err
}

func judge(found []api.Diagnostic) checked {
	c := checked{Notes: []string{}, Diagnostics: found}
	for _, d := range found {
		if d.Severity == config.Error.String() {
			c.Errors++
		} else {
			c.Warnings++
		}
	}
	c.OK = c.Errors == 0
	return c
}

// printFindings shows the findings on the error output, and one line that sums
// up on the output, with the notes after it.
func printFindings(env *surroundings, c checked, cfg model.Config, sources []config.Source) error {
	for _, d := range c.Diagnostics {
		fmt.Fprint(env.err, d.Rendered)
	}
	verdict := fmt.Sprintf("%s, %s", count(c.Errors, "error"), count(c.Warnings, "warning"))
	if !c.OK {
		_, err := fmt.Fprintf(env.out, "%s in %s\n", verdict, count(len(sources), "file"))
		return err
	}
	servers := 0
	for _, d := range cfg.Directors {
		servers += len(d.Servers)
	}
	lines := append([]string{fmt.Sprintf("ok: %s, %s, %s; %s",
		count(len(cfg.Flows), "flow"), count(len(cfg.Directors), "director"), count(servers, "server"), verdict)}, c.Notes...)
	_, err := fmt.Fprintln(env.out, strings.Join(lines, "\n"))
	return err
}

// count is a number with its noun.
func count(n int, noun string) string {
	switch n {
	case 0:
		return "no " + noun + "s"
	case 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}

type fmtCommand struct {
	sourceFlags
	Write bool `short:"w" help:"Replace each file that is not in canonical form, and print its name."`
}

func (c *fmtCommand) Run(env *surroundings) error {
	if c.Write && slices.Contains(c.File, "-") {
		return unable{errors.New("standard input cannot be replaced: leave out --write")}
	}
	sources, err := readSources(c.File, env.in)
	if err != nil {
		return err
	}
	file, found := config.Parse(sources)
	if config.Failed(found) {
		return &api.Error{Message: "the configuration has errors; nothing was written", Diagnostics: api.Diagnostics(sources, found)}
	}
	for i, s := range config.Format(file) {
		if !c.Write {
			if _, err := env.out.Write(s.Text); err != nil {
				return fmt.Errorf("print the configuration: %w", err)
			}
			continue
		}
		if string(s.Text) == string(sources[i].Text) {
			continue
		}
		if err := replaceFile(s.Name, s.Text); err != nil {
			return err
		}
		fmt.Fprintln(env.out, s.Name)
	}
	return nil
}
