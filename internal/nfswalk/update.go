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

// Update asks what a file holds and writes over it, on stable storage, what next says. With
// version 3 it makes a file that is not there; versions 4 would have to open it, and
// do not. The error of next ends it before anything is written or made.
func Update(ctx context.Context, dial Dial, t Target, next Next) Report {
	t = t.complete()
	w := &walker{ctx: ctx, dial: dial, t: t}
	defer w.close()
	w.null()
	if t.Version == V3 {
		w.update3(next)
	} else {
		w.update4(next)
	}
	return w.report
}

func (w *walker) update3(next Next) {
	w.mount()
	dir := w.report.Root
	for _, name := range names(path.Dir(w.t.File)) {
		dir = ask(w, "LOOKUP", w.nfs, nfswire.Lookup(dir, name), explain("LOOKUP", w.file()))
	}
	name := path.Base(w.t.File)
	file, there := w.find(dir, name)
	if there {
		a := ask(w, "GETATTR", w.nfs, nfswire.GetAttr(file), explain("GETATTR", w.file()))
		w.must(a.Type, nfswire.TypeFile)
		data := ask(w, "READ", w.nfs, nfswire.Read(file, 0, MaxRead), explain("READ", w.file()))
		w.report.FileSize, w.report.Changed, w.report.Data = a.Size, a.Mtime, data.Bytes
	}
	data := w.decide(next)
	if !there {
		file = w.create(dir, name)
	}
	w.written(ask(w, "WRITE", w.nfs, nfswire.Write(file, 0, data, nfswire.FileSync), explain("WRITE", w.file())), data)
}

// update4 writes with the state of a file that nobody opened: so the server keeps nothing of
// this client. It may refuse that while it is in its grace period.
func (w *walker) update4(next Next) {
	var s session
	defer func() { w.end(&s) }()
	w.begin(&s)
	ops := []nfswire.Op{nfswire.PutRootFH()}
	for _, name := range append(names(w.t.Export), names(w.t.File)...) {
		ops = append(ops, nfswire.LookupOp(name))
	}
	var file nfswire.Handle
	var a nfswire.Attr4
	w.compound(&s, "LOOKUP", w.file(), append(ops, nfswire.GetFH(&file), nfswire.GetAttrOp(&a))...)
	w.must(a.Type, nfswire.TypeFile)
	var held nfswire.Data
	w.compound(&s, "READ", w.file(), nfswire.PutFH(file), nfswire.ReadOp(nfswire.Bypass, 0, MaxRead, &held))
	w.report.FileSize, w.report.Changed, w.report.Data = a.Size, a.Mtime, held.Bytes
	data := w.decide(next)
	var written nfswire.Written
	w.compound(&s, "WRITE", w.file(), nfswire.PutFH(file), nfswire.WriteOp(nfswire.Anonymous, 0, data, nfswire.FileSync, &written))
	w.written(written, data)
}

// decide asks next what to write.
func (w *walker) decide(next Next) (data []byte) {
	w.step("decide", func() (err error) {
		data, err = next(w.report.FileSize, w.report.Data)
		return err
	})
	return data
}

// written fails the last step when not all was written, or is not safe yet.
func (w *walker) written(got nfswire.Written, data []byte) {
	w.check(int(got.Count) != len(data), "%s: the server wrote %d bytes of %d", w.file(), got.Count, len(data))
	w.check(!got.Stable, "%s: the server does not say that it is on stable storage", w.file())
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
