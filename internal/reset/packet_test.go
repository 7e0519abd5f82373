package reset

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/model"
)

var conn = model.Connection{
	Client:  netip.MustParseAddrPort("192.168.10.10:873"),
	VIP:     netip.MustParseAddrPort("192.168.10.50:2049"),
	LastAck: 0x01020304,
	HasAck:  true,
}

// decode reads a packet with an independent decoder that also checks both
// checksums.
func decode(t *testing.T, s segment) (*layers.IPv4, *layers.TCP) {
	t.Helper()
	p := gopacket.NewPacket(written(s), layers.LayerTypeIPv4, gopacket.Default)
	if f := p.ErrorLayer(); f != nil {
		t.Fatal(f.Error())
	}
	ip, tcp := p.NetworkLayer().(*layers.IPv4), p.TransportLayer().(*layers.TCP)
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	err, bad := p.VerifyChecksums()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range bad {
		t.Errorf("checksum of %v is %#x, want %#x", m.Layer.LayerType(), m.Actual, m.Correct)
	}
	return ip, tcp
}

// written is the packet, in a place where an earlier one was.
func written(s segment) []byte {
	var b [mostLen]byte
	for i := range b {
		b[i] = 0xee
	}
	return s.put(&b)
}

func TestPacketsOfSix(t *testing.T) {
	six := conn
	six.Client, six.VIP = netip.MustParseAddrPort("[2001:db8::10]:873"), netip.MustParseAddrPort("[2001:db8::50]:2049")
	for _, s := range []segment{resetOf(six), tickleOf(six), serverReset(six)} {
		p := gopacket.NewPacket(written(s), layers.LayerTypeIPv6, gopacket.Default)
		ip, tcp := p.NetworkLayer().(*layers.IPv6), p.TransportLayer().(*layers.TCP)
		if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
			t.Fatal(err)
		}
		if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 {
			t.Errorf("bad checksums: %v, %+v", err, bad)
		}
		if ip.SrcIP.String() != s.from.Addr().String() || ip.DstIP.String() != s.to.Addr().String() || ip.Length != tcpLen || ip.HopLimit != 64 {
			t.Errorf("%+v", ip)
		}
		if uint16(tcp.SrcPort) != s.from.Port() || uint16(tcp.DstPort) != s.to.Port() || tcp.Seq != s.seq || tcp.Ack != s.ack || tcp.RST != (s.flags&flagRST != 0) || tcp.ACK != (s.flags&flagACK != 0) {
			t.Errorf("%+v", tcp)
		}
	}
}

func TestResetPacket(t *testing.T) {
	ip, tcp := decode(t, resetOf(conn))
	if ip.SrcIP.String() != "192.168.10.50" || ip.DstIP.String() != "192.168.10.10" {
		t.Errorf("goes from %v to %v, want from the virtual IP to the client", ip.SrcIP, ip.DstIP)
	}
	if ip.Length != fourLen+tcpLen || ip.TTL != 64 || ip.Flags != layers.IPv4DontFragment {
		t.Errorf("length %d, TTL %d, flags %v", ip.Length, ip.TTL, ip.Flags)
	}
	if tcp.SrcPort != 2049 || tcp.DstPort != 873 {
		t.Errorf("goes from port %d to %d, want 2049 to 873", tcp.SrcPort, tcp.DstPort)
	}
	if !tcp.RST || tcp.ACK || tcp.SYN || tcp.FIN || tcp.Seq != conn.LastAck || tcp.Ack != 0 {
		t.Errorf("got RST %v ACK %v seq %#x ack %#x, want a bare RST at %#x", tcp.RST, tcp.ACK, tcp.Seq, tcp.Ack, conn.LastAck)
	}
}

func TestTicklePacket(t *testing.T) {
	for _, tt := range []struct {
		name string
		ack  uint32
		has  bool
		want uint32
	}{
		{"below the number seen", 1000, true, 999},
		{"across the wrap", 0, true, 0xffffffff},
		{"nothing seen", 0, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := conn
			c.LastAck, c.HasAck = tt.ack, tt.has
			_, tcp := decode(t, tickleOf(c))
			if !tcp.ACK || tcp.RST || tcp.SYN || tcp.FIN || tcp.PSH || tcp.Seq != tt.want {
				t.Errorf("got ACK %v RST %v seq %#x, want a bare ACK at %#x", tcp.ACK, tcp.RST, tcp.Seq, tt.want)
			}
			if len(tcp.Payload) != 0 {
				t.Errorf("it carries %d bytes", len(tcp.Payload))
			}
		})
	}
}

func TestChecksumsOfManyPackets(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	addr := func() netip.AddrPort {
		a := r.Uint32()
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(a), byte(a >> 8), byte(a >> 16), byte(a >> 24)}), uint16(r.Uint32()))
	}
	for range 10000 {
		decode(t, segment{from: addr(), to: addr(), seq: r.Uint32(), ack: r.Uint32(), flags: flagACK})
	}
}
