package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// on runs a test with a running agent.
func on(t *testing.T, do func(t *testing.T, b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(nil)
		defer b.end()
		pass(time.Minute)
		do(t, b)
	})
}

func TestConnectionsAreSelected(t *testing.T) {
	on(t, func(t *testing.T, b *bench) {
		b.plane.set(func(p *fakePlane) {
			p.conns = nil
			for i := range 100 {
				p.conns = append(p.conns, model.Connection{Client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(199 - i)}), 700),
					Director: "nfs", Server: "nfs-01", Ended: i%10 == 0, Old: i%2 == 0, Age: time.Hour})
			}
			p.conns[7].Server = "nfs-02"
		})
		for _, tt := range []struct {
			query         api.ConnectionQuery
			matched, sent int
			first         string
		}{
			{api.ConnectionQuery{}, 100, 100, "10.0.0.100:700"},
			{api.ConnectionQuery{Limit: 3}, 100, 3, "10.0.0.100:700"},
			{api.ConnectionQuery{Limit: 3, State: "old"}, 40, 3, "10.0.0.101:700"},
			{api.ConnectionQuery{State: "ended"}, 10, 10, "10.0.0.109:700"},
			{api.ConnectionQuery{State: "open"}, 50, 50, "10.0.0.100:700"},
			{api.ConnectionQuery{Server: "nfs-02"}, 1, 1, "10.0.0.192:700"},
			{api.ConnectionQuery{Director: "web"}, 0, 0, ""},
			{api.ConnectionQuery{Client: netip.MustParsePrefix("10.0.0.150/32")}, 1, 1, "10.0.0.150:700"},
			{api.ConnectionQuery{Client: netip.MustParsePrefix("10.0.0.160/28")}, 16, 16, "10.0.0.160:700"},
		} {
			got, err := b.agent.Connections(t.Context(), tt.query)
			if err != nil || got.Known != 100 || got.Matched != tt.matched || len(got.Connections) != tt.sent || got.Connections == nil ||
				tt.sent > 0 && (got.Connections[0].Client.String() != tt.first || got.Connections[0].Age != time.Hour) {
				t.Errorf("%+v: got %+v, %v", tt.query, got, err)
			}
		}
	})
}

func TestHistoryOfProbes(t *testing.T) {
	on(t, func(t *testing.T, b *bench) {
		before, err := b.agent.History(ref("nfs-01"))
		if err != nil || len(before) < 3 {
			t.Fatalf("got %v, %v", before, err)
		}
		pass(time.Hour)
		all, err := b.agent.History(ref("nfs-01"))
		if err != nil || len(all) != historyLength || !slices.IsSortedFunc(all, func(a, b api.Probed) int { return a.At.Compare(b.At) }) {
			t.Errorf("got %d probes, %v", len(all), err)
		}
		if _, err := b.agent.History(ref("nfs-07")); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("an unknown server: got %v", err)
		}
		b.files.set(strings.Replace(note, "server nfs-01 192.168.10.100:2049 weight 10 check", "server nfs-01 192.168.10.100:2049 weight 10", 1))
		if b.metrics.probes < len(all) {
			t.Errorf("the metrics were told of %d probes", b.metrics.probes)
		}
	})
}

