package api

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"fairlead/internal/model"
)

// Daemon is what the API speaks for. Its methods are called by several
// goroutines at once; they return when ctx ends. What concerns the daemon's
// files and what is at work stand apart.
type Daemon interface {
	Operations
	Configurations
}

// Operations are about what is at work.
type Operations interface {
	Status() model.Status
	// Changed is closed at the next change of the status that is more than a
	// counter.
	Changed() <-chan struct{}
	Reload(ctx context.Context, by model.Actor) (Reloaded, error)
	// Order carries an operator's order out, which may take as long as hooks do.
	Order(ctx context.Context, by model.Actor, order Order) (Ordered, error)
	// Restart brings one of the daemon's services (model.ServiceStatus) up anew,
	// without a packet lost.
	Restart(ctx context.Context, by model.Actor, service string) error
	// Events hands the journal's entries to emit, and with follow those to come
	// too, until ctx ends.
	Events(ctx context.Context, since Since, follow bool, emit func(model.Event) error) error
	Capture(ctx context.Context, snaplen int, emit func(Packet) error) error
	Connections(ctx context.Context, query ConnectionQuery) (Connections, error)
	// Templates lists what option persistence remembers of clients.
	Templates(ctx context.Context, query TemplateQuery) (Templates, error)
	// ForgetTemplates removes those of a director; of a valid client only those of it.
	ForgetTemplates(ctx context.Context, by model.Actor, director string, client netip.Prefix) (Forgotten, error)
	// Explain says what becomes of a packet, and changes nothing.
	Explain(ctx context.Context, packet DescribedPacket) (Explanation, error)
	// History is what the last probes of a server found, the oldest first.
	History(ref model.ServerRef) ([]Probed, error)
	// Diagnosis is what the doctor said last; ErrNotFound when nobody has looked yet.
	Diagnosis() (model.Diagnosis, error)
	// Examine lets the doctor look at the whole set-up now, which takes up to 10 s.
	Examine(ctx context.Context, by model.Actor) (model.Diagnosis, error)
	// Audit enters in the journal what somebody did or tried.
	Audit(by model.Actor, text string, failed error)
}

// Configurations are about the configuration's documents: those that are in
// force, the draft, and the versions before.
type Configurations interface {
	Configuration(ctx context.Context) (Configuration, error)
	// Check finds what is wrong with documents, and changes nothing.
	Check(ctx context.Context, docs []model.Document) (Checked, error)
	// Diff tells what documents would change.
	Diff(ctx context.Context, docs []model.Document) (Difference, error)
	// Apply writes documents and brings them into force: all of it or nothing.
	// match is the hash of the documents that were edited; ErrConflict when
	// somebody changed them since.
	Apply(ctx context.Context, by model.Actor, match string, docs []model.Document) (AppliedConfiguration, error)
	// SaveDraft keeps documents that are not to be in force yet. match is the hash
	// of the draft that they replace; "" when there was none.
	SaveDraft(ctx context.Context, by model.Actor, match string, docs []model.Document) (model.Draft, error)
	DiscardDraft(ctx context.Context, by model.Actor, match string) error
	Versions(ctx context.Context) ([]model.Version, error) // without their documents, the newest first
	Version(ctx context.Context, id uint64) (model.Version, error)
	// Restore brings a version into force again, as a new one.
	Restore(ctx context.Context, by model.Actor, match string, id uint64) (AppliedConfiguration, error)
}

// What an error means for who asked. Errors of a Daemon wrap them.
var (
	ErrNotFound   = errors.New("there is no such thing")
	ErrConflict   = errors.New("somebody changed it meanwhile")
	ErrNotAllowed = errors.New("not allowed")
)

// Configuration is the configuration as its files hold it.
type Configuration struct {
	Hash       string           `json:"hash"`    // of the documents: what If-Match compares
	Running    string           `json:"running"` // hash of the documents that are in force; differs when somebody edited a file since
	Generation uint64           `json:"generation"`
	Documents  []model.Document `json:"documents"`
	Draft      *model.Draft     `json:"draft,omitempty"`
	Redacted   bool             `json:"redacted,omitempty"` // secrets are left out: for viewers
}

// Documents is a request with documents.
type Documents struct {
	Documents []model.Document `json:"documents"` // those that are left out stay as they are
}

// Checked is what is to be said of documents.
type Checked struct {
	OK          bool         `json:"ok"` // they may be applied
	Diagnostics []Diagnostic `json:"diagnostics"`
	Notes       []string     `json:"notes"` // what nobody wrote but holds
}

// Difference is what documents would change.
type Difference struct {
	Checked
	Documents []DocumentDiff `json:"documents"` // those that differ
	Effects   []string       `json:"effects"`   // in words: what changes
}

// DocumentDiff is the difference of one document, line by line.
type DocumentDiff struct {
	Name  string     `json:"name"`
	Tab   model.Tab  `json:"tab"`
	Lines []DiffLine `json:"lines"`
}

// DiffLine is a line that stays (" "), is added ("+") or removed ("-").
type DiffLine struct {
	Op   string `json:"op"`
	Old  int    `json:"old,omitempty"` // its number before
	New  int    `json:"new,omitempty"` // its number after
	Text string `json:"text"`
}

// AppliedConfiguration says what Apply did.
type AppliedConfiguration struct {
	Generation uint64       `json:"generation"`
	Hash       string       `json:"hash"`
	Version    uint64       `json:"version"`
	Warnings   []Diagnostic `json:"warnings"`
}

// ConnectionQuery selects connections. What is empty does not matter.
type ConnectionQuery struct {
	Director string
	Server   string
	Client   netip.Prefix
	State    string // open, ended, old
	Limit    int    // 0: DefaultConnections
}

// DefaultConnections is how many connections are listed when nobody says.
const DefaultConnections = 200

// Connections is a list of connections.
type Connections struct {
	Connections []Connection `json:"connections"` // by client
	Matched     int          `json:"matched"`     // how many there are beyond the limit too
	Known       int          `json:"known"`       // of the whole table
}

// Connection is one TCP connection that the connection table knows.
type Connection struct {
	Client   netip.AddrPort `json:"client"`
	VIP      netip.AddrPort `json:"vip"`
	Director string         `json:"director"`
	Server   string         `json:"server"`
	State    string         `json:"state"`  // open; ended: the client's FIN or RST was seen; old: of before the last switch
	Age      time.Duration  `json:"age_ns"` // since its first packet was seen
}

// Probed is the outcome of one probe.
type Probed struct {
	At      time.Time          `json:"at"`
	OK      bool               `json:"ok"`
	Latency time.Duration      `json:"latency_ns"`
	Error   string             `json:"error,omitempty"`
	Tests   []model.TestResult `json:"tests,omitempty"` // those that ended; one that fails ends the others
}
