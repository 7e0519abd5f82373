package model

import (
	"slices"
	"time"
)

// Diagnosis is what a look at the whole set-up found.
type Diagnosis struct {
	At       time.Time     `json:"at"`
	Took     time.Duration `json:"took_ns"`
	Findings []Finding     `json:"findings"`
	// Unseen are the things that could not be looked at: nobody knows whether
	// they are well.
	Unseen []Unseen `json:"not_looked_at"`
}

// Finding is something in the set-up that will bite.
type Finding struct {
	Kind     FindingKind `json:"kind"`
	Director string      `json:"director,omitempty"`
	Server   string      `json:"server,omitempty"`
	What     string      `json:"what"`
	Why      string      `json:"why"` // why it bites
	Do       string      `json:"do"`  // what mends it
}

// Unseen is something that was not looked at.
type Unseen struct {
	What    string `json:"what"`
	Because string `json:"because"`
}

// Since tells what was found that an earlier look had not found, and what that had
// found that is there no longer.
func (d Diagnosis) Since(before Diagnosis) (appeared, gone []Finding) {
	return without(d.Findings, before.Findings), without(before.Findings, d.Findings)
}

// without are the findings that the others lack. Figures in the words may differ.
func without(some, others []Finding) (list []Finding) {
	for _, f := range some {
		same := func(o Finding) bool { return f.Kind == o.Kind && f.Director == o.Director && f.Server == o.Server }
		if !slices.ContainsFunc(others, same) {
			list = append(list, f)
		}
	}
	return list
}

// Unready tells whether a server of which this was found cannot take over from
// another one without harm to its clients.
func (k FindingKind) Unready() bool {
	switch k {
	case FindUnreachable, FindRouted, FindNoVIP, FindForwards, FindPort, FindFirewall, FindNFS, FindVersions, FindPorts, FindExports, FindHandles:
		return true
	}
	return false
}

// FindingKind is what is wrong.
type FindingKind uint8

// The kinds of findings.
const (
	FindUnreachable FindingKind = iota // a server answers no ARP
	FindRouted                         // a server is behind a router
	FindAnswersARP                     // a server answers ARP for a virtual IP
	FindOtherHolder                    // somebody else does
	FindNoVIP                          // a server lacks the virtual IP
	FindForwards                       // and hands its packets on
	FindPort                           // nothing listens at the port
	FindFirewall                       // a server's port does not answer
	FindNFS                            // NFS does not do what it should
	FindVersions                       // the servers' NFS versions differ
	FindPorts                          // the ports of their programmes differ
	FindExports                        // what they export differs
	FindHandles                        // the file handles of an export's root differ
	FindIdentity                       // who they say they are differs, in NFSv4.1
	FindLease                          // their leases differ
	FindClock                          // a server's clock differs from the director's
	FindMTU                            // a server's MTU differs from the director's
	FindFrames                         // frames of full length do not arrive
	FindForwarding                     // the director's kernel forwards
	FindReversePath                    // the director's kernel drops answers
	FindRules                          // packet filters of the director that are passed by
	FindXDP                            // the data plane runs in a slow mode
)

var findingKinds = table{"unreachable", "routed", "answers-arp", "other-holder", "no-vip", "forwards", "port", "firewall", "nfs",
	"versions", "ports", "exports", "handles", "identity", "lease", "clock", "mtu", "frames", "forwarding", "reverse-path", "rules", "xdp"}

func (k FindingKind) String() string               { return findingKinds.name("finding", uint8(k)) }
func (k FindingKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
func (k *FindingKind) UnmarshalText(b []byte) error {
	v, err := findingKinds.value("finding", string(b))
	*k = FindingKind(v)
	return err
}
