package freshness

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"fairlead/internal/model"
	"fairlead/internal/program"
)

// printedMost is how many bytes of what a programme said are kept.
const printedMost = 300

// exitStale is the exit code that says that a copy is too old.
const exitStale program.Exit = 1

// ask asks the programme about each standby server.
func (t *track) ask(ctx context.Context) {
	t.each(ctx, func(ctx context.Context, s model.Server) model.Measured {
		begun := time.Now()
		output, err := program.Run(ctx, program.Call{Path: t.sync.Command, Facts: t.facts(s), Timeout: 2 * t.sync.Timeout(),
			Ended: fmt.Sprintf("it did not end within %s", t.sync.Timeout())})
		return t.answer(begun, output, err)
	})
}

// answer is what a programme's end says: 0 that the copy is fresh, 1 that it is too old,
// anything else that this is not known. The first word that it prints is the lag in seconds.
func (t *track) answer(begun time.Time, output string, err error) model.Measured {
	var exit program.Exit
	if err != nil && (!errors.As(err, &exit) || exit != exitStale) {
		return model.Measured{Err: fmt.Sprintf("%s cannot tell: %s", t.sync.Command, short(err.Error()))}
	}
	r := model.Measured{OK: true, Stale: err != nil}
	first, rest, _ := strings.Cut(strings.TrimSpace(output), "\n")
	word, more, _ := strings.Cut(first, " ")
	seconds, wrong := strconv.ParseFloat(word, 64)
	switch {
	case wrong == nil && seconds >= 0 && seconds < math.MaxInt32:
		r.Lag = time.Duration(seconds * float64(time.Second))
		output = more + "\n" + rest
	case wrong == nil || err == nil && word != "":
		return model.Measured{Err: fmt.Sprintf("%s says that the copy is fresh, but does not begin with its lag in seconds: %s", t.sync.Command, short(first))}
	}
	r.Upto = begun.Add(-r.Lag)
	if r.Stale {
		r.Err = short(strings.TrimSpace(output))
	}
	return r
}

// short is one line of a text, of bounded length.
func short(text string) string {
	text = program.Plain(text)
	if len(text) > printedMost {
		text = strings.ToValidUTF8(text[:printedMost], "") + "…"
	}
	return text
}

// facts are the environment of the programme.
func (t *track) facts(s model.Server) [][2]string {
	seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
	limit := ""
	if most := t.target.Sync.MaxLag; most > 0 {
		limit = seconds(most)
	}
	return [][2]string{
		{"DIRECTOR", t.director},
		{"SERVER", s.Name},
		{"ADDR", s.Addr.String()},
		{"ACTIVE", t.target.Active.Name},
		{"ACTIVE_ADDR", t.target.Active.Addr.String()},
		{"MAXLAG", limit},
		{"TIMEOUT", seconds(t.sync.Timeout())},
	}
}
