package outcome

import (
	"fmt"
	"slices"
	"strings"
)

// Fault is what the lab does to the service.
type Fault uint8

const (
	Kill Fault = iota
	Link
	BlackHole
	NoVIP
	Hang
	Planned
	Failback
	Double
	Flap
	Crash
	Gone
	faultsEnd
)

// The servers of the diagram.
const (
	First  = "nfs-01"
	Second = "nfs-02"
)

// Scenario tells what a fault does and what must follow.
type Scenario struct {
	Name   string
	Does   string
	Expect string
	To     []string // the switches, in order: to which server
	// CheckSecond: nfs-02 gets a check, which the note does not give it. Without
	// one nobody would notice its failure.
	CheckSecond bool
}

var scenarios = [...]Scenario{
	Kill: {
		Name: "kill", Does: "the NFS server's process on nfs-01 is killed",
		Expect: "the service moves to nfs-02", To: []string{Second}},
	Link: {
		Name: "link", Does: "the cable of nfs-01 is cut",
		Expect: "the service moves to nfs-02", To: []string{Second}},
	BlackHole: {
		Name: "blackhole", Does: "the switch swallows every frame from and to nfs-01, which keeps its carrier",
		Expect: "the service moves to nfs-02", To: []string{Second}},
	NoVIP: {
		Name: "novip", Does: "nfs-01 loses the virtual IP, and goes on answering at its own address",
		Expect: "the service moves to nfs-02", To: []string{Second}},
	Hang: {
		Name: "hang", Does: "the NFS server's process on nfs-01 stops, and goes on later",
		Expect: "nothing: its kernel still accepts connections, and a TCP check asks for no more"},
	Planned: {
		Name: "planned", Does: "an operator moves the service to nfs-02",
		Expect: "the service moves to nfs-02", To: []string{Second}},
	Failback: {
		Name: "failback", Does: "an operator moves the service to nfs-02, and back under load",
		Expect: "the service moves to nfs-02 and back; never are both in use", To: []string{Second, First}},
	Double: {
		Name: "double", Does: "nfs-01 is killed; when it is back, the cable of nfs-02 is cut",
		Expect: "the service moves to nfs-02, and back to nfs-01 only when nfs-02 is gone", To: []string{Second, First}, CheckSecond: true},
	Flap: {
		Name: "flap", Does: "the cable of nfs-01 is cut, and then has a loose contact",
		Expect: "the service moves to nfs-02 once, and stays there", To: []string{Second}},
	Crash: {
		Name: "crash", Does: "the director's programme is killed in the middle of switches, and started again",
		Expect: "a switch is done or not done, never half; the clients go on"},
	Gone: {
		Name: "gone", Does: "the cables of both servers are cut, and plugged in again",
		Expect: "nothing gets clients' data but nfs-01, which is waited for", CheckSecond: true},
}

// Scenario is what a fault does and what must follow.
func (f Fault) Scenario() Scenario {
	if f >= faultsEnd {
		return Scenario{Name: fmt.Sprintf("fault(%d)", f)}
	}
	return scenarios[f]
}

// Faults lists every fault.
func Faults() []Fault {
	var all []Fault
	for f := range faultsEnd {
		all = append(all, f)
	}
	return all
}

func (f Fault) String() string               { return f.Scenario().Name }
func (f Fault) MarshalText() ([]byte, error) { return []byte(f.String()), nil }
func (f *Fault) UnmarshalText(b []byte) error {
	var names []string
	for _, g := range Faults() {
		names = append(names, g.String())
	}
	v, err := valueOf("fault", names, string(b))
	*f = Fault(v)
	return err
}

// Backend is the kind of NFS servers.
type Backend uint8

const (
	Embedded Backend = iota // this programme's own
	Ganesha                 // nfs-ganesha, from the distribution's packages
)

var backends = []string{"embedded", "ganesha"}

func (b Backend) String() string               { return nameOf("NFS server", backends, uint8(b)) }
func (b Backend) MarshalText() ([]byte, error) { return []byte(b.String()), nil }
func (b *Backend) UnmarshalText(text []byte) error {
	v, err := valueOf("NFS server", backends, string(text))
	*b = Backend(v)
	return err
}

// Mode is how the director forwards.
type Mode uint8

const (
	Gateway Mode = iota // as in the note
	Tunnel              // to servers behind a router
)

var modes = []string{"gateway", "tunnel"}

func (m Mode) String() string               { return nameOf("mode", modes, uint8(m)) }
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }
func (m *Mode) UnmarshalText(text []byte) error {
	v, err := valueOf("mode", modes, string(text))
	*m = Mode(v)
	return err
}

// Timing says how often the director checks the servers.
type Timing uint8

const (
	Note Timing = iota // as in the note: every 10 seconds
	Fast               // every second
)

var timings = []string{"note", "fast"}

func (t Timing) String() string               { return nameOf("timing", timings, uint8(t)) }
func (t Timing) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
func (t *Timing) UnmarshalText(text []byte) error {
	v, err := valueOf("timing", timings, string(text))
	*t = Timing(v)
	return err
}

func nameOf(kind string, names []string, v uint8) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("%s(%d)", kind, v)
}

func valueOf(kind string, names []string, name string) (int, error) {
	i := slices.Index(names, name)
	if i < 0 {
		return 0, fmt.Errorf("unknown %s %q: it is one of %s", kind, name, strings.Join(names, ", "))
	}
	return i, nil
}
