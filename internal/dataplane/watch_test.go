package dataplane

import (
	"bytes"
	"context"
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/model"
)

// watched is the note's configuration whose suspicions are told.
func watched() model.Desired {
	d := note()
	d.Directors[0].Watch, d.Directors[0].Keep = true, true
	return d
}

// sightings starts to watch. The returned function waits for the next sighting.
func sightings(t *testing.T, p *Plane) func() model.Sighting {
	t.Helper()
	seen := make(chan model.Sighting, 16)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- p.Watch(ctx, func(s model.Sighting) { seen <- s }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := len(seen); n > 0 {
			t.Errorf("%d sightings too many, the first %+v", n, <-seen)
		}
	})
	return func() model.Sighting {
		t.Helper()
		select {
		case s := <-seen:
			return s
		case <-time.After(5 * time.Second):
			t.Fatal("nothing was told")
			return model.Sighting{}
		}
	}
}

// The SYN of a client that had a connection is kept, whole; nothing is entered.
func TestReconnectIsKept(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		apply(t, p, watched())
		establish(t, p, h) // its SYN is a stranger's, and goes through
		forget(t, p)
		next := sightings(t, p)
		p.Beat()
		for _, s := range []frameSpec{{flags: synFlag, sport: 701, tcpOptions: 20}, {flags: synFlag}} {
			frame := s.bytes(t)
			if got, _ := h.run(t, p, frame); got != h.returns("held") {
				t.Errorf("%s: the SYN of port %d returned %d, want it kept", h.name, s.sport, int32(got))
			}
			got := next()
			want := model.Sighting{Kind: model.SightingReconnect, Ref: model.ServerRef{Director: "nfs", Server: "nfs-01"},
				Client: netip.AddrPortFrom(clientAddr, s.withDefaults().sport), VIP: netip.AddrPortFrom(vipAddr, 2049)}
			if !bytes.Equal(got.Frame, frame) {
				t.Errorf("%s: the frame is\n%x, want\n%x", h.name, got.Frame, frame)
			}
			if got.Kind != want.Kind || got.Ref != want.Ref || got.Client != want.Client || got.VIP != want.VIP {
				t.Errorf("%s: told %+v, want %+v", h.name, got, want)
			}
		}
		if got := table(p); got != "nfs-01 ack 1000" {
			t.Errorf("%s: the table holds %q", h.name, got)
		}
	}
}

// forget ends the trust that comes with a new choice.
func forget(t *testing.T, p *Plane) {
	t.Helper()
	if err := p.Trust("nfs", 0); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond) // the programme's clock is a coarse one
}

// A SYN goes through where keeping it would help nobody.
func TestNothingIsKept(t *testing.T) {
	syn := frameSpec{flags: synFlag, sport: 701}
	for name, prepare := range map[string]func(p *Plane) model.Desired{
		"no SYN is to be kept": func(p *Plane) model.Desired {
			p.Beat()
			d := watched()
			d.Directors[0].Keep = false
			return d
		},
		"no suspicion is wanted": func(p *Plane) model.Desired { p.Beat(); return note() },
		"the daemon is dead":     func(p *Plane) model.Desired { return watched() },
		"the server is trusted": func(p *Plane) model.Desired {
			p.Beat()
			if err := p.Trust("nfs", time.Hour); err != nil {
				t.Error(err)
			}
			return watched()
		},
	} {
		for _, h := range hooks {
			p := h.plane(t, 1000)
			apply(t, p, watched())
			forget(t, p)
			establish(t, p, h)
			sightings(t, p)
			apply(t, p, prepare(p))
			if got, _ := h.run(t, p, syn.bytes(t)); got != h.returns("forward") {
				t.Errorf("%s, %s: returned %d", name, h.name, int32(got))
			}
			if got := table(p); got != "nfs-01, nfs-01 ack 1000" {
				t.Errorf("%s, %s: the table holds %q", name, h.name, got)
			}
		}
	}
}

// What comes again is told, now and then, and forwarded all the same.
func TestRepetitionIsTold(t *testing.T) {
	data := frameSpec{flags: ackFlag, seq: 5000, ack: 1000, payload: 100}
	acked, more, pure := data, data, data
	acked.ack, more.seq, pure.payload = 1001, 5100, 0
	for _, h := range hooks {
		p := h.plane(t, 1000)
		apply(t, p, watched())
		establish(t, p, h)
		next := sightings(t, p)
		for i, c := range []struct {
			frame frameSpec
			told  bool
		}{{data, false}, {data, true}, {data, false}, {acked, false}, {pure, false}, {pure, false}, {data, false}, {data, false}, {more, false}} {
			if i == 6 { // the window in which it was told is over: it may be told again
				data.ack = 1001
				c.frame = data
			}
			if got, _ := h.runLookedAt(t, p, c.frame.bytes(t)); got != h.returns("forward") {
				t.Errorf("%s: packet %d returned %d", h.name, i, int32(got))
			}
			if !c.told {
				continue
			}
			if got := next(); got.Kind != model.SightingRepeatedData || got.Frame != nil || got.Ref.Server != "nfs-01" {
				t.Errorf("%s: packet %d: told %+v", h.name, i, got)
			}
		}
	}
}

func TestRepeatedSYNIsTold(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		apply(t, p, watched())
		next := sightings(t, p)
		syn := frameSpec{flags: synFlag}.bytes(t)
		h.run(t, p, syn)
		if got, _ := h.run(t, p, syn); got != h.returns("forward") {
			t.Errorf("%s: returned %d", h.name, int32(got))
		}
		if got := next(); got.Kind != model.SightingRepeatedSYN || got.Frame != nil {
			t.Errorf("%s: told %+v", h.name, got)
		}
	}
}

