package knock

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// Who tells who answers ARP or neighbour discovery for an address, sorted by MAC. It
// asks as often as ARP is asked at most, and waits for all answers.
func (f From) Who(ctx context.Context, addr netip.Addr) ([]model.MAC, error) {
	var all []model.MAC
	err := f.ask(ctx, func(int) []byte { return f.whoHas(addr) }, func(b []byte) bool {
		if mac, ok := holder(b, addr); ok && mac != f.MAC && !slices.Contains(all, mac) {
			all = append(all, mac)
		}
		return false
	}, nothing)
	slices.SortFunc(all, func(a, b model.MAC) int { return slices.Compare(a[:], b[:]) })
	return all, err
}

// Find tells the MAC of the first host that answers for an address.
func (f From) Find(ctx context.Context, addr netip.Addr) (mac model.MAC, ok bool, err error) {
	err = f.ask(ctx, func(int) []byte { return f.whoHas(addr) }, func(b []byte) bool {
		if !ok {
			mac, ok = holder(b, addr)
		}
		return ok
	}, nothing)
	return mac, ok, err
}

// Reaction is how a host took a SYN.
type Reaction uint8

const (
	Silent     Reaction = iota // nothing came back: no such address there, or a firewall
	Accepted                   // the address is there and the port is open
	Refused                    // the address is there, and nothing listens
	Forwards                   // the address is not there, and the host would hand the packet on
	Prohibited                 // a firewall says no
)

var reactionNames = [...]string{"silent", "accepted", "refused", "forwards", "prohibited"}

func (r Reaction) String() string { return reactionNames[r] }

// Port asks the host with a MAC for a connection to an address and port, and ends
// it at once. MSS is the longest segment that the host can take; 0: it did not say.
func (f From) Port(ctx context.Context, mac model.MAC, dst netip.AddrPort) (r Reaction, mss int, err error) {
	// Below the ports that the kernel gives to its own connections. The kernel knows
	// nothing of this one and may end it as well.
	port, seq := uint16(20000+rand.N(12000)), rand.Uint32()
	err = f.ask(ctx, func(int) []byte { return f.segment(mac, dst, port, seq, flagSYN) }, func(b []byte) bool {
		r, mss = reaction(b, f.Addr, dst, port)
		return r != Silent
	}, func() []byte {
		if r != Accepted {
			return nil
		}
		return f.segment(mac, dst, port, seq+1, flagRST)
	})
	return r, mss, err
}

// reaction reads an answer to a SYN from src's port to dst.
func reaction(frame []byte, src netip.Addr, dst netip.AddrPort, port uint16) (Reaction, int) {
	from, protocol, p := inside(frame)
	switch {
	case protocol == unix.IPPROTO_TCP && from == dst.Addr() && len(p) >= tcpLen:
		if binary.BigEndian.Uint16(p) != dst.Port() || binary.BigEndian.Uint16(p[2:]) != port {
			return Silent, 0
		}
		switch p[13] & (flagSYN | flagACK | flagRST) {
		case flagSYN | flagACK:
			return Accepted, mss(p)
		case flagRST | flagACK, flagRST:
			return Refused, 0
		}
	case protocol == unix.IPPROTO_ICMP && len(p) >= icmpLen && quotes(p[icmpLen:], src, dst, port):
		switch {
		case p[0] == 11: // time exceeded
			return Forwards, 0
		case p[0] == 3 && p[1] == 1: // host unreachable: it looked for another one
			return Forwards, 0
		case p[0] == 3:
			return Prohibited, 0
		}
	}
	return Silent, 0
}

// quotes tells whether an ICMP error quotes a packet from src's port to dst.
func quotes(b []byte, src netip.Addr, dst netip.AddrPort, port uint16) bool {
	from, protocol, p := packetOf(b)
	return from == src && protocol == unix.IPPROTO_TCP && netip.AddrFrom4([4]byte(b[16:])) == dst.Addr() &&
		len(p) >= 4 && binary.BigEndian.Uint16(p) == port && binary.BigEndian.Uint16(p[2:]) == dst.Port()
}

// Echo tells whether a host answers a ping whose packet has so many bytes and must
// not be broken up.
func (f From) Echo(ctx context.Context, mac model.MAC, dst netip.Addr, size int) (answered bool, err error) {
	id := uint16(rand.Uint32())
	filler := make([]byte, max(size-ipLen-icmpLen, 0))
	err = f.ask(ctx, func(try int) []byte { return f.icmp(mac, dst, 8, id, uint16(try), filler) }, func(b []byte) bool {
		from, protocol, p := inside(b)
		answered = answered || protocol == unix.IPPROTO_ICMP && from == dst && len(p) >= icmpLen && p[0] == 0 && binary.BigEndian.Uint16(p[4:]) == id
		return answered
	}, nothing)
	return answered, err
}

// day is how many milliseconds the clock of ICMP counts before it begins again.
const day = 24 * 60 * 60 * 1000

// Clock tells how far a host's clock is ahead of this one's, and how exactly that
// is known: ICMP's clock counts milliseconds of the day, so whole days are not seen.
func (f From) Clock(ctx context.Context, mac model.MAC, dst netip.Addr) (ahead, within time.Duration, known bool, err error) {
	id := uint16(rand.Uint32())
	var sent time.Time
	var last uint16
	err = f.ask(ctx, func(try int) []byte {
		sent, last = time.Now(), uint16(try)
		return f.icmp(mac, dst, 13, id, uint16(try), make([]byte, stampLen-icmpLen))
	}, func(b []byte) bool {
		from, protocol, p := inside(b)
		if protocol != unix.IPPROTO_ICMP || from != dst || len(p) < stampLen || p[0] != 14 || binary.BigEndian.Uint16(p[4:]) != id || binary.BigEndian.Uint16(p[6:]) != last {
			return false
		}
		trip := time.Since(sent)
		stamp := binary.BigEndian.Uint32(p[12:])
		if known = stamp < day; known { // else it counts by a clock of its own
			ahead, within = apart(stamp, sent.Add(trip/2)), trip/2+time.Millisecond
		}
		return true
	}, nothing)
	return ahead, within, known, err
}

// apart is how far a stamp, in milliseconds of the day, is ahead of an instant.
func apart(stamp uint32, at time.Time) time.Duration {
	at = at.UTC()
	midnight := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
	d := time.Duration(stamp)*time.Millisecond - at.Sub(midnight)
	const half, whole = day / 2 * time.Millisecond, day * time.Millisecond
	switch {
	case d > half:
		d -= whole
	case d < -half:
		d += whole
	}
	return d
}
