package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// The classic pcap format (draft-ietf-opsawg-pcap): a header of the file, then
// each packet after a header of its own. The numbers are in the byte order of
// the magic number, here always little-endian.
const (
	pcapMagic    = 0xa1b23c4d // times in nanoseconds
	pcapMajor    = 2
	pcapMinor    = 4
	pcapEthernet = 1 // LINKTYPE_ETHERNET
	pcapSnaplen  = 262144
)

// pcapHeader is the header of a file.
func pcapHeader() []byte {
	h := binary.LittleEndian.AppendUint32(nil, pcapMagic)
	h = binary.LittleEndian.AppendUint16(h, pcapMajor)
	h = binary.LittleEndian.AppendUint16(h, pcapMinor)
	h = binary.LittleEndian.AppendUint64(h, 0) // both reserved
	h = binary.LittleEndian.AppendUint32(h, pcapSnaplen)
	return binary.LittleEndian.AppendUint32(h, pcapEthernet)
}

// pcapPacket is a packet of that length on the wire, of which data was kept.
func pcapPacket(at time.Time, length int, data []byte) []byte {
	p := binary.LittleEndian.AppendUint32(nil, uint32(at.Unix()))
	p = binary.LittleEndian.AppendUint32(p, uint32(at.Nanosecond()))
	p = binary.LittleEndian.AppendUint32(p, uint32(len(data)))
	p = binary.LittleEndian.AppendUint32(p, uint32(max(length, len(data))))
	return append(p, data...)
}

// writePcap begins a file, and returns what writes one packet to it.
func writePcap(w io.Writer) (packet func(at time.Time, length int, data []byte) error, err error) {
	if _, err := w.Write(pcapHeader()); err != nil {
		return nil, fmt.Errorf("write the capture: %w", err)
	}
	return func(at time.Time, length int, data []byte) error {
		if _, err := w.Write(pcapPacket(at, length, data)); err != nil {
			return fmt.Errorf("write the capture: %w", err)
		}
		return nil
	}, nil
}
