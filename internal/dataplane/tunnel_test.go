package dataplane

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/model"
)

// The ends of the tests' tunnels.
var (
	tunnelEnd  = netip.MustParseAddr("192.168.10.2")
	farServer1 = netip.MustParseAddr("10.9.0.1")
	farServer2 = netip.MustParseAddr("10.9.0.2")
)

// tunnelled is a value whose servers are behind tunnels.
func tunnelled(d model.Desired, mtu int) model.Desired {
	d.Directors = slices.Clone(d.Directors)
	d.Directors[0].Mode = model.ModeTunnel
	d.Directors[0].Servers = slices.Clone(d.Directors[0].Servers)
	for i, addr := range []netip.Addr{farServer1, farServer2} {
		s := &d.Directors[0].Servers[i]
		s.Addr, s.Source, s.MTU = addr, tunnelEnd, mtu
	}
	return d
}

var (
	freshTunnel = situation{"tunnel", func(t testing.TB, p *Plane, h hook) { apply(t, p, tunnelled(note(), 1500)) }}

	narrowTunnel = situation{"tunnel of a lower MTU", func(t testing.TB, p *Plane, h hook) { apply(t, p, tunnelled(note(), 1400)) }}

	knownTunnel = situation{"tunnel, known connection", func(t testing.TB, p *Plane, h hook) {
		freshTunnel.build(t, p, h)
		establish(t, p, h)
	}}

	afterTunnel = situation{"tunnel, after the switch", func(t testing.TB, p *Plane, h hook) {
		knownTunnel.build(t, p, h)
		apply(t, p, tunnelled(switched(), 1500))
	}}

	sharedTunnel = situation{"tunnel, two servers share", func(t testing.TB, p *Plane, h hook) {
		d := tunnelled(note(), 1500)
		d.Directors[0].Balanced, d.Directors[0].Active, d.Directors[0].MAC = true, "", model.MAC{}
		d.Directors[0].Servers[1].Weight, d.Directors[0].Servers[1].Epoch = 1, 1
		apply(t, p, d)
	}}

	untunnelled = situation{"gateway again", func(t testing.TB, p *Plane, h hook) {
		knownTunnel.build(t, p, h)
		apply(t, p, note())
	}}
)

// inTunnel is the frame as it must leave: the whole packet in one of the director's own,
// made by an encoder of its own.
func inTunnel(t testing.TB, mac model.MAC, server netip.Addr, frame []byte) []byte {
	t.Helper()
	inner := frame[14:]
	length := min(int(binary.BigEndian.Uint16(inner[2:])), len(inner))
	inner, padding := inner[:length], inner[length:]
	outer := &layers.IPv4{Version: 4, TTL: 64, TOS: inner[1], Id: binary.BigEndian.Uint16(inner[4:]), Flags: layers.IPv4DontFragment,
		Protocol: layers.IPProtocolIPv4, SrcIP: tunnelEnd.AsSlice(), DstIP: server.AsSlice()}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: directorMAC[:], DstMAC: mac[:], EthernetType: layers.EthernetTypeIPv4}, outer, gopacket.Payload(inner))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(b.Bytes()[:34+length], padding)
}

// tooBig is "fragmentation needed", with the MTU, the packet's header and 8 bytes.
func tooBig(t testing.TB, mtu uint16, frame []byte) []byte {
	return answered(t, layers.IPProtocolICMPv4, func(*layers.IPv4) []gopacket.SerializableLayer {
		icmp := &layers.ICMPv4{Seq: mtu,
			TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4CodeFragmentationNeeded)}
		return []gopacket.SerializableLayer{icmp, gopacket.Payload(frame[14:42])}
	})
}

// The lengths of headers in front of a payload.
const tcpHeaders, udpHeaders = 40, 28

