package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead/internal/model"
)

// wholeDaemon is a fakeDaemon with everything that the API can ask for.
type wholeDaemon struct {
	*fakeDaemon

	mu      sync.Mutex // guards the following
	status  model.Status
	looked  int           // calls of Status
	changes chan struct{} // closed at a change
	docs    []model.Document
	hash    string
	draft   *model.Draft
	audited []string
	calls   []string // what was asked of it, with who asked
	query   ConnectionQuery
	packet  DescribedPacket
	fail    error // of everything that can fail
}

func newWholeDaemon() *wholeDaemon {
	return &wholeDaemon{
		fakeDaemon: newFakeDaemon(), status: someStatus(), changes: make(chan struct{}), hash: "h1",
		docs: []model.Document{
			{Name: "/etc/fairlead/flow.cfg", Tab: model.TabFlow, Text: "flow nfs director nfs\n"},
			{Name: "/etc/fairlead/services.cfg", Tab: model.TabServices, Text: secretText},
		},
	}
}

const secretText = "service lvs\n    sysctl expire_nodest_conn=1\nservice notify\n    webhook https://hooks.test/T0KEN\n"

// someStatus has every part of a status, and nothing twice.
func someStatus() model.Status {
	at := noon.Add(time.Minute)
	return model.Status{
		At: at, Version: "1.2.3", PID: 7, Since: noon, Turned: at, Generation: 4, Sources: []string{"/etc/fairlead"},
		Interfaces: []model.InterfaceStatus{{Name: "eth0", Applied: "native", Why: "it can", Up: true}},
		Flows: []model.FlowStatus{{Name: "nfs", Policy: model.PolicyDirector, Director: "nfs", Applied: true,
			VIPs:     []model.VIPStatus{{Addr: netip.MustParseAddr("192.168.10.50"), State: model.VIPAnnounced}},
			Total:    model.Counter{Packets: 10, Bytes: 1000},
			Verdicts: map[string]model.Counter{"forward": {Packets: 10, Bytes: 1000}}}},
		Directors: []model.DirectorStatus{{Name: "nfs", Desired: "nfs-01", Applied: "nfs-01", Epoch: 3, Reason: model.ReasonOperator,
			LastSwitch: &model.Switch{From: "nfs-02", To: "nfs-01", Reason: model.ReasonOperator, At: noon},
			Servers: []model.ServerStatus{
				{Name: "nfs-01", Addr: netip.MustParseAddr("192.168.10.100"), Port: 2049, Weight: 10, Health: model.HealthUp, Active: true, MAC: model.MAC{2, 0, 0, 0, 0, 1}},
				{Name: "nfs-02", Addr: netip.MustParseAddr("192.168.10.101"), Port: 2049, Sorry: true, Health: model.HealthUnchecked},
			}}},
		Verdicts: map[string]model.Counter{"forward": {Packets: 10, Bytes: 1000}},
		Table:    model.TableStatus{Size: 100, Used: 1, Bytes: 4096},
		Alarms:   []model.Alarm{{What: "nfs-02 has no check", Why: "the configuration gives it none", Do: "add the word check"}},
		Services: []model.ServiceStatus{{Name: "lvs", Title: "LVS", State: model.ServiceRunning}},
	}
}

func (d *wholeDaemon) Status() model.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looked++
	return d.status
}

// set changes the status. With tell it is more than a counter.
func (d *wholeDaemon) set(tell bool, change func(*model.Status)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.status)
	if tell {
		close(d.changes)
		d.changes = make(chan struct{})
	}
}

func (d *wholeDaemon) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changes
}

// asked notes a call and tells how it ends.
func (d *wholeDaemon) asked(by model.Actor, format string, args ...any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, by.Name+": "+fmt.Sprintf(format, args...))
	return d.fail
}

func (d *wholeDaemon) Reload(ctx context.Context, by model.Actor) (Reloaded, error) {
	if err := d.asked(by, "reload"); err != nil {
		return Reloaded{}, err
	}
	return d.fakeDaemon.Reload(ctx, by)
}

