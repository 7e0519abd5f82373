package nfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// results decodes one procedure's results and drops the value.
func results[T any](f func(*decoder) (T, error)) func(*decoder) error {
	return func(d *decoder) error { _, err := f(d); return err }
}

var decoders = map[string]func(*decoder) error{
	"GETATTR": results(attrResult),
	"LOOKUP":  results(lookupResult),
	"WRITE":   results(writeResult),
	"COMMIT":  results(commitResult),
	"MOUNT":   results(mountResult),
	"GETPORT": results(portResult),
	"READDIR": results(readDirResult),
	"REMOVE":  results(statusOnly),
	"READ":    func(d *decoder) error { _, _, err := readResult(d); return err },
	"CREATE":  func(d *decoder) error { _, _, err := createResult(d); return err },
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
		name, proc string
		b          []byte
	}{
		{"nothing at all", "REMOVE", nil},
		{"half a status", "LOOKUP", []byte{0, 0}},
		{"handle longer than 64 bytes", "LOOKUP", words(0, 65)},
		{"handle longer than the reply", "LOOKUP", words(0, 8, 1)},
		{"empty handle", "LOOKUP", words(0, 0)},
		{"length near 2^32", "READ", words(0, 0, 4, 1, 0xfffffffd)},
		{"more data than MaxData", "READ", words(0, 0, 4, 1, MaxData+1)},
		{"count beside the data", "READ", words(0, 0, 4, 1, 8, 1, 2)},
		{"boolean 2", "READ", words(0, 2)},
		{"attributes cut short", "GETATTR", words(0, 1, 2, 3)},
		{"verifier cut short", "COMMIT", words(0, 0, 0, 7)},
		{"endless flavours", "MOUNT", words(0, 4, 7, 0xffffffff)},
		{"port 65536", "GETPORT", words(65536)},
		{"name longer than the limit", "READDIR", words(0, 0, 0, 0, 1, 0, 1, 4096)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := decoders[tt.proc](&decoder{b: tt.b}); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v, want ErrMalformed", err)
			}
		})
	}
}

func TestStatusIsTheError(t *testing.T) {
	for proc, decode := range decoders {
		if proc == "GETPORT" { // has no status
			continue
		}
		if err := decode(&decoder{b: words(uint32(StatusStale), 0, 0)}); !errors.Is(err, StatusStale) {
			t.Errorf("%s: got %v, want %v", proc, err, StatusStale)
		}
	}
}

func TestRecords(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string
		err            error
	}{
		{"one fragment", "\x80\x00\x00\x03abc", "abc", nil},
		{"two fragments", "\x00\x00\x00\x02ab\x80\x00\x00\x01c", "abc", nil},
		{"longer than the limit", "\x80\x20\x00\x01", "", ErrMalformed},
		{"longer in sum", "\x00\x00\x00\x01a\x80\x20\x00\x00", "", ErrMalformed},
		{"empty fragments for ever", "\x00\x00\x00\x00\x00\x00\x00\x00", "", ErrMalformed},
		{"cut short", "\x80\x00\x00\x03ab", "", io.ErrUnexpectedEOF},
		{"end of stream", "", "", io.EOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readRecord(bytes.NewReader([]byte(tt.in)))
			if string(got) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v; want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestReplyHeaders(t *testing.T) {
	for _, tt := range []struct {
		name      string
		b         []byte
		malformed bool
	}{
		{"a call, not a reply", words(7, 0), true},
		{"unknown accept status", words(7, 1, 0, 0, 0, 99), true},
		{"verifier longer than the limit", words(7, 1, 0, 0, 401), true},
		{"denied", words(7, 1, 1, 1), false},
		{"procedure unavailable", words(7, 1, 0, 0, 0, 3), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := decodeReply(tt.b)
			if err == nil || errors.Is(err, ErrMalformed) != tt.malformed {
				t.Errorf("got %v, want an error, malformed %v", err, tt.malformed)
			}
		})
	}
}

// FuzzReply feeds whole streams to everything that reads what a server sends.
func FuzzReply(f *testing.F) {
	f.Add([]byte("\x80\x00\x00\x1c" + string(words(7, 1, 0, 0, 0, 0, 0))))
	f.Add([]byte("\x80\x00\x00\x30" + string(words(7, 1, 0, 0, 0, 0, 0, 0, 4, 1, 4, 5))))
	f.Fuzz(func(t *testing.T, stream []byte) {
		record, err := readRecord(bytes.NewReader(stream))
		if err != nil {
			return
		}
		_, d, err := decodeReply(record)
		if err != nil {
			return
		}
		for _, decode := range decoders {
			d := d
			decode(&d)
			if len(d.b) > len(record) {
				t.Fatal("a decoder gave back more than it was given")
			}
		}
	})
}
