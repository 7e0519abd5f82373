package agent

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"fairlead/internal/api"
	"fairlead/internal/model"
	"fairlead/internal/store"
)

// fakeFiles is one document in memory.
type fakeFiles struct {
	mu       sync.Mutex // guards the following
	text     string
	versions []model.Version
	draft    *model.Draft
}

func hashOf(text string) string { return fmt.Sprintf("hash of %q", text) }

func (f *fakeFiles) set(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text = text
}

func (f *fakeFiles) get() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.text
}

func (f *fakeFiles) Read() ([]model.Document, string, error) {
	text := f.get()
	return []model.Document{{Name: "t.cfg", Text: text}}, hashOf(text), nil
}

func (f *fakeFiles) Replace(match string, docs []model.Document, by string) (model.Version, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if match != hashOf(f.text) {
		return model.Version{}, store.ErrConflict
	}
	f.text = docs[0].Text
	return f.add(docs, by), nil
}

func (f *fakeFiles) add(docs []model.Document, by string) model.Version {
	v := model.Version{ID: uint64(len(f.versions) + 1), By: by, Hash: hashOf(docs[0].Text), Documents: slices.Clone(docs)}
	f.versions = append(f.versions, v)
	return v
}

func (f *fakeFiles) Note(docs []model.Document, hash, by string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.versions); n == 0 || f.versions[n-1].Hash != hash {
		f.add(docs, by)
	}
	return nil
}

func (f *fakeFiles) Draft() (*model.Draft, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.draft, nil
}

func (f *fakeFiles) SaveDraft(_ string, docs []model.Document, by string) (model.Draft, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.draft = &model.Draft{Hash: "draft", By: by, Documents: docs}
	return *f.draft, nil
}

func (f *fakeFiles) DiscardDraft(string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.draft = nil
	return nil
}

func (f *fakeFiles) Versions() ([]model.Version, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.versions), nil
}

func (f *fakeFiles) Version(id uint64) (model.Version, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id == 0 || id > uint64(len(f.versions)) {
		return model.Version{}, store.ErrNotFound
	}
	return f.versions[id-1], nil
}

// fakeService is the web pages, or the notifications.
type fakeService struct {
	name    string
	mu      sync.Mutex // guards the following
	web     []model.Web
	targets [][]model.Target
	heard   []model.Event
}

func (s *fakeService) Status() model.ServiceStatus {
	return model.ServiceStatus{Name: s.name, State: model.ServiceRunning}
}

// fakeWeb serves nothing.
type fakeWeb struct{ fakeService }

func (w *fakeWeb) Run(ctx context.Context, _ api.Daemon) error {
	<-ctx.Done()
	return nil
}

func (w *fakeWeb) Set(want model.Web) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.web = append(w.web, want)
}

// fakeNotifier hears the events.
type fakeNotifier struct{ fakeService }

func (n *fakeNotifier) Run(ctx context.Context, follow func(context.Context, uint64, func(model.Event) error) error) error {
	return follow(ctx, 0, func(e model.Event) error {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.heard = append(n.heard, e)
		return nil
	})
}

func (n *fakeNotifier) Set(targets []model.Target) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.targets = append(n.targets, targets)
}

// fakeMetrics keeps what it is told.
type fakeMetrics struct {
	mu       sync.Mutex // guards the following
	probes   int
	switches []string
}

func (m *fakeMetrics) Probed(model.ProbeResult) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.probes++
}

func (m *fakeMetrics) Switched(director string, s model.Switch, done bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.switches = append(m.switches, fmt.Sprintf("%s to %s, done %t", director, s.To, done))
}
