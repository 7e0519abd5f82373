package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"fairlead/internal/api"
	"fairlead/internal/config"
	"fairlead/internal/model"
	"fairlead/internal/store"
)

// Configuration is the configuration as its files hold it, and the draft.
func (d *Desk) Configuration(context.Context) (api.Configuration, error) {
	docs, hash, err := d.files.Read()
	if err != nil {
		return api.Configuration{}, err
	}
	draft, err := d.files.Draft()
	if err != nil {
		return api.Configuration{}, err
	}
	force, generation := d.inForce()
	return api.Configuration{Hash: hash, Running: force.Hash, Generation: generation, Documents: docs, Draft: draft}, nil
}

// Check finds what is wrong with documents. Those that are left out are as the
// files have them.
func (d *Desk) Check(_ context.Context, docs []model.Document) (api.Checked, error) {
	_, checked, _, err := d.compare(docs)
	return checked, err
}

// compare checks documents and returns the present ones beside them.
func (d *Desk) compare(docs []model.Document) (old []model.Document, checked api.Checked, e examined, err error) {
	old, _, err = d.files.Read()
	if err != nil {
		return nil, checked, e, err
	}
	edited, err := overlay(old, docs)
	if err != nil {
		return nil, checked, e, err
	}
	links, err := d.machine.Links()
	if err != nil {
		return nil, checked, e, fmt.Errorf("check the configuration against this machine: %w", err)
	}
	e = d.examine(edited, links)
	e.diagnostics = append(e.diagnostics, protected(old, edited)...)
	checked = api.Checked{OK: !failed(e.diagnostics), Diagnostics: e.diagnostics, Notes: []string{}}
	if e.ok {
		checked.Notes = append(checked.Notes, config.Notes(e.config, e.file)...)
	}
	return old, checked, e, nil
}

// protected are the lines that only the owner of the files may write.
func protected(old, edited []model.Document) []api.Diagnostic {
	after := sources(edited)
	return api.Diagnostics(after, config.Protected(sources(old), after))
}

func failed(found []api.Diagnostic) bool {
	return slices.ContainsFunc(found, func(f api.Diagnostic) bool { return f.Severity == config.Error.String() })
}

// overlay puts edited documents over those that exist. One that does not exist
// is refused: nobody makes files from afar.
func overlay(docs, edited []model.Document) ([]model.Document, error) {
	all := slices.Clone(docs)
	seen := make(map[string]bool)
	for _, e := range edited {
		i := slices.IndexFunc(all, func(d model.Document) bool { return d.Name == e.Name })
		if i < 0 {
			return nil, fmt.Errorf("edit %q: the configuration has no such document: %w", e.Name, api.ErrNotFound)
		}
		if seen[e.Name] {
			return nil, fmt.Errorf("edit %q: it is given twice", e.Name)
		}
		seen[e.Name] = true
		all[i].Text = e.Text
	}
	return all, nil
}

// Diff tells what documents would change: of the files line by line, and of what
// is in force in words.
func (d *Desk) Diff(_ context.Context, docs []model.Document) (api.Difference, error) {
	old, checked, e, err := d.compare(docs)
	if err != nil {
		return api.Difference{}, err
	}
	edited, err := overlay(old, docs)
	if err != nil {
		return api.Difference{}, err
	}
	diff := api.Difference{Checked: checked, Documents: []api.DocumentDiff{}, Effects: []string{}}
	for i, doc := range edited {
		if doc.Text == old[i].Text {
			continue
		}
		lines, err := compareLines(old[i].Text, doc.Text)
		if err != nil {
			return api.Difference{}, fmt.Errorf("compare %s: %w", doc.Name, err)
		}
		diff.Documents = append(diff.Documents, api.DocumentDiff{Name: doc.Name, Tab: doc.Tab, Lines: lines})
	}
	if e.ok {
		force, _ := d.inForce()
		diff.Effects = append(diff.Effects, config.Effects(force.Config, e.config)...)
	}
	return diff, nil
}

// Write checks documents and puts them in the place of the old ones: all of them
// or none. match is the hash of those that were edited. The answer is to be
// brought into force.
func (d *Desk) Write(by model.Actor, match string, docs []model.Document) (Loaded, model.Version, error) {
	old, hash, err := d.files.Read()
	if err != nil {
		return Loaded{}, model.Version{}, err
	}
	if hash != match {
		return Loaded{}, model.Version{}, fmt.Errorf("apply the configuration: its files were changed since you began to edit: %w", api.ErrConflict)
	}
	edited, err := overlay(old, docs)
	if err != nil {
		return Loaded{}, model.Version{}, err
	}
	if found := protected(old, edited); failed(found) {
		return Loaded{}, model.Version{}, fmt.Errorf("%w: %w", api.ErrNotAllowed,
			&api.Error{Message: "the configuration has lines that cannot be set from here", Diagnostics: found})
	}
	loaded, err := d.load(edited, "")
	if err != nil {
		return Loaded{}, model.Version{}, err
	}
	version, err := d.files.Replace(match, edited, by.String())
	if err != nil {
		return Loaded{}, model.Version{}, meaning(err)
	}
	loaded.Hash = version.Hash
	if draft, err := d.files.Draft(); err == nil && draft != nil && slices.Equal(draft.Documents, edited) {
		// It is what is in force now. One that stays does no harm.
		_ = d.files.DiscardDraft(draft.Hash)
	}
	return loaded, version, nil
}

// Version is a configuration that was once in force.
func (d *Desk) Version(_ context.Context, id uint64) (model.Version, error) {
	v, err := d.files.Version(id)
	return v, meaning(err)
}

// Versions are those that are kept, the newest first.
func (d *Desk) Versions(context.Context) ([]model.Version, error) { return d.files.Versions() }

// SaveDraft keeps documents that are not to be in force yet.
func (d *Desk) SaveDraft(_ context.Context, by model.Actor, match string, docs []model.Document) (model.Draft, error) {
	old, _, err := d.files.Read()
	if err != nil {
		return model.Draft{}, err
	}
	edited, err := overlay(old, docs)
	if err != nil {
		return model.Draft{}, err
	}
	draft, err := d.files.SaveDraft(match, edited, by.String())
	return draft, meaning(err)
}

// DiscardDraft drops the draft.
func (d *Desk) DiscardDraft(_ context.Context, _ model.Actor, match string) error {
	return meaning(d.files.DiscardDraft(match))
}

// meaning puts an error of the files into the API's terms.
func meaning(err error) error {
	switch {
	case errors.Is(err, store.ErrConflict):
		return fmt.Errorf("%w: %w", err, api.ErrConflict)
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("%w: %w", err, api.ErrNotFound)
	}
	return err
}
