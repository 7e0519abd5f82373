package lab

import (
	"slices"
	"testing"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/lab/clock"
	"fairlead/internal/lab/site"
	"fairlead/internal/lab/witness"
	"fairlead/internal/model"
)

// crew is the number of clients that come at a time.
const crew = 12

// TestBalanced lets two servers share connections, cuts one off, takes it back,
// and drains it. Whatever happens to one, the other's connections must not
// notice.
func TestBalanced(t *testing.T) {
	p := newPool(t)
	cables := must[*site.Cables](t)((&site.Site{Servers: p.servers}).WatchCables(t.Context()))
	defer cables.End()
	all, by := p.openMany(crew)
	wantShared(t, by)
	begun := clock.Now()
	<-time.After(300 * time.Millisecond)
	p.wantUndisturbed(all, begun)

	stay := p.loses(all)
	all = append(stay, p.regains(stay)...)
	p.drains(all)

	packets, drops, err := cables.End()
	if r := witness.Judge(packets, []string{"a", "b"}, 0, nil); err != nil || drops > 0 || r.Split > 0 || r.Connections < 2*crew {
		t.Errorf("%d connections on two servers of %d, %d packets not captured, %v", r.Split, r.Connections, drops, err)
	}
}

// wantShared wants connections shared about evenly.
func wantShared(t *testing.T, by map[string]int) {
	t.Helper()
	if by["a"] < crew/3 || by["b"] < crew/3 || by["a"]+by["b"] != crew {
		t.Errorf("%d connections were shared as %v", crew, by)
	}
	t.Logf("shared: %v", by)
}

// loses cuts the cable of a. It returns the connections of b.
func (p *pool) loses(all []*echo) []*echo {
	p.t.Helper()
	lost, stay := of(all, "a"), of(all, "b")
	since := clock.Now()
	if err := p.servers[0].Cut(); err != nil {
		p.t.Fatal(err)
	}
	var sw *model.Switch
	p.until("a is lost", func() bool {
		sw = p.status().Directors[0].LastSwitch
		return sw != nil && sw.From == "a" && sw.ResetMono != 0
	})
	p.t.Logf("decided %v after the cut", clock.Instant(sw.DecidedMono).Since(since))
	p.wantReset(lost, clock.Instant(sw.DecidedMono))
	if _, by := p.openMany(crew / 2); by["b"] != crew/2 {
		p.t.Errorf("without a, new connections were shared as %v", by)
	}
	p.wantUndisturbed(stay, since)
	return stay
}

// regains plugs a in again. It returns new connections.
func (p *pool) regains(stay []*echo) []*echo {
	p.t.Helper()
	since := clock.Now()
	if err := p.servers[0].Restore(); err != nil {
		p.t.Fatal(err)
	}
	p.until("a gets connections again", func() bool { return active(p.status(), "a") })
	more, by := p.openMany(crew)
	wantShared(p.t, by)
	p.wantUndisturbed(stay, since)
	return more
}

// drains gives a no new connections. Those it has go on until they end.
func (p *pool) drains(all []*echo) {
	p.t.Helper()
	since := clock.Now()
	order := func(v model.Verb) {
		if _, err := p.control.Order(p.t.Context(), api.Order{Verb: v, Director: "pool", Server: "a"}); err != nil {
			p.t.Fatal(err)
		}
	}
	order(model.VerbDrain)
	p.until("a is drained", func() bool { return !active(p.status(), "a") })
	if _, by := p.openMany(crew / 2); by["b"] != crew/2 {
		p.t.Errorf("while a is drained, new connections were shared as %v", by)
	}
	<-time.After(500 * time.Millisecond) // two checks
	p.wantUndisturbed(all, since)
	for _, e := range of(all, "a") {
		e.conn.Close()
	}
	p.until("the connections of a have ended", func() bool {
		servers := p.status().Directors[0].Servers
		return servers[slices.IndexFunc(servers, func(s model.ServerStatus) bool { return s.Name == "a" })].Connections == 0
	})
	p.wantUndisturbed(of(all, "b"), since)
	order(model.VerbEnable)
	p.until("a gets connections again", func() bool { return active(p.status(), "a") })
	_, by := p.openMany(crew)
	wantShared(p.t, by)
}
