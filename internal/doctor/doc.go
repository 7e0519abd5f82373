// Package doctor looks at a whole set-up from the director, once, and tells what
// will bite: servers that answer ARP for a virtual IP, that lack it, that differ in
// what must be equal. It asks the servers, reads the director's kernel, and changes
// neither. What could not be looked at is said as well, and never counts as well.
//
// First everything is looked at; then a function of what was seen tells what is
// wrong. The package does not know the daemon, and runs only when it is called.
package doctor

import (
	"net/netip"
	"time"

	"fairlead/internal/model"
	"fairlead/internal/nfswire"
	"fairlead/internal/rpc"
)

// Seen is something that was looked at, or why it was not. The zero value was not.
type Seen[T any] struct {
	Value   T
	Known   bool
	Because string // why it is not known
}

func seen[T any](v T) Seen[T] { return Seen[T]{Value: v, Known: true} }

func unseen[T any](because string) Seen[T] { return Seen[T]{Because: because} }

// tried is what a question gave.
func tried[T any](v T, err error) Seen[T] {
	if err != nil {
		return unseen[T](err.Error())
	}
	return seen(v)
}

// Facts are all that was seen.
type Facts struct {
	Host      Host
	Directors []Director
}

// Host is the director's own machine.
type Host struct {
	Forwarding Seen[bool]
	Rules      Seen[[]Rule] // of packet filters, that name a virtual IP
	Links      []Link       // those that lead to servers
}

// Rule is one line of a packet filter, and what shows it.
type Rule struct{ Text, Command string }

// Link is an interface of the director.
type Link struct {
	Name    string
	MTU     int
	Down    bool // switched off, or without a carrier
	Virtual bool // no hardware: a slow mode is no loss
	Generic bool // an XDP programme runs in generic mode
	Driver  string
	XDP     Seen[Driver]
}

// Director is a director of the configuration.
type Director struct {
	Name    string
	VIPs    []VIP
	Servers []Server
	NFS     bool
	// Tunnel: its servers get clients' packets by a tunnel, perhaps past a router.
	Tunnel bool
}

// VIP is a virtual IP of a director.
type VIP struct {
	Addr    netip.Addr
	Holders Seen[[]model.MAC] // who answers ARP for it
}

// Server is a real server.
type Server struct {
	Name string
	Addr netip.Addr
	Port uint16 // 0: none is known
	// Routed is the router on the way; invalid: it is on a network of the director.
	Routed netip.Addr
	Link   string // the director's interface towards it
	MTU    int    // of that interface
	MAC    Seen[model.MAC]
	Own    Seen[Door]                // the port at its own address
	VIPs   map[netip.Addr]Seen[Door] // the port at each virtual IP
	// Strict are the virtual IPs whose answers the director's kernel would drop.
	Strict []netip.Addr
	Full   Seen[bool] // frames of full length arrive
	Clock  Seen[Clock]
	NFS    *NFS // nil: it does not serve NFS, or was not reached
}

// Door is how a port of a server took a SYN.
type Door struct {
	Took Reaction
	MSS  int // the longest segment that the server takes; 0: it did not say
}

// Clock is how far a server's clock is ahead, and how exactly that is known.
type Clock struct{ Ahead, Within time.Duration }

// NFS is what a server says of the files that it serves.
type NFS struct {
	Three, Four Seen[bool] // whether it offers the version
	Trouble     []string   // what does not work, in words
	Programs    Seen[[]rpc.Mapping]
	Exports     Seen[[]nfswire.Export]
	// Roots are the root handles of its exports: by path in version 3, and in 4.
	Roots3, Roots4 Seen[map[string]nfswire.Handle]
	Hidden         []string // exports of version 3 that are not for the director
	Lease          Seen[time.Duration]
	Identity       Seen[Identity]
}

// Identity is who a server of NFSv4.1 says that it is.
type Identity struct{ Scope, Owner string }
