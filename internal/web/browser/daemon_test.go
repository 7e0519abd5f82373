package browser

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// A daemon pretends to direct: its status is what a test says. Orders change it as
// the real one would, so that pages can be seen to follow.
type daemon struct {
	mu      sync.Mutex // guards the following
	status  model.Status
	changed chan struct{} // closed at a change that is more than a counter
	events  []model.Event
	told    chan struct{} // closed at a new event
	history map[model.ServerRef][]api.Probed
	known   []api.Connection
	kept    []api.Template
	orders  []api.Order // that were given
	hung    bool        // it no longer turns

	slow chan struct{} // an order waits until it is closed; nil: none waits
}

func newDaemon(status model.Status) *daemon {
	return &daemon{
		status:  status,
		changed: make(chan struct{}),
		told:    make(chan struct{}),
		history: make(map[model.ServerRef][]api.Probed),
	}
}

var _ api.Operations = (*daemon)(nil)

// Status is the picture at this instant. A copy: readers keep what they got.
func (d *daemon) Status() model.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.status
	s.At = time.Now()
	if !d.hung {
		d.status.Turned = s.At
	}
	s.Turned = d.status.Turned
	s.Flows = slices.Clone(s.Flows)
	s.Alarms = slices.Clone(s.Alarms)
	s.Directors = slices.Clone(s.Directors)
	for i := range s.Directors {
		s.Directors[i].Servers = slices.Clone(s.Directors[i].Servers)
	}
	return s
}

// change alters the status, and tells those who look.
func (d *daemon) change(alter func(*model.Status)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	alter(&d.status)
	close(d.changed)
	d.changed = make(chan struct{})
}

// count alters counters only: nobody is told.
func (d *daemon) count(alter func(*model.Status)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	alter(&d.status)
}

// tell enters an event in the journal.
func (d *daemon) tell(e model.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e.Seq = uint64(len(d.events) + 1)
	if e.At.IsZero() {
		e.At = time.Now()
	}
	d.events = append(d.events, e)
	close(d.told)
	d.told = make(chan struct{})
}

func (d *daemon) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

func (d *daemon) Reload(context.Context, model.Actor) (api.Reloaded, error) {
	return api.Reloaded{}, errors.ErrUnsupported
}

func (d *daemon) Restart(context.Context, model.Actor, string) error { return errors.ErrUnsupported }

func (d *daemon) Capture(context.Context, int, func(api.Packet) error) error {
	return errors.ErrUnsupported
}

// Diagnosis is what a doctor would have said an hour ago.
func (d *daemon) Diagnosis() (model.Diagnosis, error) {
	return model.Diagnosis{
		At: time.Now().Add(-time.Hour), Took: 1300 * time.Millisecond,
		Findings: []model.Finding{{Kind: model.FindHandles, Director: "nfs", Server: "nfs-02",
			What: "the root file handle of /export (NFSv3), /export (NFSv4) on nfs-02 is another one than on nfs-01",
			Why:  "A client keeps the handle that it mounted with: after a failover every access ends in \"stale file handle\".",
			Do:   "give each export one fsid on both servers: in /etc/exports fsid=N; then exportfs -ra"}},
		Unseen: []model.Unseen{{What: "the clock of nfs-02", Because: "it answers no ICMP timestamp request"}},
	}, nil
}

// Examine finds that all was mended.
func (d *daemon) Examine(context.Context, model.Actor) (model.Diagnosis, error) {
	return model.Diagnosis{At: time.Now(), Took: time.Second, Findings: []model.Finding{}, Unseen: []model.Unseen{}}, nil
}

func (d *daemon) Audit(by model.Actor, text string, failed error) {
	e := model.Event{Kind: model.EventAudit, Text: text, By: by.String()}
	if failed != nil {
		e.Err = failed.Error()
	}
	d.tell(e)
}

// given are the orders so far.
func (d *daemon) given() []api.Order {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.orders)
}

