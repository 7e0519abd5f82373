package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// The kernel's return codes of XDP programmes (linux/bpf.h).
const xdpTX = 3

// rigSpec reads the rig's programmes. Only programmes of one kind may call each
// other, so they are all for frames in several buffers where the data plane is.
func rigSpec() (*ebpf.CollectionSpec, error) {
	spec, err := loadRig()
	if err != nil {
		return nil, fmt.Errorf("read the embedded rig: %w", err)
	}
	running, err := features.LinuxVersionCode()
	if err != nil {
		return nil, fmt.Errorf("read the kernel's version: %w", err)
	}
	if running < 5<<16|18<<8 {
		for _, p := range spec.Programs {
			p.Flags &^= unix.BPF_F_XDP_HAS_FRAGS
		}
	}
	mac0, mac1 := macs(serverMACs[0], directorMAC)
	err = errors.Join(
		spec.Variables[rigVarVip].Set(binary.NativeEndian.Uint32(vip.AsSlice())),
		spec.Variables[rigVarMac0].Set(mac0),
		spec.Variables[rigVarMac1].Set(mac1))
	if err != nil {
		return nil, fmt.Errorf("set the constants of the rig: %w", err)
	}
	return spec, nil
}

func loadObjects() (*rigObjects, error) {
	spec, err := rigSpec()
	if err != nil {
		return nil, err
	}
	var o rigObjects
	if err := spec.LoadAndAssign(&o, nil); err != nil {
		return nil, fmt.Errorf("load the rig into the kernel: %w", err)
	}
	return &o, nil
}

// load is what the packets of a run are.
type load struct {
	packet      packet
	draw        rigDraw
	connections int    // to draw from
	start       uint64 // seed of random draws, first of the others
}

// feed is the programme's form of a load.
func (l load) feed(packets int) rigFeed {
	f := rigFeed{
		Random:      l.start,
		Next:        l.start,
		Left:        uint64(packets),
		Packets:     uint64(packets),
		Connections: uint32(l.connections),
		FirstClient: binary.BigEndian.Uint32(firstClient.AsSlice()),
		Draw:        uint32(l.draw),
	}
	copy(f.Headers[:], l.packet.frame())
	return f
}

// harness shows one programme many packets.
type harness struct{ objects *rigObjects }

// newHarness makes a harness for a programme. It owns its copy of the rig: the
// jump to the programme is then a direct one.
func newHarness(target *ebpf.Program) (harness, error) {
	o, err := loadObjects()
	if err != nil {
		return harness{}, err
	}
	if err := o.Target.Put(uint32(0), target); err != nil {
		return harness{}, errors.Join(fmt.Errorf("put a programme under the harness: %w", err), o.Close())
	}
	return harness{o}, nil
}

func (h harness) Close() error { return h.objects.Close() }

// run shows the programme so many packets and returns ns for each. Of the last
// one it returns what the programme answered, and the frame it left.
func (h harness) run(l load, packets int) (ns float64, code uint32, frame []byte, err error) {
	if err := h.objects.State.Set(l.feed(packets)); err != nil {
		return 0, 0, nil, fmt.Errorf("set the feed: %w", err)
	}
	options := ebpf.RunOptions{Data: l.packet.frame(), DataOut: make([]byte, 2048), Repeat: uint32(packets)}
	code, err = h.objects.Harness.Run(&options)
	if err != nil {
		return 0, 0, nil, fmt.Errorf("run the harness: %w", err)
	}
	ns, err = elapsed(h.objects.State, packets)
	return ns, code, options.DataOut, err
}

// elapsed is the time of one packet of a run that is over, in ns.
func elapsed(state *ebpf.Variable, packets int) (float64, error) {
	var f rigFeed
	if err := state.Get(&f); err != nil {
		return 0, fmt.Errorf("read the feed: %w", err)
	}
	if f.Left != 0 {
		return 0, fmt.Errorf("the kernel ran %d packets, not %d", f.Packets-f.Left, packets)
	}
	return float64(f.LastNs-f.FirstNs) / float64(max(packets-1, 1)), nil
}
