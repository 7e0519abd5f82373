package model

import "time"

// EventKind is what an entry of the journal tells of.
type EventKind uint8

const (
	EventStart     EventKind = iota // the daemon began
	EventStop                       // the daemon was told to stop
	EventReload                     // a configuration came into force, or was refused
	EventOrder                      // an operator's order, carried out or refused
	EventSuspect                    // something hints that a server is gone
	EventHealth                     // the health of a server changed: a failure was confirmed, or it is up
	EventHold                       // a switch began that needs hooks: SYNs are kept
	EventFence                      // the fence hook began, or ended
	EventPromote                    // the promote hook began, or ended
	EventVerify                     // the new server's check is awaited, or passed
	EventFlip                       // another server was decided on
	EventApplied                    // the data plane forwards to it
	EventReset                      // the old connections' first resets were sent
	EventDone                       // the switch is over: no old connection is left, or all repeats were sent
	EventStay                       // a switch would be due, but is held back
	EventVIP                        // the state of a virtual IP changed
	EventAlarm                      // an alarm began
	EventAlarmOver                  // and is over
	EventAudit                      // somebody changed something, or tried to: who and what
	EventFinding                    // the doctor found something that it had not found before
	EventMended                     // and finds it no longer
	EventCopy                       // a standby's copy became too old, fresh again, or is not known any more
	eventsEnd
)

var eventKinds = table{"start", "stop", "reload", "order", "suspect", "health", "hold", "fence", "promote",
	"verify", "flip", "applied", "reset", "done", "stay", "vip", "alarm", "alarm-over", "audit", "finding", "mended", "copy"}

// EventKinds lists every kind.
func EventKinds() []EventKind {
	var all []EventKind
	for k := EventStart; k < eventsEnd; k++ {
		all = append(all, k)
	}
	return all
}

func (k EventKind) String() string               { return eventKinds.name("event", uint8(k)) }
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
func (k *EventKind) UnmarshalText(b []byte) error {
	v, err := eventKinds.value("event", string(b))
	*k = EventKind(v)
	return err
}

// Event is one entry of the journal: what happened, to what, why.
type Event struct {
	Seq      uint64        `json:"seq"` // counts the entries, over restarts too
	At       time.Time     `json:"at"`
	Mono     int64         `json:"monotonic_ns"` // CLOCK_MONOTONIC, of this boot
	Kind     EventKind     `json:"kind"`
	Director string        `json:"director,omitempty"`
	Server   string        `json:"server,omitempty"`
	Epoch    uint64        `json:"epoch,omitempty"` // of the switch that it belongs to
	Reason   Reason        `json:"reason,omitempty"`
	Text     string        `json:"text"`             // in plain words
	Err      string        `json:"error,omitempty"`  // why something failed
	By       string        `json:"by,omitempty"`     // who ordered it
	Took     time.Duration `json:"took_ns,omitzero"` // what it ended
}

// Memory is what must survive a restart and a reboot.
type Memory struct {
	Directors []Remembered `json:"directors"` // sorted by name
}

// Remembered is what is kept of a director.
type Remembered struct {
	Name    string    `json:"name"`
	Active  string    `json:"active"`
	Addr    string    `json:"addr,omitempty"` // of the active server when it was chosen
	Epoch   uint64    `json:"epoch"`
	Reason  Reason    `json:"reason"`
	Why     string    `json:"why"`
	From    string    `json:"from"` // active before
	Since   time.Time `json:"since"`
	Pending *Pending  `json:"pending,omitempty"` // a switch under way
	Marks   []Marked  `json:"marks,omitempty"`   // what operators said of servers, sorted by name
}

// Pending is a switch that was begun and is not decided yet.
type Pending struct {
	To      string    `json:"to"`
	ToAddr  string    `json:"to_addr,omitempty"`
	Old     string    `json:"old"` // the server to fence; "": none
	OldAddr string    `json:"old_addr,omitempty"`
	Unsure  bool      `json:"unsure,omitempty"` // nobody knew which server holds the truth, and an operator named one
	Step    Step      `json:"step"`
	Reason  Reason    `json:"reason"`
	Why     string    `json:"why"`
	Since   time.Time `json:"since"`
}

// Marked is a server that an operator marked.
type Marked struct {
	Server string `json:"server"`
	Mark   Mark   `json:"mark"`
}
