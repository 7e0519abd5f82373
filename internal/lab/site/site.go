package site

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

	"fairlead/internal/api"
	"fairlead/internal/lab/outcome"
	"fairlead/internal/lab/visitor"
	"fairlead/internal/model"
	"fairlead/internal/topology"
)

// prefix begins the names of the lab's namespaces and directories.
const prefix = "fairlead-lab"

// InsideVar marks the environment of the lab's processes. The lab refuses to run in
// one: a programme that takes "lab-server" for something else could otherwise
// build labs without end.
const InsideVar = "FAIRLEAD_LAB"

// The note's diagram.
var (
	VIP          = netip.MustParseAddr("192.168.10.50")
	ClientSpec   = topology.Spec{Name: "client", Addr: netip.MustParsePrefix("192.168.10.10/24")}
	DirectorSpec = topology.Spec{Name: "director", Addr: netip.MustParsePrefix("192.168.10.2/24")}
	ServerSpecs  = [...]topology.Spec{
		{Name: outcome.First, Addr: netip.MustParsePrefix("192.168.10.100/24"), VIP: VIP},
		{Name: outcome.Second, Addr: netip.MustParsePrefix("192.168.10.101/24"), VIP: VIP},
	}
)

// OfSix is the IPv6 address that stands for one of the diagram where it is built with
// IPv6: 192.168.10.50 becomes fd00:192:168:10::50.
func OfSix(a netip.Addr) netip.Addr {
	b := a.As4()
	return netip.MustParseAddr(fmt.Sprintf("fd00:%d:%d:%d::%d", b[0], b[1], b[2], b[3]))
}

// Names are the servers' names, by index.
func Names() []string {
	var names []string
	for _, s := range ServerSpecs {
		names = append(names, s.Name)
	}
	return names
}

// Index is the index of a server, -1 when there is none of that name.
func Index(name string) int { return slices.Index(Names(), name) }

// Time limits of what should take moments.
const (
	startTime = 20 * time.Second
	stopTime  = 8 * time.Second
	pollTime  = 50 * time.Millisecond
	tellTime  = 2 * time.Second // between calls that tell that nothing else happens
)

// Options say what stands where.
type Options struct {
	NFS outcome.Backend
	XDP model.AttachMode
	// Mode of the director. It decides where the servers stand: those of mode tunnel are
	// behind a router.
	Mode outcome.Mode
	// Config is the director's configuration: file name to text.
	Config map[string]string
	// Visited: the director begins with an empty configuration, and somebody with a
	// browser puts Config in, as the application note says.
	Visited bool
	// Crowd is the number of connections that the director must have room for
	// beside the client's work.
	Crowd int
	// Six: the diagram has IPv6 addresses, and no others. Config must have them, too.
	Six bool
	// Program is the fairlead programme.
	Program string
	// AttachPass attaches an XDP programme that lets everything pass to an
	// interface of the calling thread's network namespace.
	AttachPass func(ifindex int) (io.Closer, error)
	// AttachUnwrap does the same with one that unwraps what comes in a tunnel.
	AttachUnwrap func(ifindex int) (io.Closer, error)
}

// Site is the diagram, standing.
type Site struct {
	Client   *topology.Host
	Director *topology.Host
	Daemon   *topology.Process // the director's programme
	Control  *api.Client
	Servers  []*topology.Host
	Serving  []*topology.Process // one for each server
	Visitor  *Visitor            // nil: nobody looks at the pages
	WalkTime time.Duration       // of the visitor's walk
	Walked   visitor.Done        // how the visitor's walk ended

	opts    Options
	dir     string // of everything that the site writes
	segment *topology.Segment
	lent    []io.Closer // the programmes on interfaces
}

