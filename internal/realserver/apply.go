package realserver

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Apply does the steps of a plan. The record is safe before the first one. When
// a step fails, those before it are taken back, and the error says what is left.
func (s *Server) Apply(p Plan) error {
	if err := s.clean(p); err != nil {
		return fmt.Errorf("take away what an interrupted run left: %w", advised(err))
	}
	if len(p.Ops) == 0 {
		return s.finish(p.next)
	}
	if err := s.save(p.pending); err != nil {
		s.save(p.was) // at best: the record may have its name, and not be safe
		return fmt.Errorf("keep what was before, in %s: %w. Nothing was changed", s.recordPath(), advised(err))
	}
	for i, op := range p.Ops {
		if err := s.do(op); err != nil {
			return s.takeBack(p, i, fmt.Errorf("%s: %w", op.Key, advised(err)))
		}
	}
	return s.finish(p.next)
}

func (s *Server) finish(r record) error {
	if err := s.save(r); err != nil {
		return fmt.Errorf("it is done, but the record %s could not be written: %w. Run the same again", s.recordPath(), advised(err))
	}
	return nil
}

// takeBack undoes the steps before the one that failed, and what is there of it.
func (s *Server) takeBack(p Plan, failed int, cause error) error {
	var errs []error
	for i := failed; i >= 0; i-- {
		op := p.Ops[i]
		if i == failed && s.untouched(op) {
			continue
		}
		if err := s.do(Op{Key: op.Key, From: op.To, To: op.From}); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", op.Key, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w. Not everything before it could be taken back: %w. Mend the cause, then: fairlead realserver undo", cause, err)
	}
	if err := s.save(p.was); err != nil {
		return fmt.Errorf("%w. Everything is as it was before, only the record %s still says that a change is under way: %w", cause, s.recordPath(), err)
	}
	return fmt.Errorf("%w. Everything is as it was before", cause)
}

// untouched tells whether a step that failed changed nothing. The kernel's fail
// as a whole; a name may have changed without being safe.
func (s *Server) untouched(op Op) bool {
	if op.Key.Kind > File {
		return true
	}
	have, err := s.have([]Key{op.Key}, nil)
	return err == nil && have[op.Key].same(op.From)
}

// do turns one thing into another.
func (s *Server) do(op Op) error {
	name := op.Key.Name
	switch op.Key.Kind {
	case Directory:
		return s.doDirectory(name, op.To)
	case File:
		return replace(s.disk, name, op.To)
	case Setting:
		return s.kernel.set(name, op.To.Text)
	case Interface:
		return s.kernel.raise(name, op.To.Text == "up")
	}
	p, dev, err := op.Key.address()
	switch {
	case err != nil:
		return err
	case op.To.There:
		return s.kernel.addAddress(p, dev)
	}
	return s.kernel.removeAddress(p, dev)
}

// doDirectory makes a directory, or removes it unless others have put something
// into it.
func (s *Server) doDirectory(path string, to Value) error {
	var err error
	if to.There {
		err = s.disk.mkdir(path, to.Mode.Perm())
	} else if err = s.disk.rmdir(path); errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.disk.sync(filepath.Dir(path))
}

// clean removes the halves of files that a killed run may have left.
func (s *Server) clean(p Plan) error {
	for _, k := range slices.Concat(p.was.Items, p.pending.Items) {
		if k.Key.Kind != File {
			continue
		}
		if err := s.removeIn(filepath.Dir(k.Key.Name), filepath.Base(spare(k.Key.Name))); err != nil {
			return err
		}
	}
	return nil
}

// save writes the record. Together with its directory it appears at once, or not
// at all; with nothing to remember both vanish, unless others use the directory.
func (s *Server) save(r record) error {
	if !s.disk.isDir(s.state) {
		return s.saveFirst(r)
	}
	if r.empty() {
		return s.forget()
	}
	r.Made = s.made
	text, err := r.encode()
	if err != nil {
		return err
	}
	if now, err := s.disk.read(s.recordPath()); err == nil && now.There && now.Text == text {
		return nil
	}
	return replace(s.disk, s.recordPath(), Value{There: true, Text: text, Mode: 0o600})
}

// saveFirst makes the state directory with the record in it aside, and then gives
// it its name.
func (s *Server) saveFirst(r record) error {
	above, aside := filepath.Dir(s.state), spare(s.state)
	switch {
	case r.empty():
		return nil
	case !s.disk.isDir(above):
		return fmt.Errorf("there is no directory %s: is this the root of a system?", above)
	}
	r.Made = true
	text, err := r.encode()
	if err == nil {
		err = s.disk.mkdir(aside, 0o700)
	}
	if err == nil {
		err = s.disk.create(filepath.Join(aside, recordName), Value{There: true, Text: text, Mode: 0o600})
	}
	if err == nil {
		err = s.disk.sync(aside)
	}
	if err == nil {
		err = s.disk.rename(aside, s.state)
	}
	if err == nil {
		s.made = true
		err = s.disk.sync(above)
	}
	if err != nil {
		s.tidy() // at best; the next one begins anew
	}
	return err
}

// tidy removes the halves of a record that a killed run may have left.
func (s *Server) tidy() error {
	aside := spare(s.state)
	return errors.Join(s.removeIn(aside, recordName), s.disk.rmdir(aside), s.removeIn(s.state, filepath.Base(spare(s.recordPath()))))
}

// removeIn removes a file in a directory that need not be there.
func (s *Server) removeIn(dir, name string) error {
	if !s.disk.isDir(dir) {
		return nil
	}
	return s.disk.remove(filepath.Join(dir, name))
}

// forget removes the record. A directory that was made for it vanishes together
// with it, unless others have put something into it.
func (s *Server) forget() error {
	names, err := s.disk.list(s.state)
	if err != nil {
		return err
	}
	if !s.made || !slices.Equal(names, []string{recordName}) {
		return replace(s.disk, s.recordPath(), Value{})
	}
	if err := s.disk.rename(s.state, spare(s.state)); err != nil {
		return err
	}
	return errors.Join(s.tidy(), s.disk.sync(filepath.Dir(s.state)))
}
