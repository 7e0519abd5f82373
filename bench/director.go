package main

import (
	"bytes"
	"errors"
	"fmt"

	"fairlead/internal/dataplane"
	"fairlead/internal/model"
)

const directorName = "nfs"

var serverNames = []string{"nfs-01", "nfs-02"}

// director is the data plane under the harness: one virtual IP, two servers.
type director struct {
	harness harness
	plane   *dataplane.Plane
	rules   model.RuleSet
	epoch   uint64
	unknown int // connections that were begun, but are not in the table
}

// newDirector makes a director whose table is of the size for so many
// connections. Its table is empty, its first server active.
func newDirector(connections int, rules model.RuleSet) (*director, error) {
	plane, err := dataplane.OpenUnpinned(dataplane.Options{Connections: connections})
	if err != nil {
		return nil, err
	}
	xdp, _ := plane.Programs()
	h, err := newHarness(xdp)
	if err != nil {
		return nil, errors.Join(err, plane.Close())
	}
	d := &director{harness: h, plane: plane, rules: rules}
	if err := d.doSwitch(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *director) Close() error { return errors.Join(d.harness.Close(), d.plane.Close()) }

// active is the index of the active server: they take turns.
func (d *director) active() int { return int(d.epoch-1) % len(serverNames) }

func (d *director) server() model.ServerRef {
	return model.ServerRef{Director: directorName, Server: serverNames[d.active()]}
}

// doSwitch makes the next server active. From the second time on there may be
// old connections, and every packet is looked up.
func (d *director) doSwitch() error {
	d.epoch++
	want := model.DesiredDirector{
		Name: directorName, Epoch: d.epoch, Source: directorMAC,
		Active: serverNames[d.active()], MAC: serverMACs[d.active()],
	}
	for i, name := range serverNames {
		want.Servers = append(want.Servers, model.DesiredServer{Name: name, MAC: serverMACs[i]})
	}
	return d.plane.Apply(model.Desired{
		Rules:     d.rules,
		Directors: []model.DesiredDirector{want},
	})
}

// enter begins so many connections, each by its SYN. A few may find both their
// buckets full and put another one out: those are counted as unknown.
func (d *director) enter(connections int) error {
	l := load{packet: syn, draw: rigDrawDRAW_IN_ORDER}
	if err := d.expect("forward", l, func() error {
		_, _, _, err := d.harness.run(l, connections)
		return err
	}); err != nil {
		return err
	}
	t, err := d.plane.Traffic()
	if err != nil {
		return err
	}
	d.unknown = connections - int(t.Conns[d.server()].Present)
	if d.unknown < 0 || d.unknown > connections/100 {
		return fmt.Errorf("%d connections were begun, but the table knows %d", connections, connections-d.unknown)
	}
	return nil
}

// live counts the connections that acknowledged something.
func (d *director) live() int {
	n := 0
	for c := range d.plane.Connections() {
		if c.HasAck && !c.Ended {
			n++
		}
	}
	return n
}

// expect runs f and fails when a packet got another verdict than the wanted one.
// Only packets of unknown connections may be met with a reset.
func (d *director) expect(verdict string, l load, f func() error) error {
	before, err := d.plane.Traffic()
	if err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	after, err := d.plane.Traffic()
	if err != nil {
		return err
	}
	for name, n := range after.Verdicts {
		more := n.Packets - before.Verdicts[name].Packets
		if more > 0 && name != verdict && (d.unknown == 0 || name != "reset") {
			return fmt.Errorf("%d packets (%v) got the verdict %s instead of %s", more, l.packet, name, verdict)
		}
	}
	if after.Verdicts[verdict] == before.Verdicts[verdict] {
		return fmt.Errorf("no packet (%v) got the verdict %s", l.packet, verdict)
	}
	return nil
}

// sentTo fails unless a frame was sent back, to this MAC address.
func sentTo(mac model.MAC, code uint32, frame []byte) error {
	if code != xdpTX || len(frame) < len(mac) {
		return fmt.Errorf("the programme returned %d instead of sending the frame (%d)", code, xdpTX)
	}
	if !bytes.Equal(frame[:len(mac)], mac[:]) {
		return fmt.Errorf("the frame went to %x instead of %s", frame[:len(mac)], mac)
	}
	return nil
}
