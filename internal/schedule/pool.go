package schedule

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"fairlead/internal/model"
)

// Pool is how a balanced director chooses among its servers: the specification of
// what the data plane does when a connection begins.
type Pool struct {
	Scheduler model.Scheduler
	Members   []Member // that get new connections, in the order of the configuration
	Turns     []uint8  // see Turns
	Places    []uint8  // see Places
}

// NewPool makes the pool's tables, of at most that many turns and with that many
// places.
func NewPool(s model.Scheduler, members []Member, turns, places int) Pool {
	return Pool{Scheduler: s, Members: members, Turns: Turns(members, turns), Places: Places(members, places)}
}

// Moment is what a choice depends on besides the pool and the connection.
type Moment struct {
	Turn  uint32            // counts the connections of roundrobin
	Conns func(uint8) int64 // the connections that a server has
	NowS  uint32            // seconds
}

// Locality is what is remembered of one destination, for localitybased.
type Locality struct {
	Set      uint16 // bit i: server i serves it
	ChangedS uint32 // when Set changed last
}

// A set of servers that did not change for so many seconds loses its busiest one.
const shrinkAfterS = 24 * 60 * 60

// Choose is the choice of a new connection. The locality of its destination is
// used and changed by the schedulers that know one.
func (p Pool) Choose(client, destination netip.AddrPort, m Moment, l *Locality) (server uint8, ok bool) {
	if len(p.Members) == 0 {
		return 0, false
	}
	switch p.Scheduler {
	case model.RoundRobin:
		return p.Turns[int(m.Turn)%len(p.Turns)], true
	case model.LeastConn:
		return p.least(m, everyone, 0), true
	case model.ShortestExpected:
		return p.least(m, everyone, 1), true
	case model.NeverQueue:
		return p.neverQueue(m), true
	case model.Locality:
		return p.local(m, l), true
	case model.Replication:
		return p.replicated(m, l), true
	}
	return p.Stateless(client, destination)
}

// Stateless is the choice by the hash alone: of the schedulers that hash, and of
// every one for a packet of which nothing is known.
func (p Pool) Stateless(client, destination netip.AddrPort) (server uint8, ok bool) {
	if len(p.Members) == 0 {
		return 0, false
	}
	a, b := uint64(word(client.Addr()))<<32, uint64(word(destination.Addr()))
	switch p.Scheduler {
	case model.Source:
		b = 0
	case model.Dest:
		a = 0
	case model.SrcDst:
	default:
		a |= uint64(wire(client.Port()))<<16 | uint64(wire(destination.Port()))
	}
	return p.Places[Place(Hash(a, b), len(p.Places))], true
}

// word is an address in 32 bits, of IPv4 as the data plane loads it.
func word(a netip.Addr) uint32 {
	if a.Is4() {
		four := a.As4()
		return binary.LittleEndian.Uint32(four[:])
	}
	all := a.As16()
	h := binary.LittleEndian.Uint64(all[:]) * 0x9E3779B97F4A7C15
	h = (h ^ h>>32 ^ binary.LittleEndian.Uint64(all[8:])) * 0xD6E8FEB86659FD93
	return uint32(h >> 32)
}

// wire is a port as the data plane loads it.
func wire(port uint16) uint16 { return bits.ReverseBytes16(port) }

const everyone = 0xffff

// least is the member of the set with the fewest connections for its weight, when
// so many more were to begin. Among equals the first one.
func (p Pool) least(m Moment, set uint16, more int64) uint8 {
	best, conns := Member{}, int64(0)
	for _, o := range p.Members {
		if set>>o.Index&1 == 0 {
			continue
		}
		n := m.Conns(o.Index) + more
		if best.Weight == 0 || n*int64(best.Weight) < conns*int64(o.Weight) {
			best, conns = o, n
		}
	}
	return best.Index
}

// most is the one with the most connections for its weight.
func (p Pool) most(m Moment, set uint16) uint8 {
	best, conns := Member{}, int64(0)
	for _, o := range p.Members {
		if set>>o.Index&1 == 0 {
			continue
		}
		n := m.Conns(o.Index)
		if best.Weight == 0 || n*int64(best.Weight) > conns*int64(o.Weight) {
			best, conns = o, n
		}
	}
	return best.Index
}

func (p Pool) neverQueue(m Moment) uint8 {
	for _, o := range p.Members {
		if m.Conns(o.Index) == 0 {
			return o.Index
		}
	}
	return p.least(m, everyone, 1)
}

// present leaves those of a set that are members.
func (p Pool) present(set uint16) uint16 {
	var all uint16
	for _, o := range p.Members {
		all |= 1 << o.Index
	}
	return set & all
}

// overloaded tells whether a server has more connections than its weight while
// another one has fewer than half of its own.
func (p Pool) overloaded(m Moment, server uint8) bool {
	over, room := false, false
	for _, o := range p.Members {
		over = over || o.Index == server && m.Conns(o.Index) > int64(o.Weight)
		room = room || m.Conns(o.Index)*2 < int64(o.Weight)
	}
	return over && room
}

func (p Pool) local(m Moment, l *Locality) uint8 {
	if set := p.present(l.Set); set != 0 {
		if server := uint8(bits.TrailingZeros16(set)); !p.overloaded(m, server) {
			return server
		}
	}
	server := p.least(m, everyone, 0)
	*l = Locality{Set: 1 << server, ChangedS: m.NowS}
	return server
}

func (p Pool) replicated(m Moment, l *Locality) uint8 {
	set := p.present(l.Set)
	if bits.OnesCount16(set) > 1 && m.NowS-l.ChangedS > shrinkAfterS {
		set &^= 1 << p.most(m, set)
		l.ChangedS = m.NowS
	}
	l.Set = set
	if set != 0 {
		if server := p.least(m, set, 0); !p.overloaded(m, server) {
			return server
		}
	}
	server := p.least(m, everyone, 0)
	if set>>server&1 == 0 {
		*l = Locality{Set: set | 1<<server, ChangedS: m.NowS}
	}
	return server
}
