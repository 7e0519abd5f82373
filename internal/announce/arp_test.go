package announce

import (
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/model"
)

var (
	vip   = netip.MustParseAddr("192.168.10.50")
	ours  = model.MAC{2, 0, 0, 0, 0, 1}
	other = model.MAC{2, 0, 0, 0, 0, 2}
)

// TestFrames reads our frames with an independent decoder.
func TestFrames(t *testing.T) {
	for _, tt := range []struct {
		name string
		arp  arp
		op   uint16
		sip  string
		tha  model.MAC
	}{
		{"probe", probeOf(vip, ours), layers.ARPRequest, "0.0.0.0", model.MAC{}},
		{"announcement", announcementOf(vip, ours), layers.ARPRequest, "192.168.10.50", model.MAC{}},
		{"reply", unaskedOf(vip, ours), layers.ARPReply, "192.168.10.50", ours},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := gopacket.NewPacket(tt.arp.frame(), layers.LayerTypeEthernet, gopacket.Default)
			if f := p.ErrorLayer(); f != nil {
				t.Fatal(f.Error())
			}
			eth := p.LinkLayer().(*layers.Ethernet)
			if eth.DstMAC.String() != "ff:ff:ff:ff:ff:ff" || eth.SrcMAC.String() != ours.String() {
				t.Errorf("goes from %v to %v, want from our MAC to everybody", eth.SrcMAC, eth.DstMAC)
			}
			a, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP)
			if !ok {
				t.Fatal("it is no ARP packet")
			}
			if a.Operation != tt.op || model.MAC(a.SourceHwAddress) != ours || model.MAC(a.DstHwAddress) != tt.tha {
				t.Errorf("got operation %d from %x to %x", a.Operation, a.SourceHwAddress, a.DstHwAddress)
			}
			sip, _ := netip.AddrFromSlice(a.SourceProtAddress)
			tip, _ := netip.AddrFromSlice(a.DstProtAddress)
			if sip.String() != tt.sip || tip != vip {
				t.Errorf("got sender %v target %v, want %s and %v", sip, tip, tt.sip, vip)
			}
		})
	}
}

func TestParseARPRefuses(t *testing.T) {
	good := announcementOf(vip, ours).append(nil)
	for i := range arpLen {
		if _, err := parseARP(good[:i]); err == nil {
			t.Errorf("%d bytes passed for a packet", i)
		}
	}
	for i := range fixed {
		bad := append([]byte(nil), good...)
		bad[i]++
		if _, err := parseARP(bad); err == nil {
			t.Errorf("a packet with another byte %d passed", i)
		}
	}
	if got, err := parseARP(append(good, make([]byte, 18)...)); err != nil || got != announcementOf(vip, ours) {
		t.Errorf("with padding: got %+v, %v", got, err)
	}
}

func FuzzParseARP(f *testing.F) {
	for _, a := range []arp{probeOf(vip, ours), announcementOf(vip, ours), unaskedOf(vip, other)} {
		f.Add(a.append(nil))
	}
	f.Add([]byte{0, 1, 8, 0, 6, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseARP(b)
		if err != nil {
			return
		}
		if again := p.append(nil); string(again) != string(b[:arpLen]) {
			t.Errorf("%x was read as %+v, which is %x", b, p, again)
		}
	})
}
