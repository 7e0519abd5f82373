package dataplane

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
)

// OpenUnpinned makes a data plane that lies in no directory and is gone when it
// is closed. It serves tests and measurements: nothing of it outlives the
// process, and another daemon's data plane is not touched.
func OpenUnpinned(o Options) (*Plane, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("raise the limit of locked memory: %w", err)
	}
	m, err := newMaps(o.Connections)
	if err != nil {
		return nil, err
	}
	p := &Plane{options: o, maps: m, links: map[int]*attachment{}}
	p.names.Store(&map[key]string{})
	if p.programs, err = loadPrograms(m, false); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	if p.clock, err = newClock(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// Programs are the loaded programmes, for XDP and for tc, as long as the data
// plane is open. They serve tests and measurements, which run them with packets
// of their own; interfaces get them by Apply.
func (p *Plane) Programs() (xdp, tc *ebpf.Program) { return p.programs.xdp, p.programs.tc }
