package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"fairlead/internal/model"
)

func (s *Store) draftPath() string { return filepath.Join(s.dir, "draft") }

// Draft is the one that was saved, nil when there is none. One that cannot be read
// passes for none, with a remark.
func (s *Store) Draft() (*model.Draft, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draft(), nil
}

func (s *Store) draft() *model.Draft {
	var k kept
	err := s.recall(s.draftPath(), &k)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		s.remark("the draft %s cannot be read, and is passed over: %v", s.draftPath(), err)
		return nil
	}
	docs := k.documents()
	return &model.Draft{Hash: Hash(docs), Base: k.Base, By: k.By, At: k.At, Documents: docs}
}

// matches compares a draft with the hash of the one that was edited: "" or * when there
// was none.
func matches(d *model.Draft, match string) error {
	switch {
	case d == nil && match != "" && match != "*":
		return fmt.Errorf("the draft that was edited is gone: %w", ErrConflict)
	case d != nil && match != d.Hash:
		return fmt.Errorf("%s saved another draft: %w", d.By, ErrConflict)
	}
	return nil
}

// SaveDraft keeps documents that are not to be in force yet, and need not make sense.
// match is the hash of the draft that they replace, "" when there was none; ErrConflict
// when it is another one. Documents that are left out stay as that draft has them, or
// else as the files do.
func (s *Store) SaveDraft(match string, docs []model.Document, by string) (model.Draft, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.saveDraft(match, docs, by)
	if err != nil {
		return model.Draft{}, fmt.Errorf("save the draft: %w", advised(err))
	}
	return d, nil
}

func (s *Store) saveDraft(match string, edited []model.Document, by string) (model.Draft, error) {
	old := s.draft()
	if err := matches(old, match); err != nil {
		return model.Draft{}, err
	}
	files, err := s.read()
	if err != nil {
		return model.Draft{}, err
	}
	docs := documents(files)
	base := Hash(docs)
	if old != nil {
		base = old.Base
		for i, d := range docs {
			for _, o := range old.Documents {
				if o.Name == d.Name {
					docs[i].Text = o.Text
				}
			}
		}
	}
	if docs, err = overlay(docs, edited); err != nil {
		return model.Draft{}, err
	}
	if err := s.disk.mkdir(s.dir); err != nil {
		return model.Draft{}, err
	}
	k := kept{At: time.Now().Round(0), By: by, Base: base, Documents: keep(docs)}
	if err := s.record(s.draftPath(), k); err != nil {
		return model.Draft{}, err
	}
	return model.Draft{Hash: Hash(docs), Base: base, By: by, At: k.At, Documents: docs}, nil
}

// DiscardDraft drops the draft. match is its hash, or * for whatever is there;
// ErrConflict when it is another one, or gone.
func (s *Store) DiscardDraft(match string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if match != "*" {
		if err := matches(s.draft(), match); err != nil {
			return fmt.Errorf("discard the draft: %w", err)
		}
	}
	err := s.disk.remove(s.draftPath())
	if err == nil {
		err = s.disk.sync(s.dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("discard the draft: %w", advised(err))
	}
	return nil
}
