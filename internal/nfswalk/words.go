package nfswalk

import (
	"errors"
	"fmt"

	"fairlead/internal/nfswire"
)

// words says what a step's failure means: what is the thing that was asked for.
func words(step, what string, err error) error {
	if err == nil {
		return nil
	}
	var op *nfswire.OpError
	if errors.As(err, &op) {
		step, err = op.Op, op.Status
	}
	var status nfswire.Status
	if !errors.As(err, &status) {
		return fmt.Errorf("%s: %w", step, err)
	}
	means := ""
	switch status {
	case nfswire.StatusNoEntry, nfswire.StatusNotDir:
		means = "%s is not there"
	case nfswire.StatusAccess, nfswire.StatusNotOwner:
		means = "the server does not let this director use %s"
		if step == "MOUNT" { // nfs-ganesha says so of an export that it does not have
			means = "%s is not there, or not for this director"
		}
	case nfswire.StatusStale:
		means = "the server no longer knows %s"
	case nfswire.StatusGrace:
		means = "%s is not to be had yet"
	default:
		return fmt.Errorf("%s: %s: %w", what, step, status)
	}
	return fmt.Errorf(means+" (%s: %w)", what, step, status)
}

func (w *walker) export() string {
	if w.t.Export == "" {
		return "the root of the exports"
	}
	return "the export " + w.t.Export
}

func (w *walker) file() string { return fmt.Sprintf("the file %s in %s", w.t.File, w.export()) }

// explain is words for a step about what.
func explain(step, what string) func(error) error {
	return func(err error) error { return words(step, what, err) }
}
