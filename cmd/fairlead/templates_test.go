package main

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// templateDaemon also knows templates.
type templateDaemon struct {
	*fakeDaemon
	others
	asked chan api.TemplateQuery
}

func (d *templateDaemon) Templates(_ context.Context, query api.TemplateQuery) (api.Templates, error) {
	d.asked <- query
	if query.Director == "none" {
		return api.Templates{Known: 2}, nil
	}
	return api.Templates{Matched: 3, Known: 70000, Templates: []api.Template{
		{Client: netip.MustParsePrefix("192.168.10.0/24"), Director: "shop", Server: "web-01", Left: 299 * time.Second, Holds: true},
		{Client: netip.MustParsePrefix("192.168.100.207/32"), Director: "shop", Server: "web-02", Left: 2 * time.Second},
	}}, nil
}

func (d *templateDaemon) ForgetTemplates(_ context.Context, _ model.Actor, director string, client netip.Prefix) (api.Forgotten, error) {
	d.asked <- api.TemplateQuery{Director: director, Client: client}
	if director == "none" {
		return api.Forgotten{}, errors.New("there is no director none")
	}
	return api.Forgotten{Forgotten: 12}, nil
}

func TestTemplatesPage(t *testing.T) {
	d := &templateDaemon{fakeDaemon: &fakeDaemon{}, asked: make(chan api.TemplateQuery, 1)}
	socket := serve(t, d)
	got := shell{}.run(t.Context(), "templates", "--socket", socket)
	golden(t, "templates.txt", got.out)
	select {
	case <-d.asked:
	default:
		t.Fatalf("the daemon was not asked: exit code %d, %s", got.code, got.err)
	}
	network := netip.MustParsePrefix("192.168.10.0/24")
	for _, c := range []struct {
		args  string
		query api.TemplateQuery
		code  int
		want  string // of both outputs
	}{
		{"templates", api.TemplateQuery{Limit: 200}, 0, "192.168.100.207/32  shop/web-02      waits  2s\nShowing 2 of 3 that match; 70,000 known.\n"},
		{"templates --director none --client 192.168.10.0/24 --limit 5", api.TemplateQuery{Director: "none", Client: network, Limit: 5}, 0, "No template matches; 2 known.\n"},
		{"forget shop", api.TemplateQuery{Director: "shop"}, 0, "shop: 12 templates removed; connections go on\n"},
		{"forget shop --client 192.168.10.7 --json", api.TemplateQuery{Director: "shop", Client: netip.MustParsePrefix("192.168.10.7/32")}, 0, "{\n  \"forgotten\": 12\n}\n"},
		{"forget none", api.TemplateQuery{Director: "none"}, 1, "there is no director none"},
		{"templates --limit 0", api.TemplateQuery{}, 2, "--limit must be at least 1"},
		{"templates --client x", api.TemplateQuery{}, 2, "neither an address nor a network"},
		{"forget shop --client x", api.TemplateQuery{}, 2, "neither an address nor a network"},
	} {
		got := shell{}.run(t.Context(), append(strings.Fields(c.args), "--socket", socket)...)
		var query api.TemplateQuery
		select {
		case query = <-d.asked:
		default:
		}
		if got.code != c.code || !strings.Contains(got.out+got.err, c.want) || query != c.query {
			t.Errorf("%s: exit code %d, asked %+v, said\n%s%s\nwant\n%s", c.args, got.code, query, got.out, got.err, c.want)
		}
	}
}
