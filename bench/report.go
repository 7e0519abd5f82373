package main

import (
	"fmt"
	"strings"
)

// goalBytes is the goal for the memory of a connection.
const goalBytes = 80

// text is the report for people, at most 80 columns wide.
func (r report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Minimum / median of %d rounds of %s packets; one CPU.\n\n",
		r.effort.rounds, grouped(uint64(r.effort.packets)))
	r.writeCosts(&b)
	r.writePath(&b)
	r.writeMemory(&b)
	r.writeFlood(&b)
	return b.String()
}

func (r report) writeCosts(b *strings.Builder) {
	fmt.Fprintf(b, "%-18s %11s %13s %15s %15s\n", "ns above XDP_TX", "connections", "bare", "fairlead", "goal")
	for _, c := range r.costs {
		connections := grouped(uint64(c.connections))
		if c.connections == 0 {
			connections = "-"
		}
		fmt.Fprintf(b, "%-18s %11s %13s %15s %15s\n", c.what, connections,
			above(c.bare, c.sendBack), above(c.fairlead, c.sendBack), c.goal)
	}
}

// above is what one programme takes more than another.
func above(t, floor times) string {
	if len(t) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f / %.1f", t.min()-floor.min(), t.median()-floor.median())
}

func (r report) writePath(b *strings.Builder) {
	fmt.Fprintf(b, "\n%-30s %13s %15s %15s\n", fmt.Sprintf("whole path, %s connections", grouped(pathConnections)),
		"ns", "times XDP_TX", "goal")
	first := r.path[0].times
	for _, p := range r.path {
		if len(p.times) == 0 || len(first) == 0 {
			fmt.Fprintf(b, "%-30s frames were lost in every round: the machine is too busy\n", p.what)
			continue
		}
		fmt.Fprintf(b, "%-30s %13s %15s %15s\n", p.what,
			fmt.Sprintf("%.1f / %.1f", p.times.min(), p.times.median()),
			fmt.Sprintf("%.2f / %.2f", p.times.min()/first.min(), p.times.median()/first.median()), p.goal)
	}
}

func (r report) writeMemory(b *strings.Builder) {
	fmt.Fprintf(b, "\n%-15s %10s %12s %12s %15s %10s\n", "connections", "known", "slots", "bytes", "a connection", "goal")
	for _, m := range r.memory {
		fmt.Fprintf(b, "%-15s %10s %12s %12s %15.1f %10s\n", grouped(uint64(m.connections)), grouped(uint64(m.known)),
			grouped(m.slots), grouped(m.bytes), float64(m.bytes)/float64(m.connections), fmt.Sprintf("≤ %d", goalBytes))
	}
}

func (r report) writeFlood(b *strings.Builder) {
	fmt.Fprintf(b, "\n%-30s %13s %15s %15s\n", "flood of forged SYNs", "ns a SYN", "live before", "lost")
	fmt.Fprintf(b, "%-30s %13.1f %15s %15s\n", grouped(uint64(r.flood.syns))+" SYNs", r.flood.ns, grouped(uint64(r.flood.live)), grouped(uint64(r.flood.lost)))
}

// grouped writes a number with commas between its thousands.
func grouped(n uint64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}