func tunnelCases(t testing.TB) []verdictCase {
	const moreFragments, dontFragment = 0x2000, 0x4000
	var cases []verdictCase
	forward := func(name string, in situation, s frameSpec, table string, edit func([]byte) []byte) {
		f := s.bytes(t)
		if edit != nil {
			f = edit(f)
		}
		cases = append(cases, verdictCase{name: name, in: in, frame: f, verdict: "forward", out: inTunnel(t, serverMAC1, farServer1, f), flow: true, table: table})
	}
	ack := frameSpec{flags: ackFlag, ack: 9, payload: 100}
	forward("TCP", freshTunnel, ack, "nfs-01 ack 9", nil)
	forward("SYN", freshTunnel, frameSpec{flags: synFlag, tcpOptions: 20}, "nfs-01", nil)
	forward("DSCP and ECN", freshTunnel, ack, "nfs-01 ack 9", func(f []byte) []byte { return rightIPv4(change(f, 15, 46<<2|2)) })
	forward("UDP", freshTunnel, frameSpec{proto: 17, payload: 50}, "", nil)
	forward("ICMP", freshTunnel, frameSpec{proto: 1, icmpType: 8, payload: 30}, "", nil)
	forward("GRE", freshTunnel, frameSpec{proto: 47, payload: 30}, "", nil)
	forward("first fragment of UDP", freshTunnel, frameSpec{proto: 17, payload: 80, fragment: moreFragments}, "", nil)
	forward("last fragment", freshTunnel, frameSpec{proto: 17, payload: 3, fragment: 20}, "", nil)
	forward("IP options", freshTunnel, frameSpec{flags: ackFlag, ack: 9, options: 8}, "nfs-01 ack 9", nil)
	forward("checksum left to a device", freshTunnel, ack, "nfs-01 ack 9", partialForm)
	forward("as long as fits", freshTunnel, frameSpec{flags: ackFlag, ack: 9, payload: 1480 - tcpHeaders, fragment: dontFragment}, "nfs-01 ack 9", nil)
	forward("as long as fits", narrowTunnel, frameSpec{proto: 17, payload: 1380 - udpHeaders}, "", nil)
	forward("ACK", knownTunnel, frameSpec{flags: ackFlag, ack: 2000}, "nfs-01 ack 2000", nil)
	forward("TCP", sharedTunnel, frameSpec{flags: ackFlag, ack: 2000}, "nfs-02 ack 2000", nil)
	cases[len(cases)-1].out = inTunnel(t, serverMAC2, farServer2, cases[len(cases)-1].frame)
	gateway := frameSpec{flags: ackFlag, ack: 2000, payload: 1460}.bytes(t)
	cases = append(cases, verdictCase{name: "TCP", in: untunnelled, frame: gateway, verdict: "forward", out: sent(serverMAC1, gateway), flow: true, table: "nfs-01 ack 2000"})
	return slices.Concat(cases, longCases(t), oldTunnelCases(t))
}

// longCases are what does not fit into the tunnel.
func longCases(t testing.TB) []verdictCase {
	const moreFragments, dontFragment = 0x2000, 0x4000
	var cases []verdictCase
	tell := func(name string, in situation, mtu uint16, s frameSpec, table string) {
		f := s.bytes(t)
		cases = append(cases, verdictCase{name: name, in: in, frame: f, verdict: "too-big", out: tooBig(t, mtu, f), flow: true, table: table})
	}
	drop := func(name string, s frameSpec) {
		cases = append(cases, verdictCase{name: name, in: freshTunnel, frame: s.bytes(t), verdict: "drop-too-big", flow: true})
	}
	const byOne = 1481
	tell("TCP, by one byte", freshTunnel, 1480, frameSpec{flags: ackFlag, ack: 9, payload: byOne - tcpHeaders, fragment: dontFragment}, "nfs-01 ack 9")
	tell("TCP that may be fragmented", freshTunnel, 1480, frameSpec{flags: ackFlag, ack: 9, payload: byOne - tcpHeaders}, "nfs-01 ack 9")
	tell("TCP", narrowTunnel, 1380, frameSpec{flags: ackFlag, ack: 9, payload: 1460, fragment: dontFragment}, "nfs-01 ack 9")
	tell("UDP", freshTunnel, 1480, frameSpec{proto: 17, payload: byOne - udpHeaders}, "")
	tell("UDP, an odd length", freshTunnel, 1480, frameSpec{proto: 17, payload: 1471}, "")
	tell("first fragment of UDP", freshTunnel, 1480, frameSpec{proto: 17, payload: 1472, fragment: moreFragments}, "")
	tell("echo request", freshTunnel, 1480, frameSpec{proto: 1, icmpType: 8, payload: 1472}, "")
	tell("GRE", freshTunnel, 1480, frameSpec{proto: 47, payload: 1480}, "")
	drop("a later fragment", frameSpec{proto: 17, payload: 1480, fragment: moreFragments | 185})
	drop("an ICMP error", frameSpec{proto: 1, icmpType: 3, payload: 1472})
	drop("IP options", frameSpec{proto: 17, payload: 1460, options: 8})
	return cases
}

// oldTunnelCases: the connections of a server that is no longer the active one.
func oldTunnelCases(t testing.TB) []verdictCase {
	ack := frameSpec{flags: ackFlag, ack: 77, payload: 10}.bytes(t)
	rst := frameSpec{flags: rstFlag}.bytes(t)
	syn := frameSpec{flags: synFlag, sport: 701}.bytes(t)
	return []verdictCase{
		{name: "ACK", in: afterTunnel, frame: ack, verdict: "reset", reset: 77, flow: true, table: "nfs-01 old ack 1000"},
		{name: "RST", in: afterTunnel, frame: rst, verdict: "forward-old", out: inTunnel(t, serverMAC1, farServer1, rst), flow: true, table: "nfs-01 old ended ack 1000"},
		{name: "SYN", in: afterTunnel, frame: syn, verdict: "forward", out: inTunnel(t, serverMAC2, farServer2, syn), flow: true, table: "nfs-01 old ack 1000, nfs-02"},
	}
}

