package rpc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
)

func words(w ...uint32) []byte {
	var b []byte
	for _, v := range w {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func TestRecords(t *testing.T) {
	const limit = 1 << 21
	for _, tt := range []struct {
		name, in, want string
		err            error
	}{
		{"one fragment", "\x80\x00\x00\x03abc", "abc", nil},
		{"two fragments", "\x00\x00\x00\x02ab\x80\x00\x00\x01c", "abc", nil},
		{"an empty last fragment", "\x00\x00\x00\x02ab\x80\x00\x00\x00", "ab", nil},
		{"longer than the limit", "\x80\x20\x00\x01", "", ErrMalformed},
		{"4 GiB", "\xff\xff\xff\xff", "", ErrMalformed},
		{"longer in sum", "\x00\x00\x00\x01a\x80\x20\x00\x00", "", ErrMalformed},
		{"empty fragments for ever", "\x00\x00\x00\x00\x00\x00\x00\x00", "", ErrMalformed},
		{"cut short", "\x80\x00\x00\x03ab", "", io.ErrUnexpectedEOF},
		{"cut between two fragments", "\x00\x00\x00\x02ab", "", io.ErrUnexpectedEOF},
		{"end of stream", "", "", io.EOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadRecord(bytes.NewReader([]byte(tt.in)), limit)
			if string(got) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v; want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

// TestAnnouncedRecordsCostNothing announces a long record and sends none of it.
func TestAnnouncedRecordsCostNothing(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := ReadRecord(strings.NewReader("\xbf\xff\xff\xff"), 1<<30); err == nil {
		t.Fatal("read a record that never came")
	}
	runtime.ReadMemStats(&after)
	if cost := after.TotalAlloc - before.TotalAlloc; cost > 4*step {
		t.Errorf("a record that never came cost %d bytes", cost)
	}
}

func TestReplyHeaders(t *testing.T) {
	p := Procedure{"GETATTR", ProgramNFS, 3, 1}
	for _, tt := range []struct {
		name  string
		b     []byte
		words string // "": malformed
	}{
		{"a call, not a reply", words(7, 0), ""},
		{"unknown accept status", words(7, 1, 0, 0, 0, 99), ""},
		{"unknown reply status", words(7, 1, 2), ""},
		{"unknown reject status", words(7, 1, 1, 2), ""},
		{"cut short", words(7, 1), ""},
		{"verifier longer than the limit", words(7, 1, 0, 0, 401), ""},
		{"versions cut short", words(7, 1, 0, 0, 0, 2, 4), ""},
		{"another RPC version", words(7, 1, 1, 0, 3, 4), "the server speaks versions 3 to 4 of RPC, not 2"},
		{"weak credential", words(7, 1, 1, 1, 5), "the server refuses the credential: it wants a stronger credential, or a privileged port"},
		{"another reason", words(7, 1, 1, 1, 77), "the server refuses the credential: reason 77"},
		{"no such programme", words(7, 1, 0, 0, 0, 1), "the server does not offer the programme nfs"},
		{"one other version", words(7, 1, 0, 0, 0, 2, 4, 4), "the server offers version 4 of nfs, not 3"},
		{"other versions", words(7, 1, 0, 0, 0, 2, 4, 5), "the server offers versions 4 to 5 of nfs, not 3"},
		{"no such procedure", words(7, 1, 0, 0, 0, 3), "the server lacks the procedure GETATTR of nfs version 3"},
		{"arguments", words(7, 1, 0, 0, 0, 4), "the server does not understand the arguments of GETATTR"},
		{"system", words(7, 1, 0, 0, 0, 5), "the server reports an error of its system"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := DecodeReply(tt.b, p)
			if tt.words == "" {
				if !errors.Is(err, ErrMalformed) {
					t.Errorf("got %v, want ErrMalformed", err)
				}
				return
			}
			if r := (*Refusal)(nil); !errors.As(err, &r) || r.Words != tt.words {
				t.Errorf("got %v, want %q", err, tt.words)
			}
		})
	}
}

func TestRpcbind(t *testing.T) {
	got, err := Dump().Read(NewDecoder(words(1, ProgramNFS, 3, TCP, 2049, 1, ProgramMount, 3, UDP, 20048, 0)))
	if err != nil || len(got) != 2 || got[1] != (Mapping{ProgramMount, 3, UDP, 20048}) {
		t.Errorf("got %v, %v", got, err)
	}
	endless := bytes.Repeat(words(1, 1, 1, 1, 1), maxMappings+1)
	for name, b := range map[string][]byte{"an endless list": endless, "port 65536": words(1, 1, 1, 1, 65536, 0), "cut short": words(1, 1)} {
		if got, err := Dump().Read(NewDecoder(b)); !errors.Is(err, ErrMalformed) || got != nil {
			t.Errorf("%s: got %d mappings, %v, want ErrMalformed", name, len(got), err)
		}
	}
	if _, err := GetPort(1, 1, TCP).Read(NewDecoder(words(65536))); !errors.Is(err, ErrMalformed) {
		t.Errorf("port 65536: got %v", err)
	}
}

// FuzzReply feeds whole streams to everything that reads what rpcbind sends.
func FuzzReply(f *testing.F) {
	f.Add([]byte("\x80\x00\x00\x1c" + string(words(7, 1, 0, 0, 0, 0, 2049))))
	f.Add([]byte("\x80\x00\x00\x30" + string(words(7, 1, 0, 0, 0, 0, 1, 100003, 3, 6, 2049, 0))))
	f.Add([]byte("\x80\x00\x00\x14" + string(words(7, 1, 1, 1, 5))))
	f.Fuzz(func(t *testing.T, stream []byte) {
		record, err := ReadRecord(bytes.NewReader(stream), 4096)
		if err != nil {
			return
		}
		_, d, err := DecodeReply(record, Procedure{})
		if err != nil {
			return
		}
		if list, err := Dump().Read(d); err == nil && len(list) > len(record)/20 {
			t.Fatalf("%d mappings out of %d bytes", len(list), len(record))
		}
		GetPort(1, 1, 1).Read(d)
	})
}
