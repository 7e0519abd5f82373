package notify

import (
	"context"
	"strconv"
	"time"

	"fairlead/internal/model"
	"fairlead/internal/program"
)

// runCommand hands an event to a programme of the administrator.
func runCommand(ctx context.Context, t model.Target, from sender, e model.Event) error {
	m := newMessage(from, e)
	input, err := m.json()
	if err != nil {
		return err
	}
	_, err = program.Run(ctx, program.Call{
		Path: t.To, Facts: m.facts(), Input: input, Timeout: t.Timeout,
		Ended: "the daemon ends, or the configuration no longer has it",
	})
	return err
}

// facts is a message as a command finds it in its environment.
func (m message) facts() [][2]string {
	e := m.Event
	return [][2]string{
		{"ID", m.ID},
		{"HOST", m.Host},
		{"VERSION", m.Version},
		{"SUMMARY", m.Summary},
		{"SEQ", strconv.FormatUint(e.Seq, 10)},
		{"AT", e.At.Format(time.RFC3339)},
		{"KIND", e.Kind.String()},
		{"DIRECTOR", e.Director},
		{"SERVER", e.Server},
		{"EPOCH", strconv.FormatUint(e.Epoch, 10)},
		{"REASON", e.Reason.String()},
		{"TEXT", e.Text},
		{"ERROR", e.Error},
		{"BY", e.By},
	}
}
