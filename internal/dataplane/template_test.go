package dataplane

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/model"
)

// persistent is a director whose clients stay with their servers.
func persistent(bits int, weights ...int) model.Desired {
	want := pooled(model.RoundRobin, weights, 2)
	want.Directors[0].Persistence = model.Persistence{Timeout: time.Minute, Bits: bits}
	return want
}

// templatesOf are the templates as text, sorted.
func templatesOf(t testing.TB, p *Plane) string {
	t.Helper()
	all, err := p.Templates()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, one := range all {
		lines = append(lines, fmt.Sprintf("%s %s/%s %v", one.Client, one.Director, one.Server, one.Holds))
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

// ages lets all templates have been used so many seconds ago.
func ages(t testing.TB, p *Plane, seconds uint32) {
	t.Helper()
	all, err := p.maps.allTemplates()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		one.value.UsedS = nowS() - seconds
		if err := p.maps.byName[directorMapTemplates].Put(one.key, one.value); err != nil {
			t.Fatal(err)
		}
	}
}

// to is the server that a frame goes to, -1 when it is not sent on.
func (h hook) to(t testing.TB, p *Plane, s frameSpec) int {
	t.Helper()
	if result, out := h.run(t, p, s.bytes(t)); result == h.send && out[1] == 9 {
		return int(out[5])
	}
	return -1
}

// All protocols and ports of a client, to all addresses of the director, go to one
// server; another client takes the next turn.
func TestClientStays(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		want := persistent(32, 1, 1, 1, 1)
		apply(t, p, want)
		vips := want.Rules.VIPs
		other, seen := netip.MustParseAddr("10.9.9.9"), map[int]bool{}
		first := h.to(t, p, frameSpec{flags: synFlag, dst: vips[0].Addr})
		for i, s := range []frameSpec{
			{flags: synFlag, sport: 2}, {flags: synFlag, sport: 3, dport: 80}, {proto: 17}, {proto: 1}, {proto: 17, fragment: 9},
			{flags: ackFlag, sport: 9}, {flags: finFlag | ackFlag, sport: 10},
		} {
			s.dst = vips[i%2].Addr
			if got := h.to(t, p, s); got != first {
				t.Errorf("%s: %+v went to %d, its template leads to %d", h.name, s, got, first)
			}
		}
		for i := range uint8(8) {
			seen[h.to(t, p, frameSpec{flags: synFlag, src: netip.AddrFrom4([4]byte{10, 9, 8, i}), dst: vips[0].Addr})] = true
		}
		if len(seen) != 4 {
			t.Errorf("%s: eight other clients reached %v", h.name, seen)
		}
		// a datagram may come first
		server := h.to(t, p, frameSpec{proto: 17, src: other, dst: vips[0].Addr})
		for port := range uint16(4) {
			if got := h.to(t, p, frameSpec{flags: synFlag, src: other, sport: 100 + port, dst: vips[1].Addr}); got != server {
				t.Errorf("%s: a connection went to %d, the datagram before to %d", h.name, got, server)
			}
		}
	}
}

// With a netmask a network is one client.
func TestNetworkStays(t *testing.T) {
	h := hooks[0]
	p := newPlane(t, 1000)
	want := persistent(24, 1, 1)
	apply(t, p, want)
	reached := map[int]bool{}
	for i := range uint8(20) {
		reached[h.to(t, p, frameSpec{flags: synFlag, src: netip.AddrFrom4([4]byte{10, 1, 1, i}), dst: want.Rules.VIPs[0].Addr})] = true
	}
	if len(reached) != 1 || templatesOf(t, p) != "10.1.1.0/24 shop/web-00 true" {
		t.Errorf("reached %v; templates %s", reached, templatesOf(t, p))
	}
}

// A template lasts for its time, anew from each beginning and end of a connection,
// and as long as one lasts.
func TestTemplateEnds(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		want := persistent(32, 1, 1)
		apply(t, p, want)
		p.settling.Wait()
		syn := frameSpec{flags: synFlag, dst: want.Rules.VIPs[0].Addr}
		first := h.to(t, p, syn)
		for _, c := range []struct {
			age  uint32
			same bool
		}{{59, true}, {50, true}, {62, false}} {
			ages(t, p, c.age)
			syn.sport++
			if got := h.to(t, p, syn); (got == first) != c.same {
				t.Errorf("%s: after %d s a connection went to %d, the first to %d", h.name, c.age, got, first)
			}
		}
		// its connections last, so it goes on
		ages(t, p, 59)
		tend(t, p)
		if left := templates(t, p)[0].Left; left < 58*time.Second {
			t.Errorf("%s: a template whose connections last ends in %v", h.name, left)
		}
		// they end: its time begins anew, and then it is over
		end := syn
		end.flags = finFlag | ackFlag
		ages(t, p, 30)
		for end.sport = syn.sport; end.sport > 0; end.sport-- {
			h.run(t, p, end.bytes(t))
		}
		if left := templates(t, p)[0].Left; left < 58*time.Second {
			t.Errorf("%s: after its connections ended it ends in %v", h.name, left)
		}
		ages(t, p, 59)
		tend(t, p)
		if len(templates(t, p)) != 1 {
			t.Errorf("%s: it ended too early", h.name)
		}
		ages(t, p, 70)
		tend(t, p)
		if all, err := p.maps.allTemplates(); len(all) != 0 || err != nil {
			t.Errorf("%s: it did not end: %v, %v", h.name, all, err)
		}
	}
}

