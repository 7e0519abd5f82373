package model

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Check says how the servers of a director are checked: every test must pass.
type Check struct {
	Tests    []Test        // in the order of the configuration; none means a TCP connection
	Interval time.Duration // from the start of one probe to the start of the next
	Timeout  time.Duration // of one probe, with all its tests
	Port     uint16        // of tests that name none; 0: the server's own
	Source   netip.Addr    // the probes' source address; invalid: the kernel's choice
	Rise     int           // passes until a server that is down counts as up
	Fall     int           // failures until a server that is up counts as down
}

// Test is one thing that a probe asks of a server: an option …check line. It is
// comparable.
type Test struct {
	Kind    CheckKind
	Port    uint16 // 0: the check's; execcheck needs none
	URI     string // of httpcheck
	Status  int    // of httpcheck; 0: 200 to 399
	VHost   string // of httpcheck; "": the address
	Iface   string // of arpcheck; "": the one that leads to the server
	Name    string // of tlscheck: the certificate must be for it; "": it is not looked at
	Command string // of execcheck: an absolute path
	CA      string // of tlscheck: a file of the authorities to trust; "": the system's
}

// all are the tests, also when the configuration named none.
func (c Check) all() []Test {
	if len(c.Tests) == 0 {
		return []Test{{Kind: CheckTCP}}
	}
	return c.Tests
}

// For are the tests of a server, with their ports. One that needs a port which
// nobody names is left out.
func (c Check) For(s Server) []Test {
	var all []Test
	for _, t := range c.all() {
		switch {
		case t.Kind == CheckARP || t.Kind == CheckICMP:
			t.Port = 0
		case t.Port != 0:
		case c.Port != 0:
			t.Port = c.Port
		default:
			t.Port = s.Port
		}
		if t.Port != 0 || !t.Kind.HasPort() {
			all = append(all, t)
		}
	}
	return all
}

// NFS tells whether the check asks at the port of NFS.
func (c Check) NFS() bool {
	for _, t := range c.all() {
		if t.Kind.HasPort() && (t.Port == NFSPort || t.Port == 0 && c.Port == NFSPort) {
			return true
		}
	}
	return c.Port == NFSPort
}

// String is the test as the configuration says it, without its port.
func (t Test) String() string {
	var b strings.Builder
	b.WriteString(t.Kind.String())
	if t.Command != "" {
		b.WriteString(" " + t.Command)
	}
	for _, word := range [...]struct{ name, value string }{
		{"uri", t.URI}, {"vhost", t.VHost}, {"iface", t.Iface}, {"name", t.Name}, {"ca", t.CA},
	} {
		if word.value != "" {
			fmt.Fprintf(&b, " %s %s", word.name, word.value)
		}
	}
	if t.Status != 0 {
		fmt.Fprintf(&b, " statuscode %d", t.Status)
	}
	return b.String()
}

// TestResult is the outcome of one test of a probe.
type TestResult struct {
	Check   string        `json:"check"` // as the configuration says it
	At      string        `json:"at"`    // the address that was asked, with its port if there is one
	OK      bool          `json:"ok"`
	Latency time.Duration `json:"latency_ns"`
	Error   string        `json:"error,omitempty"` // in plain words, when not OK
}
