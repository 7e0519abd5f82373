package rpc

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed tells that a reply breaks the protocol.
var ErrMalformed = errors.New("malformed reply")

// Encoder appends XDR (RFC 4506).
type Encoder struct{ b []byte }

// Uint32 appends an unsigned number of 4 bytes.
func (e *Encoder) Uint32(v uint32) { e.b = binary.BigEndian.AppendUint32(e.b, v) }

// Uint64 appends an unsigned number of 8 bytes.
func (e *Encoder) Uint64(v uint64) { e.b = binary.BigEndian.AppendUint64(e.b, v) }

// Bool appends a truth value.
func (e *Encoder) Bool(v bool) {
	if v {
		e.Uint32(1)
		return
	}
	e.Uint32(0)
}

// Opaque appends bytes of variable length.
func (e *Encoder) Opaque(p []byte) {
	e.Uint32(uint32(len(p)))
	e.Fixed(p)
}

// String appends a text.
func (e *Encoder) String(s string) { e.Opaque([]byte(s)) }

// Fixed appends bytes whose length the protocol fixes.
func (e *Encoder) Fixed(p []byte) {
	e.b = append(e.b, p...)
	for len(e.b)%4 != 0 {
		e.b = append(e.b, 0)
	}
}

// Bytes is what was appended.
func (e *Encoder) Bytes() []byte { return e.b }

// Decoder reads XDR. The first failure sticks; later reads return zero values.
type Decoder struct {
	b   []byte
	err error
}

// NewDecoder reads b, which it does not change.
func NewDecoder(b []byte) Decoder { return Decoder{b: b} }

// Err is the first failure.
func (d *Decoder) Err() error { return d.err }

// Left is how many bytes are still to be read.
func (d *Decoder) Left() int { return len(d.b) }

// Fail makes the reply malformed.
func (d *Decoder) Fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
}

// Fixed returns the next n bytes, which stay part of the reply, or nil.
func (d *Decoder) Fixed(n int) []byte {
	if d.err == nil && len(d.b) < n {
		d.Fail("%d bytes where %d are needed", len(d.b), n)
	}
	if d.err != nil {
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

// Uint32 reads an unsigned number of 4 bytes.
func (d *Decoder) Uint32() uint32 {
	if p := d.Fixed(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

// Uint64 reads an unsigned number of 8 bytes.
func (d *Decoder) Uint64() uint64 {
	if p := d.Fixed(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

// Bool reads a truth value.
func (d *Decoder) Bool() bool {
	v := d.Uint32()
	if v > 1 {
		d.Fail("boolean %d", v)
	}
	return v == 1
}

// Opaque reads bytes of variable length, at most limit. They stay part of the reply.
func (d *Decoder) Opaque(limit uint32) []byte {
	n := d.Uint32()
	if n > limit {
		d.Fail("length %d above %d", n, limit)
		return nil
	}
	p := d.Fixed(int(n+3) &^ 3)
	if p == nil {
		return nil
	}
	return p[:n]
}
