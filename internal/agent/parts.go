package agent

import (
	"context"
	"net/netip"
	"os"
	"time"

	"fairlead/internal/announce"
	"fairlead/internal/api"
	"fairlead/internal/desk"
	"fairlead/internal/freshness"
	"fairlead/internal/hook"
	"fairlead/internal/model"
	"fairlead/internal/netstate"
	"fairlead/internal/probe"
	"fairlead/internal/rounds"
)

// DataPlane is what the agent needs of the kernel. Its methods may be called by
// several goroutines at once.
type DataPlane interface {
	rounds.Plane
	Applied() (model.Applied, error)
	Apply(model.Desired) error
	Traffic() (model.Traffic, error)
	Templates() ([]model.Template, error)
	ForgetTemplates(director string, client netip.Prefix) (int, error)
	// Explain says what becomes of a frame that arrives on an interface.
	Explain(frame []byte, iface int) (model.Explanation, error)
	Capture(ctx context.Context, snaplen int, emit func(api.Packet) error) error

	// Watch hands on what the data plane sees of silent servers.
	Watch(ctx context.Context, emit func(model.Sighting)) error
	// Beat says that the daemon lives: without it no frame is kept for it.
	Beat()
	// Trust makes the data plane keep no SYN of a director for so long.
	Trust(director string, d time.Duration) error
	// Pass runs a frame through the data plane as if it came now. out is to be
	// sent on that interface, when ok.
	Pass(frame []byte, iface int) (out []byte, ok bool, err error)
}

// Prober probes the servers. Set and Now return at once.
type Prober interface {
	Run(context.Context) error
	Set([]probe.Target)
	Now(ref model.ServerRef, timeout time.Duration)
}

// Meter measures how old the copies of standby servers are. Set returns at once.
type Meter interface {
	Run(context.Context) error
	Set([]freshness.Target)
}

// Paths lets checks reach virtual IPs on single servers. Apply returns why a path is
// not to be had. It is used by one goroutine at a time.
type Paths interface {
	Apply([]model.Path) map[model.Path]string
}

// Watcher watches links and neighbours. Keep returns at once: a router may lead to
// those that are routed.
type Watcher interface {
	Run(context.Context) error
	Keep(near, routed []netip.Addr)
}

// Announcer announces virtual IPs. Set returns at once.
type Announcer interface {
	Run(context.Context) error
	Set([]announce.Want)
}

// Frames sends whole Ethernet frames. It is used by one goroutine at a time.
type Frames interface {
	Send(iface int, frame []byte) error
}

// Hooks runs the administrator's hooks; Run returns when one has ended.
type Hooks interface {
	Run(context.Context, hook.Call) hook.Outcome
}

// Memory keeps on disk what must survive. It is used by one goroutine at a time.
type Memory interface {
	Load() (model.Memory, error)
	Save(model.Memory) error
}

// Journal keeps what happened. Append never waits for the disk; Run writes.
type Journal interface {
	Run(context.Context) error
	Append(model.Event) model.Event // with its number
	Read(since uint64, most int) []model.Event
	Follow(ctx context.Context, since uint64, emit func(model.Event) error) error
	Err() error // why it is not kept on disk
}

// Control serves the operators' orders.
type Control interface {
	Run(context.Context, api.Daemon) error
}

// Web serves the pages and the API on the network. Set returns at once.
type Web interface {
	Run(context.Context, api.Daemon) error
	Set(model.Web)
	Status() model.ServiceStatus
}

// Notifier tells people of events. Set returns at once.
type Notifier interface {
	Run(ctx context.Context, follow func(ctx context.Context, since uint64, emit func(model.Event) error) error) error
	Set([]model.Target)
	Status() model.ServiceStatus
}

// Metrics counts what no status tells. Its methods return at once.
type Metrics interface {
	Probed(model.ProbeResult)
	Switched(director string, s model.Switch, done bool)
}

// Parts are the effects that the agent drives, and the channels by which they
// tell what they saw.
type Parts struct {
	Plane     DataPlane
	Prober    Prober
	Results   <-chan model.ProbeResult
	Meter     Meter
	Measured  <-chan model.Measured
	Paths     Paths
	Watcher   Watcher
	Facts     <-chan netstate.Fact
	Announcer Announcer
	Seen      <-chan model.VIPStatus
	Resets    rounds.Sender
	Frames    Frames
	Hooks     Hooks
	Memory    Memory
	Journal   Journal
	Control   Control
	Desk      *desk.Desk
	Web       Web
	Notifier  Notifier
	Metrics   Metrics
	Doctor    Doctor
	Hangups   <-chan os.Signal // each one orders a reload
}

// texts is what the desk does for those who edit, without the loop.
type texts interface {
	Configuration(context.Context) (api.Configuration, error)
	Check(context.Context, []model.Document) (api.Checked, error)
	Diff(context.Context, []model.Document) (api.Difference, error)
	SaveDraft(ctx context.Context, by model.Actor, match string, docs []model.Document) (model.Draft, error)
	DiscardDraft(ctx context.Context, by model.Actor, match string) error
	Versions(context.Context) ([]model.Version, error)
	Version(ctx context.Context, id uint64) (model.Version, error)
}
