package model

import (
	"net/netip"
	"time"
)

// Desired is everything that the kernel should hold. It is derived anew from
// the state after every event and reconciled as a whole.
type Desired struct {
	Rules     RuleSet
	Directors []DesiredDirector // in the order of the configuration
	Timeouts  Timeouts
}

// Timeouts say how long connections of balanced directors may be silent and still
// count; 0: for ever.
type Timeouts struct {
	Established time.Duration // of a connection that acknowledged something
	SynRecv     time.Duration // of one that did not
}

// RuleSet is the flow manager's compiled form. Packets are tried against its
// rules in order; those to the director's own addresses are not.
type RuleSet struct {
	Ifaces []string // where the programme must be attached, sorted
	// Everywhere: a permit or deny rule names no interface, so that it is tried on every one.
	Everywhere bool
	Own        []netip.Addr // the director's own addresses, sorted
	VIPs       []VIP        // sorted by address
	Rules      []FlowRule   // those of a flow stand together
}

// VIP is a single address that a flow gives to a director.
type VIP struct {
	Addr     netip.Addr
	Announce bool // answer ARP for it: no conflict was seen
}

// FlowRule is a rule with what its flow does. The policy is never skip.
type FlowRule struct {
	Flow     string
	Policy   Policy
	Director string // of PolicyDirector
	Rule     Rule
}

// DesiredDirector is the choice of a director.
type DesiredDirector struct {
	Name   string
	Active string     // the server that gets the packets; "": none, they are dropped
	Addr   netip.Addr // of the active server
	MAC    MAC        // of the active server; unknown: the choice cannot be applied
	Source MAC        // of the director's interface towards the servers
	Epoch  uint64     // counts the switches
	Reason Reason
	Since  int64 // Unix time of the last switch, ns
	Silent bool  // old connections are met with silence instead of a reset
	Mode   Mode
	// Balanced: two or more regular servers share the new connections; Active
	// and MAC are empty then, and each server has its own weight and epoch.
	Balanced  bool
	Scheduler Scheduler // of a balanced director
	// Persistence of a balanced director: its clients' templates.
	Persistence Persistence
	// Hold: a switch is under way. SYNs are kept for the agent, everything else
	// is dropped silently.
	Hold bool
	// Watch: the active server can be probed, so suspicions are told.
	Watch bool
	// Keep: the SYN of a client whose connection may just have broken is kept until
	// the server was asked.
	Keep bool
	// Reject: no server is up, and clients are told so, also if there is an active one.
	// False: their packets are dropped, or go to it.
	Reject bool
	// Servers are all servers with their MACs: the RST of an old connection
	// may still follow it to its server.
	Servers []DesiredServer
}

// DesiredServer is a real server as the data plane knows it.
type DesiredServer struct {
	Name string
	MAC  MAC // of the router that leads to it, if it is behind a tunnel
	// Of mode tunnel: the ends of the tunnel, and the longest packet on the way there.
	Addr, Source netip.Addr
	MTU          int
	// Of a balanced director:
	Weight int    // its share of the new connections; 0: it gets none
	Epoch  uint64 // of its connections; those of an older one are old
	Keeps  bool   // it is quiescent, and its templates hold: they lead new connections to it
}
