package dataplane

import (
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/model"
)

var (
	// rejecting has no active server; refusing has one that is down.
	rejecting = situation{"no server, and clients are refused", func(t testing.TB, p *Plane, h hook) {
		d := note()
		d.Directors[0].Active, d.Directors[0].MAC, d.Directors[0].Reject = "", model.MAC{}, true
		apply(t, p, d)
	}}

	refusing = situation{"no server is up, and clients are refused", func(t testing.TB, p *Plane, h hook) {
		d := note()
		d.Directors[0].Reject = true
		apply(t, p, d)
	}}
)

// answered is a frame from the virtual IP to the client, with correct checksums.
func answered(t testing.TB, protocol layers.IPProtocol, rest func(*layers.IPv4) []gopacket.SerializableLayer) []byte {
	t.Helper()
	ip := &layers.IPv4{Version: 4, TTL: 64, Flags: layers.IPv4DontFragment, Protocol: protocol, SrcIP: vipAddr.AsSlice(), DstIP: clientAddr.AsSlice()}
	all := append([]gopacket.SerializableLayer{&layers.Ethernet{SrcMAC: directorMAC[:], DstMAC: clientMAC[:], EthernetType: layers.EthernetTypeIPv4}, ip}, rest(ip)...)
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(b.Bytes())
}

// refusedTCP is the reset of RFC 9293, 3.10.7.1.
func refusedTCP(t testing.TB, s frameSpec, seq, ack uint32) []byte {
	s = s.withDefaults()
	return answered(t, layers.IPProtocolTCP, func(ip *layers.IPv4) []gopacket.SerializableLayer {
		tcp := &layers.TCP{SrcPort: layers.TCPPort(s.dport), DstPort: layers.TCPPort(s.sport), Seq: seq, Ack: ack, RST: true, ACK: s.flags&ackFlag == 0}
		_ = tcp.SetNetworkLayerForChecksum(ip) // an IPv4 layer is never refused
		return []gopacket.SerializableLayer{tcp}
	})[:54] // without the padding of a short frame
}

// refusedUDP is "port unreachable", with the packet's header and 8 bytes.
func refusedUDP(t testing.TB, frame []byte) []byte {
	return answered(t, layers.IPProtocolICMPv4, func(*layers.IPv4) []gopacket.SerializableLayer {
		icmp := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4CodePort)}
		return []gopacket.SerializableLayer{icmp, gopacket.Payload(frame[14:42])}
	})
}

func rejectCases(t testing.TB) []verdictCase {
	var cases []verdictCase
	for _, in := range []situation{rejecting, refusing} {
		refuse := func(name string, s frameSpec, out []byte) {
			cases = append(cases, verdictCase{name: name, in: in, frame: s.bytes(t), verdict: "reject", out: out, flow: true})
		}
		syn := frameSpec{flags: synFlag, seq: 5000, tcpOptions: 20}
		refuse("SYN", syn, refusedTCP(t, syn, 0, 5001))
		data := frameSpec{flags: ackFlag, seq: 5000, ack: 900, payload: 100}
		refuse("data", data, refusedTCP(t, data, 900, 0))
		end := frameSpec{flags: finFlag | ackFlag, seq: 5000, ack: 900}
		refuse("FIN", end, refusedTCP(t, end, 900, 0))
		for _, size := range []int{0, 18, 1400} {
			udp := frameSpec{proto: 17, payload: size}
			refuse("UDP", udp, refusedUDP(t, udp.bytes(t)))
		}
		for name, s := range map[string]frameSpec{
			"RST": {flags: rstFlag}, "ICMP": {proto: 1}, "a later fragment": {fragment: 9}, "a later fragment of UDP": {proto: 17, fragment: 9},
		} {
			cases = append(cases, verdictCase{name: name, in: in, frame: s.bytes(t), verdict: "drop-no-server", flow: true})
		}
		cases = append(cases, verdictCase{name: "who-has", in: in, frame: arpSpec{}.bytes(), verdict: "arp-reply",
			out: arpSpec{to: clientMAC, sender: directorMAC, from: vipAddr, targetMAC: clientMAC, target: clientAddr, operation: 2}.bytes()})
	}
	return cases
}