func (d *wholeDaemon) Order(ctx context.Context, by model.Actor, o Order) (Ordered, error) {
	if err := d.asked(by, "%s %s/%s", o.Verb, o.Director, o.Server); err != nil {
		return Ordered{}, err
	}
	return d.fakeDaemon.Order(ctx, by, o)
}

func (d *wholeDaemon) Diagnosis() (model.Diagnosis, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return model.Diagnosis{At: noon, Findings: []model.Finding{{Kind: model.FindHandles, Director: "nfs", Server: "nfs-02", What: "w", Why: "y", Do: "d"}}}, d.fail
}

func (d *wholeDaemon) Examine(_ context.Context, by model.Actor) (model.Diagnosis, error) {
	return model.Diagnosis{At: noon}, d.asked(by, "examine")
}

func (d *wholeDaemon) Restart(_ context.Context, by model.Actor, service string) error {
	if err := d.asked(by, "restart %s", service); err != nil {
		return err
	}
	if service != "lvs" {
		return fmt.Errorf("restart the service %q: %w", service, ErrNotFound)
	}
	return nil
}

func (d *wholeDaemon) Connections(_ context.Context, q ConnectionQuery) (Connections, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.query = q
	if d.fail != nil || q.State == "ended" {
		return Connections{}, d.fail
	}
	return Connections{Matched: 1, Known: 2, Connections: []Connection{{Client: netip.MustParseAddrPort("192.168.10.10:1000"),
		VIP: netip.MustParseAddrPort("192.168.10.50:2049"), Director: "nfs", Server: "nfs-01", State: "open", Age: time.Second}}}, nil
}

func (d *wholeDaemon) Templates(_ context.Context, q TemplateQuery) (Templates, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.query = ConnectionQuery{Director: q.Director, Client: q.Client, Limit: q.Limit}
	return Templates{Matched: 1, Known: 2, Templates: []Template{{Client: netip.MustParsePrefix("192.168.10.0/24"), Director: "web", Server: "web-01", Left: time.Second, Holds: true}}}, d.fail
}

func (d *wholeDaemon) ForgetTemplates(_ context.Context, _ model.Actor, director string, client netip.Prefix) (Forgotten, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.query = ConnectionQuery{Director: director, Client: client}
	if director != "web" {
		return Forgotten{}, fmt.Errorf("there is no director %s: %w", director, ErrNotFound)
	}
	return Forgotten{Forgotten: 7}, d.fail
}

func (d *wholeDaemon) Explain(_ context.Context, p DescribedPacket) (Explanation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.packet = p
	x := Explanation{Iface: "eth0", Rule: "rule 1 of flow nfs", Why: []string{"so it is"}}
	x.Verdict, x.Flow, x.Director, x.Server, x.Chooser = "forward", "nfs", "nfs", "nfs-01", model.ChosenByDirector
	x.Connection = &model.ExplainedConnection{Server: "nfs-01"}
	return x, d.fail
}

func (d *wholeDaemon) History(ref model.ServerRef) ([]Probed, error) {
	if ref != (model.ServerRef{Director: "nfs", Server: "nfs-01"}) {
		return nil, fmt.Errorf("find the server %s: %w", ref, ErrNotFound)
	}
	return []Probed{{At: noon, OK: true, Latency: time.Millisecond}, {At: noon, Error: "refused"}}, nil
}

func (d *wholeDaemon) Audit(by model.Actor, text string, failed error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.audited = append(d.audited, fmt.Sprintf("%s: %s: %v", by, text, failed))
}

func (d *wholeDaemon) Configuration(context.Context) (Configuration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Configuration{Hash: d.hash, Running: d.hash, Generation: 4, Documents: d.docs, Draft: d.draft}, d.fail
}

// Check complains of each line that has the word bad, and of the webhook.
func (d *wholeDaemon) Check(_ context.Context, docs []model.Document) (Checked, error) {
	c := Checked{OK: true}
	for _, doc := range slices.Concat(docs, d.docs) {
		for i, line := range strings.Split(doc.Text, "\n") {
			if strings.Contains(line, "bad") || strings.Contains(line, "webhook") {
				end := line[max(0, len(line)-4):] // a message may quote any part
				c.Diagnostics = append(c.Diagnostics, Diagnostic{Source: doc.Name, Line: i + 1, Column: 1, Severity: "warning",
					Text: line, Message: "of " + line + ", " + end, Hint: "not " + line, Rendered: doc.Name + ": " + line + "\n"})
			}
		}
	}
	return c, d.fail
}

