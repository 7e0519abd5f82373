package model

import "time"

// Sync says how it is measured how far the copies of standby servers are behind
// the active one's data. It is comparable; the zero Sync measures nothing.
type Sync struct {
	File     string        // the heartbeat, from the root of the server or of Export; "": none
	Export   string        // what is mounted; "": the directory of File
	Version  string        // of NFS: 3, 4, 4.1 or 4.2
	Command  string        // a programme that tells instead: an absolute path; "": none
	Port     uint16        // of NFS
	Interval time.Duration // from one measurement to the next
	MaxLag   time.Duration // a copy that is further behind is taken by order only; 0: it may be
}

// Off tells whether nothing is measured.
func (s Sync) Off() bool { return s.File == "" && s.Command == "" }

// Measuring is all but the limit: what was measured holds on when only that changes.
func (s Sync) Measuring() Sync {
	s.MaxLag = 0
	return s
}

// The bounds of how long one step of a measurement may take.
const (
	syncTimeoutLeast = time.Second
	syncTimeoutMost  = 5 * time.Second
)

// Timeout is how long one step of a measurement may take.
func (s Sync) Timeout() time.Duration {
	return max(syncTimeoutLeast, min(syncTimeoutMost, s.Interval))
}

// Freshness is what is known of a standby server's copy.
type Freshness uint8

const (
	FreshnessNone     Freshness = iota // nobody asks: it is the active server, or the configuration does not want it
	FreshnessUnknown                   // nobody knows how far it is behind
	FreshnessMeasured                  // it is known, and nothing says how much may be
	FreshnessFresh                     // it was no further behind than maxlag allows
	FreshnessTooOld                    // it is further behind
)

var freshnesses = table{"none", "unknown", "measured", "fresh", "too-old"}

func (f Freshness) String() string               { return freshnesses.name("freshness", uint8(f)) }
func (f Freshness) MarshalText() ([]byte, error) { return []byte(f.String()), nil }
func (f *Freshness) UnmarshalText(b []byte) error {
	v, err := freshnesses.value("freshness", string(b))
	*f = Freshness(v)
	return err
}

// Measured is what one measurement found of a standby server's copy.
type Measured struct {
	Ref    ServerRef
	Active string // the server that it was compared with
	At     time.Time
	OK     bool // it is known how far it is behind; what follows is about that
	Lag    time.Duration
	Upto   time.Time // it has all that was written until then
	Stale  bool      // a programme says that it is too old, however small the lag
	// Err says why it is not known; or, when OK, why the newest heartbeat could not
	// be written, or why it is too old.
	Err string
}

// CopyStatus is what people are shown of a standby server's copy.
type CopyStatus struct {
	Freshness Freshness     `json:"freshness"`
	Since     time.Time     `json:"since,omitzero"`
	Lag       time.Duration `json:"lag_ns"`            // behind the active server when it was measured last
	Measured  time.Time     `json:"measured,omitzero"` // absent: never
	Why       string        `json:"why,omitempty"`     // what is wrong with the measuring, in plain words
}
