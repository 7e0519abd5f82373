package dataplane

import (
	"sync/atomic"

	"fairlead/internal/flow"
	"fairlead/internal/model"
)

// move is a connection that new rules hand to another director.
type move struct {
	at place
	is slot
	to uint8
}

// moves finds the connections that new rules hand to another director than the
// one that they belong to. Those that no rule claims any more are left alone.
func (p *Plane) moves(rules model.RuleSet, at indices) []move {
	packet := flow.Packet{Proto: model.ProtoTCP.Number(), HasPorts: true}
	if len(rules.Ifaces) == 1 {
		packet.Iface = rules.Ifaces[0]
	}
	var found []move
	for where, s := range p.maps.all() {
		t := p.maps.tuples[where.bucket].Slots[where.slot]
		packet.Src, packet.SrcPort = unbe(t.Source), swap16(t.SourcePort)
		packet.Dst, packet.DstPort = unbe(t.Destination), swap16(t.DestinationPort)
		rule, ok := flow.Match(rules, packet)
		if to := at.directors[rule.Director]; ok && to != s.director() {
			found = append(found, move{where, s, to})
		}
	}
	return found
}

// lookUp makes a director look every packet up: connections that were another's
// are about to meet it, and must be reset, never moved to its server.
func (p *Plane) lookUp(director uint8) error {
	d := p.maps.director(director)
	choice := d.Choices[d.Current&1]
	if choice.Flags&uint8(directorChoiceFlagsCHOICE_LOOKUP) != 0 {
		return nil
	}
	choice.Flags |= uint8(directorChoiceFlagsCHOICE_LOOKUP)
	return p.exchangeChoice(d, choice, d.Records[d.Current&1])
}

// carryOut makes the moved connections old ones of their new director, of its
// first server: which one they had there cannot be said in its indices.
func (p *Plane) carryOut(moved []move) {
	for _, m := range moved {
		d := p.maps.director(m.to)
		before := uint64(d.Choices[d.Current&1].Generation - 1)
		s := uint64(m.is)&^(0xffff<<24|0xff<<16|0xf<<12) | before<<24 | uint64(m.to)<<16
		atomic.CompareAndSwapUint64(&p.maps.buckets[m.at.bucket].Slots[m.at.slot], uint64(m.is), s)
	}
}
