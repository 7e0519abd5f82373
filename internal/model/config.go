package model

import (
	"net/netip"
	"time"
)

// Config is a configuration that was checked as a whole.
type Config struct {
	Flows     []Flow // in order: the first that matches a packet decides
	Directors []Director
	LVS       LVS
	Web       Web
	Notify    []Target // who is notified
}

// LVS holds the settings of the LVS service.
type LVS struct {
	// ExpireNoDestConn: the connections of a server that is gone are reset, at
	// once and at each later packet. False: they are met with silence.
	ExpireNoDestConn bool
	// ExpireQuiescentTemplate: templates of a quiescent server lead no new connection
	// to it.
	ExpireQuiescentTemplate bool
	Timeouts                Timeouts
}

// Flow is a named set of rules of the flow manager.
type Flow struct {
	Name     string
	Out      bool // an outflow: for packets that leave
	Policy   Policy
	Director string // of PolicyDirector
	Table    uint32 // of PolicyTable
	Rules    []Rule // alternatives, in order
}

// Rule is one match or ignore line: all its conditions must hold.
type Rule struct {
	Ignore   bool // exempts the packet from the flow
	Iface    Cond[string]
	Proto    Cond[Proto]
	Src, Dst Cond[netip.Prefix]
	SrcPort  Cond[Ports]
	DstPort  Cond[Ports]
	ICMPType Cond[uint8]
}

// Cond is one condition of a rule; the zero Cond always holds.
type Cond[T comparable] struct {
	Set   bool
	Not   bool
	Value T
}

// Ports is an inclusive range of ports.
type Ports struct{ First, Last uint16 }

// Director is a pool of real servers with a scheduler, a forwarding method and
// a check.
type Director struct {
	Name      string
	Scheduler Scheduler
	Mode      Mode
	Check     Check
	Servers   []Server // in the order of the configuration

	Persistence Persistence

	OnNoServer    NoServer
	Failback      Failback
	FailbackDelay time.Duration // of FailbackDelay: a preferred server must have been up so long
	// LastActive: when all servers were gone, the one that was active last is
	// waited for so long before another, perhaps older one, is taken.
	LastActive time.Duration
	HoldDown   time.Duration // at most one switch by itself in this time; 0: no limit
	Fence      Hook          // keeps the old server from writing, before the new one is promoted
	Promote    Hook          // makes the new server ready, before it gets packets
	Sync       Sync          // how far the standby servers' copies are behind
}

// Persistence keeps a network of clients on one server, whatever the protocol and
// the port of its connections.
type Persistence struct {
	Timeout time.Duration // after the last connection began or ended; 0: there is none
	Bits    int           // of the network: 32 is one client
}

// Hook is a programme of the administrator that a switch waits for.
type Hook struct {
	Command string // absolute path; "": there is none
	Timeout time.Duration
	Policy  HookPolicy
}

// Server returns the server of that name.
func (d Director) Server(name string) (Server, bool) {
	for _, s := range d.Servers {
		if s.Name == name {
			return s, true
		}
	}
	return Server{}, false
}

// Balanced tells whether two or more regular servers share the connections.
// Else one server is active at a time. A quiescent server counts, so that the
// connections of all go on when a weight becomes 0, but not where somebody
// means one server at a time.
func (d Director) Balanced() bool {
	sharing, quiescent := 0, 0
	for _, s := range d.Servers {
		switch {
		case s.Sorry:
		case s.Weight > 0:
			sharing++
		default:
			quiescent++
		}
	}
	return sharing > 1 || sharing+quiescent > 1 && !d.switches()
}

// switches tells whether the director serves NFS, or has a hook or an option
// that acts on a switch only.
func (d Director) switches() bool {
	return d.ServesNFS() || d.Failback != FailbackAuto || d.LastActive > 0 || d.HoldDown > 0 ||
		d.Fence.Command != "" || d.Promote.Command != "" || !d.Sync.Off()
}

// ServesNFS tells whether a server port or a check's port is NFS's 2049. Such a
// director never fails back by itself: a server that returns may hold old data.
func (d Director) ServesNFS() bool {
	for _, s := range d.Servers {
		if s.Port == NFSPort {
			return true
		}
	}
	return d.Check.NFS()
}

// NFSPort is the port of the NFS service.
const NFSPort = 2049

// Server is a real server of a director.
type Server struct {
	Name   string
	Addr   netip.Addr
	Port   uint16 // 0: the packet's own destination port
	Weight int    // 0: quiescent
	Check  bool
	Sorry  bool // used only when no regular server is up
}