func TestApplyAndRestore(t *testing.T) {
	on(t, func(t *testing.T, b *bench) {
		conf, err := b.agent.Configuration(t.Context())
		if err != nil || conf.Generation != 1 || conf.Hash != conf.Running || len(conf.Documents) != 1 {
			t.Fatalf("got %+v, %v", conf, err)
		}
		edited := []model.Document{{Name: "t.cfg", Text: strings.Replace(note, "interval 10", "interval 5", 1)}}
		if _, err := b.agent.Apply(t.Context(), operator, "another hash", edited); !errors.Is(err, api.ErrConflict) {
			t.Errorf("a wrong hash: got %v", err)
		}
		broken := []model.Document{{Name: "t.cfg", Text: strings.Replace(note, "balance", "blance", 1)}}
		var found *api.Error
		if _, err := b.agent.Apply(t.Context(), operator, conf.Hash, broken); !errors.As(err, &found) || len(found.Diagnostics) == 0 {
			t.Errorf("a broken text: got %v", err)
		}
		if b.files.get() != note {
			t.Fatal("what was refused has changed the file")
		}
		done, err := b.agent.Apply(t.Context(), operator, conf.Hash, edited)
		if err != nil || done.Generation != 2 || done.Version != 2 {
			t.Fatalf("got %+v, %v", done, err)
		}
		if now, err := b.agent.Configuration(t.Context()); err != nil || now.Running != done.Hash || now.Generation != 2 {
			t.Errorf("got %+v, %v", now, err)
		}
		back, err := b.agent.Restore(t.Context(), operator, done.Hash, 1)
		if err != nil || back.Generation != 3 || b.files.get() != note {
			t.Errorf("got %+v, %v, %q", back, err, b.files.get())
		}
		if _, err := b.agent.Restore(t.Context(), operator, back.Hash, 9); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("an unknown version: got %v", err)
		}
		audits := b.events.of(model.EventAudit)
		if len(audits) != 4 || audits[0].Err == "" || audits[2].Err != "" || audits[2].By != "alice (192.0.2.1)" {
			t.Errorf("the journal has %+v", audits)
		}
	})
}

// TestTemplates: they are selected and removed by client, and the journal says who
// did it.
func TestTemplates(t *testing.T) {
	on(t, func(t *testing.T, b *bench) {
		for i := range 5 {
			b.plane.templates = append(b.plane.templates, model.Template{Client: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(4 - i), 0}), 24), Director: "nfs"})
		}
		b.plane.templates = append(b.plane.templates, model.Template{Client: netip.MustParsePrefix("10.0.0.0/24"), Director: "web", Left: time.Minute, Holds: true})
		list := func(q api.TemplateQuery) string {
			got, err := b.agent.Templates(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprintf("%d of %d:", got.Matched, got.Known)
			for _, one := range got.Templates {
				text += fmt.Sprintf(" %s/%s", one.Director, one.Client.Addr())
			}
			return text
		}
		for _, c := range []struct {
			query api.TemplateQuery
			want  string
		}{
			{api.TemplateQuery{Limit: 3}, "6 of 6: nfs/10.0.0.0 web/10.0.0.0 nfs/10.0.1.0"},
			{api.TemplateQuery{Director: "web"}, "1 of 6: web/10.0.0.0"},
			{api.TemplateQuery{Client: netip.MustParsePrefix("10.0.3.9/32")}, "1 of 6: nfs/10.0.3.0"},
			{api.TemplateQuery{Director: "none"}, "0 of 6:"},
		} {
			if got := list(c.query); got != c.want {
				t.Errorf("%+v: got %s, want %s", c.query, got, c.want)
			}
		}
		forget := func(director, client string, want int) {
			var of netip.Prefix
			if client != "" {
				of = netip.MustParsePrefix(client)
			}
			if got, err := b.agent.ForgetTemplates(t.Context(), operator, director, of); err != nil || got.Forgotten != want {
				t.Errorf("forgot %+v, %v, want %d", got, err, want)
			}
		}
		forget("nfs", "10.0.3.0/24", 1)
		forget("nfs", "", 4)
		if got := list(api.TemplateQuery{}); got != "1 of 1: web/10.0.0.0" {
			t.Errorf("left: %s", got)
		}
		if _, err := b.agent.ForgetTemplates(t.Context(), operator, "none", netip.Prefix{}); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("of no director: %v", err)
		}
		audits := b.events.of(model.EventAudit)
		if len(audits) != 2 || audits[0].Text != "forgot 1 templates of nfs, client 10.0.3.0/24" || audits[1].By != "alice (192.0.2.1)" {
			t.Errorf("the journal has %+v", audits)
		}
	})
}

