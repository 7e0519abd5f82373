package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"fairlead/internal/model"
)

// change is a file that gets another text.
type change struct {
	Path string `json:"path"`
	Old  string `json:"old"` // the digest of its text before; "": it was not there
	New  string `json:"new"` // and after

	oldText, newText string // not after a stop
}

// under way: the new text, and a copy of the old one, beside the file. Their names do
// not end in .cfg, so no reader takes them for documents.
func (c change) fresh() string { return c.beside("new") }
func (c change) spare() string { return c.beside("old") }
func (c change) beside(what string) string {
	return filepath.Join(filepath.Dir(c.Path), "."+filepath.Base(c.Path)+".fairlead-"+what)
}

func newChange(path string, exists bool, oldText, newText string) change {
	c := change{Path: path, New: digest(newText), oldText: oldText, newText: newText}
	if exists {
		c.Old = digest(oldText)
	}
	return c
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// digestOf is the digest of a file's text; "" when there is no such file.
func digestOf(path string) (string, error) {
	text, err := readFile(path, maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return digest(text), err
}

// intent is the file that says what is under way.
func (s *Store) intent() string { return filepath.Join(s.dir, "under-way") }

// all makes the changes: all of them, or none and an error.
func (s *Store) all(changes []change) error {
	err := s.prepare(changes)
	if err == nil {
		err = s.record(s.intent(), changes)
	}
	if err != nil {
		return errors.Join(err, s.clean(changes))
	}
	if err := s.finish(changes); err != nil {
		if back := s.undo(changes); back != nil {
			return fmt.Errorf("%w; what was begun cannot be undone now (%w), the next reading tries again", err, back)
		}
		return errors.Join(err, s.clean(changes))
	}
	if err := s.clean(changes); err != nil { // it is done all the same, and the next Read sees that
		s.remark("the configuration was replaced, but what that needed could not be removed: %v", err)
	}
	return nil
}

// prepare writes what must be there before the first file is touched.
func (s *Store) prepare(changes []change) error {
	for _, c := range changes {
		like := ""
		if c.Old != "" {
			like = c.Path
			if err := s.disk.create(c.spare(), c.oldText, like); err != nil {
				return err
			}
		}
		if err := s.disk.create(c.fresh(), c.newText, like); err != nil {
			return err
		}
	}
	return s.syncAll(changes)
}

// finish gives the new texts their names. A file that no longer has its old text was
// changed by somebody else.
func (s *Store) finish(changes []change) error {
	for _, c := range changes {
		now, err := digestOf(c.Path)
		switch {
		case err != nil:
			return err
		case now == c.New && now != c.Old:
			continue
		case now != c.Old:
			return fmt.Errorf("%s: %w", c.Path, ErrConflict)
		}
		if err := s.disk.rename(c.fresh(), c.Path); err != nil {
			return err
		}
	}
	return s.syncAll(changes)
}

// undo gives the old texts their names again.
func (s *Store) undo(changes []change) error {
	var failed error
	for _, c := range changes {
		now, err := digestOf(c.Path)
		switch {
		case err != nil:
		case now != c.New || now == c.Old: // as it was, or somebody else's
		case c.Old == "":
			err = s.disk.remove(c.Path)
		default:
			err = s.disk.rename(c.spare(), c.Path)
		}
		failed = errors.Join(failed, err)
	}
	if failed != nil {
		return failed
	}
	return s.syncAll(changes)
}

// clean removes what only a change under way needs. The intent goes first, durably:
// it must not come back when the files have had other texts since.
func (s *Store) clean(changes []change) error {
	if err := s.disk.remove(s.intent()); err != nil {
		return err
	}
	if err := s.disk.sync(s.dir); err != nil {
		return err
	}
	var failed error
	for _, c := range changes {
		failed = errors.Join(failed, s.disk.remove(c.fresh()), s.disk.remove(c.spare()))
	}
	return failed
}

func (s *Store) syncAll(changes []change) error {
	var dirs []string
	for _, c := range changes {
		if dir := filepath.Dir(c.Path); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for _, dir := range dirs {
		if err := s.disk.sync(dir); err != nil {
			return err
		}
	}
	return nil
}

// settle undoes or finishes what somebody was stopped in. Where that cannot be done
// now, it returns the texts that the files should have.
func (s *Store) settle() (instead map[string]string) {
	var changes []change
	err := s.recall(s.intent(), &changes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		s.remark("what was under way in %s cannot be read, and is left as it is: %v", s.intent(), err)
		return nil
	}
	how, err := s.choose(changes)
	switch how {
	case wayDone, wayUnknown:
	case wayUndo:
		err = s.undo(changes)
	case wayFinish:
		err = s.finish(changes)
	case wayNone:
		s.remark("the daemon was stopped while it replaced the configuration, and somebody changed the files since: they are left as they are. Look at them")
	}
	if err == nil {
		err = s.clean(changes)
	}
	if err != nil {
		s.remark("the daemon was stopped while it replaced the configuration. What is half done on the disk cannot be %s now: %v", how, advised(err))
		return view(changes, how)
	}
	if how == wayUndo || how == wayFinish {
		s.remark("the daemon was stopped while it replaced the configuration: that was %s", how)
	}
	return nil
}

// way is how a change under way comes to its end.
type way string

const (
	wayDone    way = "ended" // every file has its new text
	wayUndo    way = "undone"
	wayFinish  way = "finished"
	wayNone    way = "settled" // somebody changed the files since
	wayUnknown way = "looked at"
)

// choose looks at the files. Whoever began was not told that it was done, so undoing
// comes first.
func (s *Store) choose(changes []change) (way, error) {
	done, undo, finish := true, true, true
	for _, c := range changes {
		now, err := digestOf(c.Path)
		if err != nil {
			return wayUnknown, named(c.Path, err)
		}
		isNew, isOld := now == c.New, now == c.Old
		fresh, _ := digestOf(c.fresh()) // what cannot be read is not there
		spare, _ := digestOf(c.spare())
		done = done && isNew
		undo = undo && (isOld || isNew && spare == c.Old)
		finish = finish && (isNew || isOld && fresh == c.New)
	}
	switch {
	case done:
		return wayDone, nil
	case undo:
		return wayUndo, nil
	case finish:
		return wayFinish, nil
	}
	return wayNone, nil
}

// view is what files have to read as long as a change cannot be settled.
func view(changes []change, how way) map[string]string {
	instead := make(map[string]string)
	for _, c := range changes {
		now, err := digestOf(c.Path)
		if err != nil {
			continue
		}
		switch {
		case how == wayUndo && now == c.New && c.Old == "":
			instead[c.Path] = ""
		case how == wayUndo && now == c.New && now != c.Old:
			if text, err := readFile(c.spare(), maxRecord); err == nil {
				instead[c.Path] = text
			}
		case how == wayFinish && now == c.Old && now != c.New:
			if text, err := readFile(c.fresh(), maxRecord); err == nil {
				instead[c.Path] = text
			}
		}
	}
	return instead
}

// Replace gives documents new texts: all of them or none. match is the hash of those
// that were edited; ErrConflict when somebody changed them since. Documents that are
// left out stay as they are. The outcome is kept as a version.
func (s *Store) Replace(match string, docs []model.Document, by string) (model.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.replace(match, docs, by)
	if err != nil {
		return model.Version{}, fmt.Errorf("replace the configuration: %w", advised(err))
	}
	return v, nil
}

func (s *Store) replace(match string, edited []model.Document, by string) (model.Version, error) {
	files, err := s.read()
	if err != nil {
		return model.Version{}, err
	}
	old := documents(files)
	if Hash(old) != match {
		return model.Version{}, fmt.Errorf("its files have other texts than those that were edited: %w", ErrConflict)
	}
	docs, err := overlay(old, edited)
	if err != nil {
		return model.Version{}, err
	}
	var changes []change
	for i, f := range files {
		if docs[i].Text == f.Text {
			continue
		}
		if slices.ContainsFunc(files, func(g file) bool { return g.path == f.path && g.Name != f.Name }) {
			return model.Version{}, fmt.Errorf("%s is the same file as another document: a text for one would be a text for both", f.Name)
		}
		changes = append(changes, newChange(f.path, f.exists, f.Text, docs[i].Text))
	}
	return s.commit(docs, by, changes)
}
