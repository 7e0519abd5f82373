package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// pathConnections is how many connections the whole path is measured with.
const pathConnections = 1000

// pathCost is the whole path with one programme in the middle.
type pathCost struct {
	what  string
	times times
	goal  string
}

// path is a pair of interfaces. Live frames are generated on the near one, meet
// the programme on the far one, which sends them back, and end in the near one.
// It all happens on the CPU that generates.
type path struct {
	near      int // interface index
	objects   *rigObjects
	sink, far link.Link
}

// wholePath measures the way there and back. It runs in a network namespace of
// its own.
func (b *bench) wholePath(d *director) error {
	p, err := newPath()
	if err != nil {
		return fmt.Errorf("make the whole path: %w", err)
	}
	return errors.Join(b.walk(p, d), p.Close())
}

func (b *bench) walk(p *path, d *director) error {
	xdp, _ := d.plane.Programs()
	if err := d.enter(pathConnections); err != nil {
		return err
	}
	l := load{packet: ack, draw: rigDrawDRAW_RANDOM, connections: pathConnections}
	costs := []pathCost{{what: "XDP_TX"}, {what: "bare"}, {what: "fairlead", goal: "≤ 1.10"}}
	err := d.expect("forward", l, func() error {
		for round := range b.effort.rounds + 1 {
			for i, programme := range []*ebpf.Program{p.objects.SendBack, p.objects.Bare, xdp} {
				ns, ok, err := p.run(programme, l, b.effort.packets)
				if err != nil {
					return fmt.Errorf("measure the whole path of %s: %w", costs[i].what, err)
				}
				if ok && round > 0 {
					costs[i].times = append(costs[i].times, ns)
				}
			}
		}
		return nil
	})
	b.report.path = costs
	return err
}

func newPath() (*path, error) {
	near, far, err := makePair()
	if err != nil {
		return nil, err
	}
	o, err := loadObjects()
	if err != nil {
		return nil, err
	}
	p := &path{near: near, objects: o}
	attach := func(program *ebpf.Program, index int) (l link.Link) {
		if err == nil {
			l, err = link.AttachXDP(link.XDPOptions{Program: program, Interface: index, Flags: link.XDPDriverMode})
		}
		return l
	}
	p.sink = attach(o.Sink, near)
	p.far = attach(o.SendBack, far)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("attach to the pair of interfaces: %w", err), p.Close())
	}
	return p, nil
}

// makePair makes the interfaces. They are gone with the namespace.
func makePair() (near, far int, err error) {
	// no router solicitations between the frames
	err = os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, 0, err
	}
	pair := &netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: "near", HardwareAddr: net.HardwareAddr(clientMAC[:])},
		PeerName:         "far",
		PeerHardwareAddr: net.HardwareAddr(directorMAC[:]),
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return 0, 0, fmt.Errorf("add a pair of interfaces: %w", err)
	}
	index := map[string]int{}
	for _, name := range []string{"near", "far"} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return 0, 0, fmt.Errorf("find interface %s: %w", name, err)
		}
		if err := netlink.LinkSetUp(l); err != nil {
			return 0, 0, fmt.Errorf("set interface %s up: %w", name, err)
		}
		index[name] = l.Attrs().Index
	}
	return index["near"], index["far"], nil
}

func (p *path) Close() error {
	var errs []error
	for _, l := range []link.Link{p.sink, p.far} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(append(errs, p.objects.Close())...)
}

// context is the kernel's struct xdp_md (linux/bpf.h).
type context struct{ Data, End, Meta, Iface, Queue, Egress uint32 }

// attempts is how often a run is repeated in which frames were lost: a full
// queue makes the path look faster than it is.
const attempts = 5

// run sends frames through one programme and returns ns for each. It is not ok
// when frames were lost in every attempt: something else keeps the CPU busy.
func (p *path) run(program *ebpf.Program, l load, packets int) (ns float64, ok bool, err error) {
	if err := p.far.Update(program); err != nil {
		return 0, false, fmt.Errorf("exchange the programme: %w", err)
	}
	for range attempts {
		ns, arrived, err := p.send(l, packets)
		if err != nil || arrived == packets {
			return ns, err == nil, err
		}
	}
	return 0, false, nil
}

func (p *path) send(l load, packets int) (ns float64, arrived int, err error) {
	if err := errors.Join(p.objects.State.Set(l.feed(packets)), p.objects.Sunk.Set(uint64(0))); err != nil {
		return 0, 0, fmt.Errorf("set the feed: %w", err)
	}
	frame := l.packet.frame()
	_, err = p.objects.Generate.Run(&ebpf.RunOptions{
		Data: frame, Repeat: uint32(packets), BatchSize: 64, Flags: unix.BPF_F_TEST_XDP_LIVE_FRAMES,
		Context: context{End: uint32(len(frame)), Iface: uint32(p.near)},
	})
	if err != nil {
		return 0, 0, fmt.Errorf("generate frames: %w", err)
	}
	if ns, err = elapsed(p.objects.State, packets); err != nil {
		return 0, 0, err
	}
	arrived, err = p.arrived(packets)
	return ns, arrived, err
}

// arrived counts the frames at the end, and gives the last ones time to arrive.
func (p *path) arrived(packets int) (int, error) {
	var n uint64
	for deadline := time.Now().Add(100 * time.Millisecond); ; time.Sleep(time.Millisecond) {
		if err := p.objects.Sunk.Get(&n); err != nil {
			return 0, fmt.Errorf("count the frames at the end: %w", err)
		}
		if n >= uint64(packets) || time.Now().After(deadline) {
			return int(n), nil
		}
	}
}
