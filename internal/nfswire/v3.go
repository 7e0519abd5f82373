package nfswire

import (
	"time"

	"fairlead/internal/rpc"
)

func nfs3(name string, index uint32) rpc.Procedure {
	return rpc.Procedure{Name: name, Program: rpc.ProgramNFS, Version: 3, Index: index}
}

// nothing is the result of calls of which only the status matters.
func nothing(d *rpc.Decoder) (struct{}, error) { return struct{}{}, status(d) }

// of encodes a handle and then more.
func of(h Handle, more func(*rpc.Encoder)) func(*rpc.Encoder) {
	return func(e *rpc.Encoder) {
		e.String(string(h))
		if more != nil {
			more(e)
		}
	}
}

// GetAttr asks for a file's attributes.
func GetAttr(h Handle) rpc.Call[Attr] {
	return rpc.Call[Attr]{Procedure: nfs3("GETATTR", 1), Args: of(h, nil), Result: func(d *rpc.Decoder) (Attr, error) {
		if err := status(d); err != nil {
			return Attr{}, err
		}
		a := attr(d)
		return a, d.Err()
	}}
}

// SetSize cuts a file, or grows it with zeros.
func SetSize(h Handle, size uint64) rpc.Call[struct{}] {
	return rpc.Call[struct{}]{Procedure: nfs3("SETATTR", 2), Result: nothing, Args: of(h, func(e *rpc.Encoder) {
		for _, v := range []uint32{0, 0, 0, 1 /* set the size */} {
			e.Uint32(v)
		}
		e.Uint64(size)
		e.Uint32(0) // atime, mtime: as they are
		e.Uint32(0)
		e.Uint32(0) // no guard
	})}
}

// Lookup asks for the handle of a name in a directory.
func Lookup(dir Handle, name string) rpc.Call[Handle] {
	return rpc.Call[Handle]{Procedure: nfs3("LOOKUP", 3), Args: of(dir, named(name)), Result: func(d *rpc.Decoder) (Handle, error) {
		if err := status(d); err != nil {
			return "", err
		}
		h := handle(d, maxHandle3)
		return h, d.Err()
	}}
}

// Data is the answer to a READ.
type Data struct {
	Bytes []byte
	EOF   bool
}

// Read asks for at most n bytes at an offset, n ≤ MaxData.
func Read(h Handle, offset uint64, n uint32) rpc.Call[Data] {
	return rpc.Call[Data]{Procedure: nfs3("READ", 6), Args: of(h, func(e *rpc.Encoder) {
		e.Uint64(offset)
		e.Uint32(n)
	}), Result: func(d *rpc.Decoder) (r Data, err error) {
		if err := status(d); err != nil {
			return r, err
		}
		postAttr(d)
		count := d.Uint32()
		r.EOF = d.Bool()
		r.Bytes = d.Opaque(n)
		if d.Err() == nil && int(count) != len(r.Bytes) {
			d.Fail("count %d with %d bytes of data", count, len(r.Bytes))
		}
		return r, d.Err()
	}}
}

// How a Write is to be made stable (stable_how).
const (
	Unstable = 0 // a Commit makes it stable
	FileSync = 2
)

// Write writes at an offset, at most MaxData bytes.
func Write(h Handle, offset uint64, data []byte, stable uint32) rpc.Call[Written] {
	return rpc.Call[Written]{Procedure: nfs3("WRITE", 7), Args: of(h, func(e *rpc.Encoder) {
		e.Uint64(offset)
		e.Uint32(uint32(len(data)))
		e.Uint32(stable)
		e.Opaque(data)
	}), Result: func(d *rpc.Decoder) (w Written, err error) {
		if err := status(d); err != nil {
			return w, err
		}
		wcc(d)
		w.Count = d.Uint32()
		w.Stable = d.Uint32() == FileSync
		w.Verifier = verifier(d)
		if int(w.Count) > len(data) {
			d.Fail("%d bytes written of %d", w.Count, len(data))
		}
		return w, d.Err()
	}}
}

// Commit makes all that was written to a file stable. When the verifier differs
// from that of an unstable Write, the data of that Write must be written again.
func Commit(h Handle) rpc.Call[Verifier] {
	return rpc.Call[Verifier]{Procedure: nfs3("COMMIT", 21), Args: of(h, func(e *rpc.Encoder) {
		e.Uint64(0) // from the start
		e.Uint32(0) // to the end
	}), Result: func(d *rpc.Decoder) (Verifier, error) {
		if err := status(d); err != nil {
			return Verifier{}, err
		}
		wcc(d)
		v := verifier(d)
		return v, d.Err()
	}}
}

