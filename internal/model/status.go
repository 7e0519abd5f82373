package model

import (
	"net/netip"
	"time"
)

// Status is one immutable snapshot: everything that people and programmes are
// shown comes from it. Desired, applied and observed stand side by side; what
// was not observed is shown as unknown.
type Status struct {
	At         time.Time          `json:"at"`
	Version    string             `json:"version"`
	PID        int                `json:"pid"`
	Since      time.Time          `json:"since"`      // start of the daemon
	Generation uint64             `json:"generation"` // of the configuration: counts the loads that were accepted
	Sources    []string           `json:"sources"`    // the configuration's files and directories
	Interfaces []InterfaceStatus  `json:"interfaces"`
	Flows      []FlowStatus       `json:"flows"`
	Directors  []DirectorStatus   `json:"directors"`
	Verdicts   map[string]Counter `json:"verdicts"` // of the whole data plane
	Table      TableStatus        `json:"connection_table"`
	Alarms     []Alarm            `json:"alarms"`
	Services   []ServiceStatus    `json:"services"` // the parts of the daemon
	// Blind says why the kernel could not be read: then what is applied and counted
	// is not known, and stands empty. "": it was read.
	Blind string `json:"blind,omitempty"`
	// Turned is when the daemon's loop last went round. An old one means that the
	// daemon hangs: the data plane forwards, and nobody watches.
	Turned time.Time `json:"heartbeat,omitzero"`
}

// Counter counts packets and their bytes, Ethernet header included.
type Counter struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Add returns the sum.
func (c Counter) Add(d Counter) Counter {
	return Counter{c.Packets + d.Packets, c.Bytes + d.Bytes}
}

// Alarm is something that needs a person.
type Alarm struct {
	What string `json:"what"` // what happened, to what
	Why  string `json:"why"`
	Do   string `json:"do"` // what to do
}

// InterfaceStatus is an interface that flows name.
type InterfaceStatus struct {
	Name    string     `json:"name"`
	Desired AttachMode `json:"desired"`
	Applied string     `json:"applied"` // native, generic, tcx, or "" when not attached
	Why     string     `json:"why"`     // why this mode, or why not attached
	Up      bool       `json:"up"`      // observed
}

// FlowStatus is one flow.
type FlowStatus struct {
	Name     string             `json:"name"`
	Policy   Policy             `json:"policy"`
	Director string             `json:"director,omitempty"`
	VIPs     []VIPStatus        `json:"vips"`
	Applied  bool               `json:"applied"`
	Total    Counter            `json:"total"`
	Verdicts map[string]Counter `json:"verdicts"`
}

// The states of a virtual IP.
const (
	VIPProbing    = "probing"     // asking whether somebody else holds it (RFC 5227)
	VIPAnnounced  = "announced"   // ARP for it is answered
	VIPConflict   = "conflict"    // somebody else answers for it
	VIPNotApplied = "not-applied" // not in the data plane
)

// VIPStatus is a virtual IP of a flow.
type VIPStatus struct {
	Addr  netip.Addr `json:"addr"`
	State string     `json:"state"` // probing, announced, conflict, not-applied
	Why   string     `json:"why,omitempty"`
}

// DirectorStatus is one director.
type DirectorStatus struct {
	Name        string         `json:"name"`
	Balanced    bool           `json:"balanced,omitempty"`    // several servers share the connections; desired and applied are empty
	Scheduler   Scheduler      `json:"scheduler"`             // how they share
	Persistence *Persisting    `json:"persistence,omitempty"` // its clients' templates
	Desired     string         `json:"desired"`               // the server that should be active; "" none
	Applied     string         `json:"applied"`               // the server that the data plane forwards to; "" none
	Why         string         `json:"why,omitempty"`
	Epoch       uint64         `json:"epoch"`
	Reason      Reason         `json:"reason"` // of the present choice
	Since       time.Time      `json:"since"`
	LastSwitch  *Switch        `json:"last_switch,omitempty"`
	Connections uint64         `json:"connections"` // TCP, of the present epoch, not seen to end
	Old         uint64         `json:"old_connections"`
	Total       Counter        `json:"total"`
	Servers     []ServerStatus `json:"servers"`
	Note        string         `json:"note,omitempty"` // e.g. that a server returned, and the command to return to it
	Step        Step           `json:"step,omitempty"` // of a switch under way
	StepSince   time.Time      `json:"step_since,omitzero"`
	To          string         `json:"to,omitempty"`        // the server of the switch under way
	Held        int            `json:"held_syns,omitempty"` // SYNs kept at the moment
	Failback    Failback       `json:"failback"`
	Mode        Mode           `json:"mode"`
	MaxLag      time.Duration  `json:"maxlag_ns,omitempty"` // how far a standby may be behind to be taken without an order
}

