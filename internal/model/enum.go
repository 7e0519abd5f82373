package model

import "fmt"

// A table is the one place where the values of an enum have their names: its
// index is the value. Strings, parsers and JSON are all derived from it.
type table []string

func (t table) name(kind string, v uint8) string {
	if int(v) < len(t) {
		return t[v]
	}
	return fmt.Sprintf("%s(%d)", kind, v)
}

func (t table) value(kind, name string) (uint8, error) {
	for i, n := range t {
		if n == name {
			return uint8(i), nil
		}
	}
	return 0, fmt.Errorf("unknown %s %q", kind, name)
}

// Policy is what a flow does with the packets that its rules match.
type Policy uint8

const (
	PolicySkip     Policy = iota // go on to the next flow; the default
	PolicyPermit                 // let it pass
	PolicyDeny                   // drop it
	PolicyDirector               // hand it to a director
	PolicyTable                  // route it by a routing table
)

var policies = table{"skip", "permit", "deny", "director", "table"}

func (p Policy) String() string               { return policies.name("policy", uint8(p)) }
func (p Policy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }
func (p *Policy) UnmarshalText(b []byte) error {
	v, err := policies.value("policy", string(b))
	*p = Policy(v)
	return err
}

// Proto is a transport protocol that a rule names.
type Proto uint8

const (
	ProtoAny Proto = iota
	ProtoTCP
	ProtoUDP
	ProtoICMP
)

var protos = table{"any", "tcp", "udp", "icmp"}

func (p Proto) String() string               { return protos.name("proto", uint8(p)) }
func (p Proto) MarshalText() ([]byte, error) { return []byte(p.String()), nil }
func (p *Proto) UnmarshalText(b []byte) error {
	v, err := protos.value("proto", string(b))
	*p = Proto(v)
	return err
}

// Number is the IP protocol number, 0 for any.
func (p Proto) Number() uint8 { return [...]uint8{0, 6, 17, 1}[p&3] }

// Scheduler chooses the server of a new connection.
type Scheduler uint8

const (
	RoundRobin Scheduler = iota // in turn, in proportion to the weights
	LeastConn                   // the fewest connections for its weight
	// Locality keeps the connections to one destination on one server, chosen as by
	// LeastConn, until it is overloaded.
	Locality
	// Replication is Locality with a set of servers, which grows under load.
	Replication
	Source           // by the client's address
	SrcDst           // by the client's and the destination address
	Dest             // by the destination address
	ShortestExpected // the fewest connections for its weight, with the new one
	NeverQueue       // a server without any, else as ShortestExpected
	Maglev           // by addresses and ports: every director chooses alike
	schedulersEnd
)

var schedulers = table{"roundrobin", "leastconn", "leastconn localitybased", "leastconn localitybased replication",
	"source", "srcdst", "dest", "shortestexpected", "neverqueue", "maglev"}

// Schedulers lists every scheduler.
func Schedulers() []Scheduler {
	var all []Scheduler
	for s := RoundRobin; s < schedulersEnd; s++ {
		all = append(all, s)
	}
	return all
}

func (s Scheduler) String() string               { return schedulers.name("scheduler", uint8(s)) }
func (s Scheduler) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
func (s *Scheduler) UnmarshalText(b []byte) error {
	v, err := schedulers.value("scheduler", string(b))
	*s = Scheduler(v)
	return err
}

// Mode is the forwarding method of a director.
type Mode uint8

const (
	ModeNAT     Mode = iota // the appliance's default
	ModeGateway             // Direct Server Return: only the MAC addresses change
	ModeTunnel              // IP in IP
)

var modes = table{"nat", "gateway", "tunnel"}

func (m Mode) String() string               { return modes.name("mode", uint8(m)) }
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }
func (m *Mode) UnmarshalText(b []byte) error {
	v, err := modes.value("mode", string(b))
	*m = Mode(v)
	return err
}

// CheckKind is how a server's health is probed.
type CheckKind uint8

const (
	CheckNone CheckKind = iota
	CheckTCP
	CheckHTTP
	CheckARP
	CheckICMP
	CheckTLS
	CheckExec
	CheckRPC
	CheckNFS
)

