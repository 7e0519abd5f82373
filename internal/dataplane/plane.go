package dataplane

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sync/errgroup"

	"fairlead/internal/model"
)

// DefaultDir is where everything is pinned unless told otherwise.
const DefaultDir = "/sys/fs/bpf/fairlead"

// Options say where and how to open the data plane.
type Options struct {
	Dir         string           // the pin directory; a bpffs is mounted there when it is on none
	Attach      model.AttachMode // for interfaces that are not attached yet
	Connections int              // that the table should hold; counts only when it is made new
	Log         *slog.Logger
}

// Plane is the data plane of one pin directory. Its methods may be called from
// several goroutines.
type Plane struct {
	options Options
	lock    *os.File // of the directory; nil without one
	maps    tables
	names   atomic.Pointer[map[key]string] // never changed, only exchanged

	settling  sync.WaitGroup // waits for packets in flight, or walks the table
	tending   atomic.Bool    // somebody walks the table
	clock     clock
	explainer explainer

	mu       sync.Mutex // guards the following, and every write to the maps
	programs programs
	links    map[int]*attachment // by interface index
	flips    uint64              // how often a spare copy became the current one
	settled  uint64              // so many flips no packet in flight can still miss
	counted  time.Time           // when the connections were last counted
	rules    *compiled           // that were compiled last
	given    allotment           // by the last allocation
}

// Open adopts what is pinned in the directory, or makes it new, and puts this
// programme in place of the one that is attached. A directory that another
// daemon has open is refused.
func Open(o Options) (*Plane, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("raise the limit of locked memory: %w", err)
	}
	if err := gracePeriod(); err != nil {
		return nil, fmt.Errorf("%w (a kernel with nohz_full refuses it, and without it no change is safe)", err)
	}
	lock, err := openDir(o.Dir)
	if err != nil {
		return nil, err
	}
	p, err := open(o, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return p, nil
}

func open(o Options, lock *os.File) (*Plane, error) {
	m, err := openMaps(layoutDir(o.Dir), o.Connections)
	if err != nil {
		return nil, err
	}
	p := &Plane{options: o, lock: lock, maps: m, links: map[int]*attachment{}, flips: 1}
	if err := p.start(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *Plane) start() error {
	names, err := p.maps.readNames()
	if err != nil {
		return err
	}
	p.names.Store(&names)
	if p.programs, err = loadPrograms(p.maps, false); err != nil {
		return err
	}
	if p.clock, err = newClock(); err != nil {
		return err
	}
	return p.adoptLinks()
}

// Close lets go of everything and leaves it forwarding.
func (p *Plane) Close() error {
	p.settling.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.close()
}

func (p *Plane) close() error {
	errs := []error{p.programs.Close(), p.maps.Close(), p.clock.Close(), p.explainer.Close()}
	for _, a := range p.links {
		errs = append(errs, a.link.Close())
	}
	p.links = nil
	if p.lock != nil {
		errs = append(errs, p.lock.Close())
	}
	return errors.Join(errs...)
}

// programs are the loaded programmes of one set of options.
type programs struct{ xdp, tc *ebpf.Program }

func (g programs) Close() error { return errors.Join(g.xdp.Close(), g.tc.Close()) }

// loadPrograms loads the programmes over the given maps, side by side: to prove one
// takes the kernel a good part of a second, and a daemon that starts again is waited for.
// A test may do without one.
func loadPrograms(m tables, capture bool, without ...string) (g programs, err error) {
	var work errgroup.Group
	for name, to := range map[string]**ebpf.Program{directorProgFairleadXdp: &g.xdp, directorProgFairleadTc: &g.tc} {
		if !slices.Contains(without, name) {
			work.Go(func() (err error) {
				*to, err = loadProgram(m, capture, name)
				return err
			})
		}
	}
	if err := work.Wait(); err != nil {
		return programs{}, errors.Join(err, g.Close())
	}
	return g, nil
}

func loadProgram(m tables, capture bool, name string) (*ebpf.Program, error) {
	spec, err := loadDirector()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programme: %w", err)
	}
	if _, err := setTicks(spec); err != nil {
		return nil, err
	}
	if capture {
		if err := spec.Variables[directorVarCapture].Set(uint8(1)); err != nil {
			return nil, fmt.Errorf("set the capture option: %w", err)
		}
	}
	if err := setMultiBuffer(spec); err != nil {
		return nil, err
	}
	for other := range spec.Programs {
		if other != name {
			delete(spec.Programs, other)
		}
	}
	loaded, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: m.replace(spec)})
	var verifier *ebpf.VerifierError
	if errors.As(err, &verifier) {
		return nil, fmt.Errorf("load the programme into the kernel: %+v", verifier)
	}
	if err != nil {
		return nil, fmt.Errorf("load the programme into the kernel: %w", err)
	}
	defer loaded.Close()
	return loaded.DetachProgram(name), nil
}
