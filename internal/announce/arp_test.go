package announce

import (
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/arp"
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
		arp  arp.Packet
		op   uint16
		sip  string
		tha  model.MAC
	}{
		{"probe", probeOf(vip, ours), layers.ARPRequest, "0.0.0.0", model.MAC{}},
		{"announcement", announcementOf(vip, ours), layers.ARPRequest, "192.168.10.50", model.MAC{}},
		{"reply", unaskedOf(vip, ours), layers.ARPReply, "192.168.10.50", ours},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := gopacket.NewPacket(tt.arp.Frame(), layers.LayerTypeEthernet, gopacket.Default)
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
