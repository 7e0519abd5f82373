package rpc

import (
	"encoding/binary"
	"fmt"
	"io"
)

// lastFragment marks the last fragment of a record (RFC 5531, section 11).
const lastFragment = 1 << 31

// step is how much room is made at most before the bytes for it have come. So a
// server that announces a long record and sends nothing costs nothing.
const step = 64 << 10

// ReadRecord reads one record of at most limit bytes.
func ReadRecord(r io.Reader, limit int) ([]byte, error) {
	var record []byte
	for {
		var marker [4]byte
		if _, err := io.ReadFull(r, marker[:]); err != nil {
			if len(record) > 0 && err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		m := binary.BigEndian.Uint32(marker[:])
		n := int(m &^ lastFragment)
		if n > limit-len(record) {
			return nil, fmt.Errorf("%w: it announces %d bytes, more than the %d that an answer may have", ErrMalformed, len(record)+n, limit)
		}
		if m == 0 {
			return nil, fmt.Errorf("%w: an empty fragment that is not the last one", ErrMalformed)
		}
		var err error
		if record, err = readFragment(r, record, n); err != nil {
			return nil, err
		}
		if m&lastFragment != 0 {
			return record, nil
		}
	}
}

// readFragment appends n bytes to a record.
func readFragment(r io.Reader, record []byte, n int) ([]byte, error) {
	for n > 0 {
		at, part := len(record), min(n, max(step, len(record)))
		record = append(record, make([]byte, part)...)
		if _, err := io.ReadFull(r, record[at:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		n -= part
	}
	return record, nil
}
