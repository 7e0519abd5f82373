package nd

import (
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/model"
)

var (
	vip = netip.MustParseAddr("2001:db8::1:50")
	mac = model.MAC{2, 1, 2, 3, 4, 5}
)

// decoded reads a frame with an independent decoder, which verifies its checksum.
func decoded(t *testing.T, b []byte) (*layers.Ethernet, *layers.IPv6, gopacket.Packet) {
	t.Helper()
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
	ip, ok := p.NetworkLayer().(*layers.IPv6)
	if !ok || p.ErrorLayer() != nil {
		t.Fatalf("%v", p)
	}
	_ = p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6).SetNetworkLayerForChecksum(ip)
	if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 {
		t.Fatalf("checksums: %v, %v", err, bad)
	}
	if ip.HopLimit != 255 {
		t.Errorf("hop limit %d", ip.HopLimit)
	}
	return p.LinkLayer().(*layers.Ethernet), ip, p
}

func TestProbe(t *testing.T) {
	b := Probe(vip, mac)
	eth, ip, p := decoded(t, b)
	ns, ok := p.Layer(layers.LayerTypeICMPv6NeighborSolicitation).(*layers.ICMPv6NeighborSolicitation)
	if !ok || ns.TargetAddress.String() != vip.String() || len(ns.Options) != 0 {
		t.Errorf("%+v", ns)
	}
	if eth.DstMAC.String() != "33:33:ff:01:00:50" || ip.DstIP.String() != "ff02::1:ff01:50" || ip.SrcIP.String() != "::" {
		t.Errorf("from %v to %v, %v", ip.SrcIP, ip.DstIP, eth.DstMAC)
	}
	if m, err := Parse(b); err != nil || m != (Message{MAC: mac, Source: netip.IPv6Unspecified(), Target: vip}) {
		t.Errorf("Parse = %+v, %v", m, err)
	}
}

func TestAnnouncement(t *testing.T) {
	b := Announcement(vip, mac)
	eth, ip, p := decoded(t, b)
	na, ok := p.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement)
	if !ok || na.TargetAddress.String() != vip.String() || !na.Override() || na.Solicited() || na.Router() ||
		len(na.Options) != 1 || na.Options[0].Type != layers.ICMPv6OptTargetAddress || model.MAC(na.Options[0].Data) != mac {
		t.Errorf("%+v", na)
	}
	if eth.DstMAC.String() != "33:33:00:00:00:01" || ip.DstIP.String() != "ff02::1" || ip.SrcIP.String() != vip.String() {
		t.Errorf("from %v to %v, %v", ip.SrcIP, ip.DstIP, eth.DstMAC)
	}
	if m, err := Parse(b); err != nil || m != (Message{Advertisement: true, MAC: mac, Source: vip, Target: vip}) {
		t.Errorf("Parse = %+v, %v", m, err)
	}
}

// What is not valid is not believed, at whatever byte it is spoiled or cut.
func TestParseRefuses(t *testing.T) {
	good := Announcement(vip, mac)
	for n := range good {
		if m, err := Parse(good[:n]); err == nil {
			t.Errorf("the first %d bytes are %+v", n, m)
		}
	}
	for at := 12; at < len(good); at++ { // the MACs have no checksum
		b := append([]byte(nil), good...)
		b[at] ^= 0x10
		if m, err := Parse(b); err == nil && (at < 14 || at >= 18) {
			t.Errorf("with byte %d spoiled it is %+v", at, m)
		}
	}
}
