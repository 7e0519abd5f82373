package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fairlead/internal/control"
	"fairlead/internal/lab/outcome"
	"fairlead/internal/model"
	"fairlead/internal/topology"
)

// prefix begins the names of the lab's namespaces and directories.
const prefix = "fairlead-lab"

// insideVar marks the environment of the lab's processes. Run refuses to run in
// one: a programme that takes "lab-server" for something else could otherwise
// build labs without end.
const insideVar = "FAIRLEAD_LAB"

// The note's diagram.
var (
	vip         = netip.MustParseAddr("192.168.10.50")
	clientSpec  = topology.Spec{Name: "client", Addr: netip.MustParsePrefix("192.168.10.10/24")}
	switchSpec  = topology.Spec{Name: "director", Addr: netip.MustParsePrefix("192.168.10.2/24")}
	serverSpecs = [...]topology.Spec{
		{Name: outcome.First, Addr: netip.MustParsePrefix("192.168.10.100/24"), VIP: vip},
		{Name: outcome.Second, Addr: netip.MustParsePrefix("192.168.10.101/24"), VIP: vip},
	}
)

// serverNames are the servers' names, by index.
func serverNames() []string {
	var names []string
	for _, s := range serverSpecs {
		names = append(names, s.Name)
	}
	return names
}

// serverIndex is the index of a server, -1 when there is none of that name.
func serverIndex(name string) int { return slices.Index(serverNames(), name) }

// Time limits of what should take moments.
const (
	startTime = 20 * time.Second
	stopTime  = 8 * time.Second
	pollTime  = 50 * time.Millisecond
	tellTime  = 2 * time.Second // between lines while nothing else happens
)

// site is the diagram, standing.
type site struct {
	opts    Options
	dir     string // of everything that the site writes
	segment *topology.Segment
	client  *topology.Host
	pass    io.Closer // the XDP programme at the director's port; nil: none

	director *topology.Host
	daemon   *topology.Process
	control  *control.Client

	servers []*topology.Host
	serving []*topology.Process // one for each server
}

// build makes the diagram and starts the servers, then the director. After an
// error it leaves nothing behind.
func build(ctx context.Context, o Options) (s *site, err error) {
	s = &site{opts: o, dir: labDir()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	for _, step := range []func(context.Context) error{s.makeDirs, s.makeHosts, s.startServers, s.startDirector} {
		if err := step(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

// labDir is the directory of this process's lab; see sweep for its name.
func labDir() string { return filepath.Join(os.TempDir(), fmt.Sprintf("%s-%d", prefix, os.Getpid())) }

func (s *site) share() string  { return filepath.Join(s.dir, "share") }
func (s *site) config() string { return filepath.Join(s.dir, "config") }
func (s *site) socket() string { return filepath.Join(s.dir, "control.sock") }
func (s *site) pins() string   { return filepath.Join(s.dir, "bpf") }

func (s *site) makeDirs(context.Context) error {
	for _, d := range []string{s.dir, s.share(), s.config()} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return fmt.Errorf("make the lab's directory: %w", err)
		}
	}
	for name, text := range s.opts.Config {
		if err := os.WriteFile(filepath.Join(s.config(), name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("write the director's configuration: %w", err)
		}
	}
	return nil
}

func (s *site) makeHosts(context.Context) (err error) {
	if s.segment, err = topology.Build(prefix); err != nil {
		return err
	}
	if s.client, err = s.segment.Add(clientSpec); err != nil {
		return err
	}
	if s.director, err = s.segment.Add(switchSpec); err != nil {
		return err
	}
	for _, spec := range serverSpecs {
		h, err := s.segment.Add(spec)
		if err != nil {
			return err
		}
		s.servers = append(s.servers, h)
	}
	if m := s.opts.XDP; m != model.AttachNative && m != model.AttachAuto {
		return nil
	}
	s.pass, err = s.segment.PrepareNative(s.director, s.opts.AttachPass)
	return err
}

// start starts a programme on a host; what it prints goes to a file, or what it
// prints on its standard output to another one.
func (s *site) start(h *topology.Host, cmd *exec.Cmd, stdout ...*os.File) (*topology.Process, error) {
	out, err := os.OpenFile(s.log(h), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", h.Name, err)
	}
	defer out.Close() // the process has its own descriptor
	cmd.Stdout, cmd.Stderr = out, out
	if len(stdout) > 0 {
		cmd.Stdout = stdout[0]
	}
	cmd.Env = append(os.Environ(), insideVar+"=1")
	return h.Start(cmd)
}

func (s *site) log(h *topology.Host) string { return filepath.Join(s.dir, h.Name+".log") }

// tail is the end of what a host's programme printed.
func (s *site) tail(h *topology.Host) string {
	b, err := os.ReadFile(s.log(h))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// ready polls until check is content, and fails when the host's process ends,
// or with check's last objection after startTime.
func (s *site) ready(ctx context.Context, h *topology.Host, p *topology.Process, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.Done():
			return fmt.Errorf("%s ended before it was ready: %w; it printed:\n%s", h.Name, p.Err(), s.tail(h))
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return fmt.Errorf("%s is not ready after %v: %w; it printed:\n%s", h.Name, startTime, err, s.tail(h))
		case <-tick.C:
		}
	}
}

// close takes everything down: first those who use, then what they use.
func (s *site) close() error {
	var errs []error
	for _, p := range append([]*topology.Process{s.daemon}, s.serving...) {
		if p != nil {
			p.Signal(contSignal) // a stopped process does not end
			errs = append(errs, p.Stop(stopTime))
		}
	}
	if s.pass != nil {
		errs = append(errs, s.pass.Close())
	}
	if s.segment != nil {
		errs = append(errs, s.segment.Close())
	}
	return errors.Join(append(errs, removeDir(s.dir))...)
}
