package nfswire

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"fairlead/internal/rpc"
)

// reads drops the value that a call's results give.
func reads[T any](call rpc.Call[T]) func([]byte) error {
	return func(b []byte) error { _, err := call.Read(rpc.NewDecoder(b)); return err }
}

var (
	someHandle  Handle
	someAttr    Attr4
	someData    Data
	someClient  Introduced
	someSession SessionID
	someWritten Written
	someEntries []Entry
	someWhole   bool
)

// decoders read the results of every call.
var decoders = map[string]func([]byte) error{
	"GETATTR":          reads(GetAttr("h")),
	"LOOKUP":           reads(Lookup("h", "n")),
	"WRITE":            reads(Write("h", 0, []byte("1234"), FileSync)),
	"COMMIT":           reads(Commit("h")),
	"MOUNT":            reads(Mount("/")),
	"EXPORT":           reads(Exports()),
	"READDIR":          reads(ReadDir("h", Entries{})),
	"REMOVE":           reads(Remove("h", "n")),
	"READ":             reads(Read("h", 0, MaxData)),
	"CREATE":           reads(Create("h", "n", 0, Guarded)),
	"4 GETFH":          reads(Compound(0, GetFH(&someHandle))),
	"4 GETATTR":        reads(Compound(0, PutRootFH(), GetAttrOp(&someAttr))),
	"4 READ":           reads(Compound(0, ReadOp(Bypass, 0, 4, &someData))),
	"4 WRITE":          reads(Compound(0, WriteOp(Anonymous, 0, []byte("1234"), FileSync, &someWritten))),
	"4 EXCHANGE_ID":    reads(Compound(1, ExchangeID(Identity{}, &someClient))),
	"4 CREATE_SESSION": reads(Compound(1, CreateSession(someClient, &someSession))),
	"4 READDIR":        reads(Compound(0, ReadDirOp(&someEntries, &someWhole))),
	"4 SEQUENCE":       reads(Compound(1, Sequence(someSession, 1))),
}

func words(w ...uint32) []byte {
	var b []byte
	for _, v := range w {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func TestMalformedResults(t *testing.T) {
	for _, tt := range []struct {
		name, call string
		b          []byte
	}{
		{"nothing at all", "REMOVE", nil},
		{"half a status", "LOOKUP", []byte{0, 0}},
		{"handle longer than 64 bytes", "LOOKUP", append(words(0, 68), make([]byte, 68)...)},
		{"handle longer than the reply", "LOOKUP", words(0, 8, 1)},
		{"empty handle", "LOOKUP", words(0, 0)},
		{"length near 2^32", "READ", words(0, 0, 4, 1, 0xfffffffd)},
		{"more data than was asked for", "READ", words(0, 0, 4, 1, MaxData+1)},
		{"count beside the data", "READ", words(0, 0, 4, 1, 8, 1, 2)},
		{"boolean 2", "READ", words(0, 2)},
		{"attributes cut short", "GETATTR", words(0, 1, 2, 3)},
		{"verifier cut short", "COMMIT", words(0, 0, 0, 7)},
		{"more written than was sent", "WRITE", words(0, 0, 0, 5, 2, 0, 0)},
		{"endless flavours", "MOUNT", words(0, 4, 7, 0xffffffff)},
		{"name longer than the limit", "READDIR", words(0, 0, 0, 0, 1, 0, 1, 4096)},
		{"exports cut short", "EXPORT", words(1, 1)},
		{"results of another operation", "4 GETFH", words(0, 0, 1, 9, 0)},
		{"more results than operations", "4 GETFH", words(0, 0, 2, 10, 0)},
		{"no results, and all is well", "4 GETFH", words(0, 0, 0)},
		{"tag longer than the limit", "4 GETFH", words(0, 1025)},
		{"handle longer than 128 bytes", "4 GETFH", append(words(0, 0, 1, 10, 0, 132), make([]byte, 132)...)},
		{"an attribute that was not asked for", "4 GETATTR", words(0, 0, 2, 24, 0, 9, 0, 1, 1, 4, 0)},
		{"a bitmap without end", "4 GETATTR", words(0, 0, 2, 24, 0, 9, 0, 0xffffffff)},
		{"attributes shorter than their bitmap", "4 GETATTR", words(0, 0, 2, 24, 0, 9, 0, 1, 1<<attrSize, 4, 0)},
		{"more data than was asked for in 4", "4 READ", words(0, 0, 1, 25, 0, 1, 8, 1, 2)},
		{"more written than was sent in 4", "4 WRITE", words(0, 0, 1, 38, 0, 5, 2, 0, 0)},
		{"an entry without a handle", "4 READDIR", words(0, 0, 1, 26, 0, 0, 0, 1, 0, 1, 0, 1, 1<<attrHandle, 4, 0)},
		{"a directory cut short", "4 READDIR", words(0, 0, 1, 26, 0, 0, 0, 1, 0, 1)},
		{"protection of the state", "4 EXCHANGE_ID", words(0, 0, 1, 42, 0, 0, 1, 0, 0, 2)},
		{"many implementations", "4 EXCHANGE_ID", words(0, 0, 1, 42, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2)},
		{"session cut short", "4 CREATE_SESSION", words(0, 0, 1, 43, 0, 1, 2)},
		{"sequence cut short", "4 SEQUENCE", words(0, 0, 1, 53, 0, 1, 2)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := decoders[tt.call](tt.b); !errors.Is(err, rpc.ErrMalformed) {
				t.Errorf("got %v, want ErrMalformed", err)
			}
		})
	}
}

func TestStatusIsTheError(t *testing.T) {
	for name, decode := range decoders {
		b := words(uint32(StatusStale), 0, 0)
		if name == "EXPORT" { // has no status
			continue
		}
		if err := decode(b); !errors.Is(err, StatusStale) {
			t.Errorf("%s: got %v, want %v", name, err, StatusStale)
		}
	}
	err := decoders["4 GETATTR"](words(uint32(StatusAccess), 0, 1, 24, uint32(StatusAccess)))
	if op := (*OpError)(nil); !errors.As(err, &op) || op.Op != "PUTROOTFH" || op.Status != StatusAccess {
		t.Errorf("got %v, want the operation that failed", err)
	}
}

func TestAttributes(t *testing.T) {
	bits := words(0, 0, 1, 9, 0, 2, askedAttrs[0], askedAttrs[1], 52, TypeDirectory, 0, 5, 0, 77, 0, 78, 90, 0, 9, 0, 100, 7, 0)
	var a Attr4
	if _, err := Compound(0, GetAttrOp(&a)).Read(rpc.NewDecoder(bits)); err != nil {
		t.Fatal(err)
	}
	want := Attr4{TypeDirectory, 5, [2]uint64{77, 78}, 90 * time.Second, 9, time.Unix(100, 7), ""}
	if a != want {
		t.Errorf("got %+v, want %+v", a, want)
	}
}

// FuzzResults feeds bytes to everything that reads results.
func FuzzResults(f *testing.F) {
	f.Add(words(0, 4, 7, 1, 1))
	f.Add(words(0, 0, 4, 1, 4, 5))
	f.Add(words(0, 0, 1, 10, 0, 4, 7))
	f.Add(words(0, 0, 2, 24, 0, 9, 0, 1, 1<<attrSize, 8, 0, 9))
	f.Add(words(1, 4, 7, 1, 4, 7, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, decode := range decoders {
			before := string(b)
			decode(b)
			if string(b) != before {
				t.Fatalf("%s changed what it read", name)
			}
		}
	})
}