// TestHooksAreNotSetFromAfar: who may edit the configuration through the API gets
// no programme run as root that way.
func TestHooksAreNotSetFromAfar(t *testing.T) {
	on(t, func(t *testing.T, b *bench) {
		docs := []model.Document{{Name: "t.cfg", Text: note + "hook fence /bin/true\n"}}
		_, err := b.agent.Apply(t.Context(), operator, hashOf(note), docs)
		var found *api.Error
		if !errors.Is(err, api.ErrNotAllowed) || !errors.As(err, &found) || found.Diagnostics[0].Line != 11 {
			t.Errorf("got %v", err)
		}
		if b.files.get() != note {
			t.Error("the file was changed")
		}
		if checked, err := b.agent.Check(t.Context(), docs); err != nil || checked.OK {
			t.Errorf("Check: got %+v, %v", checked, err)
		}
	})
}

func TestChangedAndServices(t *testing.T) {
	on(t, func(t *testing.T, b *bench) {
		changed := b.agent.Changed()
		pass(time.Minute) // probes pass, and are no change
		select {
		case <-changed:
			t.Error("a quiet minute counts as a change")
		default:
		}
		if _, err := b.order(t.Context(), ref("nfs-02")); err != nil {
			t.Fatal(err)
		}
		<-changed
		s := b.agent.Status()
		if age := time.Since(s.Turned); age > time.Second {
			t.Errorf("the heartbeat is %v old", age)
		}
		var names []string
		for _, service := range s.Services {
			if names = append(names, service.Name); service.State != model.ServiceRunning {
				t.Errorf("got %+v", service)
			}
		}
		if got := strings.Join(names, " "); got != "flow lvs check memory journal web notify" {
			t.Errorf("got %q", got)
		}
		if err := b.agent.Restart(t.Context(), operator, "lvs"); err != nil {
			t.Error(err)
		}
		if err := b.agent.Restart(t.Context(), operator, "vrrp"); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("an unknown service: got %v", err)
		}
	})
}

// TestFirstBack: the record of a switch says when the first client was back.
func TestFirstBack(t *testing.T) {
	on(t, func(t *testing.T, b *bench) {
		changed := time.Now()
		if _, err := b.order(t.Context(), ref("nfs-02")); err != nil {
			t.Fatal(err)
		}
		pass(100 * time.Millisecond)
		if s := b.director().LastSwitch; !s.FirstBack.IsZero() {
			t.Errorf("nobody is back, and the record says %v", s.FirstBack.Sub(changed))
		}
		b.plane.set(func(p *fakePlane) {
			p.conns = append(p.conns, model.Connection{Director: "nfs", Server: "nfs-02", HasAck: true})
		})
		pass(10 * time.Millisecond)
		if s := b.director().LastSwitch; s.FirstBack.Sub(changed) < 100*time.Millisecond || s.FirstBack.Sub(changed) > 110*time.Millisecond {
			t.Errorf("the record says %v", s.FirstBack.Sub(changed))
		}
		if !slices.Equal(b.metrics.switches[2:], []string{"nfs to nfs-02, done false", "nfs to nfs-02, done true"}) {
			t.Errorf("the metrics were told %q", b.metrics.switches)
		}
	})
}

// TestNotified: who is notified hears what this daemon did, and nothing of before.
func TestNotified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.events.Append(model.Event{At: time.Now().Add(-time.Hour), Kind: model.EventAlarm, Text: "long ago"})
		b.start(nil)
		defer b.end()
		pass(time.Second)
		b.notifier.mu.Lock()
		defer b.notifier.mu.Unlock()
		if len(b.notifier.heard) == 0 || slices.ContainsFunc(b.notifier.heard, func(e model.Event) bool { return e.Text == "long ago" }) {
			t.Errorf("heard %+v", b.notifier.heard)
		}
		if len(b.notifier.targets) != 1 || len(b.web.web) != 1 || b.web.web[0].Listen != model.DefaultWeb().Listen {
			t.Errorf("the parts were told %+v, %+v", b.notifier.targets, b.web.web)
		}
	})
}