func (d *daemon) Order(ctx context.Context, by model.Actor, order api.Order) (api.Ordered, error) {
	if d.slow != nil {
		select {
		case <-ctx.Done():
			return api.Ordered{}, ctx.Err()
		case <-d.slow:
		}
	}
	var done api.Ordered
	var refused error
	d.change(func(s *model.Status) {
		d.orders = append(d.orders, order)
		done, refused = carryOut(s, order)
	})
	e := model.Event{Kind: model.EventOrder, Director: order.Director, Server: order.Server, By: by.String(), Text: order.Verb.String() + ": " + done.Text}
	if refused != nil {
		e.Text, e.Err = order.Verb.String()+" refused", refused.Error()
	}
	d.tell(e)
	return done, refused
}

func carryOut(s *model.Status, order api.Order) (api.Ordered, error) {
	i := slices.IndexFunc(s.Directors, func(d model.DirectorStatus) bool { return d.Name == order.Director })
	if i < 0 {
		return api.Ordered{}, fmt.Errorf("there is no director %q: %w", order.Director, api.ErrNotFound)
	}
	director := &s.Directors[i]
	j := slices.IndexFunc(director.Servers, func(s model.ServerStatus) bool { return s.Name == order.Server })
	if j < 0 {
		return api.Ordered{}, fmt.Errorf("director %s has no server %q: %w", order.Director, order.Server, api.ErrNotFound)
	}
	server := &director.Servers[j]
	marks := map[model.Verb]model.Mark{model.VerbDrain: model.MarkDraining, model.VerbDisable: model.MarkDisabled, model.VerbEnable: model.MarkNone}
	if mark, ok := marks[order.Verb]; ok {
		server.Mark = mark
		return api.Ordered{Text: fmt.Sprintf("%s is %s", server.Name, mark)}, nil
	}
	if server.Health == model.HealthDown && !order.Force {
		return api.Ordered{}, fmt.Errorf("%s is down (%s); not switched", server.Name, server.Why)
	}
	sw := switchTo(director, server.Name, model.ReasonOperator, "ordered by an operator", time.Now())
	return api.Ordered{Text: fmt.Sprintf("%s is active now; %d connections were reset", server.Name, sw.Reset), Switch: sw}, nil
}

// switchTo makes a server active, as a switch that took 4 ms does.
func switchTo(d *model.DirectorStatus, to string, reason model.Reason, why string, at time.Time) *model.Switch {
	sw := &model.Switch{
		From: d.Applied, To: to, Reason: reason, Why: why, Epoch: d.Epoch + 1, At: at,
		DecidedMono: 5e12, AppliedMono: 5e12 + 1_210_000, ResetMono: 5e12 + 3_950_000,
		Known: int(d.Connections), Reset: int(d.Connections), FirstBack: at.Add(6200 * time.Microsecond),
	}
	d.Desired, d.Applied, d.Epoch, d.Reason, d.Since, d.LastSwitch = to, to, d.Epoch+1, reason, at, sw
	for i := range d.Servers {
		d.Servers[i].Active = d.Servers[i].Name == to
	}
	return sw
}

func (d *daemon) Events(ctx context.Context, since api.Since, follow bool, emit func(model.Event) error) error {
	next := since.Seq
	for {
		d.mu.Lock()
		some, more := d.events[min(int(next), len(d.events)):], d.told
		d.mu.Unlock()
		for _, e := range some {
			next = e.Seq
			if e.At.Before(since.At) {
				continue
			}
			if err := emit(e); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-more:
		}
	}
}

func (d *daemon) Connections(_ context.Context, q api.ConnectionQuery) (api.Connections, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := api.Connections{Connections: []api.Connection{}, Known: len(d.known)}
	limit := q.Limit
	if limit == 0 {
		limit = api.DefaultConnections
	}
	for _, c := range d.known {
		if !wanted(q, c) {
			continue
		}
		if found.Matched++; found.Matched <= limit {
			found.Connections = append(found.Connections, c)
		}
	}
	return found, nil
}

