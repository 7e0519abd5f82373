package browser

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead/internal/access"
	"fairlead/internal/api"
	"fairlead/internal/config"
	"fairlead/internal/model"
	"fairlead/internal/web"
)

// An editorDaemon keeps a configuration's documents in memory and checks them with
// the real language. Nothing is directed.
type editorDaemon struct {
	api.Daemon // what the pages of the configuration do not call

	mu         sync.Mutex // guards the following
	docs       []model.Document
	running    string // hash
	generation uint64
	draft      *model.Draft
	versions   []model.Version
	restarted  []string
	changed    chan struct{}
	slow       chan struct{} // closed when the next check may answer; nil: at once
	late       bool          // lines that may not be written here are found by Apply only
}

func newEditorDaemon(docs ...model.Document) *editorDaemon {
	d := &editorDaemon{changed: make(chan struct{})}
	d.put(docs, model.Actor{Name: "setup"})
	return d
}

// emptyDocuments is a directory of a new installation.
func emptyDocuments() []model.Document {
	return []model.Document{
		{Name: "/etc/fairlead/flow.cfg", Tab: model.TabFlow},
		{Name: "/etc/fairlead/l4.cfg", Tab: model.TabL4},
		{Name: "/etc/fairlead/services.cfg", Tab: model.TabServices},
	}
}

func hashOf(docs []model.Document) string {
	h := sha256.New()
	for _, d := range docs {
		fmt.Fprintf(h, "%q %q\n", d.Name, d.Text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// put makes documents the ones in force. The caller holds mu, or nobody else knows d.
func (d *editorDaemon) put(docs []model.Document, by model.Actor) model.Version {
	d.docs, d.running = slices.Clone(docs), hashOf(docs)
	d.generation++
	v := model.Version{ID: uint64(len(d.versions) + 1), At: time.Now(), By: by.String(), Hash: d.running, Documents: d.docs}
	d.versions = append(d.versions, v)
	close(d.changed)
	d.changed = make(chan struct{})
	return v
}

func (d *editorDaemon) over(docs []model.Document) []model.Document {
	all := slices.Clone(d.docs)
	for i := range all {
		for _, e := range docs {
			if e.Name == all[i].Name {
				all[i].Text = e.Text
			}
		}
	}
	return all
}

// examine checks documents against those that there are. The caller holds mu.
func (d *editorDaemon) examine(docs []model.Document) api.Checked {
	var sources []config.Source
	text := ""
	for _, doc := range docs {
		sources = append(sources, config.Source{Name: doc.Name, Text: []byte(doc.Text)})
		text += doc.Text
	}
	if text == "" {
		return api.Checked{OK: true, Diagnostics: []api.Diagnostic{}, Notes: []string{}}
	}
	_, found := config.Load(sources)
	sent := api.Diagnostics(sources, found)
	if !d.late {
		sent = append(sent, foreign(docs, d.docs)...)
	}
	failed := slices.ContainsFunc(sent, func(d api.Diagnostic) bool { return d.Severity == "error" })
	return api.Checked{OK: !failed, Diagnostics: sent, Notes: []string{}}
}

// foreign are the hook lines that the old documents did not have.
func foreign(docs, old []model.Document) []api.Diagnostic {
	var found []api.Diagnostic
	for i, doc := range docs {
		for n, line := range strings.Split(doc.Text, "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "hook ") && !strings.Contains(old[i].Text, line) {
				found = append(found, api.Diagnostic{Source: doc.Name, Line: n + 1, Column: strings.Index(line, "hook") + 1,
					Severity: "error", Text: "hook", Message: "a hook line cannot be added or changed here"})
			}
		}
	}
	return found
}

func (d *editorDaemon) Status() model.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	return model.Status{At: now, Turned: now, Version: "1.0.0", Generation: d.generation, Since: now.Add(-time.Hour), Services: []model.ServiceStatus{
		{Name: "lvs", Title: "LVS", State: model.ServiceRunning, Why: "the data plane forwards"},
		{Name: "flow", Title: "Flow manager", State: model.ServiceRunning},
		{Name: "notify", Title: "Notifications", State: model.ServiceOff, Why: "the configuration names no target"},
		{Name: "web", Title: "Web pages", State: model.ServiceFailed, Why: "listen on 192.168.10.9:8480: the address is not of this machine"},
	}}
}

func (d *editorDaemon) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

func (d *editorDaemon) Audit(model.Actor, string, error) {}

func (d *editorDaemon) Events(ctx context.Context, _ api.Since, follow bool, _ func(model.Event) error) error {
	if follow {
		<-ctx.Done()
	}
	return nil
}

func (d *editorDaemon) Connections(context.Context, api.ConnectionQuery) (api.Connections, error) {
	return api.Connections{Connections: []api.Connection{}}, nil
}

func (d *editorDaemon) Templates(context.Context, api.TemplateQuery) (api.Templates, error) {
	return api.Templates{}, nil
}

func (d *editorDaemon) ForgetTemplates(context.Context, model.Actor, string, netip.Prefix) (api.Forgotten, error) {
	return api.Forgotten{}, nil
}

func (d *editorDaemon) Explain(context.Context, api.DescribedPacket) (api.Explanation, error) {
	return api.Explanation{}, nil
}

func (d *editorDaemon) History(model.ServerRef) ([]api.Probed, error) { return nil, nil }

func (d *editorDaemon) Restart(_ context.Context, _ model.Actor, service string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.restarted = append(d.restarted, service)
	return nil
}

func (d *editorDaemon) Configuration(context.Context) (api.Configuration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return api.Configuration{Hash: hashOf(d.docs), Running: d.running, Generation: d.generation, Documents: slices.Clone(d.docs), Draft: d.draft}, nil
}

func (d *editorDaemon) Check(ctx context.Context, docs []model.Document) (api.Checked, error) {
	d.mu.Lock()
	answer, wait := d.examine(d.over(docs)), d.slow
	d.slow = nil
	d.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
		}
	}
	return answer, nil
}

