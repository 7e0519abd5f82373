package control

import (
	"context"
	"time"

	"fairlead/internal/model"
)

// Daemon is what the server speaks for. Its methods are called by several
// goroutines at once; they return when ctx ends.
type Daemon interface {
	Status() model.Status
	Reload(ctx context.Context) (Reloaded, error)
	Switch(ctx context.Context, ref model.ServerRef) (model.Switch, error)
	Capture(ctx context.Context, snaplen int, emit func(Packet) error) error
}

// SwitchOrder orders a director to use a server.
type SwitchOrder struct {
	Director string `json:"director"`
	Server   string `json:"server"`
}

// CaptureOrder asks for a stream of packets, one JSON object a line.
type CaptureOrder struct {
	Snaplen int `json:"snaplen"` // bytes kept of each packet; 0: as many as the data plane can
}

// Reloaded says what a reload did.
type Reloaded struct {
	Generation uint64       `json:"generation"` // of the configuration now in force
	Warnings   []Diagnostic `json:"warnings"`
}

// Packet is one packet that the data plane forwarded, answered or dropped.
type Packet struct {
	At      time.Time `json:"at"`
	Iface   string    `json:"iface"`
	Verdict string    `json:"verdict"`
	Length  int       `json:"length"` // on the wire, bytes
	Data    []byte    `json:"data"`   // from the Ethernet header on, at most snaplen bytes
}

// Error is the answer to a request that failed. Diagnostics are the findings
// when it was refused because of the configuration.
type Error struct {
	Message     string       `json:"error"`
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"`
}

func (e *Error) Error() string { return e.Message }
