package lab

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"fairlead/internal/config"
	"fairlead/internal/lab/outcome"
	"fairlead/internal/lab/site"
	"fairlead/internal/model"
)

// ErrNeedsRoot tells that the lab cannot run for an ordinary user.
var ErrNeedsRoot = errors.New("the lab makes network namespaces and loads BPF programmes: run it as root, for example with sudo")

// Options say what the lab does.
type Options struct {
	Fault outcome.Fault
	NFS   outcome.Backend
	Check outcome.Timing
	XDP   model.AttachMode
	Mode  outcome.Mode
	JSON  bool // print one JSON object instead of lines and a table
	Keep  bool // stay up afterwards until the context ends
	// Split sends copies of some clients' data to the other server, too: the
	// witness must see that, and the run must not pass.
	Split bool
	// Crowd is the number of idle connections beside the client's work.
	Crowd int
	// Six builds the diagram with IPv6 addresses, and no others.
	Six bool
	// Screenshots: somebody with a browser configures the director as the note says,
	// watches the Overview, and keeps pictures of the pages in this directory; "":
	// nobody does.
	Screenshots string

	// Config is the director's configuration: file name to text.
	Config map[string]string
	// Program is the fairlead programme; "": the one that runs.
	Program string
	// AttachPass attaches an XDP programme that lets everything pass to an
	// interface of the calling thread's network namespace.
	AttachPass func(ifindex int) (io.Closer, error)
	// AttachUnwrap does the same with one that unwraps what comes in a tunnel.
	AttachUnwrap func(ifindex int) (io.Closer, error)
}

// edit is a change of the note's configuration.
type edit struct{ from, to, why string }

var (
	fastCheck   = edit{"check interval 10 port 2049 timeout 2", "check interval 1s port 2049 timeout 500ms", "a faster check than the note's"}
	checkSecond = edit{"server nfs-02 192.168.10.101:2049 sorry", "server nfs-02 192.168.10.101:2049 sorry check", "a check for nfs-02, too"}
)

// edits are the changes that the options ask for.
func (o Options) edits() (all []edit) {
	if o.Check == outcome.Fast {
		all = append(all, fastCheck)
	}
	if o.Fault.Scenario().CheckSecond {
		all = append(all, checkSecond)
	}
	if o.Mode == outcome.Gateway {
		return all
	}
	all = append(all, edit{"mode gateway", "mode " + o.Mode.String(), "not the note's mode"})
	for i, addr := range site.ServerAddrs(o.Mode) {
		from := site.ServerSpecs[i].Addr.Addr().String()
		all = append(all, edit{" " + from + ":", " " + addr.String() + ":", "another address of " + site.ServerSpecs[i].Name})
	}
	return all
}

// check says what the lab cannot do.
func (o Options) check() error {
	if o.Mode != outcome.Gateway && o.Fault == outcome.NoVIP {
		return fmt.Errorf("run the lab in mode %s with the fault %s: only a check at the virtual IP sees it, and there is none in that mode", o.Mode, o.Fault)
	}
	if o.Mode != outcome.Gateway && o.Six {
		return fmt.Errorf("run the lab in mode %s with IPv6 addresses: that mode is of IPv4", o.Mode)
	}
	return nil
}

// configured is the configuration with the changes that the options ask for.
func (o Options) configured() (map[string]string, error) {
	files := maps.Clone(o.Config)
	if o.Six {
		for name, text := range files {
			files[name] = ofSix(text)
		}
	}
	for _, e := range o.edits() {
		if o.Six {
			e.from, e.to = ofSix(e.from), ofSix(e.to)
		}
		found := 0
		for name, text := range files {
			found += strings.Count(text, e.from)
			files[name] = strings.Replace(text, e.from, e.to, 1)
		}
		if found != 1 {
			return nil, fmt.Errorf("change the director's configuration: it has %q %d times, not once", e.from, found)
		}
	}
	return files, nil
}

// noteAddress is an address of the note's diagram, with a port or without.
var noteAddress = regexp.MustCompile(`\b192\.168\.10\.\d+(:\d+)?\b`)

// ofSix is a text of the configuration with the addresses that stand for the note's.
func ofSix(text string) string {
	return noteAddress.ReplaceAllStringFunc(text, func(found string) string {
		if at, err := netip.ParseAddrPort(found); err == nil {
			return netip.AddrPortFrom(site.OfSix(at.Addr()), at.Port()).String()
		}
		return site.OfSix(netip.MustParseAddr(found)).String()
	})
}

// site are the options of the diagram.
func (o Options) site() site.Options {
	return site.Options{NFS: o.NFS, XDP: o.XDP, Mode: o.Mode, Config: o.Config, Crowd: o.Crowd, Six: o.Six, Visited: o.Screenshots != "", Program: o.Program, AttachPass: o.AttachPass, AttachUnwrap: o.AttachUnwrap}
}

// checkOf is the check of the configuration's director.
func checkOf(files map[string]string) (model.Check, error) {
	var sources []config.Source
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sources = append(sources, config.Source{Name: name, Text: []byte(files[name])})
	}
	cfg, found := config.Load(sources)
	if config.Failed(found) {
		return model.Check{}, fmt.Errorf("read the director's configuration: %v", found[0])
	}
	for _, d := range cfg.Directors {
		if d.Name == site.DirectorName {
			return d.Check, nil
		}
	}
	return model.Check{}, fmt.Errorf("read the director's configuration: no director %q", site.DirectorName)
}

// limits are the longest times from a fault to the decision.
type limits struct {
	// While clients work, their own repeated packets tell that the server is
	// gone, and it is probed at once.
	silent  time.Duration // of a server that says nothing any more
	refused time.Duration // of one whose kernel refuses connections
	// Without that: the fault may come right after a probe, the next one fails by
	// its time-out, and each confirmation takes at most its own. See package
	// decide.
	checked time.Duration
}

func limitsOf(c model.Check) limits {
	const confirmAfter, confirmTimeout = 50 * time.Millisecond, time.Second
	return limits{
		silent:  c.Timeout + time.Second,
		refused: time.Second,
		checked: c.Interval + c.Timeout + time.Duration(c.Fall-1)*(confirmAfter+min(c.Timeout, confirmTimeout)),
	}
}