func templates(t testing.TB, p *Plane) []model.Template {
	t.Helper()
	all, err := p.Templates()
	if err != nil || len(all) == 0 {
		t.Fatalf("templates: %v, %v", all, err)
	}
	return all
}

func tend(t testing.TB, p *Plane) {
	t.Helper()
	if err := p.maps.tendTemplates(); err != nil {
		t.Fatal(err)
	}
}

// A quiescent server keeps its clients while its templates hold; one that failed
// does not, and they go to another one together.
func TestTemplatesOfAServer(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		want := persistent(32, 1, 1)
		apply(t, p, want)
		syn := frameSpec{flags: synFlag, dst: want.Rules.VIPs[0].Addr}
		first := h.to(t, p, syn)
		server := &want.Directors[0].Servers[first]
		for _, c := range []struct {
			name          string
			weight        int
			keeps, stays  bool
			templateHolds string
		}{
			{"quiescent", 0, true, true, "true"},
			{"again with weight", 1, false, true, "true"},
			{"quiescent, templates expired", 0, false, false, "true"}, // a new template
		} {
			server.Weight, server.Keeps = c.weight, c.keeps
			apply(t, p, want)
			syn.sport++
			if got := h.to(t, p, syn); (got == first) != c.stays {
				t.Errorf("%s: %s: a connection went to %d, the first to %d", h.name, c.name, got, first)
			}
			if got := templatesOf(t, p); !strings.HasSuffix(got, c.templateHolds) || strings.Contains(got, ",") {
				t.Errorf("%s: %s: templates %s", h.name, c.name, got)
			}
		}
		// back again: it stays where its template leads now
		server.Weight = 1
		apply(t, p, want)
		for range 4 {
			syn.sport++
			if got := h.to(t, p, syn); got == first {
				t.Errorf("%s: back at %d", h.name, got)
			}
		}
	}
}

func TestForgetTemplates(t *testing.T) {
	h := hooks[0]
	p := newPlane(t, 1000)
	want := persistent(24, 1)
	apply(t, p, want)
	fill := func() {
		for i := range uint8(3) {
			h.run(t, p, frameSpec{flags: synFlag, src: netip.AddrFrom4([4]byte{10, 1, i, 7}), sport: 800, dst: want.Rules.VIPs[0].Addr}.bytes(t))
		}
	}
	fill()
	forget := func(client string, want int, rest string) {
		t.Helper()
		var network netip.Prefix
		if client != "" {
			network = netip.MustParsePrefix(client)
		}
		if n, err := p.ForgetTemplates("shop", network); n != want || err != nil || templatesOf(t, p) != rest {
			t.Errorf("forget %q: %d, %v; left: %s", client, n, err, templatesOf(t, p))
		}
	}
	forget("10.1.1.9/32", 1, "10.1.0.0/24 shop/web-00 true, 10.1.2.0/24 shop/web-00 true")
	forget("192.0.2.0/24", 0, "10.1.0.0/24 shop/web-00 true, 10.1.2.0/24 shop/web-00 true")
	forget("10.0.0.0/8", 2, "")
	ages(t, p, 1)
	fill() // known connections make none
	if got := templatesOf(t, p); got != "" {
		t.Errorf("known connections made templates: %s", got)
	}
	if _, err := p.ForgetTemplates("other", netip.Prefix{}); err == nil {
		t.Error("an unknown director's templates were forgotten")
	}
	// a server that is no longer configured takes its templates with it
	h.run(t, p, frameSpec{flags: synFlag, src: otherAddr, dst: want.Rules.VIPs[0].Addr}.bytes(t))
	many := persistent(24, slices.Repeat([]int{1}, maxServers)...)
	for i := range many.Directors[0].Servers {
		many.Directors[0].Servers[i].Name = fmt.Sprintf("new-%02d", i)
	}
	apply(t, p, many)
	if got := templatesOf(t, p); got != "" {
		t.Errorf("templates of a server that is gone: %s", got)
	}
}
