package main

import (
	"errors"
	"fmt"
	"slices"

	"fairlead/internal/model"
)

// times are ns for a packet, one for each round.
type times []float64

func (t times) min() float64 { return slices.Min(t) }

func (t times) median() float64 {
	s := slices.Sorted(slices.Values(t))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// cost is what one kind of packet costs, measured in the same rounds.
type cost struct {
	what        string
	connections int // drawn from; 0: always a new one
	sendBack    times
	bare        times // empty where a bare director makes no sense
	fairlead    times
	goal        string
}

// memory is what the table for so many connections takes.
type memory struct {
	connections int
	known       int // of the connections, after all were begun
	bytes       uint64
	slots       uint64
}

// report is everything that was measured.
type report struct {
	effort effort
	costs  []cost
	path   []pathCost
	memory []memory
	flood  flood
}

// flood is what forged SYNs did to live connections.
type flood struct {
	live, lost int
	syns       int
	ns         float64 // a SYN
}

// sizes are the numbers of connections that packets are drawn from.
var sizes = []int{1, 1_000, 100_000, 1_000_000}

func measure(e effort) (report, error) {
	r := report{effort: e}
	floor, err := newFloor()
	if err != nil {
		return r, err
	}
	b := &bench{effort: e, floor: floor, report: &r}
	err = b.all()
	return r, errors.Join(err, floor.Close())
}

// floor are the programmes that the data plane is compared with.
type floor struct {
	objects        *rigObjects
	sendBack, bare harness
}

func newFloor() (*floor, error) {
	o, err := loadObjects()
	if err != nil {
		return nil, err
	}
	sendBack, err := newHarness(o.SendBack)
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	bare, err := newHarness(o.Bare)
	if err != nil {
		return nil, errors.Join(err, sendBack.Close(), o.Close())
	}
	return &floor{o, sendBack, bare}, nil
}

func (f *floor) Close() error {
	return errors.Join(f.sendBack.Close(), f.bare.Close(), f.objects.Close())
}

// bench fills a report.
type bench struct {
	effort effort
	floor  *floor
	report *report
}

func (b *bench) all() error {
	for _, n := range sizes {
		if err := b.with(n, func(d *director) error { return b.established(d, n) }); err != nil {
			return err
		}
	}
	// The size that the daemon takes unless told otherwise.
	if err := b.with(100_000, func(d *director) error {
		return b.add(d, cost{what: "SYN, always new"}, "forward", load{packet: syn, draw: rigDrawDRAW_FRESH})
	}); err != nil {
		return err
	}
	if err := b.with(floodConnections, b.flood); err != nil {
		return err
	}
	for _, c := range crowds() {
		if err := b.withRules(1_000, c.rules, func(d *director) error {
			l := load{packet: ack, draw: rigDrawDRAW_RANDOM, connections: 1_000}
			return b.add(d, cost{what: c.what, connections: 1_000}, "forward", l)
		}); err != nil {
			return err
		}
	}
	six := ruleSet(1, to(vip6), nil, model.PolicyDirector)
	if err := b.withRules(1_000, six, func(d *director) error { return b.six(d, 1_000) }); err != nil {
		return err
	}
	return b.with(pathConnections, b.wholePath)
}

// six measures packets of IPv6: before a switch, and after it while all are looked up.
func (b *bench) six(d *director, n int) error {
	enter := func() error {
		l := load{packet: syn6, draw: rigDrawDRAW_IN_ORDER}
		return d.expect("forward", l, func() error {
			_, _, _, err := d.harness.run(l, n)
			return err
		})
	}
	l := load{packet: ack6, draw: rigDrawDRAW_RANDOM, connections: n}
	if err := enter(); err != nil {
		return err
	}
	if err := b.add(d, cost{what: "ACK, IPv6", connections: n, goal: "≤ 7.0"}, "forward", l); err != nil {
		return err
	}
	if err := errors.Join(d.doSwitch(), enter()); err != nil {
		return err
	}
	return b.add(d, cost{what: "IPv6, looked up", connections: n}, "forward", l)
}

// floodConnections are live when the flood comes, in a table made for as many.
const floodConnections = 100_000

// flood begins and acknowledges connections, and then sends forged SYNs from
// everywhere, each another one: far more than the table has room for.
func (b *bench) flood(d *director) error {
	// From the second choice on every packet is looked up, so that the table notes each ACK.
	if err := d.doSwitch(); err != nil {
		return err
	}
	if err := d.enter(floodConnections); err != nil {
		return err
	}
	acks := load{packet: ack, draw: rigDrawDRAW_IN_ORDER}
	if err := d.expect("forward", acks, func() error {
		_, _, _, err := d.harness.run(acks, floodConnections)
		return err
	}); err != nil {
		return err
	}
	f := &b.report.flood
	f.live, f.syns = d.live(), 100*b.effort.packets
	total := 0.0
	for done := 0; done < f.syns; done += b.effort.packets {
		l := load{packet: syn, draw: rigDrawDRAW_FRESH, start: uint64(done) + 1}
		ns, _, _, err := d.harness.run(l, b.effort.packets)
		if err != nil {
			return err
		}
		total += ns
	}
	f.ns = total / 100
	f.lost = f.live - d.live()
	return nil
}

// with runs f on a director of that size.
func (b *bench) with(connections int, f func(*director) error) error {
	return b.withRules(connections, plain(), f)
}

func (b *bench) withRules(connections int, rules model.RuleSet, f func(*director) error) error {
	d, err := newDirector(connections, rules)
	if err != nil {
		return err
	}
	return errors.Join(f(d), d.Close())
}

// established measures the packets of so many connections: before a switch,
// after it as old ones, and after they were begun again.
func (b *bench) established(d *director, n int) error {
	if err := d.enter(n); err != nil {
		return err
	}
	if err := b.addMemory(d, n); err != nil {
		return err
	}
	l := load{packet: ack, draw: rigDrawDRAW_RANDOM, connections: n}
	if err := b.add(d, cost{what: "ACK", connections: n, goal: "≤ 5.0"}, "forward", l); err != nil {
		return err
	}
	if n == 1000 {
		l := load{packet: datagram, draw: rigDrawDRAW_RANDOM, connections: n}
		if err := b.add(d, cost{what: "UDP, full frame", connections: n, goal: "≤ 5.0"}, "forward", l); err != nil {
			return err
		}
	}
	if err := d.doSwitch(); err != nil {
		return err
	}
	old := load{packet: shortACK, draw: rigDrawDRAW_RANDOM, connections: n}
	if err := b.add(d, cost{what: "ACK, old: reset", connections: n}, "reset", old); err != nil {
		return err
	}
	if err := d.enter(n); err != nil {
		return err
	}
	return b.add(d, cost{what: "ACK, looked up", connections: n}, "forward", l)
}

func (b *bench) addMemory(d *director, n int) error {
	t, err := d.plane.Traffic()
	if err != nil {
		return err
	}
	if n > 1 { // the smallest table is no table for one
		b.report.memory = append(b.report.memory, memory{connections: n, known: n - d.unknown, bytes: t.Table.Bytes, slots: t.Table.Size})
	}
	return nil
}

// add measures one kind of packet and adds the result to the report.
func (b *bench) add(d *director, c cost, verdict string, l load) error {
	err := d.expect(verdict, l, func() error { return b.rounds(d, &c, verdict, l) })
	if err != nil {
		return fmt.Errorf("measure %s, %d connections: %w", c.what, c.connections, err)
	}
	b.report.costs = append(b.report.costs, c)
	return nil
}

// rounds runs the programmes in turn, so that whatever else the machine does
// meets all of them. The first round only warms up.
func (b *bench) rounds(d *director, c *cost, verdict string, l load) error {
	to := serverMACs[d.active()]
	if verdict == "reset" {
		to = clientMAC
	}
	programmes := []struct {
		harness harness
		times   *times
		sentTo  model.MAC
	}{
		{b.floor.sendBack, &c.sendBack, directorMAC}, // it leaves the frame as it came
		{b.floor.bare, &c.bare, serverMACs[0]},
		{d.harness, &c.fairlead, to},
	}
	if l.packet.six { // the bare director knows IPv4 only
		programmes = slices.Delete(programmes, 1, 2)
	}
	for _, p := range programmes {
		_, code, frame, err := p.harness.run(l, 1)
		if err := errors.Join(err, sentTo(p.sentTo, code, frame)); err != nil {
			return err
		}
	}
	for round := range b.effort.rounds + 1 {
		l.start = uint64(round*b.effort.packets) + 1
		for _, p := range programmes {
			ns, _, _, err := p.harness.run(l, b.effort.packets)
			if err != nil {
				return err
			}
			if round > 0 {
				*p.times = append(*p.times, ns)
			}
		}
	}
	return nil
}