// rightIPv4 is the frame with the checksum of its IPv4 header made right.
func rightIPv4(frame []byte) []byte {
	frame = change(frame, 24, 0, 0)
	sum := uint32(0)
	for i := 14; i < 34; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(frame[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return change(frame, 24, byte(^sum>>8), byte(^sum))
}

// A packet whose checksum is left to a device is answered so that the answer is right
// whether a device completes it where it stood in the packet, or nobody does.
func TestTooBigWithPartialChecksum(t *testing.T) {
	for name, s := range map[string]frameSpec{
		"TCP": {flags: ackFlag, ack: 9, payload: 1460}, "UDP": {proto: 17, payload: 1472},
	} {
		for _, h := range hooks {
			p := h.plane(t, 1000)
			freshTunnel.build(t, p, h)
			field := 14 + 20 + 16
			if s.proto == 17 {
				field = 14 + 20 + 6
			}
			frame := partialOf(s.bytes(t), field)
			result, out := h.run(t, p, frame)
			if result != h.send || len(out) != 90 {
				t.Fatalf("%s, %s: returned %d with %d bytes", name, h.name, int32(result), len(out))
			}
			mangled := change(out, field, 0xff, 0xff) // as the kernel writes a sum of 0
			for _, got := range [][]byte{out, completedAt(out, field), mangled} {
				ip, icmp := layers.IPv4{}, layers.ICMPv4{}
				head := slices.Concat(change(got[14:34], 0, 0x45), got[54:]) // whatever options: they end at once
				if err := errors.Join(ip.DecodeFromBytes(head, gopacket.NilDecodeFeedback), icmp.DecodeFromBytes(got[54:], gopacket.NilDecodeFeedback)); err != nil {
					t.Fatal(err)
				}
				if ones(got[14:54]) != 0xffff || ones(got[54:]) != 0xffff || got[14] != 0x4a || got[34] != 0 {
					t.Errorf("%s, %s: bad checksums or options in %x", name, h.name, got)
				}
				if ip.Length != 76 || ip.SrcIP.String() != vipAddr.String() || ip.DstIP.String() != clientAddr.String() {
					t.Errorf("%s, %s: IP header %+v", name, h.name, ip)
				}
				if icmp.TypeCode != layers.CreateICMPv4TypeCode(3, 4) || icmp.Seq != 1480 || !bytes.Equal(icmp.Payload, frame[14:42]) {
					t.Errorf("%s, %s: %+v", name, h.name, icmp)
				}
			}
		}
	}
}

// ones is the ones' complement sum (RFC 1071).
func ones(b []byte) uint32 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return sum
}

// partialOf leaves the checksum at that place to a device: the pseudo header's sum.
func partialOf(frame []byte, field int) []byte {
	ip := frame[14:]
	sum := uint32(ip[9]) + uint32(binary.BigEndian.Uint16(ip[2:])) - 20
	for i := 12; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return change(frame, field, byte(sum>>8), byte(sum))
}

// completedAt does what a device does: it sums from the transport header to the end.
func completedAt(frame []byte, field int) []byte {
	sum := uint32(0)
	for i := 34; i < len(frame); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(frame[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return change(frame, field, byte(^sum>>8), byte(^sum))
}

// Frames cut anywhere, and with every length that their header may claim, never leave
// but whole, and never longer than the tunnel takes.
func TestTunnelHostile(t *testing.T) {
	for _, h := range hooks {
		p := h.plane(t, 1000)
		freshTunnel.build(t, p, h)
		for _, s := range []frameSpec{{flags: ackFlag, payload: 30}, {proto: 17, payload: 30}, {proto: 1, icmpType: 8, payload: 30}, {fragment: 9, payload: 30}} {
			whole := s.bytes(t)
			for n := h.shortest; n <= len(whole); n++ {
				result, out := h.run(t, p, whole[:n])
				if result == h.send && !bytes.Equal(out, inTunnel(t, serverMAC1, farServer1, whole[:n])) && string(out[14:34]) == string(inTunnel(t, serverMAC1, farServer1, whole[:n])[14:34]) {
					t.Fatalf("%s: %d of %d bytes left as %x", h.name, n, len(whole), out)
				}
			}
			for length := 0; length < 1<<16; length += 97 {
				f := change(whole, 16, byte(length>>8), byte(length))
				if result, out := h.run(t, p, f); result == h.send && len(out) != len(f)+20 && len(out) != 70 {
					t.Fatalf("%s: a packet that claims %d bytes left as %x", h.name, length, out)
				}
			}
		}
	}
}

// Where large frames cannot be wrapped, that is told, and what can be applied is.
func TestTunnelInGenericMode(t *testing.T) {
	s := newSite(t)
	s.detachAfter(t)
	s.within(t, func() error {
		p := s.open(t, model.AttachGeneric)
		defer closePlane(t, p)
		apply(t, p, onSite())
		err := p.Apply(tunnelled(onSite(), 1500))
		if err == nil || !strings.Contains(err.Error(), "mode tunnel on eth0: in generic mode, large frames of a veth interface") {
			t.Errorf("got %v", err)
		}
		if r := p.maps.settings().tunnel(0, 0); r == nil {
			t.Error("the tunnel was not applied")
		}
		return nil
	})
}