func (d *wholeDaemon) Diff(ctx context.Context, docs []model.Document) (Difference, error) {
	checked, err := d.Check(ctx, docs)
	line := slices.IndexFunc(strings.Split(d.docs[1].Text, "\n"), func(l string) bool { return strings.Contains(l, "webhook") })
	secret := strings.Split(d.docs[1].Text, "\n")[line]
	words := strings.Fields(secret)
	to := words[slices.Index(words, "webhook")+1]
	diff := Difference{Checked: checked, Effects: []string{"who is notified at " + to + " changes"}}
	for _, doc := range docs {
		diff.Documents = append(diff.Documents, DocumentDiff{Name: doc.Name, Tab: doc.Tab, Lines: []DiffLine{
			{Op: "-", Old: line + 1, Text: secret}, {Op: "+", New: 1, Text: doc.Text},
		}})
	}
	return diff, err
}

func (d *wholeDaemon) Apply(_ context.Context, by model.Actor, match string, docs []model.Document) (AppliedConfiguration, error) {
	if err := d.asked(by, "apply %s %d", match, len(docs)); err != nil {
		return AppliedConfiguration{}, err
	}
	if match != d.hash {
		return AppliedConfiguration{}, fmt.Errorf("apply the configuration: %w", ErrConflict)
	}
	return AppliedConfiguration{Generation: 5, Hash: "h2", Version: 9}, nil
}

func (d *wholeDaemon) SaveDraft(_ context.Context, by model.Actor, match string, docs []model.Document) (model.Draft, error) {
	if err := d.asked(by, "draft %q", match); err != nil {
		return model.Draft{}, err
	}
	if match != "" {
		return model.Draft{}, fmt.Errorf("save the draft: %w", ErrConflict)
	}
	return model.Draft{Hash: "d1", Base: d.hash, By: by.Name, At: noon, Documents: docs}, nil
}

func (d *wholeDaemon) DiscardDraft(_ context.Context, by model.Actor, match string) error {
	return d.asked(by, "discard %q", match)
}

func (d *wholeDaemon) Versions(context.Context) ([]model.Version, error) {
	return []model.Version{{ID: 9, At: noon, By: "eva", Hash: "h1"}}, d.fail
}

func (d *wholeDaemon) Version(_ context.Context, id uint64) (model.Version, error) {
	if id != 9 {
		return model.Version{}, fmt.Errorf("find the version %d: %w", id, ErrNotFound)
	}
	return model.Version{ID: 9, At: noon, By: "eva", Hash: "h1", Documents: d.docs}, d.fail
}

func (d *wholeDaemon) Restore(ctx context.Context, by model.Actor, match string, _ uint64) (AppliedConfiguration, error) {
	return d.Apply(ctx, by, match, nil)
}

// web serves a daemon to somebody of that role, over a real connection.
func web(t *testing.T, d Daemon, role model.Role) *httptest.Server {
	t.Helper()
	by := model.Actor{Name: "eva", Role: role, Via: "192.0.2.1"}
	s := httptest.NewServer(NewHandler(d, quiet, func(*http.Request) model.Actor { return by }))
	t.Cleanup(s.Close)
	return s
}

// An exchange is a request and what came of it.
type exchange struct {
	method, path, body string
	header             http.Header
	code               int
	answer             string
	answered           *http.Response
}

func (e exchange) on(t *testing.T, s *httptest.Server) exchange {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), e.method, s.URL+e.path, strings.NewReader(e.body))
	if err != nil {
		t.Fatal(err)
	}
	if e.header != nil {
		r.Header = e.header
	}
	e.answered, err = s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(e.answered.Body)
	if err := errors.Join(err, e.answered.Body.Close()); err != nil {
		t.Fatal(err)
	}
	e.code, e.answer = e.answered.StatusCode, string(body)
	return e
}
