package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"fairlead/internal/model"
	"fairlead/internal/probe"
	"fairlead/internal/topology"
	"fairlead/internal/viproute"
)

// checked is what one check said of one server.
type checked struct{ Check, Server, Error string }

// tests are the checks whose words the table has. The export is in the environment.
func tests() []model.Test {
	return []model.Test{
		{Kind: model.CheckTCP},
		{Kind: model.CheckNFS, Version: "3", Export: os.Getenv(exportVar), File: "canary"},
	}
}

// check probes each server once with each check, at its own address and at the virtual
// IP on it, as the daemon does, and prints what was said.
func check(cfg model.Config) error {
	var targets []probe.Target
	var paths []model.Path
	for _, t := range tests() {
		for _, s := range cfg.Directors[0].Servers {
			t.Port = s.Port
			targets = append(targets, probe.Target{
				Ref: model.ServerRef{Director: t.Kind.String(), Server: s.Name}, Addr: s.Addr, Tests: []model.Test{t},
				Via: []model.VIPTest{{VIP: vip, Test: t}}, Interval: time.Hour, Timeout: 2 * time.Second,
			})
			paths = append(paths, model.Path{Server: s.Addr, VIP: vip, Iface: topology.HostIface})
		}
	}
	routes, err := viproute.Open("doctor")
	if err != nil {
		return err
	}
	defer routes.Close()
	refused := routes.Apply(paths)
	var no []checked
	for i, t := range targets {
		if why := refused[model.Path{Server: t.Addr, VIP: vip, Iface: topology.HostIface}]; why != "" {
			targets[i].Via = nil
			no = append(no, checked{t.Ref.Director, t.Ref.Server, "not checked at the virtual IP: " + why})
		}
	}
	said, err := ask(targets)
	if err != nil {
		return err
	}
	said = append(said, no...)
	return json.NewEncoder(os.Stdout).Encode(said)
}

// ask probes each target once.
func ask(targets []probe.Target) (said []checked, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	results := make(chan model.ProbeResult, len(targets))
	p := probe.New(results, nil, slog.New(slog.DiscardHandler))
	p.Set(targets)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	for range targets {
		select {
		case r := <-results:
			said = append(said, checked{r.Ref.Director, r.Ref.Server, r.Err})
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d checks ended", len(said), len(targets))
		}
	}
	cancel()
	<-ended
	return said, nil
}

// words are those of the checks that failed, in the order of the servers.
func (s *scene) words(said []checked) (list []string) {
	slices.SortFunc(said, func(a, b checked) int {
		return slices.Compare([]string{b.Check, a.Server}, []string{a.Check, b.Server})
	})
	for _, c := range said {
		if c.Error != "" {
			list = append(list, fmt.Sprintf("`%s` %s: %s", c.Check, c.Server, c.Error))
		}
	}
	return list
}