// Build makes the diagram and starts the servers, then the director. After an
// error it leaves nothing behind.
func Build(ctx context.Context, o Options) (s *Site, err error) {
	s = New(o)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, step := range []func(context.Context) error{s.makeDirs, s.makeHosts, s.startServers, s.StartDirector} {
		if err := step(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

// New is a site on which nothing stands yet.
func New(o Options) *Site { return &Site{opts: o, dir: labDir()} }

// labDir is the directory of this process's lab; see Sweep for its name.
func labDir() string { return filepath.Join(os.TempDir(), fmt.Sprintf("%s-%d", prefix, os.Getpid())) }

// At is an address of the note's diagram as it is on this site.
func (s *Site) At(a netip.Addr) netip.Addr {
	if !s.opts.Six || !a.IsValid() {
		return a
	}
	return OfSix(a)
}

// VIP is the virtual IP.
func (s *Site) VIP() netip.Addr { return s.At(VIP) }

// spec is a host of the note's diagram as it is on this site.
func (s *Site) spec(h topology.Spec) topology.Spec {
	if s.opts.Six {
		h.Addr, h.VIP = netip.PrefixFrom(s.At(h.Addr.Addr()), 64), s.At(h.VIP)
	}
	return h
}

// Share is the directory that both servers export.
func (s *Site) Share() string  { return filepath.Join(s.dir, "share") }
func (s *Site) config() string { return filepath.Join(s.dir, "config") }

// Socket is the director's control socket.
func (s *Site) Socket() string { return filepath.Join(s.dir, "control.sock") }
func (s *Site) pins() string   { return filepath.Join(s.dir, "bpf") }
func (s *Site) state() string  { return filepath.Join(s.dir, "state") }

func (s *Site) makeDirs(context.Context) error {
	for _, d := range []string{s.dir, s.Share(), s.config()} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return fmt.Errorf("make the lab's directory: %w", err)
		}
	}
	if s.opts.Visited {
		return nil
	}
	for name, text := range s.opts.Config {
		if err := os.WriteFile(filepath.Join(s.config(), name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("write the director's configuration: %w", err)
		}
	}
	return nil
}

func (s *Site) makeHosts(context.Context) (err error) {
	if s.segment, err = topology.Build(prefix); err != nil {
		return err
	}
	if s.Client, err = s.segment.Add(s.spec(ClientSpec)); err != nil {
		return err
	}
	if s.Director, err = s.segment.Add(s.spec(DirectorSpec)); err != nil {
		return err
	}
	for _, spec := range s.opts.servers() {
		h, err := s.segment.Add(s.spec(spec))
		if err != nil {
			return err
		}
		s.Servers = append(s.Servers, h)
	}
	if s.opts.Mode == outcome.Tunnel {
		if err := s.moveAway(); err != nil {
			return err
		}
	}
	if m := s.opts.XDP; m != model.AttachNative && m != model.AttachAuto {
		return nil
	}
	pass, err := s.segment.PrepareNative(s.Director, s.opts.AttachPass)
	if err == nil {
		s.lent = append(s.lent, pass)
	}
	return err
}

// Dir is where the site keeps its logs and everything else.
func (s *Site) Dir() string { return s.dir }

// start starts a programme on a host; what it prints goes to a file, or what it
// prints on its standard output to another one.
func (s *Site) start(h *topology.Host, cmd *exec.Cmd, stdout ...*os.File) (*topology.Process, error) {
	out, err := os.OpenFile(s.log(h), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", h.Name, err)
	}
	defer out.Close() // the process has its own descriptor
	cmd.Stdout, cmd.Stderr = out, out
	if len(stdout) > 0 {
		cmd.Stdout = stdout[0]
	}
	cmd.Env = append(os.Environ(), InsideVar+"=1")
	return h.Start(cmd)
}

func (s *Site) log(h *topology.Host) string { return filepath.Join(s.dir, h.Name+".log") }

// tail is the end of what a host's programme printed.
func (s *Site) tail(h *topology.Host) string {
	b, err := os.ReadFile(s.log(h))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// ready polls until check is content, and fails when the host's process ends,
// or with check's last objection after startTime.
func (s *Site) ready(ctx context.Context, h *topology.Host, p *topology.Process, check func(context.Context) error) error {
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

// Close takes everything down: first those who use, then what they use.
func (s *Site) Close() error {
	var errs []error
	if s.Visitor != nil {
		errs = append(errs, s.Visitor.Close())
	}
	for _, p := range append([]*topology.Process{s.Daemon}, s.Serving...) {
		if p != nil {
			p.Signal(contSignal) // a stopped process does not end
			errs = append(errs, p.Stop(stopTime))
		}
	}
	for _, c := range s.lent {
		errs = append(errs, c.Close())
	}
	if s.segment != nil {
		errs = append(errs, s.segment.Close())
	}
	return errors.Join(append(errs, removeDir(s.dir))...)
}
