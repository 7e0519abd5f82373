package dataplane

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
	"unsafe"

	"github.com/cilium/ebpf/perf"
)

// Captured is a frame that the programme forwarded, answered or dropped, as it
// left the programme.
type Captured struct {
	At      time.Time // when it was read, shortly after
	Iface   string
	Length  int // of the frame; Data may be shorter
	Verdict string
	Data    []byte
}

// captureMost is what the programme copies of a frame at most.
const captureMost = 2048

// copiedOut is how much of a frame the programme hands over at most, in bytes.
const copiedOut = 2048

// Capture hands every frame that the programme deals with to emit, at most
// snaplen bytes of it (0: as many as there are), until the context ends or emit
// fails. Meanwhile a variant of the programme runs that
// copies frames out; without a capture it costs nothing.
func (p *Plane) Capture(ctx context.Context, snaplen int, emit func(Captured) error) error {
	if snaplen == 0 {
		snaplen = captureMost
	}
	reader, err := perf.NewReader(p.maps.byName[directorMapCaptures], 256*os.Getpagesize())
	if err != nil {
		return fmt.Errorf("open the capture buffer: %w", err)
	}
	defer reader.Close()
	if err := p.exchange(true); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { reader.Close() })
	defer stop()
	err = readCaptures(reader, snaplen, emit)
	return errors.Join(err, p.exchange(false))
}

func readCaptures(reader *perf.Reader, snaplen int, emit func(Captured) error) error {
	for {
		record, err := reader.Read()
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the capture buffer: %w", err)
		}
		c, ok := parseCaptured(record.RawSample, snaplen)
		if !ok {
			continue // lost samples carry no frame
		}
		if err := emit(c); err != nil {
			return err
		}
	}
}

func parseCaptured(b []byte, snaplen int) (Captured, bool) {
	head := int(unsafe.Sizeof(directorCaptured{}))
	if len(b) < head {
		return Captured{}, false
	}
	var h directorCaptured
	h.Iface = binary.NativeEndian.Uint32(b)
	h.Length = binary.NativeEndian.Uint32(b[4:])
	h.Verdict = binary.NativeEndian.Uint32(b[8:])
	c := Captured{At: time.Now(), Length: int(h.Length)}
	// the sample is padded to eight bytes
	c.Data = b[head:min(len(b), head+min(c.Length, copiedOut, snaplen))]
	if int(h.Verdict) < len(verdictNames) {
		c.Verdict = verdictNames[h.Verdict]
	}
	if i, err := net.InterfaceByIndex(int(h.Iface)); err == nil {
		c.Iface = i.Name
	}
	return c, true
}

// exchange puts the programme with or without capturing behind every link.
func (p *Plane) exchange(capture bool) error {
	next, err := loadPrograms(p.maps, capture)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.links {
		if err := a.link.Update(next.of(a.mode)); err != nil {
			return errors.Join(fmt.Errorf("exchange the programme: %w", err), next.Close())
		}
	}
	old := p.programs
	p.programs = next
	return old.Close()
}
