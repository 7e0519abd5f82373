package rounds

import (
	"context"
	"iter"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"

	"golang.org/x/sync/errgroup"

	"fairlead/internal/model"
	"fairlead/internal/reset"
)

// site is a data plane whose connections live on between the walks, with
// account of what was seen of each client and what it was sent.
type site struct {
	conns []model.Connection
	live  func(*model.Connection) // what happens to one before it is walked over
	seen  map[netip.Addr]int
	sent  map[netip.AddrPort]int
}

func newSite(live func(*model.Connection), conns ...model.Connection) *site {
	s := &site{live: live, seen: map[netip.Addr]int{}, sent: map[netip.AddrPort]int{}}
	for _, c := range conns {
		s.conns = append(s.conns, c)
		s.seen[c.Client.Addr()] += c.Packets
	}
	return s
}

func (s *site) Connections() iter.Seq[model.Connection] {
	return func(yield func(model.Connection) bool) {
		for i := range s.conns {
			c := &s.conns[i]
			was := *c
			s.live(c)
			if s.seen[c.Client.Addr()] += c.Packets - was.Packets; was.Old && !c.Old || was.Ended && !c.Ended {
				s.seen[c.Client.Addr()] += was.Packets // it began anew
			}
			if !yield(*c) {
				return
			}
		}
	}
}

func (s *site) Settle() error             { return nil }
func (s *site) Sweep(string) (int, error) { return 1, nil }

func (s *site) Send(orders []reset.Order) (int, error) {
	for _, o := range orders {
		s.sent[o.Connection.Client] += int(parcel{o.RST, o.Tickle}.cost())
	}
	return len(orders), nil
}

// SendServers: a server answers a tickle, to the client; a RST it does not.
func (s *site) SendServers(_ string, orders []reset.Order) (int, error) {
	for _, o := range orders {
		s.sent[o.Connection.Client] += int(parcel{tickle: o.Tickle}.cost())
	}
	return len(orders), nil
}

// toClient is what all connections of a client were sent.
func (s *site) toClient(a netip.Addr) int {
	n := 0
	for client, sent := range s.sent {
		if client.Addr() == a {
			n += sent
		}
	}
	return n
}

// play lets as many switches follow each other.
func (s *site) play(t *testing.T, switches int, between func()) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		group, ctx := errgroup.WithContext(ctx)
		reports := make(chan Report)
		r := New(ctx, group, s, s, reports)
		for n := range switches {
			r.Start(Job{Director: "nfs", Epoch: uint64(2 + n), Iface: "eth0"})
			for report := range reports {
				if report.Last {
					break
				}
			}
			between()
		}
		cancel()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func from(client string, packets int) model.Connection {
	return model.Connection{Client: netip.MustParseAddrPort(client), VIP: netip.MustParseAddrPort("192.168.10.50:2049"),
		Director: "nfs", Server: "nfs-01", Old: true, HasAck: true, Packets: packets, ServerMAC: model.MAC{2}}
}

// TestAbuse: whatever somebody forges in a client's name, that one is sent no
// more packets than were seen with its address.
func TestAbuse(t *testing.T) {
	most := 0.0
	for seed := range uint64(300) {
		dice := rand.New(rand.NewPCG(seed, 1))
		chance := func(percent int) bool { return dice.IntN(100) < percent }
		var conns []model.Connection
		for i := range 1 + dice.IntN(8) {
			c := from("10.0.0.1:1000", 1+dice.IntN(model.MostPackets))
			c.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(dice.IntN(2))}), uint16(1000+i))
			c.HasAck, c.Ended = chance(80), chance(20)
			conns = append(conns, c)
		}
		anew := func(c *model.Connection) { c.Packets, c.Old, c.Ended, c.HasAck = 1+dice.IntN(2), false, false, true }
		s := newSite(func(c *model.Connection) {
			switch {
			case chance(15) && c.Packets < model.MostPackets:
				c.Packets++
			case chance(15):
				c.Ended = c.Ended || c.Old
			case chance(5) && c.Old:
				anew(c)
			}
		}, conns...)
		s.play(t, 3, func() {
			for i := range s.conns { // the next switch makes all old, some of which began anew a moment ago
				c := &s.conns[i]
				if c.Old && chance(30) {
					anew(c)
					s.seen[c.Client.Addr()] += c.Packets
				}
				c.Old = true
			}
		})
		for client, seen := range s.seen {
			sent := s.toClient(client)
			if most = max(most, float64(sent)/float64(seen)); sent > seen {
				t.Errorf("seed %d: %s was sent %d packets, and %d were seen of it", seed, client, sent, seen)
			}
		}
	}
	if most < 0.9 {
		t.Errorf("at most %.2f of what was seen was sent: this does not come near the bound", most)
	}
}

// TestInheritance: an idle connection whose resets were lost lives on what those
// of the same client left over that have ended, and on nobody else's.
func TestInheritance(t *testing.T) {
	const idle, other = "10.0.0.1:700", "10.0.0.2:700"
	s := newSite(func(c *model.Connection) {
		c.Ended = c.Client.Port() != 700
	}, from(idle, 2), from("10.0.0.1:701", 9), from(other, 2))
	s.play(t, 1, func() {})
	for client, want := range map[string]int{idle: 2 + 9 - 3, "10.0.0.1:701": 3, other: 2} {
		if got := s.sent[netip.MustParseAddrPort(client)]; got != want {
			t.Errorf("%s was sent %d packets, want %d", client, got, want)
		}
	}
}

// TestSilentInheritance: so does one of which nobody saw an acknowledgment, but only
// when its client has left something.
func TestSilentInheritance(t *testing.T) {
	silent := func(client string) model.Connection {
		c := from(client, 1)
		c.HasAck = false
		return c
	}
	s := newSite(func(c *model.Connection) {
		c.Ended = c.Client.Port() == 701
	}, silent("10.0.0.1:700"), from("10.0.0.1:701", 6), silent("10.0.0.2:700"))
	s.play(t, 1, func() {})
	for client, want := range map[string]int{"10.0.0.1:700": 1 + 6 - 3, "10.0.0.1:701": 3, "10.0.0.2:700": 1} {
		if got := s.sent[netip.MustParseAddrPort(client)]; got != want {
			t.Errorf("%s was sent %d packets, want %d", client, got, want)
		}
	}
}

// TestAnew: what was given away of a connection is not held against the next one
// with the same port.
func TestAnew(t *testing.T) {
	live := false
	s := newSite(func(c *model.Connection) { c.Ended = !live && c.Client.Port() != 701 }, from("10.0.0.1:700", 3), from("10.0.0.2:701", 2))
	before := 0
	s.play(t, 2, func() {
		if !live {
			before = s.sent[netip.MustParseAddrPort("10.0.0.1:700")]
		}
		live = true
		s.conns[0].Packets = 1
	})
	if got := s.sent[netip.MustParseAddrPort("10.0.0.1:700")]; before != 3 || got != 4 {
		t.Errorf("%d and %d packets were sent, want 3 and one more", before, got-before)
	}
}
