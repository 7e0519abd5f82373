package nfswalk

import (
	"context"
	"errors"
	"path"

	"fairlead/internal/nfswire"
	"fairlead/internal/rpc"
)

// fileMode is that of a file that Update makes: anybody may read it.
const fileMode = 0o644

// Next says what a file that holds this, of that size, shall hold from its start
// on. Held are the first bytes, at most MaxRead; a file that is not there holds nothing.
type Next func(size uint64, held []byte) ([]byte, error)

// Update asks what a file holds and writes over it, on stable storage, what next says. It
// makes a file that is not there. The error of next ends it before anything is
// written or made. It speaks version 3 only.
func Update(ctx context.Context, dial Dial, t Target, next Next) Report {
	t = t.complete()
	w := &walker{ctx: ctx, dial: dial, t: t}
	defer w.close()
	if t.Version != V3 {
		w.step("WRITE", func() error { return errors.New("files are written by NFS version 3 only") })
		return w.report
	}
	w.null()
	w.mount()
	dir := w.report.Root
	for _, name := range names(path.Dir(t.File)) {
		dir = ask(w, "LOOKUP", w.nfs, nfswire.Lookup(dir, name), explain("LOOKUP", w.file()))
	}
	name := path.Base(t.File)
	file, there := w.find(dir, name)
	if there {
		a := ask(w, "GETATTR", w.nfs, nfswire.GetAttr(file), explain("GETATTR", w.file()))
		w.must(a.Type, nfswire.TypeFile)
		data := ask(w, "READ", w.nfs, nfswire.Read(file, 0, MaxRead), explain("READ", w.file()))
		w.report.FileSize, w.report.Changed, w.report.Data = a.Size, a.Mtime, data.Bytes
	}
	var data []byte
	w.step("decide", func() (err error) {
		data, err = next(w.report.FileSize, w.report.Data)
		return err
	})
	if !there {
		file = w.create(dir, name)
	}
	written := ask(w, "WRITE", w.nfs, nfswire.Write(file, 0, data, nfswire.FileSync), explain("WRITE", w.file()))
	w.check(int(written.Count) != len(data), "%s: the server wrote %d bytes of %d", w.file(), written.Count, len(data))
	w.check(!written.Stable, "%s: the server does not say that it is on stable storage", w.file())
	return w.report
}

// find looks a name up, and tells whether it is there.
func (w *walker) find(dir nfswire.Handle, name string) (file nfswire.Handle, there bool) {
	w.step("LOOKUP", func() (err error) {
		file, err = rpc.Do(w.ctx, w.nfs, nfswire.Lookup(dir, name))
		if errors.Is(err, nfswire.StatusNoEntry) {
			return nil
		}
		there = err == nil
		return explain("LOOKUP", w.file())(err)
	})
	return file, there
}

// create makes a file that must not be there yet.
func (w *walker) create(dir nfswire.Handle, name string) nfswire.Handle {
	file := ask(w, "CREATE", w.nfs, nfswire.Create(dir, name, fileMode, nfswire.Guarded), explain("CREATE", w.file()))
	if file == "" {
		file = ask(w, "LOOKUP", w.nfs, nfswire.Lookup(dir, name), explain("LOOKUP", w.file()))
	}
	return file
}
