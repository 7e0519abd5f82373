package arp

import (
	"net/netip"
	"testing"

	"fairlead/internal/model"
)

var (
	vip    = netip.MustParseAddr("192.168.10.50")
	mac    = model.MAC{2, 0, 0, 0, 0, 1}
	asked  = Packet{Op: Request, SenderMAC: mac, Sender: vip.Next(), Target: vip}
	answer = Packet{Op: Reply, SenderMAC: mac, Sender: vip, TargetMAC: model.MAC{2, 0, 0, 0, 0, 2}, Target: vip.Next()}
)

func TestParseRefuses(t *testing.T) {
	good := asked.Append(nil)
	for i := range Len {
		if _, err := Parse(good[:i]); err == nil {
			t.Errorf("%d bytes passed for a packet", i)
		}
	}
	for i := range fixed {
		bad := append([]byte(nil), good...)
		bad[i]++
		if _, err := Parse(bad); err == nil {
			t.Errorf("a packet with another byte %d passed", i)
		}
	}
	if got, err := Parse(append(good, make([]byte, 18)...)); err != nil || got != asked {
		t.Errorf("with padding: got %+v, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, a := range []Packet{asked, answer} {
		f.Add(a.Append(nil))
	}
	f.Add([]byte{0, 1, 8, 0, 6, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		if again := p.Append(nil); string(again) != string(b[:Len]) {
			t.Errorf("%x was read as %+v, which is %x", b, p, again)
		}
	})
}
