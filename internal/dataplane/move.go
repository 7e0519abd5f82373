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
// one that they belong to. They must be reset, never moved to its server. Those
// that no rule claims any more are left alone.
func (p *Plane) moves(rules *compiled) []move {
	packet := flow.Packet{Proto: model.ProtoTCP.Number(), HasPorts: true}
	if len(rules.from.Ifaces) == 1 {
		packet.Iface = rules.from.Ifaces[0]
	}
	var found []move
	for where, s := range p.maps.all() {
		client, vip := p.maps.tupleOf(where, s)
		packet.Src, packet.SrcPort = client.Addr(), client.Port()
		packet.Dst, packet.DstPort = vip.Addr(), vip.Port()
		rule, ok := rules.layout.Match(packet)
		if to := rules.at.directors[rule.Director]; ok && rule.Policy == model.PolicyDirector && to != s.director() {
			found = append(found, move{where, s, to})
		}
	}
	return found
}

// carryOut makes the moved connections old ones of their new director, of its
// first server: which one they had there cannot be said in its indices.
func (p *Plane) carryOut(moved []move) {
	for _, m := range moved {
		before := uint64(p.maps.generation(m.to, 0) - 1)
		s := uint64(m.is)&^(0xffff<<24|0xff<<16|0xf<<12) | before<<24 | uint64(m.to)<<16
		atomic.CompareAndSwapUint64(&p.maps.buckets[m.at.bucket].Slots[m.at.slot], uint64(m.is), s)
	}
}
