package nfs

import (
	"encoding/binary"
	"fmt"
	"io"
)

// lastFragment marks the last fragment of a record (RFC 5531, section 11).
const lastFragment = 1 << 31

// credential is the AUTH_SYS identity of all calls: root, as the lab's shared
// directory belongs to root.
func credential(machine string) []byte {
	var e encoder
	e.uint32(0) // stamp
	e.name(machine)
	e.uint32(0) // uid
	e.uint32(0) // gid
	e.uint32(0) // no further groups
	return e.b
}

// procedure names one remote procedure.
type procedure struct {
	name                    string
	program, version, index uint32
}

// encodeCall returns the record of one call, marker included.
func encodeCall(xid uint32, p procedure, cred []byte, args func(*encoder)) []byte {
	e := encoder{b: make([]byte, 4, 256)}
	for _, v := range []uint32{xid, 0 /* call */, 2 /* RPC version */, p.program, p.version, p.index, 1 /* AUTH_SYS */} {
		e.uint32(v)
	}
	e.opaque(cred)
	e.uint32(0) // verifier: AUTH_NONE
	e.uint32(0)
	if args != nil {
		args(&e)
	}
	binary.BigEndian.PutUint32(e.b, lastFragment|uint32(len(e.b)-4))
	return e.b
}

// decodeReply checks the header of a reply and returns its results.
func decodeReply(record []byte) (xid uint32, results decoder, err error) {
	d := decoder{b: record}
	xid = d.uint32()
	if kind := d.uint32(); d.err == nil && kind != 1 {
		d.fail("message type %d is not a reply", kind)
	}
	if stat := d.uint32(); d.err == nil && stat != 0 {
		return xid, decoder{}, fmt.Errorf("server denied the call (reason %d)", d.uint32())
	}
	d.uint32() // flavour of the verifier
	d.opaque(maxAuth)
	if stat := d.uint32(); d.err == nil && stat != 0 {
		return xid, decoder{}, acceptError(stat)
	}
	return xid, d, d.err
}

var acceptNames = [...]string{"", "programme unavailable", "programme version unsupported", "procedure unavailable",
	"arguments not understood", "system error"}

// acceptError names an accept_stat that is not SUCCESS.
func acceptError(stat uint32) error {
	if int(stat) < len(acceptNames) {
		return fmt.Errorf("server refused the call: %s", acceptNames[stat])
	}
	return fmt.Errorf("%w: accept status %d", ErrMalformed, stat)
}

// readRecord reads one record of at most maxRecord bytes.
func readRecord(r io.Reader) ([]byte, error) {
	var record []byte
	for {
		var marker [4]byte
		if _, err := io.ReadFull(r, marker[:]); err != nil {
			return nil, err
		}
		m := binary.BigEndian.Uint32(marker[:])
		n := int(m &^ lastFragment)
		if n > maxRecord-len(record) || n == 0 && m == 0 {
			return nil, fmt.Errorf("%w: fragment of %d bytes", ErrMalformed, n)
		}
		at := len(record)
		record = append(record, make([]byte, n)...)
		if _, err := io.ReadFull(r, record[at:]); err != nil {
			return nil, err
		}
		if m&lastFragment != 0 {
			return record, nil
		}
	}
}