func wanted(q api.ConnectionQuery, c api.Connection) bool {
	return (q.Director == "" || q.Director == c.Director) && (q.Server == "" || q.Server == c.Server) &&
		(q.State == "" || q.State == c.State) && (q.Client == netip.Prefix{} || q.Client.Contains(c.Client.Addr()))
}

func (d *daemon) Templates(_ context.Context, q api.TemplateQuery) (api.Templates, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := slices.DeleteFunc(slices.Clone(d.kept), func(t api.Template) bool { return q.Client.IsValid() && !q.Client.Overlaps(t.Client) })
	return api.Templates{Templates: found, Matched: len(found), Known: len(d.kept)}, nil
}

func (d *daemon) ForgetTemplates(_ context.Context, _ model.Actor, director string, client netip.Prefix) (api.Forgotten, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := len(d.kept)
	d.kept = slices.DeleteFunc(d.kept, func(t api.Template) bool { return t.Director == director && t.Client == client })
	return api.Forgotten{Forgotten: before - len(d.kept)}, nil
}

func (d *daemon) Explain(context.Context, api.DescribedPacket) (api.Explanation, error) {
	return api.Explanation{}, nil
}

func (d *daemon) History(ref model.ServerRef) ([]api.Probed, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all, ok := d.history[ref]
	if !ok && !slices.ContainsFunc(d.status.Directors, func(d model.DirectorStatus) bool { return d.Name == ref.Director }) {
		return nil, fmt.Errorf("server %s: %w", ref, api.ErrNotFound)
	}
	if !ok && ref.Server != "nfs-02" {
		all = probes(time.Now(), 60, 10*time.Second, 70)
	}
	return slices.Clone(all), nil
}

// The configuration is the note's; nothing changes it here.

func (d *daemon) documents() []model.Document {
	return []model.Document{
		{Name: "/etc/fairlead/flow.cfg", Tab: model.TabFlow, Text: "flow nfs director nfs\nmatch iface eth0 dst 192.168.10.50\n"},
		{Name: "/etc/fairlead/l4.cfg", Tab: model.TabL4, Text: strings.Join([]string{"director nfs", "balance roundrobin", "mode gateway",
			"check interval 10 port 2049 timeout 2", "option tcpcheck", "server nfs-01 192.168.10.100:2049 weight 10 check", "server nfs-02 192.168.10.101:2049 sorry", ""}, "\n")},
		{Name: "/etc/fairlead/services.cfg", Tab: model.TabServices, Text: "service lvs\nsysctl expire_nodest_conn=1\nsysctl expire_quiescent_template=1\n"},
	}
}

func (d *daemon) Configuration(context.Context) (api.Configuration, error) {
	return api.Configuration{Hash: "a", Running: "a", Generation: 3, Documents: d.documents()}, nil
}

func (d *daemon) Check(context.Context, []model.Document) (api.Checked, error) {
	return api.Checked{OK: true, Diagnostics: []api.Diagnostic{}, Notes: []string{}}, nil
}

func (d *daemon) Diff(context.Context, []model.Document) (api.Difference, error) {
	return api.Difference{Checked: api.Checked{OK: true}}, nil
}

func (d *daemon) Apply(context.Context, model.Actor, string, []model.Document) (api.AppliedConfiguration, error) {
	return api.AppliedConfiguration{}, errors.ErrUnsupported
}

func (d *daemon) SaveDraft(context.Context, model.Actor, string, []model.Document) (model.Draft, error) {
	return model.Draft{}, errors.ErrUnsupported
}

func (d *daemon) DiscardDraft(context.Context, model.Actor, string) error {
	return errors.ErrUnsupported
}

func (d *daemon) Versions(context.Context) ([]model.Version, error) { return nil, nil }

func (d *daemon) Version(context.Context, uint64) (model.Version, error) {
	return model.Version{}, api.ErrNotFound
}

func (d *daemon) Restore(context.Context, model.Actor, string, uint64) (api.AppliedConfiguration, error) {
	return api.AppliedConfiguration{}, errors.ErrUnsupported
}

var _ api.Daemon = (*daemon)(nil)
