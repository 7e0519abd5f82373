package dataplane

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/model"
)

// noteOfSix is the note's configuration for a virtual IP of IPv6.
func noteOfSix() model.Desired {
	d := note()
	d.Rules.VIPs[0].Addr = vip6
	d.Rules.Rules = leads("nfs", "nfs", to(vip6))
	return d
}

func sixWith(name string, changes ...func(*model.Desired)) situation {
	return situation{name, func(t testing.TB, p *Plane, h hook) {
		d := noteOfSix()
		for _, change := range changes {
			change(&d)
		}
		apply(t, p, d)
	}}
}

func byPort(d *model.Desired) {
	d.Rules.Rules[0].Rule.DstPort = is(model.Ports{First: 2049, Last: 2049})
}

func behindGeneral(d *model.Desired) {
	general := model.FlowRule{Flow: "web", Policy: model.PolicyDeny, Rule: model.Rule{Src: is(netip.MustParsePrefix("2001:db8:bad::/48"))}}
	d.Rules.Rules = append([]model.FlowRule{general}, d.Rules.Rules...)
}

func knowSix(t testing.TB, p *Plane, h hook) {
	t.Helper()
	apply(t, p, noteOfSix())
	h.runLookedAt(t, p, frameSpec{dst: vip6, flags: synFlag}.bytes(t))
	h.runLookedAt(t, p, frameSpec{dst: vip6, flags: ackFlag, ack: 1000}.bytes(t))
	if got := table(p); got != "nfs-01 ack 1000" {
		t.Fatalf("the connection table holds %q, want an established connection", got)
	}
}

var (
	sixFresh   = sixWith("first epoch")
	sixRuled   = sixWith("rules by port", byPort)
	sixGeneral = sixWith("a general rule before", behindGeneral)
	sixKnown   = situation{"known connection", knowSix}
	sixAfter   = situation{"after the switch", func(t testing.TB, p *Plane, h hook) {
		knowSix(t, p, h)
		d := noteOfSix()
		d.Directors[0].Active, d.Directors[0].MAC, d.Directors[0].Epoch = "nfs-02", serverMAC2, 2
		apply(t, p, d)
	}}
	sixUnannounced = sixWith("not announced", func(d *model.Desired) { d.Rules.VIPs[0].Announce = false })
	sixReject      = sixWith("no server, refused", func(d *model.Desired) {
		d.Directors[0].Active, d.Directors[0].MAC, d.Directors[0].Reject = "", model.MAC{}, true
	})
	sixHold = sixWith("on hold", func(d *model.Desired) { d.Directors[0].Hold = true })
)

func TestVerdictsOfSix(t *testing.T) {
	for _, cases := range [][]verdictCase{sixForwardCases(t), sixOtherCases(t), solicitationCases(t)} {
		for _, c := range cases {
			for _, h := range hooks {
				t.Run(c.verdict+"/"+c.in.name+"/"+c.name+"/"+h.name, func(t *testing.T) {
					t.Parallel()
					c.check(t, h)
				})
			}
		}
	}
}

func sixForwardCases(t testing.TB) []verdictCase {
	var cases []verdictCase
	add := func(name string, in situation, to model.MAC, f []byte, table string) {
		cases = append(cases, verdictCase{name: name, in: in, frame: f, verdict: "forward", out: sent(to, f), flow: true, table: table})
	}
	data := frameSpec{dst: vip6, flags: ackFlag, ack: 9, payload: 100}.bytes(t)
	udp := frameSpec{dst: vip6, proto: 17, payload: 100}.bytes(t)
	for _, in := range []situation{sixFresh, sixRuled, sixGeneral} {
		add("TCP", in, serverMAC1, data, "nfs-01 ack 9")
		add("UDP", in, serverMAC1, udp, "")
		add("UDP without payload", in, serverMAC1, frameSpec{dst: vip6, proto: 17}.bytes(t), "")
		add("hop-by-hop options", in, serverMAC1, extended(data, optionsHeader(0, 0)), "nfs-01 ack 9")
		add("destination options of 24 bytes", in, serverMAC1, extended(data, optionsHeader(60, 2)), "nfs-01 ack 9")
		add("routing header", in, serverMAC1, extended(data, optionsHeader(43, 2)), "nfs-01 ack 9")
		add("six headers", in, serverMAC1, extended(data, optionsHeader(0, 0), optionsHeader(60, 1), optionsHeader(43, 1), optionsHeader(60, 0), fragmentHeader(0, false), optionsHeader(60, 0)), "nfs-01 ack 9")
		add("first fragment of TCP", in, serverMAC1, extended(data, fragmentHeader(0, true)), "nfs-01 ack 9")
		add("first fragment of UDP", in, serverMAC1, extended(udp, fragmentHeader(0, true)), "")
		add("later fragment", in, serverMAC1, extended(udp, fragmentHeader(20, true)), "")
		add("last fragment of nothing", in, serverMAC1, extended(data[:54], fragmentHeader(20, false)), "")
	}
	add("ICMPv6", sixFresh, serverMAC1, frameSpec{dst: vip6, proto: 58, icmpType: 128}.bytes(t), "")
	add("GRE", sixFresh, serverMAC1, frameSpec{dst: vip6, proto: 47}.bytes(t), "")
	add("nothing behind the header", sixFresh, serverMAC1, frameSpec{dst: vip6, proto: 59}.bytes(t), "")
	again := frameSpec{dst: vip6, sport: 701, flags: synFlag}.bytes(t)
	add("new connection", sixAfter, serverMAC2, again, "nfs-01 old ack 1000, nfs-02")
	add("data of a known connection", sixKnown, serverMAC1, frameSpec{dst: vip6, flags: ackFlag, ack: 2000, payload: 10}.bytes(t), "nfs-01 ack 2000")
	return cases
}

