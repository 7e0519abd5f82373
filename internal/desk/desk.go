package desk

import (
	"fmt"
	"sync"

	"fairlead/internal/api"
	"fairlead/internal/config"
	"fairlead/internal/model"
)

// Files are where the documents, the draft and the versions are kept.
type Files interface {
	Read() (docs []model.Document, hash string, err error)
	Replace(match string, docs []model.Document, by string) (model.Version, error)
	Note(docs []model.Document, hash, by string) error
	Draft() (*model.Draft, error)
	SaveDraft(match string, docs []model.Document, by string) (model.Draft, error)
	DiscardDraft(match string) error
	Versions() ([]model.Version, error)
	Version(id uint64) (model.Version, error)
}

// Machine tells what a configuration has to fit.
type Machine struct {
	Links func() ([]model.Link, error) // of this machine, at the moment
	// Hooks says which programmes this machine cannot run as hooks, and why;
	// nil: they are not looked at.
	Hooks func(paths []string) map[string]string
	// Authorities says the same of files of certificates.
	Authorities func(paths []string) map[string]string
}

// Loaded is a configuration that may be used.
type Loaded struct {
	Config    model.Config
	Warnings  []api.Diagnostic
	Links     []model.Link // that it was checked against
	Documents []model.Document
	Hash      string // of the documents
}

// Desk works on one configuration. Its methods may be called by several
// goroutines at once.
type Desk struct {
	files   Files
	machine Machine

	mu         sync.Mutex // guards the following
	force      Loaded     // what is in force
	generation uint64     // 0: nothing yet
}

// New returns a desk for the files.
func New(files Files, machine Machine) *Desk { return &Desk{files: files, machine: machine} }

// InForce tells the desk that a configuration has come into force, and who
// brought it. It becomes a version, if it is not one yet.
func (d *Desk) InForce(l Loaded, generation uint64, by model.Actor) error {
	d.mu.Lock()
	d.force, d.generation = l, generation
	d.mu.Unlock()
	if err := d.files.Note(l.Documents, l.Hash, by.String()); err != nil {
		return fmt.Errorf("keep the configuration as a version: %w", err)
	}
	return nil
}

func (d *Desk) inForce() (Loaded, uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.force, d.generation
}

// Load returns the configuration of the files, or an error that is an *api.Error
// with all findings when they are the cause.
func (d *Desk) Load() (Loaded, error) {
	docs, hash, err := d.files.Read()
	if err != nil {
		return Loaded{}, err
	}
	return d.load(docs, hash)
}

func (d *Desk) load(docs []model.Document, hash string) (Loaded, error) {
	links, err := d.machine.Links()
	if err != nil {
		return Loaded{}, fmt.Errorf("check the configuration against this machine: %w", err)
	}
	e := d.examine(docs, links)
	if !e.ok {
		return Loaded{}, &api.Error{Message: "the configuration has errors", Diagnostics: e.diagnostics}
	}
	return Loaded{Config: e.config, Warnings: e.diagnostics, Links: links, Documents: docs, Hash: hash}, nil
}

// examined is what is to be said of documents.
type examined struct {
	ok          bool
	config      model.Config
	file        config.File
	diagnostics []api.Diagnostic
}

// examine checks documents as a whole, also against this machine and what is in
// force.
func (d *Desk) examine(docs []model.Document, links []model.Link) examined {
	sources := sources(docs)
	file, found := config.Parse(sources)
	check := config.Check
	if force, _ := d.inForce(); len(force.Config.Flows)+len(force.Config.Directors) == 0 {
		check = config.CheckFirst
	}
	checked, more := check(file)
	found = append(found, more...)
	if !config.Failed(found) {
		found = append(found, config.CheckHost(checked, file, links)...)
	}
	if d.machine.Hooks != nil && !config.Failed(found) {
		found = append(found, config.CheckHooks(file, d.machine.Hooks(config.Hooks(checked)))...)
	}
	if d.machine.Authorities != nil && !config.Failed(found) {
		found = append(found, config.CheckAuthorities(file, d.machine.Authorities(config.Authorities(checked)))...)
	}
	return examined{ok: !config.Failed(found), config: checked, file: file, diagnostics: api.Diagnostics(sources, found)}
}

func sources(docs []model.Document) []config.Source {
	all := make([]config.Source, len(docs))
	for i, doc := range docs {
		all[i] = config.Source{Name: doc.Name, Text: []byte(doc.Text)}
	}
	return all
}
