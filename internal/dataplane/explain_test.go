package dataplane

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"fairlead/internal/model"
)

// explain asks what becomes of a frame.
func explain(t *testing.T, p *Plane, frame []byte) model.Explanation {
	t.Helper()
	x, err := p.Explain(frame, 1)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestExplain(t *testing.T) {
	p := newPlane(t, 1000)
	want := persistent(32, 1, 1)
	apply(t, p, want)
	known := frameSpec{flags: synFlag, sport: 700, dst: want.Rules.VIPs[0].Addr}
	server := fmt.Sprintf("web-%02d", hooks[0].to(t, p, known))
	ack, other := known, known
	ack.flags, ack.ack = ackFlag, 5
	other.sport = 701
	stranger := known
	stranger.src = otherAddr
	late := stranger
	late.flags, late.ack = ackFlag, 7
	datagram := stranger
	datagram.proto = 17
	elsewhere := known
	elsewhere.dst = otherAddr
	for _, c := range []struct {
		name    string
		frame   []byte
		verdict string
		chooser model.Chooser
		server  string // "": any
		known   bool
	}{
		{"a known connection", ack.bytes(t), "forward", model.ChosenByConnection, server, true},
		{"its SYN again", known.bytes(t), "forward", model.ChosenByConnection, server, true},
		{"another one of the client", other.bytes(t), "forward", model.ChosenByTemplate, server, false},
		{"another client", stranger.bytes(t), "forward", model.ChosenByScheduler, "", false},
		{"nothing is known", late.bytes(t), "forward", model.ChosenByHash, "", false},
		{"a datagram", datagram.bytes(t), "forward", model.ChosenByHash, "", false},
		{"to nobody here", elsewhere.bytes(t), "pass", model.ChosenByNobody, "", false},
		{"bad headers", change(known.bytes(t), 16, 0, 10), "drop-malformed", model.ChosenByNobody, "", false},
	} {
		x := explain(t, p, c.frame)
		if x.Verdict != c.verdict || x.Chooser != c.chooser || c.server != "" && x.Server != c.server || (x.Connection != nil) != c.known {
			t.Errorf("%s: %+v, connection %+v", c.name, x, x.Connection)
		}
		if c.verdict == "forward" && (x.Flow != "shop" || x.Director != "shop" || x.Server == "" || x.From != directorMAC || x.To[1] != 9) {
			t.Errorf("%s: %+v", c.name, x)
		}
	}
	// the server fails
	for i := range want.Directors[0].Servers {
		if s := &want.Directors[0].Servers[i]; s.Name == server {
			s.Weight, s.Epoch = 0, 3
		}
	}
	want.Directors[0].Epoch = 3
	apply(t, p, want)
	if x := explain(t, p, ack.bytes(t)); x.Verdict != "reset" || x.Connection == nil || !x.Connection.Old || x.Server != "" {
		t.Errorf("an old connection: %+v", x)
	}
	if x := explain(t, p, other.bytes(t)); x.Verdict != "forward" || x.Chooser != model.ChosenByScheduler || x.Server == server {
		t.Errorf("a new connection after the failure: %+v", x)
	}
}

// memory is all that the programme shares with anybody.
func memory(t *testing.T, p *Plane) [][]byte {
	t.Helper()
	var all [][]byte
	for _, m := range p.maps.memory {
		all = append(all, bytes.Clone(m))
	}
	templates, err := p.maps.allTemplates()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range templates {
		all = append(all, fmt.Append(nil, one))
	}
	var k directorLocalityKey
	var v directorLocality
	for entries := p.maps.byName[directorMapLocalities].Iterate(); entries.Next(&k, &v); {
		all = append(all, fmt.Append(nil, k, v))
	}
	err = p.maps.eachRow(3, func(_ int, row *[columns]model.Counter) { all = append(all, fmt.Append(nil, *row)) })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Whatever is asked, in whatever situation: nothing changes, and what is said is
// what then happens.
func TestExplainChangesNothing(t *testing.T) {
	for _, in := range []situation{fresh, known, knownEnded, after, afterSilent, onHold, noServer} {
		h := hooks[1]
		p := newPlane(t, 1000)
		in.build(t, p, h)
		p.settling.Wait()
		changesNothing(t, p, h, in.name, note().Rules.VIPs[0])
	}
	for _, s := range model.Schedulers() {
		p := newPlane(t, 1000)
		want := pooled(s, []int{1, 2, 3}, 1)
		want.Directors[0].Persistence = model.Persistence{Timeout: 60e9, Bits: 32}
		apply(t, p, want)
		p.settling.Wait()
		changesNothing(t, p, hooks[1], s.String(), want.Rules.VIPs[0])
	}
}

func changesNothing(t *testing.T, p *Plane, h hook, name string, vip model.VIP) {
	t.Helper()
	for i, s := range []frameSpec{
		{flags: synFlag}, {flags: synFlag, sport: 9}, {flags: ackFlag, ack: 5}, {flags: ackFlag, ack: 5, payload: 9}, {flags: ackFlag, ack: 5, payload: 9},
		{flags: finFlag | ackFlag, ack: 5}, {flags: rstFlag}, {flags: ackFlag, sport: 77}, {proto: 17}, {proto: 1}, {proto: 17, fragment: 9},
	} {
		s.dst = vip.Addr
		frame := s.bytes(t)
		before := memory(t, p)
		x := explain(t, p, frame)
		if !slices.EqualFunc(memory(t, p), before, bytes.Equal) {
			t.Fatalf("%s: to explain packet %d, %+v, changed something", name, i, s)
		}
		result, out := h.runLookedAt(t, p, frame)
		sent := result == h.send && len(out) >= 12
		if sent != x.To.Known() || sent && (model.MAC(out[:6]) != x.To || model.MAC(out[6:12]) != x.From) || result != h.returns(x.Verdict) {
			t.Errorf("%s: packet %d, %+v: explained as %+v, but returned %d with %x", name, i, s, x, int32(result), out[:12])
		}
	}
}

func TestExplainTunnel(t *testing.T) {
	p := newPlane(t, 1000)
	apply(t, p, tunnelled(note(), 1500))
	x := explain(t, p, frameSpec{flags: synFlag}.bytes(t))
	want := model.Tunnel{Source: tunnelEnd, Server: farServer1}
	if x.Verdict != "forward" || x.Server != "nfs-01" || x.To != serverMAC1 || x.Tunnel == nil || *x.Tunnel != want {
		t.Errorf("got %+v, by %+v", x, x.Tunnel)
	}
	if x := explain(t, p, frameSpec{proto: 17, payload: 1472}.bytes(t)); x.Verdict != "too-big" || x.Tunnel != nil {
		t.Errorf("what does not fit: got %+v", x)
	}
	apply(t, p, note())
	if x := explain(t, p, frameSpec{flags: synFlag}.bytes(t)); x.Verdict != "forward" || x.Tunnel != nil {
		t.Errorf("in mode gateway: got %+v, by %+v", x, x.Tunnel)
	}
}