// A kept SYN goes on to whichever server is active then, and is entered.
func TestPass(t *testing.T) {
	p := newPlane(t, 1000)
	d := note()
	d.Directors[0].Hold = true
	apply(t, p, d)
	next := sightings(t, p)
	frame := frameSpec{flags: synFlag, tcpOptions: 20}.bytes(t)
	hooks[0].run(t, p, frame)
	kept := next()
	if _, ok, err := p.Pass(kept.Frame, kept.Iface); ok || err != nil {
		t.Errorf("on hold it passes: %v, %v", ok, err)
	}
	next() // it was kept once more
	apply(t, p, switched())
	out, ok, err := p.Pass(kept.Frame, kept.Iface)
	if !ok || err != nil || !bytes.Equal(out, sent(serverMAC2, frame)) {
		t.Errorf("Pass = %x, %v, %v", out, ok, err)
	}
	if got := table(p); got != "nfs-02" {
		t.Errorf("the table holds %q", got)
	}
}

// What nobody reads is lost in the end, and counted.
func TestLostSightings(t *testing.T) {
	p := newPlane(t, 1000)
	d := note()
	d.Directors[0].Hold = true
	apply(t, p, d)
	syn := crowd(t, frameSpec{flags: synFlag})
	for i := range 6000 {
		hooks[0].run(t, p, syn(i))
	}
	traffic, err := p.Traffic()
	if err != nil {
		t.Fatal(err)
	}
	held, dropped := traffic.Verdicts["held"].Packets, traffic.Verdicts["drop-hold"].Packets
	if held < 3000 || dropped == 0 || dropped != traffic.Lost || held+dropped != 6000 {
		t.Errorf("%d were kept, %d dropped, %d counted as lost", held, dropped, traffic.Lost)
	}
}

// A connection is known by what its client sent last, and how much was seen.
func TestConnectionSeen(t *testing.T) {
	p := newPlane(t, 1000)
	apply(t, p, note())
	establish(t, p, hooks[0])
	hooks[0].runLookedAt(t, p, frameSpec{flags: ackFlag, seq: 7000, ack: 2000, payload: 100}.bytes(t))
	for c := range p.Connections() {
		if c.Next != 7100 || c.Packets != 3 || c.ServerMAC != serverMAC1 || c.SourceMAC != directorMAC {
			t.Errorf("the connection is %+v", c)
		}
	}
	for range 40 {
		hooks[0].runLookedAt(t, p, frameSpec{flags: ackFlag, seq: 7100, ack: 2000}.bytes(t))
	}
	for c := range p.Connections() {
		if c.Packets != model.MostPackets {
			t.Errorf("%d packets were counted, want %d", c.Packets, model.MostPackets)
		}
	}
}

// The first bare FIN of an old connection follows it; one that comes again was
// not answered, and is reset.
func TestOldFIN(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		after.build(t, p, h)
		fin := frameSpec{flags: finFlag | ackFlag, ack: 1000}.bytes(t)
		if _, out := h.run(t, p, fin); !bytes.Equal(out, sent(serverMAC1, fin)) {
			t.Errorf("%s: the first FIN became %x", h.name, out)
		}
		if _, out := h.run(t, p, fin); len(out) != 54 || out[47] != rstFlag {
			t.Errorf("%s: the second FIN became %x", h.name, out)
		}
	}
}

// Many kept SYNs go on in no time: none waits for a grace period of the kernel.
func BenchmarkPass(b *testing.B) {
	p := newPlane(b, 100_000)
	apply(b, p, note())
	syn := crowd(b, frameSpec{flags: synFlag})
	n := 0
	for b.Loop() {
		if _, ok, err := p.Pass(syn(n), 1); !ok || err != nil {
			b.Fatal(ok, err)
		}
		n++
	}
}

// The packet after a SYN is looked at, whatever the clock says: an idle
// connection is then known by an acknowledgment, and a RST alone ends it.
func TestHandshakeIsSeen(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		apply(t, p, note())
		for port := range uint16(20) {
			h.run(t, p, frameSpec{flags: synFlag, sport: 800 + port}.bytes(t))
			h.run(t, p, frameSpec{flags: ackFlag, ack: 77, sport: 800 + port}.bytes(t))
		}
		n := 0
		for c := range p.Connections() {
			if n++; !c.HasAck || c.LastAck != 77 || c.Packets != 2 {
				t.Errorf("%s: %+v", h.name, c)
			}
		}
		if n != 20 {
			t.Errorf("%s: %d connections", h.name, n)
		}
	}
}

// A SYN that looks like a reconnect but finds no room goes where it would have
// gone: nobody refuses it for the sake of a suspicion.
func TestReconnectWithoutRoom(t *testing.T) {
	p := newPlane(t, 10_000)
	apply(t, p, watched())
	establish(t, p, hooks[0])
	forget(t, p)
	p.Beat()
	last := uint32(0)
	for i := range 6000 {
		if i%500 == 0 {
			p.Beat()
		}
		last, _ = hooks[0].run(t, p, frameSpec{flags: synFlag, sport: uint16(1000 + i)}.bytes(t))
	}
	traffic, err := p.Traffic()
	if err != nil {
		t.Fatal(err)
	}
	if traffic.Verdicts["held"].Packets < 3000 || traffic.Verdicts["drop-hold"].Packets != 0 || last != hooks[0].returns("forward") || traffic.Lost == 0 {
		t.Errorf("the last one returned %d; %+v, %d lost", last, traffic.Verdicts, traffic.Lost)
	}
}