func (d *editorDaemon) Diff(_ context.Context, docs []model.Document) (api.Difference, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := d.over(docs)
	diff := api.Difference{Checked: d.examine(after), Documents: []api.DocumentDiff{}, Effects: []string{}}
	for i, doc := range after {
		if doc.Text != d.docs[i].Text {
			diff.Documents = append(diff.Documents, api.DocumentDiff{Name: doc.Name, Tab: doc.Tab, Lines: replaced(d.docs[i].Text, doc.Text)})
			diff.Effects = append(diff.Effects, "the lines of "+doc.Name+" change")
		}
	}
	return diff, nil
}

// replaced is a simple comparison: what both begin and end with stays.
func replaced(old, after string) []api.DiffLine {
	split := func(s string) []string {
		if s == "" {
			return nil
		}
		return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
	}
	a, b := split(old), split(after)
	start, end := 0, 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		start++
	}
	for end < len(a)-start && end < len(b)-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	lines := []api.DiffLine{}
	for i := range start {
		lines = append(lines, api.DiffLine{Op: " ", Old: i + 1, New: i + 1, Text: a[i]})
	}
	for i := start; i < len(a)-end; i++ {
		lines = append(lines, api.DiffLine{Op: "-", Old: i + 1, Text: a[i]})
	}
	for i := start; i < len(b)-end; i++ {
		lines = append(lines, api.DiffLine{Op: "+", New: i + 1, Text: b[i]})
	}
	for i := len(a) - end; i < len(a); i++ {
		lines = append(lines, api.DiffLine{Op: " ", Old: i + 1, New: i + 1 + len(b) - len(a), Text: a[i]})
	}
	return lines
}

