package agent

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/announce"
	"fairlead/internal/desk"
	"fairlead/internal/model"
	"fairlead/internal/netstate"
)

const note = `
flow nfs director nfs
match iface eth0 dst 192.168.10.50
director nfs
balance roundrobin
mode gateway
check interval 10 port 2049 timeout 2
option tcpcheck
server nfs-01 192.168.10.100:2049 weight 10 check
server nfs-02 192.168.10.101:2049 sorry
`

// bench is an agent with fakes for all its parts.
type bench struct {
	*journal
	t         *testing.T
	plane     *fakePlane
	prober    *fakeProber
	meter     *fakeMeter
	measured  chan model.Measured
	paths     *fakePaths
	watcher   *fakeWatcher
	announcer *fakeAnnouncer
	sender    *fakeSender
	hooks     *fakeHooks
	memory    *fakeMemory
	events    *fakeJournal
	hangups   chan os.Signal
	seen      chan model.VIPStatus
	files     *fakeFiles
	web       *fakeWeb
	notifier  *fakeNotifier
	metrics   *fakeMetrics
	agent     *Agent
	stop      context.CancelFunc
	ended     chan error
}

func newBench(t *testing.T) *bench {
	j := &journal{}
	return &bench{journal: j, t: t, plane: newFakePlane(j), memory: &fakeMemory{journal: j}, events: &fakeJournal{}, files: &fakeFiles{text: note}}
}

// start runs an agent on the bench's kernel, with fresh parts.
func (b *bench) start(prepare func()) {
	b.t.Helper()
	results := make(chan model.ProbeResult)
	facts := make(chan netstate.Fact)
	b.seen = make(chan model.VIPStatus)
	b.hangups = make(chan os.Signal, 1)
	b.prober = &fakeProber{results: results, wake: make(chan struct{}, 1), down: map[string]bool{}}
	b.meter, b.measured = &fakeMeter{}, make(chan model.Measured)
	b.paths = &fakePaths{}
	b.watcher = &fakeWatcher{facts: facts, keep: make(chan []netip.Addr, 8)}
	b.announcer = &fakeAnnouncer{journal: b.journal, seen: b.seen, wants: make(chan []announce.Want, 8)}
	b.sender = &fakeSender{journal: b.journal, packets: map[uint16]int{}}
	b.hooks = &fakeHooks{journal: b.journal, ends: make(chan error)}
	if prepare != nil {
		prepare()
	}
	b.web, b.notifier, b.metrics = &fakeWeb{fakeService{name: "web"}}, &fakeNotifier{fakeService{name: "notify"}}, &fakeMetrics{}
	desk := desk.New(b.files, desk.Machine{
		Links: func() ([]model.Link, error) {
			return []model.Link{{Name: "eth0", Index: 2, MAC: model.MAC{2, 0, 0, 0, 0, 2}, Up: true,
				Addrs: []netip.Prefix{netip.MustParsePrefix("192.168.10.2/24")}}}, nil
		},
	})
	first, err := desk.Load()
	if err != nil {
		b.t.Fatal(err)
	}
	b.agent = New(Parts{
		Plane: b.plane, Prober: b.prober, Results: results, Meter: b.meter, Measured: b.measured, Paths: b.paths, Watcher: b.watcher, Facts: facts,
		Announcer: b.announcer, Seen: b.seen, Resets: b.sender, Frames: fakeFrames{b.journal},
		Hooks: b.hooks, Memory: b.memory, Journal: b.events, Control: fakeControl{},
		Desk: desk, Web: b.web, Notifier: b.notifier, Metrics: b.metrics, Hangups: b.hangups,
	}, Settings{Version: "test", Sources: []string{"t.cfg"}}, first, slog.New(slog.DiscardHandler))
	var ctx context.Context
	ctx, b.stop = context.WithCancel(context.Background())
	b.ended = make(chan error, 1)
	go func() { b.ended <- b.agent.Run(ctx) }()
	synctest.Wait()
}

// end stops the agent. A goroutine that it leaves behind fails the bubble.
func (b *bench) end() {
	b.t.Helper()
	b.stop()
	if err := <-b.ended; err != nil {
		b.t.Errorf("Run: %v", err)
	}
}

// pass lets time pass, and everything that it causes happen.
func pass(d time.Duration) {
	time.Sleep(d) // in a synctest bubble
	synctest.Wait()
}

func (b *bench) director() model.DirectorStatus {
	b.t.Helper()
	all := b.agent.Status().Directors
	if len(all) != 1 {
		b.t.Fatalf("got %d directors", len(all))
	}
	return all[0]
}

func (b *bench) wantLines(got []string, want ...string) {
	b.t.Helper()
	if !slices.Equal(got, want) {
		b.t.Errorf("effects:\n got  %s\n want %s", strings.Join(got, "\n      "), strings.Join(want, "\n      "))
	}
}

// until waits for a switch to that server and for its effects, but not for
// their repetition.
func (b *bench) until(server string) {
	b.t.Helper()
	for range 1000 {
		if pass(10 * time.Millisecond); b.plane.active() == server {
			pass(10 * time.Millisecond)
			return
		}
	}
	b.t.Fatalf("no switch to %s", server)
}

// only are all lines so far that begin with that word.
func (b *bench) only(word string) []string {
	return slices.DeleteFunc(b.since(0), func(line string) bool { return !strings.HasPrefix(line, word+" ") })
}

// order orders a switch, and returns its record.
func (b *bench) order(ctx context.Context, to model.ServerRef) (model.Switch, error) {
	done, err := b.command(ctx, model.VerbSwitch, to, false)
	if done.Switch == nil {
		return model.Switch{}, err
	}
	return *done.Switch, err
}

func ref(server string) model.ServerRef { return model.ServerRef{Director: "nfs", Server: server} }