// Persisting says how a director keeps clients on their servers.
type Persisting struct {
	Timeout   time.Duration `json:"timeout_ns"` // of a template
	Netmask   int           `json:"netmask"`    // bits of the network that shares one
	Templates int           `json:"templates"`  // that there are
}

// Switch is what is known of one switch. The monotonic instants (ns of
// CLOCK_MONOTONIC) may be compared with those of other processes of the machine.
type Switch struct {
	From         string    `json:"from"`
	To           string    `json:"to"`
	Reason       Reason    `json:"reason"`
	Why          string    `json:"why"` // the reason in words, e.g. the check's error
	Epoch        uint64    `json:"epoch"`
	At           time.Time `json:"at"`
	DecidedMono  int64     `json:"decided_monotonic_ns"`
	AppliedMono  int64     `json:"applied_monotonic_ns"`   // the data plane forwards to the new server; 0: not yet
	ResetMono    int64     `json:"reset_monotonic_ns"`     // the first round of resets is sent; 0: not yet
	Known        int       `json:"connections_known"`      // of the old server at the switch
	Reset        int       `json:"connections_reset"`      // for which resets were sent
	Ended        int       `json:"connections_ended"`      // seen to have ended since
	FirstAttempt time.Time `json:"first_attempt,omitzero"` // first failed probe, for reason server-failed
	Suspected    time.Time `json:"suspected,omitzero"`     // by traffic, before the first failed probe
	Held         time.Time `json:"held,omitzero"`          // SYNs were kept from here on
	Fenced       time.Time `json:"fenced,omitzero"`        // the fence hook ended
	Promoted     time.Time `json:"promoted,omitzero"`      // the promote hook ended
	Verified     time.Time `json:"verified,omitzero"`      // the new server passed its check
	Replayed     int       `json:"syns_replayed"`          // kept SYNs that were sent on to the new server
	ServerReset  int       `json:"server_side_resets"`     // connections for which the old server got a RST too
	FirstBack    time.Time `json:"first_back,omitzero"`    // the first client's connection to the new server was seen
}

// ServerStatus is one real server of a director.
type ServerStatus struct {
	Name        string        `json:"name"`
	Addr        netip.Addr    `json:"addr"`
	Port        uint16        `json:"port,omitempty"`
	Weight      int           `json:"weight"`
	Sorry       bool          `json:"sorry"`
	Mark        Mark          `json:"mark,omitempty"` // what an operator said of it
	Health      Health        `json:"health"`
	Why         string        `json:"why,omitempty"`          // the last error of its check, in plain words
	Since       time.Time     `json:"since,omitzero"`         // of the health
	CheckedVIPs string        `json:"checked_vips,omitempty"` // the virtual IPs at which its checks are made too
	VIPNote     string        `json:"vip_note,omitempty"`     // why they are not made at one
	NotReady    string        `json:"not_ready,omitempty"`    // what the doctor found last that keeps it from taking over
	Copy        *CopyStatus   `json:"copy,omitempty"`         // of a standby: how far its data are behind the active server's
	Advisory    string        `json:"advisory,omitempty"`     // an unchecked server's last probe while active: passes, or the error
	LastProbe   time.Time     `json:"last_probe,omitzero"`
	Latency     time.Duration `json:"latency_ns"`
	MAC         MAC           `json:"mac"`
	Active      bool          `json:"active"` // applied: it gets packets, of a balanced director: new connections
	Connections uint64        `json:"connections"`
	Total       Counter       `json:"total"`
}

// TableStatus is the connection table's use.
type TableStatus struct {
	Size    uint64 `json:"size"` // slots
	Used    uint64 `json:"used"`
	Ended   uint64 `json:"ended"`   // of the used ones: connections that were seen to end; they give way first
	Bytes   uint64 `json:"bytes"`   // of kernel memory
	Refused uint64 `json:"refused"` // connections that found no room: forwarded, but not known at a switch, and reset while old ones are looked for
}

// The states of a part of the daemon.
const (
	ServiceRunning = "running"
	ServiceFailed  = "failed"
	ServiceOff     = "off" // the configuration does not want it
)

// ServiceStatus is a part of the daemon.
type ServiceStatus struct {
	Name  string `json:"name"` // flow, lvs, check, announce, hook, journal, memory, web, notify
	Title string `json:"title"`
	State string `json:"state"`         // running, failed, off
	Why   string `json:"why,omitempty"` // it failed; or where it is, in words
}
