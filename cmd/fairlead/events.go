package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

type eventsCommand struct {
	socketFlag
	Follow bool   `help:"Go on with what happens from now on, until Ctrl-C."`
	Since  string `default:"24h" placeholder:"WHEN" help:"Where to begin: a span of time (90m), an instant (2026-11-23T03:00:00Z), or the number of the entry before; 0 is the beginning (default ${default})."`
	JSON   bool   `name:"json" help:"Print one JSON object an entry."`
}

func (c *eventsCommand) Run(ctx context.Context, env *surroundings) error {
	since, err := api.ParseSince(c.Since, time.Now())
	if err != nil {
		return unable{err}
	}
	table := eventTable{out: env.out, colour: env.colour}
	emit := table.add
	if c.JSON {
		lines := json.NewEncoder(env.out)
		emit = func(e model.Event) error { return lines.Encode(e) }
	}
	return api.NewClient(c.Socket).Events(ctx, since, c.Follow, emit)
}

// eventTable prints entries of the journal, one after the other. A line with the
// day stands before the first entry of each.
type eventTable struct {
	out    io.Writer
	colour bool
	day    string
}

func (t *eventTable) add(e model.Event) error {
	p := page{colour: t.colour}
	if day := e.At.Format("Monday 2006-01-02 MST"); day != t.day {
		t.day = day
		p.line("%s", p.paint(bold, day))
	}
	p.wrap(fmt.Sprintf("%s  %-10s  ", e.At.Format("15:04:05.000"), e.Kind), eventText(e))
	if _, err := io.WriteString(t.out, p.text.String()); err != nil {
		return fmt.Errorf("print the journal: %w", err)
	}
	return nil
}

// eventText says in one sentence what happened, to what, why, and how long it
// took.
func eventText(e model.Event) string {
	text := e.Text
	if e.Director != "" && !strings.Contains(text, e.Director) {
		text = e.Director + ": " + text
	}
	if e.Err != "" && !strings.Contains(text, e.Err) {
		text += ": " + e.Err
	}
	if e.Took > 0 {
		text += " (" + millis(e.Took) + ")"
	}
	return text
}