func sixOtherCases(t testing.TB) []verdictCase {
	data := frameSpec{dst: vip6, flags: ackFlag, ack: 9, payload: 100}.bytes(t)
	elsewhere, other := frameSpec{dst: vip6, flags: ackFlag, to: strangerMAC}.bytes(t), frameSpec{dst: other6, flags: ackFlag}.bytes(t)
	long := extended(data, optionsHeader(60, 0), optionsHeader(60, 0), optionsHeader(60, 0), optionsHeader(60, 0), optionsHeader(60, 0), optionsHeader(60, 0), optionsHeader(60, 0))
	cases := []verdictCase{
		{name: "another address", in: sixFresh, frame: other, verdict: "pass"},
		{name: "an address with the same last word", in: sixFresh, frame: change(data, 38, 0x20, 1, 0xd, 0xb9), verdict: "pass"},
		{name: "another MAC address", in: sixFresh, frame: elsewhere, verdict: "pass"},
		{name: "another port", in: sixRuled, frame: frameSpec{dst: vip6, flags: ackFlag, dport: 22}.bytes(t), verdict: "pass"},
		{name: "IPv4", in: sixFresh, frame: frameSpec{flags: ackFlag}.bytes(t), verdict: "pass"},
		{name: "another version", in: sixFresh, frame: change(data, 14, 0x40), verdict: "drop-malformed", flow: true},
		{name: "too many headers", in: sixFresh, frame: long, verdict: "drop-malformed", flow: true},
		{name: "too many headers", in: sixRuled, frame: long, verdict: "drop-malformed", flow: true},
		{name: "a header that leads beyond the end", in: sixFresh, frame: extended(data, extension{60, []byte{200, 0, 0, 0, 0, 0, 0}}), verdict: "drop-malformed", flow: true},
		{name: "a length that is too short", in: sixFresh, frame: change(data, 18, 0, 19), verdict: "drop-malformed", flow: true},
		{name: "a first fragment without ports", in: sixFresh, frame: extended(data, fragmentHeader(0, true))[:66], verdict: "drop-malformed", flow: true},
		{name: "on hold, data", in: sixHold, frame: data, verdict: "drop-hold", flow: true},
	}
	for _, n := range []int{0, 5, 1000, 0x7fffffff} {
		cases = append(cases, verdictCase{name: fmt.Sprintf("data that acknowledges %d", n), in: sixAfter, verdict: "reset", flow: true, reset: uint32(n),
			frame: frameSpec{dst: vip6, flags: ackFlag, ack: uint32(n), payload: 30}.bytes(t), table: "nfs-01 old ack 1000"})
	}
	partial := frameSpec{dst: vip6, flags: ackFlag, ack: 77}.bytes(t)
	cases = append(cases,
		verdictCase{name: "behind options", in: sixAfter, verdict: "reset", flow: true, reset: 77, frame: extended(partial, optionsHeader(60, 3)), table: "nfs-01 old ack 1000"},
		verdictCase{name: "its RST", in: sixAfter, verdict: "forward-old", flow: true, frame: frameSpec{dst: vip6, flags: rstFlag}.bytes(t),
			out: sent(serverMAC1, frameSpec{dst: vip6, flags: rstFlag}.bytes(t)), table: "nfs-01 old ended ack 1000"})
	return cases
}

