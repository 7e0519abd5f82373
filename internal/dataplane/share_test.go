package dataplane

import (
	"slices"
	"testing"

	"fairlead/internal/model"
)

// balanced is a director with two servers that share the connections.
func balanced(weight1, weight2 int) model.Desired {
	d := note()
	d.Directors[0] = model.DesiredDirector{Name: "nfs", Balanced: true, Source: directorMAC, Epoch: 2, Watch: true, Servers: []model.DesiredServer{
		{Name: "nfs-01", MAC: serverMAC1, Weight: weight1, Epoch: 1},
		{Name: "nfs-02", MAC: serverMAC2, Weight: weight2, Epoch: 2}}}
	return d
}

// Whose MAC is not known gets no connections, and when none is, that is an error.
func TestUnknownMACHasNoShare(t *testing.T) {
	at := indices{servers: map[model.ServerRef]uint8{{Director: "nfs", Server: "nfs-01"}: 4, {Director: "nfs", Server: "nfs-02"}: 7}}
	d := balanced(3, 1).Directors[0]
	s, err := sharesOf(d, at)
	if err != nil || s.Count != 2 || s.Length != 4 || s.Members[0] != 4 || s.Members[1] != 7 {
		t.Errorf("both known: %d members %v, %d turns, %v", s.Count, s.Members, s.Length, err)
	}
	d.Servers[0].MAC = model.MAC{}
	if s, err = sharesOf(d, at); err != nil || s.Count != 1 || s.Length != 1 || s.Turns[0] != 7 || slices.Contains(s.Places[:], 4) {
		t.Errorf("one MAC unknown: %v, %v, %v", s.Members[:s.Count], s.Turns[:s.Length], err)
	}
	d.Servers[1].MAC = model.MAC{}
	if _, err = sharesOf(d, at); err == nil {
		t.Error("no MAC is known, and nobody says so")
	}
}

// New connections take turns; each stays with its server; and when one server
// fails only its own become old.
func TestBalanced(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		apply(t, p, balanced(3, 1))
		first := map[uint16]model.MAC{}
		for port := uint16(1000); port < 1040; port++ {
			_, out := h.run(t, p, frameSpec{flags: synFlag, sport: port}.bytes(t))
			first[port] = model.MAC(out[:6])
			h.runLookedAt(t, p, frameSpec{flags: ackFlag, ack: 7, sport: port}.bytes(t))
		}
		count := map[model.MAC]int{}
		for _, mac := range first {
			count[mac]++
		}
		if count[serverMAC1] != 30 || count[serverMAC2] != 10 {
			t.Errorf("%s: shares %v", h.name, count)
		}
		ref := func(s string) model.ServerRef { return model.ServerRef{Director: "nfs", Server: s} }
		traffic, err := p.Traffic()
		if err != nil || traffic.Servers[ref("nfs-02")].Packets != 20 || traffic.Conns[ref("nfs-01")] != (model.ConnCount{Present: 30}) {
			t.Errorf("%s: counted %+v, %+v, %v", h.name, traffic.Servers, traffic.Conns, err)
		}
		// the first one fails: a new epoch, no share
		d := balanced(0, 1)
		d.Directors[0].Epoch, d.Directors[0].Servers[0].Epoch = 3, 3
		apply(t, p, d)
		for port, mac := range first {
			got, out := h.run(t, p, frameSpec{flags: ackFlag, ack: 8, payload: 5, sport: port}.bytes(t))
			if kept := mac == serverMAC2; kept && model.MAC(out[:6]) != mac || !kept && (len(out) != 54 || got != h.returns("reset")) {
				t.Errorf("%s: port %d of %v: returned %d, %x", h.name, port, mac, int32(got), out[:12])
			}
		}
		for c := range p.Connections() {
			if c.Old != (c.Server == "nfs-01") {
				t.Errorf("%s: after the failure: %+v", h.name, c)
			}
		}
	}
}

// A server without a share keeps its connections; without any share a new
// connection is dropped.
func TestDrained(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		apply(t, p, balanced(1, 0))
		h.run(t, p, frameSpec{flags: synFlag}.bytes(t))
		apply(t, p, balanced(0, 0))
		data := frameSpec{flags: ackFlag, ack: 7, payload: 5}
		if _, out := h.run(t, p, data.bytes(t)); !slices.Equal(out, sent(serverMAC1, data.bytes(t))) {
			t.Errorf("%s: the connection's data became %x", h.name, out)
		}
		for _, s := range []frameSpec{{flags: synFlag, sport: 701}, {flags: ackFlag, ack: 1, sport: 702}, {proto: 17}, {proto: 1}} {
			if got, _ := h.run(t, p, s.bytes(t)); got != h.returns("drop-no-server") {
				t.Errorf("%s: %+v returned %d", h.name, s, int32(got))
			}
		}
	}
}

// Where the table tells nothing, a connection goes where its hash says, always;
// all protocols but TCP go by their addresses, so that fragments stay together.
func TestHashed(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		apply(t, p, balanced(1, 1))
		reached := map[model.MAC]bool{}
		for i := range 64 {
			s := frameSpec{flags: ackFlag, ack: 7, sport: uint16(2000 + i)}
			_, out := h.runLookedAt(t, p, s.bytes(t))
			clear(p.maps.buckets)
			if _, again := h.runLookedAt(t, p, s.bytes(t)); !slices.Equal(out, again) {
				t.Errorf("%s: port %d went to two servers", h.name, s.sport)
			}
			reached[model.MAC(out[:6])] = true
			udp := frameSpec{proto: 17, src: client(i).Addr(), payload: 80, fragment: 0x2000}
			later := udp
			later.fragment = 20
			_, out = h.run(t, p, udp.bytes(t))
			if _, rest := h.run(t, p, later.bytes(t)); !slices.Equal(out[:6], rest[:6]) {
				t.Errorf("%s: the fragments of %v went to two servers", h.name, udp.src)
			}
		}
		if len(reached) != 2 {
			t.Errorf("%s: all went to %v", h.name, reached)
		}
		if got, _ := h.run(t, p, frameSpec{fragment: 9, payload: 8}.bytes(t)); got != h.returns("drop-no-server") {
			t.Errorf("%s: a later fragment of TCP returned %d", h.name, int32(got))
		}
	}
}
