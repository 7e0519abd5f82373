package main

import (
	"net"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

func TestFrame(t *testing.T) {
	from, to := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	client, service := netip.MustParseAddrPort("192.168.10.1:10007"), netip.MustParseAddrPort("192.168.10.50:2049")
	for name, tcp := range map[string]*layers.TCP{"udp": nil, "tcp": {ACK: true, Seq: 2, Ack: 7}} {
		b, err := frame(from, to, client, service, tcp)
		if err != nil {
			t.Fatal(err)
		}
		p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
		if l, ok := p.TransportLayer().(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); !ok || l.SetNetworkLayerForChecksum(p.NetworkLayer()) != nil {
			t.Fatalf("%s: no transport layer in %v", name, p)
		}
		if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 || p.ErrorLayer() != nil {
			t.Errorf("%s: %v, %v, %v", name, err, bad, p.ErrorLayer())
		}
		flow := p.TransportLayer().TransportFlow()
		if flow.Src().String() != "10007" || flow.Dst().String() != "2049" || p.NetworkLayer().NetworkFlow().Dst().String() != "192.168.10.50" {
			t.Errorf("%s: goes %v", name, p)
		}
	}
}