func (d *editorDaemon) Apply(_ context.Context, by model.Actor, match string, docs []model.Document) (api.AppliedConfiguration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if match != hashOf(d.docs) {
		return api.AppliedConfiguration{}, fmt.Errorf("apply the configuration: %w", api.ErrConflict)
	}
	after := d.over(docs)
	if found := d.examine(after); !found.OK {
		refused := api.KindInvalid.New("the configuration has errors")
		refused.Diagnostics = found.Diagnostics
		return api.AppliedConfiguration{}, refused
	}
	if found := foreign(after, d.docs); found != nil {
		refused := api.KindForbidden.New("the configuration has lines that cannot be set from here")
		refused.Diagnostics = found
		return api.AppliedConfiguration{}, refused
	}
	v := d.put(after, by)
	return api.AppliedConfiguration{Generation: d.generation, Hash: v.Hash, Version: v.ID}, nil
}

func (d *editorDaemon) SaveDraft(_ context.Context, by model.Actor, match string, docs []model.Document) (model.Draft, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if had := d.draft; (had == nil && match != "") || (had != nil && had.Hash != match) {
		return model.Draft{}, fmt.Errorf("save the draft: %w", api.ErrConflict)
	}
	all := d.over(docs)
	d.draft = &model.Draft{Hash: hashOf(all), Base: hashOf(d.docs), By: by.String(), At: time.Now(), Documents: all}
	return *d.draft, nil
}

func (d *editorDaemon) DiscardDraft(_ context.Context, _ model.Actor, match string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.draft == nil || d.draft.Hash != match {
		return fmt.Errorf("discard the draft: %w", api.ErrConflict)
	}
	d.draft = nil
	return nil
}

func (d *editorDaemon) Versions(context.Context) ([]model.Version, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := slices.Clone(d.versions)
	slices.Reverse(all)
	for i := range all {
		all[i].Documents = nil
	}
	return all, nil
}

func (d *editorDaemon) Version(_ context.Context, id uint64) (model.Version, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id == 0 || id > uint64(len(d.versions)) {
		return model.Version{}, api.ErrNotFound
	}
	return d.versions[id-1], nil
}

func (d *editorDaemon) Restore(ctx context.Context, by model.Actor, match string, id uint64) (api.AppliedConfiguration, error) {
	v, err := d.Version(ctx, id)
	if err != nil {
		return api.AppliedConfiguration{}, err
	}
	return d.Apply(ctx, by, match, v.Documents)
}

// text is a document as the director has it.
func (d *editorDaemon) text(base string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, doc := range d.docs {
		if strings.HasSuffix(doc.Name, "/"+base) {
			return doc.Text
		}
	}
	return "there is no document " + base
}

// An editorSite is the real web server and API before a daemon that pretends.
type editorSite struct {
	url   string
	users *access.Store
	start func() // the server, after stop
	stop  func() // as the daemon's death does
}

func serveEditor(t *testing.T, d *editorDaemon) *editorSite {
	t.Helper()
	dir := t.TempDir()
	users, err := access.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	addr := freePort(t)
	s := &editorSite{url: "http://" + addr.String(), users: users, stop: func() {}}
	s.start = func() {
		server := web.New(web.Options{Access: users, StateDir: dir, Log: slog.New(slog.DiscardHandler)})
		server.Set(model.Web{Listen: addr})
		s.stop = runEditor(t, server, d)
	}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

// runEditor runs a server until the function that it returns is called.
func runEditor(t *testing.T, server *web.Server, d api.Daemon) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, d) }()
	for began := time.Now(); server.Status().State != model.ServiceRunning; {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("the web server does not run: %+v", server.Status())
		}
		time.Sleep(2 * time.Millisecond) // the server tells nobody when it listens
	}
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the web server ended: %v", err)
		}
	})
}

// login gives the cookie of a new user's session.
func (s *editorSite) login(t *testing.T, name string, role model.Role) *http.Cookie {
	t.Helper()
	if err := s.users.Add(name, role, password); err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"user":%q,"password":%q}`, name, password)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/v1/session", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if len(answer.Cookies()) == 0 {
		t.Fatalf("log in as %s: %s", name, answer.Status)
	}
	return answer.Cookies()[0]
}
