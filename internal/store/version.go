package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"fairlead/internal/model"
)

// How many versions are kept, and how many bytes of them. The newest one always is.
const (
	mostVersions     = 50
	mostVersionBytes = 64 << 20
)

func (s *Store) versionsDir() string { return filepath.Join(s.dir, "versions") }

func (s *Store) versionPath(id uint64) string {
	return filepath.Join(s.versionsDir(), strconv.FormatUint(id, 10))
}

// Note keeps documents as a version: they came into force in another way than by
// Replace. The newest version is not kept twice.
func (s *Store) Note(docs []model.Document, hash, by string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := Hash(docs); got != hash {
		return fmt.Errorf("keep a version: the documents have the hash %s, not %s", got, hash)
	}
	s.settle()
	if _, err := s.commit(docs, by, nil); err != nil {
		return fmt.Errorf("keep a version: %w", advised(err))
	}
	return nil
}

// commit makes changes, and keeps their outcome as a version with them.
func (s *Store) commit(docs []model.Document, by string, changes []change) (model.Version, error) {
	ids, err := s.ids()
	if err != nil {
		return model.Version{}, err
	}
	newest := uint64(0)
	if len(ids) > 0 {
		newest = ids[0]
		if k, err := s.version(newest); err == nil && len(changes) == 0 && Hash(k.documents()) == Hash(docs) {
			return k.asVersion(), nil
		}
	}
	k := kept{ID: newest + 1, At: time.Now().Round(0), By: by, Documents: keep(docs)}
	text, err := encode(k)
	if err != nil {
		return model.Version{}, err
	}
	for _, dir := range []string{s.dir, s.versionsDir()} {
		if err := s.disk.mkdir(dir); err != nil {
			return model.Version{}, err
		}
	}
	if err := s.all(append(changes, newChange(s.versionPath(k.ID), false, "", text))); err != nil {
		return model.Version{}, err
	}
	s.prune(append([]uint64{k.ID}, ids...))
	return k.asVersion(), nil
}

func (k kept) asVersion() model.Version {
	docs := k.documents()
	return model.Version{ID: k.ID, At: k.At, By: k.By, Hash: Hash(docs), Documents: docs}
}

// ids lists the versions, the newest first.
func (s *Store) ids() ([]uint64, error) {
	entries, err := os.ReadDir(s.versionsDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, named(s.versionsDir(), err)
	}
	var ids []uint64
	for _, e := range entries {
		if id, err := strconv.ParseUint(e.Name(), 10, 64); err == nil && e.Name() == strconv.FormatUint(id, 10) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids, nil
}

func (s *Store) version(id uint64) (kept, error) {
	var k kept
	err := s.recall(s.versionPath(id), &k)
	if err == nil && k.ID != id {
		err = fmt.Errorf("it is version %d", k.ID)
	}
	return k, err
}

// Versions are those that can be read, without their documents, the newest first.
func (s *Store) Versions() ([]model.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	ids, err := s.ids()
	if err != nil {
		return nil, fmt.Errorf("read the versions: %w", err)
	}
	all := []model.Version{}
	for _, id := range ids {
		k, err := s.version(id)
		if err != nil {
			s.remark("version %d of the configuration (%s) is passed over: %v", id, s.versionPath(id), err)
			continue
		}
		v := k.asVersion()
		v.Documents = nil
		all = append(all, v)
	}
	return all, nil
}

// Version is one with its documents; ErrNotFound when it is not kept.
func (s *Store) Version(id uint64) (model.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	k, err := s.version(id)
	if errors.Is(err, fs.ErrNotExist) {
		return model.Version{}, fmt.Errorf("version %d of the configuration: %w: the last %d are kept", id, ErrNotFound, mostVersions)
	}
	if err != nil {
		return model.Version{}, fmt.Errorf("version %d of the configuration (%s) cannot be read: %w", id, s.versionPath(id), err)
	}
	return k.asVersion(), nil
}

// prune removes versions that are too many, or too large together.
func (s *Store) prune(ids []uint64) {
	var bytes int64
	for i, id := range ids {
		if info, err := os.Stat(s.versionPath(id)); err == nil {
			bytes += info.Size()
		}
		if i == 0 || i < mostVersions && bytes <= mostVersionBytes {
			continue
		}
		if err := s.disk.remove(s.versionPath(id)); err != nil {
			s.remark("version %d of the configuration is too old to be kept, and cannot be removed: %v", id, err)
		}
	}
}
