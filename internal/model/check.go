package model

import (
	"net/netip"
	"strconv"
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
	Own      bool          // only at the servers' own addresses, not at the virtual IP on them
	Rise     int           // passes until a server that is down counts as up
	Fall     int           // failures until a server that is up counts as down
}

// Test is one thing that a probe asks of a server: an option …check line. It is
// comparable.
type Test struct {
	Kind    CheckKind
	Port    uint16 // 0: see For
	URI     string // of httpcheck
	Status  int    // of httpcheck; 0: 200 to 399
	VHost   string // of httpcheck; "": the address
	Iface   string // of arpcheck; "": the one that leads to the server
	Name    string // of tlscheck: the certificate must be for it; "": it is not looked at
	CA      string // of tlscheck: a file of the authorities to trust; "": the system's
	Command string // of execcheck: an absolute path
	Program uint32 // of rpccheck
	Version string // of rpccheck a number, of nfscheck 3, 4, 4.1 or 4.2
	UDP     bool   // of rpccheck: by datagrams
	Export  string // of nfscheck: what clients mount; "": none, or the root of all
	File    string // of nfscheck: what is read of it; "": nothing
}

// all are the tests, also when the configuration named none.
func (c Check) all() []Test {
	if len(c.Tests) == 0 {
		return []Test{{Kind: CheckTCP}}
	}
	return c.Tests
}

// For are the tests of a server, with their ports: the test's own, the check's or
// the server's. One that needs a port which nobody names is left out.
func (c Check) For(s Server) []Test {
	var all []Test
	for _, t := range c.all() {
		if t.Port == 0 {
			t.Port = c.port(t, s)
		}
		if t.Port != 0 || !t.Kind.NeedsPort() {
			all = append(all, t)
		}
	}
	return all
}

// port is the port of a test that names none; 0: it has none, or rpcbind tells.
func (c Check) port(t Test, s Server) uint16 {
	nfs := t.Kind == CheckNFS || t.Kind == CheckRPC && t.Program == ProgramNFS
	switch {
	case t.Kind == CheckARP || t.Kind == CheckICMP:
		return 0
	case t.Kind == CheckRPC && t.Program == ProgramPortmap:
		return portmapPort
	case t.Kind == CheckRPC && !nfs:
		return 0
	case c.Port != 0:
		return c.Port
	case s.Port == 0 && nfs:
		return NFSPort
	}
	return s.Port
}

// portmapPort is the port of rpcbind.
const portmapPort = 111

// NFS tells whether the check asks for NFS, or at its port.
func (c Check) NFS() bool {
	for _, t := range c.all() {
		if t.Kind == CheckNFS || t.Kind == CheckRPC && t.Program == ProgramNFS || t.Port == NFSPort {
			return true
		}
	}
	return c.Port == NFSPort
}

// Mounts tells whether a check of NFS asks rpcbind where MOUNT is.
func (t Test) Mounts() bool {
	return t.Kind == CheckNFS && t.Version == "3" && (t.Export != "" || t.File != "")
}

// words are the settings that a text of the configuration has.
func (t Test) words() [][2]string {
	all := [][2]string{{"uri", t.URI}, {"vhost", t.VHost}, {"iface", t.Iface}, {"name", t.Name}, {"ca", t.CA},
		{"version", t.Version}, {"export", t.Export}, {"file", t.File}}
	if t.Status != 0 {
		all = append(all, [2]string{"statuscode", strconv.Itoa(t.Status)})
	}
	return all
}

// String is the test as the configuration says it, without its port.
func (t Test) String() string {
	var b strings.Builder
	b.WriteString(t.Kind.String())
	if t.Command != "" {
		b.WriteString(" " + t.Command)
	}
	if t.Kind == CheckRPC {
		b.WriteString(" program " + RPCName(t.Program))
	}
	for _, w := range t.words() {
		if w[1] != "" {
			b.WriteString(" " + w[0] + " " + w[1])
		}
	}
	if t.UDP {
		b.WriteString(" udp")
	}
	return b.String()
}

// onServer is between a virtual IP and the server that it was asked at, in a
// TestResult's At.
const onServer = " on "

// AtVIP is a TestResult's At of a test at a virtual IP on a server.
func AtVIP(vip string, server netip.Addr) string { return vip + onServer + server.String() }

// OnVIP tells whether the test was made at a virtual IP on the server.
func (r TestResult) OnVIP() bool { return strings.Contains(r.At, onServer) }

// TestResult is the outcome of one test of a probe.
type TestResult struct {
	Check   string        `json:"check"` // as the configuration says it
	At      string        `json:"at"`    // the address that was asked, with its port if there is one
	OK      bool          `json:"ok"`
	Latency time.Duration `json:"latency_ns"`
	Error   string        `json:"error,omitempty"` // in plain words, when not OK
}
