package main

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"fairlead/internal/agent"
	"fairlead/internal/memory"
	"fairlead/internal/model"
)

// remembrance is a memory that can be closed.
type remembrance interface {
	agent.Memory
	io.Closer
}

// openMemory opens the memory in the state directory. A directory that cannot be
// used is no reason not to serve: the daemon runs, and an alarm says that a
// reboot would forget.
func openMemory(dir string) (remembrance, error) {
	m, err := memory.Open(dir)
	if err == nil {
		return m, nil
	}
	if errors.Is(err, memory.ErrInUse) {
		return nil, unable{err}
	}
	return unusable{dir, err}, nil
}

// unusable is the memory in a directory that cannot be opened.
type unusable struct {
	dir string
	err error
}

// Load tells a directory that is not there, in which nothing can have been kept,
// from one that may hold what cannot be read.
func (u unusable) Load() (model.Memory, error) {
	if _, err := os.Stat(u.dir); errors.Is(err, fs.ErrNotExist) {
		return model.Memory{}, nil
	}
	return model.Memory{}, u.err
}

func (u unusable) Save(model.Memory) error { return u.err }

func (u unusable) Close() error { return nil }
