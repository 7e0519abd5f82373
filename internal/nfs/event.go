package nfs

import "time"

// EventKind is what happened to a client's connection.
type EventKind uint8

const (
	Connected   EventKind = iota // the first connection
	Reconnected                  // a later one
	Reset                        // the connection was reset
	Closed                       // the server closed the connection
	Lost                         // the connection ended otherwise
	Refused                      // a connection attempt was refused
	Unreachable                  // a connection attempt failed otherwise
	Waiting                      // the next attempt to connect is put off
	Resent                       // a call was sent again
)

var eventNames = [...]string{"connected", "reconnected", "reset", "closed", "lost", "refused", "unreachable", "waiting", "resent"}

func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "unknown"
}

// Event is one thing that happened to a client's connection.
type Event struct {
	Kind EventKind
	At   time.Time
	Err  error         // of Reset, Closed, Lost, Refused and Unreachable
	Wait time.Duration // of Waiting
}
