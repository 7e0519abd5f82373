package model

import (
	"net/netip"
	"time"
)

// Adopted is the choice of a director that was found in the kernel at start.
type Adopted struct {
	Active string
	Addr   netip.Addr // of the active server when it was applied; invalid: not known
	Epoch  uint64
	Reason Reason
	Since  time.Time
	Hold   bool // it was on hold
	// Servers are the epochs of the servers of a balanced director, by name.
	Servers map[string]uint64
}

// Applied is what the kernel holds, read back from it.
type Applied struct {
	Ifaces    map[string]Attached
	VIPs      map[netip.Addr]AppliedVIP
	Directors map[string]Adopted
	Flows     map[string]bool // those that have a rule in the kernel
}

// Attached tells how the programme hangs on an interface.
type Attached struct {
	Mode AttachMode // never AttachAuto
	Why  string     // why this mode was taken
}

// AppliedVIP is a virtual IP in the kernel's rules.
type AppliedVIP struct {
	Announce bool // ARP for it is answered
}

// Connection is one TCP connection as the connection table knows it.
type Connection struct {
	Client   netip.AddrPort
	VIP      netip.AddrPort
	Director string
	Server   string
	Old      bool          // of an epoch before the present one
	Ended    bool          // a FIN or RST of the client was seen
	LastAck  uint32        // the last acknowledgment number seen of the client
	HasAck   bool          // LastAck was seen
	Next     uint32        // the client's next sequence number, of the last packet seen
	Packets  int           // seen of the client, at least; counted up to MostPackets
	Age      time.Duration // since its first packet was seen
	// ServerMAC and SourceMAC are those of its server and of the director
	// towards it; zero: not known.
	ServerMAC, SourceMAC MAC
	// Tunnel are the ends of the tunnel to its server; zero: there is none.
	Tunnel Tunnel
}

// Tunnel is where IP-in-IP packets go.
type Tunnel struct {
	Source netip.Addr `json:"source"`
	Server netip.Addr `json:"server"`
}

// Template keeps a network of clients on a server (option persistence).
type Template struct {
	Client   netip.Prefix
	Director string
	Server   string
	Left     time.Duration // until it ends, if no connection begins or ends by it
	Holds    bool          // it is used for new connections: its server takes them
}

// Traffic is what the data plane counted, cumulative since it was attached.
type Traffic struct {
	Verdicts map[string]Counter            // of all packets
	Flows    map[string]map[string]Counter // flow, verdict
	Servers  map[ServerRef]Counter         // forwarded packets
	Conns    map[ServerRef]ConnCount
	// Templates are how many there are of each director that has persistence.
	Templates map[string]int
	Table     TableStatus
	Lost      uint64 // sightings that found the way to the daemon full
}

// ConnCount counts connections that were not seen to end.
type ConnCount struct{ Present, Old uint64 } // of the present epoch, of older ones

// MostPackets is how far the packets of a connection are counted.
const MostPackets = 15

// Sighting is something that the data plane saw in the clients' half of the
// traffic: a hint that the server is gone.
type Sighting struct {
	Kind   SightingKind
	Ref    ServerRef      // the active server when it was seen
	Client netip.AddrPort // of a repeated packet
	VIP    netip.AddrPort
	// Frame is a whole SYN that was kept: nobody else has it. nil: the packet
	// went its way.
	Frame []byte
	Iface int // index of the interface where the frame arrived
}