// solicitation is who-has of IPv6.
type solicitation struct {
	to       model.MAC  // zero: those who may have it
	src, dst netip.Addr // zero: the client, and those who may have the target
	target   netip.Addr
	limit    uint8
	bare     bool // no option
	nonce    bool // an option of RFC 7527
}

func (s solicitation) bytes(t testing.TB) []byte {
	t.Helper()
	if !s.target.IsValid() {
		s.target = vip6
	}
	if !s.src.IsValid() {
		s.src = client6
	}
	last := s.target.As16()
	if !s.dst.IsValid() {
		s.dst = netip.AddrFrom16([16]byte{0xff, 2, 11: 1, 12: 0xff, 13: last[13], 14: last[14], 15: last[15]})
	}
	if !s.to.Known() {
		s.to = model.MAC{0x33, 0x33, 0xff, last[13], last[14], last[15]}
	}
	if s.limit == 0 {
		s.limit = 255
	}
	ip := &layers.IPv6{Version: 6, HopLimit: s.limit, NextHeader: 58, SrcIP: s.src.AsSlice(), DstIP: s.dst.AsSlice()}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(135, 0)}
	_ = icmp.SetNetworkLayerForChecksum(ip)
	ns := &layers.ICMPv6NeighborSolicitation{TargetAddress: s.target.AsSlice()}
	if !s.bare {
		ns.Options = append(ns.Options, layers.ICMPv6Option{Type: layers.ICMPv6OptSourceAddress, Data: clientMAC[:]})
	}
	if s.nonce {
		ns.Options = append(ns.Options, layers.ICMPv6Option{Type: 14, Data: []byte{1, 2, 3, 4, 5, 6}})
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: clientMAC[:], DstMAC: s.to[:], EthernetType: layers.EthernetTypeIPv6}, ip, icmp, ns)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(b.Bytes())
}

// advertisement is the answer that it must get.
func advertisement(t testing.TB, to model.MAC, dst netip.Addr, solicited bool) []byte {
	t.Helper()
	ip := &layers.IPv6{Version: 6, HopLimit: 255, NextHeader: 58, SrcIP: vip6.AsSlice(), DstIP: dst.AsSlice()}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(136, 0)}
	_ = icmp.SetNetworkLayerForChecksum(ip)
	na := &layers.ICMPv6NeighborAdvertisement{Flags: 0x20, TargetAddress: vip6.AsSlice(),
		Options: layers.ICMPv6Options{{Type: layers.ICMPv6OptTargetAddress, Data: directorMAC[:]}}}
	if solicited {
		na.Flags |= 0x40
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: directorMAC[:], DstMAC: to[:], EthernetType: layers.EthernetTypeIPv6}, ip, icmp, na)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(b.Bytes())
}

func solicitationCases(t testing.TB) []verdictCase {
	whole := solicitation{}.bytes(t)
	answer := advertisement(t, clientMAC, client6, true)
	probe := solicitation{src: netip.IPv6Unspecified(), bare: true}
	toAll := advertisement(t, model.MAC{0x33, 0x33, 0, 0, 0, 1}, netip.MustParseAddr("ff02::1"), false)
	answered := func(name string, frame, out []byte) verdictCase {
		return verdictCase{name: name, in: sixFresh, frame: frame, verdict: "arp-reply", out: out}
	}
	passes := func(name string, in situation, frame []byte) verdictCase {
		return verdictCase{name: name, in: in, frame: frame, verdict: "pass"}
	}
	nonce := probe
	nonce.nonce = true
	broken := mended(change(whole, 79, 0))
	return []verdictCase{
		answered("asked of those who may have it", whole, answer),
		answered("asked of the address, at its MAC", solicitation{to: directorMAC, dst: vip6}.bytes(t), answer),
		answered("asked without telling a MAC", solicitation{bare: true}.bytes(t), answer),
		answered("asked with two options", solicitation{nonce: true}.bytes(t), answer),
		answered("a probe of a rival", probe.bytes(t), toAll),
		answered("a probe with a nonce", nonce.bytes(t), toAll),
		passes("another target", sixFresh, solicitation{target: other6}.bytes(t)),
		passes("not announced", sixUnannounced, whole),
		passes("came by a router", sixFresh, solicitation{limit: 254}.bytes(t)),
		passes("wrong checksum", sixFresh, change(whole, 56, 1, 2)),
		passes("another code", sixFresh, mended(change(whole, 55, 1))),
		passes("an option without length", sixFresh, broken),
		passes("a probe that is not for all", sixFresh, solicitation{src: netip.IPv6Unspecified(), dst: vip6, bare: true, to: directorMAC}.bytes(t)),
		passes("cut short", sixFresh, whole[:77]),
		passes("an advertisement", sixFresh, advertisement(t, directorMAC, vip6, true)),
	}
}

