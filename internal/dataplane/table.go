package dataplane

import (
	"encoding/binary"
	"fmt"
	"iter"
	"net/netip"
	"sync/atomic"
	"time"
	"unsafe"

	"fairlead/internal/model"
)

// slot is a word of the connection table; see struct bucket in bpf/maps.h.
type slot uint64

func (s slot) generation() uint16 { return uint16(s >> 24) }
func (s slot) director() uint8    { return uint8(s >> 16) }
func (s slot) server() uint8      { return uint8(s>>12) & 0xf }
func (s slot) is(state directorSlotState) bool {
	return s>>8&0xf&slot(state) != 0
}
func (s slot) packets() int { return int(s>>40) & model.MostPackets }
func (s slot) six() bool    { return s>>44&1 != 0 }
func (s slot) used() bool   { return s.is(directorSlotStateSLOT_USED) }
func (s slot) idle() bool   { return s.is(directorSlotStateSLOT_IDLE) }
func (s slot) seen() uint8  { return uint8(s) }
func (s slot) ended() bool  { return s.is(directorSlotStateSLOT_ENDED) }

// place is where a slot lies.
type place struct{ bucket, slot int }

// all walks the used slots while packets go on changing them: each is read
// once, in one piece.
func (m tables) all() iter.Seq2[place, slot] {
	return func(yield func(place, slot) bool) {
		for i := range m.buckets {
			for k := range m.buckets[i].Slots {
				s := slot(atomic.LoadUint64(&m.buckets[i].Slots[k]))
				if s.used() && !yield(place{i, k}, s) {
					return
				}
			}
		}
	}
}

// tupleOf is the connection of a slot.
func (m tables) tupleOf(at place, s slot) (client, vip netip.AddrPort) {
	t := &m.tuples[at.bucket].Slots[at.slot]
	source, destination := unbe(t.Source), unbe(t.Destination)
	if s.six() {
		u := &m.uppers[at.bucket].Slots[at.slot]
		source = unwords([4]uint32{u.Source[0], u.Source[1], u.Source[2], t.Source})
		destination = unwords([4]uint32{u.Destination[0], u.Destination[1], u.Destination[2], t.Destination})
	}
	return netip.AddrPortFrom(source, swap16(t.SourcePort)), netip.AddrPortFrom(destination, swap16(t.DestinationPort))
}

// dropConnections frees the slots that the condition names.
func (m tables) dropConnections(condition func(slot) bool) {
	for at, s := range m.all() {
		if condition(s) {
			atomic.CompareAndSwapUint64(&m.buckets[at.bucket].Slots[at.slot], uint64(s), 0)
		}
	}
}

// old tells whether a connection is of an epoch before its server's.
func (m tables) old(s slot) bool {
	return s.generation() != m.generation(s.director(), s.server())
}

// Connections walks the connection table. It may be slow: it does not hold up
// anything else.
func (p *Plane) Connections() iter.Seq[model.Connection] {
	return func(yield func(model.Connection) bool) {
		names, now := *p.names.Load(), p.maps.settings()
		clock := uint32(monotonic() / uint64(time.Second))
		for at, s := range p.maps.all() {
			t := p.maps.tuples[at.bucket].Slots[at.slot]
			client, vip := p.maps.tupleOf(at, s)
			c := model.Connection{
				Client:   client,
				VIP:      vip,
				Director: names[key{kind: kindDirector, index: uint16(s.director())}],
				Server:   names[key{kindServer, s.director(), uint16(s.server())}],
				Old:      p.maps.old(s),
				Ended:    s.ended(),
				LastAck:  t.LastAck,
				HasAck:   s.is(directorSlotStateSLOT_ACKED),
				Next:     t.Next,
				Packets:  s.packets(),
				Age:      time.Duration(max(int32(clock-t.BegunS), 0)) * time.Second,
			}
			if server := now.server(s.director(), s.server()); server.Mac0 != 0 {
				c.ServerMAC, c.SourceMAC = macs(server.Mac0, server.Mac1)
				if t := now.tunnel(s.director(), s.server()); t != nil {
					c.Tunnel = *t
				}
			}
			if !yield(c) {
				return
			}
		}
	}
}

// swap16 turns a port as the programme stores it into its number.
func swap16(v uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], v)
	return binary.BigEndian.Uint16(b[:])
}

// Sweep counts a director's old connections that were not seen to end. When
// none is left, packets are no longer looked up one by one.
func (p *Plane) Sweep(director string) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	index, known := directorIndex(*p.names.Load(), director)
	if !known {
		return 0, fmt.Errorf("sweep %s: the data plane does not know this director", director)
	}
	left := 0
	for _, s := range p.maps.all() {
		if s.director() == index && !s.ended() && p.maps.old(s) {
			left++
		}
	}
	if left > 0 {
		return left, nil
	}
	next := p.edit()
	next.Choices[index].Flags &^= uint16(directorChoiceFlagsCHOICE_LOOKUP)
	return 0, p.enforce(next, nil)
}

// tableStatus is how full the table is.
func (m tables) tableStatus() model.TableStatus {
	n := uint64(len(m.buckets))
	return model.TableStatus{
		Size:    n * uint64(slots),
		Bytes:   n * uint64(unsafe.Sizeof(directorBucket{})+unsafe.Sizeof(directorTuples{})+unsafe.Sizeof(directorUppers{})),
		Refused: atomic.LoadUint64(&m.state.Table.Refused),
	}
}