var checkKinds = table{"none", "tcpcheck", "httpcheck", "arpcheck", "icmpcheck", "tlscheck", "execcheck", "rpccheck", "nfscheck"}

// NeedsPort tells whether the check cannot be made without a port that the
// configuration names.
func (k CheckKind) NeedsPort() bool { return k == CheckTCP || k == CheckHTTP || k == CheckTLS }

func (k CheckKind) String() string               { return checkKinds.name("check", uint8(k)) }
func (k CheckKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
func (k *CheckKind) UnmarshalText(b []byte) error {
	v, err := checkKinds.value("check", string(b))
	*k = CheckKind(v)
	return err
}

// Health is what is known of a server.
type Health uint8

const (
	HealthUnknown   Health = iota // checked, no result yet
	HealthUp                      // its check passes
	HealthDown                    // its check failed and the failure was confirmed
	HealthUnchecked               // it has no check: assumed up, never shown as up
)

var healths = table{"unknown", "up", "down", "unchecked"}

func (h Health) String() string               { return healths.name("health", uint8(h)) }
func (h Health) MarshalText() ([]byte, error) { return []byte(h.String()), nil }
func (h *Health) UnmarshalText(b []byte) error {
	v, err := healths.value("health", string(b))
	*h = Health(v)
	return err
}

// Reason says why the active server of a director is what it is. The log line,
// the metric's label and the words that people read all come from it.
type Reason uint8

const (
	ReasonNone      Reason = iota // nothing was chosen yet
	ReasonFirst                   // first choice after a first start
	ReasonAdopted                 // found in the kernel at start
	ReasonFailed                  // the active server's check failed
	ReasonFailback                // a preferred server returned
	ReasonOperator                // an operator ordered it
	ReasonRemoved                 // the configuration no longer has the active server
	ReasonQuiescent               // the configuration gave the active server weight 0
	ReasonWaiting                 // no active server: results of checks are awaited
	ReasonNoServer                // no active server: none can be chosen
	ReasonPreferred               // the configuration now prefers another server
	reasonsEnd
)

var reasons = table{"none", "first-choice", "adopted", "server-failed", "failback", "operator",
	"server-removed", "server-quiescent", "waiting-for-checks", "no-server", "configuration"}

// Reasons lists every reason.
func Reasons() []Reason {
	var all []Reason
	for r := ReasonNone; r < reasonsEnd; r++ {
		all = append(all, r)
	}
	return all
}

func (r Reason) String() string               { return reasons.name("reason", uint8(r)) }
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
func (r *Reason) UnmarshalText(b []byte) error {
	v, err := reasons.value("reason", string(b))
	*r = Reason(v)
	return err
}

// AttachMode is where the data plane's programme hooks into an interface.
type AttachMode uint8

const (
	AttachAuto    AttachMode = iota // the best that attaches and works
	AttachNative                    // XDP in the driver
	AttachGeneric                   // XDP on socket buffers
	AttachTCX                       // tc ingress (kernel 6.6 and newer); keeps large GSO frames
)

var attachModes = table{"auto", "native", "generic", "tcx"}

func (m AttachMode) String() string               { return attachModes.name("mode", uint8(m)) }
func (m AttachMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }
func (m *AttachMode) UnmarshalText(b []byte) error {
	v, err := attachModes.value("attach mode", string(b))
	*m = AttachMode(v)
	return err
}

// Failback says when a director returns to a preferred server that is up again.
type Failback uint8

const (
	FailbackAuto   Failback = iota // as soon as it counts as up
	FailbackManual                 // by an operator's order only
	FailbackDelay                  // after it has been up for some time
)

var failbacks = table{"auto", "manual", "delay"}

func (f Failback) String() string               { return failbacks.name("failback", uint8(f)) }
func (f Failback) MarshalText() ([]byte, error) { return []byte(f.String()), nil }
func (f *Failback) UnmarshalText(b []byte) error {
	v, err := failbacks.value("failback", string(b))
	*f = Failback(v)
	return err
}

// NoServer is what becomes of clients while a director has no server.
type NoServer uint8

const (
	NoServerHold   NoServer = iota // silence: they ask again until there is one
	NoServerReject                 // they are refused: RST, or ICMP port unreachable
)

var noServers = table{"hold", "reject"}

func (n NoServer) String() string               { return noServers.name("on-no-server", uint8(n)) }
func (n NoServer) MarshalText() ([]byte, error) { return []byte(n.String()), nil }
func (n *NoServer) UnmarshalText(b []byte) error {
	v, err := noServers.value("on-no-server", string(b))
	*n = NoServer(v)
	return err
}

// HookKind is what a hook is for.
type HookKind uint8

const (
	HookFence   HookKind = iota // of the server that is left
	HookPromote                 // of the server that is taken
)

var hookKinds = table{"fence", "promote"}

func (k HookKind) String() string               { return hookKinds.name("hook", uint8(k)) }
func (k HookKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
func (k *HookKind) UnmarshalText(b []byte) error {
	v, err := hookKinds.value("hook", string(b))
	*k = HookKind(v)
	return err
}

// HookPolicy says what the failure of a hook means.
type HookPolicy uint8

const (
	HookRequire HookPolicy = iota // the switch stays on hold, with an alarm
	HookTry                       // the switch goes on
)

var hookPolicies = table{"require", "try"}

func (p HookPolicy) String() string               { return hookPolicies.name("hook policy", uint8(p)) }
func (p HookPolicy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }
func (p *HookPolicy) UnmarshalText(b []byte) error {
	v, err := hookPolicies.value("hook policy", string(b))
	*p = HookPolicy(v)
	return err
}

// Step is where a switch under way stands. From StepFence to StepVerify the
// director is on hold: SYNs are kept, other packets dropped.
type Step uint8

const (
	StepNone    Step = iota // no switch is under way
	StepFence               // the fence hook of the old server runs
	StepPromote             // the promote hook of the new server runs
	StepVerify              // the new server's check is awaited
	StepOrder               // nobody knows which server holds the truth: an operator must say
)

var steps = table{"none", "fence", "promote", "verify", "order"}

func (s Step) String() string               { return steps.name("step", uint8(s)) }
func (s Step) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
func (s *Step) UnmarshalText(b []byte) error {
	v, err := steps.value("step", string(b))
	*s = Step(v)
	return err
}

// Mark is what an operator said of a server, until it is enabled again.
type Mark uint8

const (
	MarkNone     Mark = iota
	MarkDraining      // no new connections; those it has may end
	MarkDisabled      // not used at all
)

var marks = table{"none", "draining", "disabled"}

func (m Mark) String() string               { return marks.name("mark", uint8(m)) }
func (m Mark) MarshalText() ([]byte, error) { return []byte(m.String()), nil }
func (m *Mark) UnmarshalText(b []byte) error {
	v, err := marks.value("mark", string(b))
	*m = Mark(v)
	return err
}

// Verb is what an operator orders.
type Verb uint8

const (
	VerbSwitch  Verb = iota // make this server the active one
	VerbDrain               // give it no new connections
	VerbDisable             // do not use it at all
	VerbEnable              // take both back
)

var verbs = table{"switch", "drain", "disable", "enable"}

func (v Verb) String() string               { return verbs.name("order", uint8(v)) }
func (v Verb) MarshalText() ([]byte, error) { return []byte(v.String()), nil }
func (v *Verb) UnmarshalText(b []byte) error {
	n, err := verbs.value("order", string(b))
	*v = Verb(n)
	return err
}

// SightingKind is what the data plane saw.
type SightingKind uint8

const (
	SightingRepeatedSYN  SightingKind = iota // a SYN came again: the first was not answered
	SightingRepeatedData                     // the same data came again, and nothing new was acknowledged
	SightingReconnect                        // a client that had a connection begins another one
	SightingHeld                             // a SYN came while its director was on hold
)

var sightings = table{"repeated-syn", "repeated-data", "reconnect", "held"}

func (k SightingKind) String() string { return sightings.name("sighting", uint8(k)) }
