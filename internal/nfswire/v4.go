package nfswire

import (
	"fmt"
	"time"

	"fairlead/internal/rpc"
)

// Op is one operation of a COMPOUND. What it gives goes where its maker was told.
type Op struct {
	name   string
	code   uint32
	args   func(*rpc.Encoder)
	result func(*rpc.Decoder)
}

// OpError is the operation of a COMPOUND that failed, and why.
type OpError struct {
	Op     string
	Status Status
}

func (e *OpError) Error() string { return e.Op + ": " + e.Status.Error() }
func (e *OpError) Unwrap() error { return e.Status }

// Compound makes one call of NFSv4, in its version 4.minor, out of operations. The
// server carries them out in order, up to the first one that fails.
func Compound(minor uint32, ops ...Op) rpc.Call[struct{}] {
	return rpc.Call[struct{}]{
		Procedure: rpc.Procedure{Name: "COMPOUND", Program: rpc.ProgramNFS, Version: 4, Index: 1},
		Args: func(e *rpc.Encoder) {
			e.Opaque(nil) // no tag
			e.Uint32(minor)
			e.Uint32(uint32(len(ops)))
			for _, op := range ops {
				e.Uint32(op.code)
				if op.args != nil {
					op.args(e)
				}
			}
		},
		Result: func(d *rpc.Decoder) (struct{}, error) { return struct{}{}, compounded(d, ops) },
	}
}

func compounded(d *rpc.Decoder, ops []Op) error {
	all := Status(d.Uint32())
	d.Opaque(maxOpaque) // the tag
	n := int(d.Uint32())
	if n > len(ops) {
		d.Fail("%d results of %d operations", n, len(ops))
	}
	for i := 0; i < n && d.Err() == nil; i++ {
		code, status := d.Uint32(), Status(d.Uint32())
		if code != ops[i].code && status == 0 {
			d.Fail("the result of operation %d, which was not asked for", code)
		}
		if d.Err() == nil && status != 0 {
			return &OpError{ops[i].name, status}
		}
		if ops[i].result != nil {
			ops[i].result(d)
		}
	}
	if d.Err() == nil && all != 0 {
		return &OpError{"COMPOUND", all}
	}
	if n < len(ops) {
		d.Fail("%d results of %d operations", n, len(ops))
	}
	return d.Err()
}

// PutRootFH goes to the root of everything that the server exports.
func PutRootFH() Op { return Op{name: "PUTROOTFH", code: 24} }

// PutFH goes to a file.
func PutFH(h Handle) Op { return Op{name: "PUTFH", code: 22, args: of(h, nil)} }

// LookupOp goes to a name in the directory.
func LookupOp(name string) Op { return Op{name: "LOOKUP", code: 15, args: named(name)} }

// GetFH gives the handle of the file.
func GetFH(h *Handle) Op {
	return Op{name: "GETFH", code: 10, result: func(d *rpc.Decoder) { *h = handle(d, maxHandle4) }}
}

// Attr4 is what Fairlead reads of a file's attributes in NFSv4.
type Attr4 struct {
	Type   uint32
	Size   uint64
	FSID   [2]uint64 // major, minor
	Lease  time.Duration
	FileID uint64
	Mtime  time.Time
	Handle Handle // of an entry of a directory
}

// The attributes that are asked for, by their numbers. Each one's reader stands
// in read.
const (
	attrType   = 1
	attrSize   = 4
	attrFSID   = 8
	attrLease  = 10
	attrFileID = 20
	attrMtime  = 53
	attrHandle = 19
)

var (
	askedAttrs = []uint32{1<<attrType | 1<<attrSize | 1<<attrFSID | 1<<attrLease | 1<<attrFileID, 1 << (attrMtime - 32)}
	entryAttrs = []uint32{1<<attrType | 1<<attrFSID | 1<<attrHandle}
)

func bitmap(e *rpc.Encoder, words []uint32) {
	e.Uint32(uint32(len(words)))
	for _, w := range words {
		e.Uint32(w)
	}
}

