package nfs

import (
	"encoding/binary"
	"fmt"
)

// encoder appends XDR (RFC 4506).
type encoder struct{ b []byte }

func (e *encoder) uint32(v uint32) { e.b = binary.BigEndian.AppendUint32(e.b, v) }
func (e *encoder) uint64(v uint64) { e.b = binary.BigEndian.AppendUint64(e.b, v) }

func (e *encoder) opaque(p []byte) {
	e.uint32(uint32(len(p)))
	e.b = append(e.b, p...)
	for len(e.b)%4 != 0 {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) handle(h Handle) { e.opaque([]byte(h)) }
func (e *encoder) name(n string)   { e.opaque([]byte(n)) }

// decoder reads XDR. The first failure sticks; later reads return zero values.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
}

// take returns the next n bytes, which stay part of the record.
func (d *decoder) take(n int) []byte {
	if d.err == nil && len(d.b) < n {
		d.fail("%d bytes where %d are needed", len(d.b), n)
	}
	if d.err != nil {
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) uint32() uint32 {
	if p := d.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if p := d.take(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

func (d *decoder) bool() bool {
	v := d.uint32()
	if v > 1 {
		d.fail("boolean %d", v)
	}
	return v == 1
}

func (d *decoder) opaque(limit uint32) []byte {
	n := d.uint32()
	if n > limit {
		d.fail("length %d above %d", n, limit)
		return nil
	}
	return d.take(int(n+3) &^ 3)[:d.length(n)]
}

// length is n, or 0 after a failure.
func (d *decoder) length(n uint32) uint32 {
	if d.err != nil {
		return 0
	}
	return n
}

func (d *decoder) handle() Handle {
	h := Handle(d.opaque(maxHandle))
	if h == "" {
		d.fail("empty file handle")
	}
	return h
}
