package probe

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"fairlead/internal/program"
)

// printedMost is how many bytes of what a programme said are kept of each run.
const printedMost = 300

// askExec runs a programme, which exits with 0 when the server is well. The answer
// does not wait for the end of one that has had its time; until it has ended, it counts
// among those that may run.
func askExec(ctx context.Context, q question) error {
	select {
	case q.runs <- struct{}{}:
	case <-ctx.Done():
		return wrong{said: fmt.Sprintf("is not asked: %s of earlier checks still runs, and cannot be ended", q.Command)}
	}
	ended := make(chan error, 1)
	go func() {
		// Its own timeout is the longer one: the probe's ends it.
		_, err := program.Run(ctx, program.Call{Path: q.Command, Facts: q.facts(), Timeout: 2 * q.within, Ended: "nobody waits for it"})
		<-q.runs
		ended <- err
	}()
	select {
	case err := <-ended:
		return q.failed(ctx, err)
	case <-ctx.Done():
		return q.failed(ctx, ctx.Err())
	}
}

// failed says how a run failed.
func (q question) failed(ctx context.Context, err error) error {
	var late timedOut
	switch {
	case err == nil:
		return nil
	case errors.As(context.Cause(ctx), &late):
		return wrong{said: fmt.Sprintf("does not pass %s: it did not end within %s and is ended", q.Command, time.Duration(late).Round(time.Millisecond))}
	}
	text := program.Plain(err.Error())
	if len(text) > printedMost {
		text = strings.ToValidUTF8(text[:printedMost], "") + "…"
	}
	return wrong{said: fmt.Sprintf("does not pass %s: %s", q.Command, text)}
}

// facts are the environment of the programme.
func (q question) facts() [][2]string {
	port := ""
	if q.Port != 0 {
		port = strconv.Itoa(int(q.Port))
	}
	return [][2]string{
		{"DIRECTOR", q.ref.Director},
		{"SERVER", q.ref.Server},
		{"ADDR", q.addr.String()},
		{"PORT", port},
		{"TIMEOUT", strconv.FormatFloat(q.within.Seconds(), 'f', -1, 64)},
	}
}

// drained waits until no programme of the question runs.
func (q question) drained() {
	for range cap(q.runs) {
		q.runs <- struct{}{}
	}
}
