package dataplane

import (
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// tick is how long a tick of the connection table should be at least.
const tick = 16 * time.Second

// clock tells the connection table's time.
type clock struct {
	programme *ebpf.Program
	tick      time.Duration // how long one is
}

func (c clock) Close() error { return c.programme.Close() }

// now is the present tick: like those of the slots it begins anew after 255.
func (c clock) now() (uint8, error) {
	now, err := c.programme.Run(&ebpf.RunOptions{Data: make([]byte, 64)})
	if err != nil {
		return 0, fmt.Errorf("ask the data plane for its time: %w", err)
	}
	return uint8(now), nil
}

// jiffy is the step of the kernel's clock.
func jiffy() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &t); err != nil {
		return 0, fmt.Errorf("ask for the step of the kernel's clock: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// tickShift is the power of two of jiffies that makes a tick: 16 to 32 seconds.
func tickShift(jiffy time.Duration) uint8 {
	return uint8(bits.Len64(uint64(tick/max(jiffy, time.Microsecond)) - 1))
}

// setTicks makes the ticks of a programme what they should be.
func setTicks(spec *ebpf.CollectionSpec) (time.Duration, error) {
	step, err := jiffy()
	if err != nil {
		return 0, err
	}
	shift := tickShift(step)
	if err := spec.Variables[directorVarTickShift].Set(shift); err != nil {
		return 0, fmt.Errorf("set the length of a tick: %w", err)
	}
	return step << shift, nil
}

func newClock() (clock, error) {
	spec, err := loadDirector()
	if err != nil {
		return clock{}, fmt.Errorf("read the embedded programme: %w", err)
	}
	length, err := setTicks(spec)
	if err != nil {
		return clock{}, err
	}
	var o struct {
		Tick *ebpf.Program `ebpf:"fairlead_tick"`
	}
	if err := spec.LoadAndAssign(&o, nil); err != nil {
		return clock{}, fmt.Errorf("load the clock's programme: %w", err)
	}
	return clock{o.Tick, length}, nil
}

// age marks the connections of balanced directors that were silent for their
// timeouts: they no longer count, and give way to new ones first. One that goes on
// while it has its slot is not disturbed.
func (p *Plane) age(limits model.Timeouts) error {
	now, err := p.clock.now()
	if err != nil {
		return err
	}
	for at, s := range p.maps.all() {
		limit := limits.SynRecv
		if s.is(directorSlotStateSLOT_ACKED) {
			limit = limits.Established
		}
		// The present tick may have just begun, and that of the packet been about to end.
		silent := time.Duration(now-s.seen()-1) * p.clock.tick
		if now == s.seen() || limit == 0 || silent < limit || !p.maps.weighs(s) {
			continue
		}
		idle := s | slot(directorSlotStateSLOT_IDLE)<<8
		if atomic.CompareAndSwapUint64(&p.maps.buckets[at.bucket].Slots[at.slot], uint64(s), uint64(idle)) {
			atomic.AddInt32(p.maps.load(int(s.director())%maxDirectors*maxServers+int(s.server())), -1)
		}
	}
	return nil
}

// tend does what the connection table needs now and then.
func (p *Plane) tend(limits model.Timeouts) error {
	err := p.age(limits)
	p.maps.recount()
	return errors.Join(err, p.maps.tendTemplates())
}