// GetAttrOp gives attributes of the file.
func GetAttrOp(a *Attr4) Op {
	return Op{name: "GETATTR", code: 9, args: func(e *rpc.Encoder) { bitmap(e, askedAttrs) }, result: func(d *rpc.Decoder) { a.read(d) }}
}

// read reads a fattr4: a bitmap, and then the attributes in their order.
func (a *Attr4) read(d *rpc.Decoder) {
	words := d.Uint32()
	if words > 8 {
		d.Fail("a bitmap of %d words", words)
	}
	var bits []uint32
	for i := uint32(0); i < words && d.Err() == nil; i++ {
		bits = append(bits, d.Uint32())
	}
	values := rpc.NewDecoder(d.Opaque(4 << 10))
	for n := range uint32(len(bits)) * 32 {
		if bits[n/32]&(1<<(n%32)) != 0 && d.Err() == nil {
			if err := a.value(&values, n); err != nil {
				d.Fail("%v", err)
			}
		}
	}
}

func (a *Attr4) value(d *rpc.Decoder, number uint32) error {
	switch number {
	case attrType:
		a.Type = d.Uint32()
	case attrSize:
		a.Size = d.Uint64()
	case attrFSID:
		a.FSID = [2]uint64{d.Uint64(), d.Uint64()}
	case attrLease:
		a.Lease = time.Duration(d.Uint32()) * time.Second
	case attrFileID:
		a.FileID = d.Uint64()
	case attrHandle:
		a.Handle = handle(d, maxHandle4)
	case attrMtime:
		a.Mtime = time.Unix(int64(d.Uint64()), int64(d.Uint32()))
	default:
		return fmt.Errorf("attribute %d, which was not asked for", number)
	}
	return d.Err()
}

// The two special states of a file that is used without having been opened (RFC
// 8881, section 8.2.3).
var (
	// Anonymous is refused with StatusGrace by servers in their grace period.
	Anonymous = State{}
	// Bypass is served in the grace period, too.
	Bypass = State{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
)

// State is a state identifier (stateid4).
type State [16]byte

// ReadOp gives at most n bytes of the file at an offset.
func ReadOp(s State, offset uint64, n uint32, data *Data) Op {
	return Op{name: "READ", code: 25, args: func(e *rpc.Encoder) {
		e.Fixed(s[:])
		e.Uint64(offset)
		e.Uint32(n)
	}, result: func(d *rpc.Decoder) {
		data.EOF = d.Bool()
		data.Bytes = d.Opaque(n)
	}}
}

// WriteOp writes at an offset of the file.
func WriteOp(s State, offset uint64, data []byte, stable uint32, written *Written) Op {
	return Op{name: "WRITE", code: 38, args: func(e *rpc.Encoder) {
		e.Fixed(s[:])
		e.Uint64(offset)
		e.Uint32(stable)
		e.Opaque(data)
	}, result: func(d *rpc.Decoder) {
		written.Count = d.Uint32()
		written.Stable = d.Uint32() == FileSync
		written.Verifier = verifier(d)
		if int(written.Count) > len(data) {
			d.Fail("%d bytes written of %d", written.Count, len(data))
		}
	}}
}

// Entry is one name of a directory in NFSv4.
type Entry struct {
	Name string
	Attr4
}

// ReadDirOp gives the first entries of the directory, as many as one answer holds.
// Whole tells that there are no more.
func ReadDirOp(list *[]Entry, whole *bool) Op {
	return Op{name: "READDIR", code: 26, args: func(e *rpc.Encoder) {
		e.Uint64(0)       // from the start
		e.Uint64(0)       // verifier
		e.Uint32(8 << 10) // bytes of names
		e.Uint32(32 << 10)
		bitmap(e, entryAttrs)
	}, result: func(d *rpc.Decoder) {
		d.Fixed(8) // verifier
		for d.Bool() {
			d.Uint64() // cookie
			x := Entry{Name: string(d.Opaque(maxName))}
			x.read(d)
			*list = append(*list, x)
		}
		*whole = d.Bool()
	}}
}
