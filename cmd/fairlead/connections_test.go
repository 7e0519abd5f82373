package main

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// others are the methods of a whole daemon that no command of a test calls.
type others interface {
	Changed() <-chan struct{}
	Restart(ctx context.Context, by model.Actor, service string) error
	History(ref model.ServerRef) ([]api.Probed, error)
	Audit(by model.Actor, text string, failed error)
	api.Configurations
}

// tableDaemon also knows connections.
type tableDaemon struct {
	*fakeDaemon
	others
	found api.Connections
	asked chan api.ConnectionQuery
}

func (d *tableDaemon) Connections(_ context.Context, query api.ConnectionQuery) (api.Connections, error) {
	d.asked <- query
	return d.found, d.refuse
}

func newTableDaemon(connections ...api.Connection) *tableDaemon {
	return &tableDaemon{fakeDaemon: &fakeDaemon{}, asked: make(chan api.ConnectionQuery, 1),
		found: api.Connections{Connections: connections, Matched: 12345, Known: 100000}}
}

func connection(client, server, state string, age time.Duration) api.Connection {
	return api.Connection{Client: netip.MustParseAddrPort(client), VIP: netip.MustParseAddrPort("192.168.100.150:32049"),
		Director: "nfs", Server: server, State: state, Age: age}
}

func TestConnectionsPage(t *testing.T) {
	d := newTableDaemon(connection("192.168.10.7:700", "nfs-01", "open", 76*time.Hour), connection("192.168.10.7:701", "nfs-02", "old", 0),
		connection("192.168.100.207:60999", strings.Repeat("very-long-name-", 3)+"01", "ended", 61*time.Second))
	socket := serve(t, d)
	got := shell{}.run(t.Context(), "connections", "--socket", socket)
	if got.code != exitDone || got.err != "" {
		t.Errorf("got %+v", got)
	}
	golden(t, "connections.txt", got.out)
	for line := range strings.Lines(got.out) {
		if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > pageWidth {
			t.Errorf("too long: %q", line)
		}
	}
	if query := <-d.asked; query != (api.ConnectionQuery{Limit: api.DefaultConnections}) {
		t.Errorf("asked for %+v", query)
	}
}

func TestConnectionsOptions(t *testing.T) {
	d := newTableDaemon(connection("192.168.10.7:700", "nfs-01", "open", time.Minute))
	socket := serve(t, d)
	run := func(args string) result {
		return shell{}.run(t.Context(), append([]string{"connections", "--socket", socket}, strings.Fields(args)...)...)
	}
	for args, want := range map[string]api.ConnectionQuery{
		"--director nfs --server nfs-01 --limit 7": {Director: "nfs", Server: "nfs-01", Limit: 7},
		"--state old --client 192.168.10.7":        {State: "old", Client: netip.MustParsePrefix("192.168.10.7/32"), Limit: 200},
		"--client 192.168.10.7/24 --json":          {Client: netip.MustParsePrefix("192.168.10.0/24"), Limit: 200},
	} {
		got := run(args)
		if query := <-d.asked; got.code != exitDone || query != want {
			t.Errorf("%s: got %+v, asked for %+v", args, got, query)
		}
		if strings.Contains(args, "--json") && !strings.Contains(got.out, `"matched": 12345`) {
			t.Errorf("%s: got %s", args, got.out)
		}
	}
	for args, want := range map[string]string{
		"--limit 0":      "--limit must be at least 1",
		"--client nfs-1": "neither an address nor a network",
		"--state closed": `--state must be one of`,
	} {
		if got := run(args); got.code != exitUnable || !strings.Contains(got.err, want) {
			t.Errorf("%s: got %+v", args, got)
		}
	}
}

func TestTotals(t *testing.T) {
	some := make([]api.Connection, 1000)
	for want, found := range map[string]api.Connections{
		"No connection matches; none known.":                  {},
		"No connection matches; 5 known.":                     {Known: 5},
		"Showing all 1,000 that match; 1,234,567 known.":      {Connections: some, Matched: 1000, Known: 1234567},
		"Showing 1,000 of 100,000 that match; 100,000 known.": {Connections: some, Matched: 100000, Known: 100000},
		"Showing 200 of 12,345 that match; 100,000 known.":    {Connections: some[:200], Matched: 12345, Known: 100000},
	} {
		if got := totals("connection", len(found.Connections), found.Matched, found.Known); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
