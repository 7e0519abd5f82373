package api

import (
	"time"

	"fairlead/internal/model"
)

// Order is an operator's order about a server of a director.
type Order struct {
	Verb     model.Verb `json:"verb"`
	Director string     `json:"director"`
	Server   string     `json:"server"`
	// Force: a switch goes on without a hook that fails, and to a server whose
	// check does not pass.
	Force bool `json:"force,omitempty"`
}

// Ordered says what an order did. Switch is nil when no switch followed.
type Ordered struct {
	Text   string        `json:"text"` // in plain words
	Switch *model.Switch `json:"switch,omitempty"`
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

// streamEnd is the last line of a stream that could not go on.
type streamEnd struct {
	Message string `json:"stream_ended"` // why
}
