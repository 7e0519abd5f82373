package dataplane

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/model"
)

// Frames that the programme deals with come out of a capture as they left it,
// and the programme without capturing runs again afterwards.
func TestCapture(t *testing.T) {
	site := newSite(t)
	site.detachAfter(t)
	site.within(t, func() error {
		p := site.open(t, model.AttachAuto)
		defer closePlane(t, p)
		apply(t, p, onSite())
		before := linkOf(t, p).Program
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		enough := errors.New("enough")
		var got []Captured
		ended := make(chan error, 1)
		go func() {
			ended <- p.Capture(ctx, 60, func(c Captured) error {
				got = append(got, c)
				if len(got) == 2 {
					return enough
				}
				return nil
			})
		}()
		capturing := before
		for capturing == before {
			p.mu.Lock()
			capturing = linkOf(t, p).Program
			p.mu.Unlock()
			unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil)
		}
		data, other := frameSpec{flags: ackFlag, payload: 100}, frameSpec{dst: otherAddr}
		inject(t, other.bytes(t))
		inject(t, data.bytes(t))
		inject(t, arpSpec{}.bytes())
		if err := <-ended; !errors.Is(err, enough) {
			t.Fatalf("Capture = %v", err)
		}
		if c := got[0]; c.Verdict != "forward" || c.Length != 154 || !slices.Equal(c.Data, sent(serverMAC1, data.bytes(t))[:60]) {
			t.Errorf("captured %s, %d bytes: %x", c.Verdict, c.Length, c.Data)
		}
		if c := got[1]; c.Verdict != "arp-reply" || c.Length != 42 || len(c.Data) != 42 || c.At.IsZero() {
			t.Errorf("captured %s, %d bytes: %x", c.Verdict, c.Length, c.Data)
		}
		if now := linkOf(t, p).Program; now == capturing {
			t.Errorf("the capturing programme still runs after the capture")
		}
		return nil
	})
}

func TestParseCaptured(t *testing.T) {
	sample := func(length uint32, verdict directorVerdict, data int) []byte {
		b := make([]byte, 16+data)
		b[4], b[5], b[8] = byte(length), byte(length>>8), byte(verdict)
		return b
	}
	for _, tt := range []struct {
		name    string
		sample  []byte
		snaplen int
		data    int
		verdict string
	}{
		{"padding is cut off", sample(42, directorVerdictVERDICT_ARP_REPLY, 48), 100, 42, "arp-reply"},
		{"snaplen", sample(300, directorVerdictVERDICT_FORWARD, 300), 64, 64, "forward"},
		{"a frame larger than what is copied out", sample(3000, directorVerdictVERDICT_FORWARD, 2048+4), 65535, 2048, "forward"},
		{"a verdict of another version", sample(42, 200, 42), 100, 42, ""},
	} {
		c, ok := parseCaptured(tt.sample, tt.snaplen)
		if !ok || len(c.Data) != tt.data || c.Verdict != tt.verdict || c.Iface != "" {
			t.Errorf("%s: %v, %d bytes of %s on %q", tt.name, ok, len(c.Data), c.Verdict, c.Iface)
		}
	}
	if _, ok := parseCaptured(make([]byte, 15), 100); ok {
		t.Error("a sample without a whole head was taken")
	}
}
