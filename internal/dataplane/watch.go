package dataplane

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// Watch hands to emit what the programme saw in the clients' half of the traffic,
// until the context ends. emit must be quick: what finds the way full is lost,
// and counted in Traffic.
func (p *Plane) Watch(ctx context.Context, emit func(model.Sighting)) error {
	reader, err := ringbuf.NewReader(p.maps.byName[directorMapSightings])
	if err != nil {
		return fmt.Errorf("open the sightings: %w", err)
	}
	defer reader.Close()
	stop := context.AfterFunc(ctx, func() { reader.Close() })
	defer stop()
	var record ringbuf.Record
	for {
		err := reader.ReadInto(&record)
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the sightings: %w", err)
		}
		if s, ok := p.sighting(record.RawSample); ok {
			emit(s)
		}
	}
}

// sighting makes a value of what the programme wrote.
func (p *Plane) sighting(raw []byte) (model.Sighting, bool) {
	var seen directorSighting
	if len(raw) < int(unsafe.Sizeof(seen)) {
		return model.Sighting{}, false
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&seen)), unsafe.Sizeof(seen)), raw)
	names := *p.names.Load()
	s := model.Sighting{
		Kind: model.SightingKind(seen.Kind),
		Ref: model.ServerRef{
			Director: names[key{kind: kindDirector, index: uint16(seen.Director)}],
			Server:   names[key{kindServer, seen.Director, uint16(seen.Server)}],
		},
		Client: netip.AddrPortFrom(unwords(seen.Source), swap16(seen.SourcePort)),
		VIP:    netip.AddrPortFrom(unwords(seen.Destination), swap16(seen.DestinationPort)),
		Iface:  int(seen.Iface),
	}
	if n := int(seen.Length); n > 0 && n <= int(unsafe.Sizeof(seen.Frame)) {
		s.Frame = bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&seen.Frame)), n))
	}
	return s, s.Ref.Director != ""
}

// Trust lets the SYNs of a director pass for some time without being kept: its
// server was just seen to answer.
func (p *Plane) Trust(director string, d time.Duration) error {
	index, known := directorIndex(*p.names.Load(), director)
	if !known {
		return fmt.Errorf("trust %s: the data plane does not know this director", director)
	}
	p.trust(index, d)
	return nil
}

func (p *Plane) trust(director uint8, d time.Duration) {
	atomic.StoreUint64(&p.maps.state.Watch.TrustedNs[director], monotonic()+uint64(d))
}

// Beat tells the programme that the daemon lives. A second after the last beat
// nothing is kept any more for a daemon to decide on.
func (p *Plane) Beat() { atomic.StoreUint64(&p.maps.state.Watch.AliveNs, monotonic()) }

// monotonic is CLOCK_MONOTONIC, the programme's clock, in ns.
func monotonic() uint64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("read CLOCK_MONOTONIC: " + err.Error()) // it has no way to fail on Linux
	}
	return uint64(ts.Nano())
}

// tcRedirect is the answer to a frame that goes back out, of linux/pkt_cls.h.
const tcRedirect = 7

// skbIfindex is where struct __sk_buff of linux/bpf.h has the interface.
const skbIfindex = 40

// outerLength is that of what a tunnel puts before a packet.
const outerLength = 20

// Pass runs a frame that was kept through the programme, as if it came now: it is
// entered in the connection table, counted and rewritten. out is to be sent on
// the interface that it came from. ok is false when it is not forwarded: dropped,
// or kept once more. It is the form for tc that runs, whatever is attached: for
// a test run of the other one the kernel may wait for a grace period.
func (p *Plane) Pass(frame []byte, iface int) (out []byte, ok bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	about := make([]byte, skbIfindex+4)
	binary.NativeEndian.PutUint32(about[skbIfindex:], uint32(iface))
	run := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+outerLength), Context: about}
	verdict, err := p.programs.tc.Run(&run)
	if err != nil {
		return nil, false, fmt.Errorf("run a kept frame through the programme: %w", err)
	}
	return run.DataOut, verdict == tcRedirect, nil
}
