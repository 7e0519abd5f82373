package model

import (
	"fmt"
	"net/netip"
	"time"
)

// MAC is an Ethernet address; the zero MAC means unknown.
type MAC [6]byte

func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// Known tells whether the address is known.
func (m MAC) Known() bool { return m != MAC{} }

func (m MAC) MarshalText() ([]byte, error) {
	if !m.Known() {
		return nil, nil
	}
	return []byte(m.String()), nil
}

func (m *MAC) UnmarshalText(b []byte) error {
	*m = MAC{}
	if len(b) == 0 {
		return nil
	}
	_, err := fmt.Sscanf(string(b), "%02x:%02x:%02x:%02x:%02x:%02x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5])
	return err
}

// ServerRef names a server of a director.
type ServerRef struct{ Director, Server string }

func (r ServerRef) String() string { return r.Director + "/" + r.Server }

// ProbeResult is the outcome of one probe of one server.
type ProbeResult struct {
	Ref     ServerRef
	At      time.Time // when the outcome was known
	OK      bool
	Err     string // in plain words, when not OK
	Latency time.Duration
	Tests   []TestResult // those that ended; one that failed ends the others
}

// Neighbour is what the kernel's neighbour table says of a real server.
type Neighbour struct {
	Addr   netip.Addr
	Iface  string
	MAC    MAC        // zero: not resolved; of Via, if that leads to it
	Via    netip.Addr // the router that leads to it; invalid: it is on the segment
	Source netip.Addr // of this machine's addresses the one that the kernel would send from
	MTU    int        // of the way there, as far as this machine knows it
	// Failed: the kernel asked and nobody answered, as opposed to an entry that
	// merely is not there.
	Failed bool
}

// Link is a network interface of the director.
type Link struct {
	Name  string
	Index int
	MAC   MAC
	Up    bool // administratively up, with carrier
	Kind  string
	MTU   int
	Addrs []netip.Prefix
}

// Has tells whether an interface has an address of the family of another one by which
// it could be reached. Every interface with IPv6 has a link-local one; that says nothing.
func (l Link) Has(family netip.Addr) bool {
	for _, p := range l.Addrs {
		if p.Addr().Is4() == family.Is4() && !p.Addr().IsLinkLocalUnicast() {
			return true
		}
	}
	return false
}

// FamilyOf is the name of an address's family.
func FamilyOf(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}
