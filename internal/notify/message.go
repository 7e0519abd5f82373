package notify

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"fairlead/internal/model"
	"fairlead/internal/program"
)

// form is the number of the message's form. It grows when a field changes its
// meaning or goes away; a new field leaves it.
const form = 1

// message is an event as a webhook and a command get it. docs/how-to/notify.md
// describes the fields.
type message struct {
	Form    int      `json:"form"`
	ID      string   `json:"id"`
	Host    string   `json:"host"`
	Version string   `json:"version"`
	Summary string   `json:"summary"`
	Event   happened `json:"event"`
}

type happened struct {
	Seq      uint64          `json:"seq"`
	At       time.Time       `json:"at"`
	Kind     model.EventKind `json:"kind"`
	Director string          `json:"director"`
	Server   string          `json:"server"`
	Epoch    uint64          `json:"epoch"`
	Reason   model.Reason    `json:"reason"`
	Text     string          `json:"text"`
	Error    string          `json:"error"`
	By       string          `json:"by"`
	Took     float64         `json:"took_seconds"`
}

func newMessage(from sender, e model.Event) message {
	return message{
		Form: form, ID: id(from, e), Host: from.host, Version: from.version, Summary: summary(from, e),
		Event: happened{
			Seq: e.Seq, At: e.At.UTC(), Kind: e.Kind, Director: e.Director, Server: e.Server, Epoch: e.Epoch,
			Reason: e.Reason, Text: e.Text, Error: e.Err, By: e.By, Took: e.Took.Seconds(),
		},
	}
}

// id names an event for ever: the number alone begins anew with a new journal.
func id(from sender, e model.Event) string {
	return fmt.Sprintf("%s-%d-%d", from.host, e.Seq, e.At.UnixMilli())
}

func (m message) json() ([]byte, error) {
	b, err := json.Marshal(m)
	return append(b, '\n'), err
}

// subjects is how many characters a summary has at most.
const subjects = 150

// summary is one line for a person.
func summary(from sender, e model.Event) string {
	text := e.Text
	if e.Director != "" && !strings.HasPrefix(text, e.Director) {
		text = e.Director + ": " + text
	}
	return cut(program.Plain(from.host+": "+text), subjects)
}

func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