// mended gives a message of ICMPv6 its right checksum.
func mended(frame []byte) []byte {
	frame = change(frame, 56, 0, 0)
	sum := uint32(58 + len(frame) - 54)
	for i := 22; i < len(frame); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(frame[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return change(frame, 56, byte(^sum>>8), byte(^sum))
}

// Where no server is up, TCP is refused with a RST and UDP with ICMPv6.
func TestRejectOfSix(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		sixReject.build(t, p, h)
		syn := frameSpec{dst: vip6, flags: synFlag, seq: 41}.bytes(t)
		result, out := h.run(t, p, syn)
		packet := decoded(t, out)
		tcp, ok := packet.TransportLayer().(*layers.TCP)
		if result != h.send || !ok || !tcp.RST || !tcp.ACK || tcp.Ack != 42 || len(out) != 74 {
			t.Errorf("%s: a SYN got %d: %v", h.name, int32(result), packet)
		}
		udp := frameSpec{dst: vip6, proto: 17, payload: 100}.bytes(t)
		result, out = h.run(t, p, udp)
		packet = decoded(t, out)
		icmp, ok := packet.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
		if result != h.send || !ok || icmp.TypeCode != layers.CreateICMPv6TypeCode(1, 4) || !bytes.Equal(out[62:], udp[14:62]) {
			t.Errorf("%s: a datagram got %d: %v", h.name, int32(result), packet)
		}
	}
}

func checkResetOfSix(t *testing.T, in, out []byte, seq uint32) {
	t.Helper()
	if len(out) != 74 || !bytes.Equal(out[:6], in[6:12]) || !bytes.Equal(out[6:12], in[:6]) {
		t.Fatalf("the reset is %x", out)
	}
	tcp := decoded(t, out).TransportLayer().(*layers.TCP)
	if tcp.SrcPort != 2049 || tcp.DstPort != 700 || !tcp.RST || tcp.ACK || tcp.Seq != seq || tcp.Ack != 0 || tcp.DataOffset != 5 || tcp.Window != 0 {
		t.Errorf("TCP header %+v, want a bare RST at %d", tcp, seq)
	}
}

// decoded reads an answer to the client with an independent decoder, which verifies
// its checksums.
func decoded(t *testing.T, out []byte) gopacket.Packet {
	t.Helper()
	packet := gopacket.NewPacket(out, layers.LayerTypeEthernet, gopacket.Default)
	ip, ok := packet.NetworkLayer().(*layers.IPv6)
	if !ok {
		t.Fatalf("%x is no IPv6", out)
	}
	if tcp, is := packet.TransportLayer().(*layers.TCP); is {
		_ = tcp.SetNetworkLayerForChecksum(ip)
	}
	if icmp, is := packet.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6); is {
		_ = icmp.SetNetworkLayerForChecksum(ip)
	}
	err, bad := packet.VerifyChecksums()
	if err != nil || len(bad) > 0 {
		t.Errorf("bad checksums: %v, %+v", err, bad)
	}
	if ip.SrcIP.String() != vip6.String() || ip.DstIP.String() != client6.String() || int(ip.Length) != len(out)-54 {
		t.Errorf("from %v to %v, length %d", ip.SrcIP, ip.DstIP, ip.Length)
	}
	return packet
}

// A frame that is cut at any byte is forwarded only where all that rules ask for is
// there, and never read beyond its end.
func TestTruncatedOfSix(t *testing.T) {
	data := frameSpec{dst: vip6, flags: ackFlag, ack: 9, payload: 4}.bytes(t)
	for _, whole := range [][]byte{data, extended(data, optionsHeader(0, 1), fragmentHeader(0, true), optionsHeader(60, 0)), solicitation{}.bytes(t)} {
		for _, h := range hooks {
			for _, in := range []situation{sixFresh, sixRuled, sixGeneral} {
				p := h.plane(t, 1000)
				in.build(t, p, h)
				for n := max(h.shortest, 54); n < len(whole)-4; n++ {
					result, out := h.run(t, p, whole[:n])
					if result == h.send || !bytes.Equal(out, whole[:n]) {
						t.Errorf("%s, %s: %d of %d bytes were sent on", h.name, in.name, n, len(whole))
					}
				}
			}
		}
	}
}