// How a Create meets a file that is there already (createmode3).
const (
	Unchecked = 0 // takes it
	Guarded   = 1 // fails
)

// Create makes a file. The handle is "" when the server does not give it.
func Create(dir Handle, name string, mode, how uint32) rpc.Call[Handle] {
	return rpc.Call[Handle]{Procedure: nfs3("CREATE", 8), Result: created, Args: of(dir, func(e *rpc.Encoder) {
		e.String(name)
		e.Uint32(how)
		sattr(e, mode)
	})}
}

// Mkdir makes a directory that must not exist yet, as Create does.
func Mkdir(dir Handle, name string, mode uint32) rpc.Call[Handle] {
	return rpc.Call[Handle]{Procedure: nfs3("MKDIR", 9), Result: created, Args: of(dir, func(e *rpc.Encoder) {
		e.String(name)
		sattr(e, mode)
	})}
}

// created is CREATE's and MKDIR's result: the handle is optional.
func created(d *rpc.Decoder) (h Handle, err error) {
	if err := status(d); err != nil {
		return "", err
	}
	if d.Bool() {
		h = handle(d, maxHandle3)
	}
	return h, d.Err()
}

// Remove removes a file.
func Remove(dir Handle, name string) rpc.Call[struct{}] {
	return rpc.Call[struct{}]{Procedure: nfs3("REMOVE", 12), Args: of(dir, named(name)), Result: nothing}
}

// Rename gives a file another name.
func Rename(fromDir Handle, from string, toDir Handle, to string) rpc.Call[struct{}] {
	return rpc.Call[struct{}]{Procedure: nfs3("RENAME", 14), Result: nothing, Args: func(e *rpc.Encoder) {
		e.String(string(fromDir))
		e.String(from)
		e.String(string(toDir))
		e.String(to)
	}}
}

// Entries is one answer to ReadDir, and where the next one goes on.
type Entries struct {
	Names    []string // without "." and ".."
	Cookie   uint64   // of the last name
	Verifier Verifier
	End      bool
}

// ReadDir asks for names in a directory, from where an earlier answer ended.
func ReadDir(dir Handle, at Entries) rpc.Call[Entries] {
	return rpc.Call[Entries]{Procedure: nfs3("READDIR", 16), Result: entries, Args: of(dir, func(e *rpc.Encoder) {
		e.Uint64(at.Cookie)
		e.Fixed(at.Verifier[:])
		e.Uint32(32 << 10)
	})}
}

func entries(d *rpc.Decoder) (Entries, error) {
	if err := status(d); err != nil {
		return Entries{}, err
	}
	postAttr(d)
	l := Entries{Verifier: verifier(d)}
	for d.Bool() {
		d.Uint64() // file ID
		name := string(d.Opaque(maxName))
		l.Cookie = d.Uint64()
		if name != "." && name != ".." {
			l.Names = append(l.Names, name)
		}
	}
	l.End = d.Bool()
	return l, d.Err()
}

// sattr encodes attributes of which only the mode is set.
func sattr(e *rpc.Encoder, mode uint32) {
	e.Uint32(1)
	e.Uint32(mode)
	for range 5 { // uid, gid, size, atime, mtime: the server's choice
		e.Uint32(0)
	}
}

func attr(d *rpc.Decoder) Attr {
	var a Attr
	a.Type = d.Uint32()
	a.Mode = d.Uint32()
	d.Fixed(4 + 4 + 4) // links, uid, gid
	a.Size = d.Uint64()
	d.Fixed(8 + 8) // used, device
	a.FSID = d.Uint64()
	a.FileID = d.Uint64()
	d.Fixed(8) // atime
	a.Mtime, a.Ctime = time3(d), time3(d)
	return a
}

// time3 reads an nfstime3: seconds and nanoseconds.
func time3(d *rpc.Decoder) time.Time { return time.Unix(int64(d.Uint32()), int64(d.Uint32())) }

// postAttr reads and drops a post_op_attr.
func postAttr(d *rpc.Decoder) {
	if d.Bool() {
		attr(d)
	}
}

// wcc reads and drops a wcc_data.
func wcc(d *rpc.Decoder) {
	if d.Bool() {
		d.Fixed(8 + 8 + 8)
	}
	postAttr(d)
}

func verifier(d *rpc.Decoder) (v Verifier) {
	copy(v[:], d.Fixed(len(v)))
	return v
}
