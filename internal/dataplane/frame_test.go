package dataplane

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/model"
)

// The addresses of every test: the note's network.
var (
	clientMAC   = model.MAC{2, 0, 0, 0, 0, 0x10}
	directorMAC = model.MAC{2, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5}
	serverMAC1  = model.MAC{2, 0x11, 0x12, 0x13, 0x14, 0x15}
	serverMAC2  = model.MAC{2, 0x21, 0x22, 0x23, 0x24, 0x25}
	strangerMAC = model.MAC{2, 0xd1, 0xd2, 0xd3, 0xd4, 0xd6}

	clientAddr = netip.MustParseAddr("192.168.10.10")
	vipAddr    = netip.MustParseAddr("192.168.10.50")
	otherAddr  = netip.MustParseAddr("192.168.10.51")

	client6 = netip.MustParseAddr("2001:db8::10")
	vip6    = netip.MustParseAddr("2001:db8::50")
	other6  = netip.MustParseAddr("2001:db8::51")
)

// Bits of the TCP flags byte.
const (
	finFlag = 1
	synFlag = 2
	rstFlag = 4
	ackFlag = 16
)

// frameSpec is a frame to the virtual IP; its zero value is a TCP packet
// without flags.
type frameSpec struct {
	to         model.MAC // zero: the director
	src, dst   netip.Addr
	proto      uint8 // zero: TCP
	sport      uint16
	dport      uint16
	flags      uint8
	seq, ack   uint32
	options    int // bytes of IP options
	tcpOptions int // bytes of TCP options
	fragment   uint16
	payload    int
	icmpType   uint8
}

func (s frameSpec) withDefaults() frameSpec {
	if !s.to.Known() {
		s.to = directorMAC
	}
	if !s.dst.IsValid() {
		s.dst = vipAddr
	}
	if !s.src.IsValid() {
		s.src = clientAddr
		if s.dst.Is6() {
			s.src = client6
		}
	}
	if s.proto == 0 {
		s.proto = 6
	}
	if s.sport == 0 {
		s.sport = 700
	}
	if s.dport == 0 {
		s.dport = 2049
	}
	return s
}

// bytes is the frame, with correct checksums.
func (s frameSpec) bytes(t testing.TB) []byte {
	t.Helper()
	s = s.withDefaults()
	if s.dst.Is6() {
		return s.bytesOfSix(t)
	}
	ip := &layers.IPv4{Version: 4, TTL: 63, Id: 77, Protocol: layers.IPProtocol(s.proto), SrcIP: s.src.AsSlice(), DstIP: s.dst.AsSlice(),
		Flags: layers.IPv4Flag(s.fragment >> 13), FragOffset: s.fragment & 0x1fff}
	for range s.options {
		ip.Options = append(ip.Options, layers.IPv4Option{OptionType: 1, OptionLength: 1})
	}
	all := []gopacket.SerializableLayer{&layers.Ethernet{SrcMAC: clientMAC[:], DstMAC: s.to[:], EthernetType: layers.EthernetTypeIPv4}, ip}
	if s.fragment&0x1fff == 0 {
		all = append(all, s.transport(ip)...)
	}
	payload := make([]byte, s.payload)
	for i := range payload {
		payload[i] = byte(i*7 + 1)
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, append(all, gopacket.Payload(payload))...)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(b.Bytes())
}

// bytesOfSix is the frame of IPv6, without extension headers: see extended.
func (s frameSpec) bytesOfSix(t testing.TB) []byte {
	ip := &layers.IPv6{Version: 6, HopLimit: 63, NextHeader: layers.IPProtocol(s.proto), SrcIP: s.src.AsSlice(), DstIP: s.dst.AsSlice()}
	all := []gopacket.SerializableLayer{&layers.Ethernet{SrcMAC: clientMAC[:], DstMAC: s.to[:], EthernetType: layers.EthernetTypeIPv6}, ip}
	all = append(all, s.transport(ip)...)
	payload := make([]byte, s.payload)
	for i := range payload {
		payload[i] = byte(i*7 + 1)
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, append(all, gopacket.Payload(payload))...)
	if err != nil {
		t.Fatal(err)
	}
	frame := slices.Clone(b.Bytes())
	var headers []extension
	if s.options > 0 {
		headers = append(headers, optionsHeader(60, s.options/8))
	}
	if s.fragment&0x3fff != 0 {
		headers = append(headers, fragmentHeader(s.fragment&0x1fff, s.fragment&0x2000 != 0))
	}
	return extended(frame, headers...)
}

// extension is an extension header of IPv6: its number, and all of it but the number
// of what follows.
type extension struct {
	number uint8
	rest   []byte
}

func fragmentHeader(offset uint16, more bool) extension {
	at := offset << 3
	if more {
		at |= 1
	}
	return extension{44, []byte{0, byte(at >> 8), byte(at), 0, 0, 0, 77}}
}

func optionsHeader(number uint8, eights int) extension {
	rest := make([]byte, 7+8*eights)
	rest[0] = byte(eights)
	rest[1], rest[2] = 1, byte(len(rest)-3) // one option of padding
	return extension{number, rest}
}

// extended inserts extension headers behind the header of a frame of IPv6.
func extended(frame []byte, headers ...extension) []byte {
	out := slices.Clone(frame[:54])
	next := 20
	for _, h := range headers {
		follows := out[next]
		out[next] = h.number
		next = len(out)
		out = append(append(out, follows), h.rest...)
	}
	out = append(out, frame[54:]...)
	binary.BigEndian.PutUint16(out[18:], uint16(len(out)-54))
	return out
}

func (s frameSpec) transport(ip interface {
	gopacket.NetworkLayer
	gopacket.SerializableLayer
}) []gopacket.SerializableLayer {
	switch s.proto {
	case 58:
		icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(s.icmpType, 0)}
		_ = icmp.SetNetworkLayerForChecksum(ip)
		return []gopacket.SerializableLayer{icmp, gopacket.Payload([]byte{0, 5, 0, 6})}
	case 1:
		return []gopacket.SerializableLayer{&layers.ICMPv4{TypeCode: layers.ICMPv4TypeCode(uint16(s.icmpType) << 8), Id: 5, Seq: 6}}
	case 6:
		tcp := &layers.TCP{SrcPort: layers.TCPPort(s.sport), DstPort: layers.TCPPort(s.dport), Seq: s.seq, Ack: s.ack, Window: 512,
			FIN: s.flags&finFlag != 0, SYN: s.flags&synFlag != 0, RST: s.flags&rstFlag != 0, ACK: s.flags&ackFlag != 0}
		for range s.tcpOptions {
			tcp.Options = append(tcp.Options, layers.TCPOption{OptionType: layers.TCPOptionKindNop})
		}
		_ = tcp.SetNetworkLayerForChecksum(ip) // an IPv4 layer is never refused
		return []gopacket.SerializableLayer{tcp}
	case 17:
		udp := &layers.UDP{SrcPort: layers.UDPPort(s.sport), DstPort: layers.UDPPort(s.dport)}
		_ = udp.SetNetworkLayerForChecksum(ip)
		return []gopacket.SerializableLayer{udp}
	}
	return nil
}

// arpSpec is an ARP packet; its zero value asks who has the virtual IP.
type arpSpec struct {
	to, sender, targetMAC model.MAC
	from, target          netip.Addr
	operation             uint16
}

func (s arpSpec) bytes() []byte {
	if !s.to.Known() {
		s.to = model.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	if !s.sender.Known() {
		s.sender = clientMAC
	}
	if !s.from.IsValid() {
		s.from = clientAddr
	}
	if !s.target.IsValid() {
		s.target = vipAddr
	}
	if s.operation == 0 {
		s.operation = 1
	}
	b := slices.Concat(s.to[:], s.sender[:], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, byte(s.operation)})
	return slices.Concat(b, s.sender[:], s.from.AsSlice(), s.targetMAC[:], s.target.AsSlice())
}

// change returns a copy with bytes overwritten.
func change(b []byte, at int, with ...byte) []byte {
	b = slices.Clone(b)
	copy(b[at:], with)
	return b
}

// sent is the frame as it must leave: to that MAC address, from the director.
func sent(to model.MAC, frame []byte) []byte {
	return slices.Concat(to[:], directorMAC[:], frame[12:])
}

// partialForm leaves the TCP checksum as a device that completes it wants it:
// the sum of the pseudo header alone.
func partialForm(frame []byte) []byte {
	ip := frame[14:]
	header := int(ip[0]&15) * 4
	sum := uint32(6) + uint32(binary.BigEndian.Uint16(ip[2:])) - uint32(header)
	for i := 12; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return change(frame, 14+header+16, byte(sum>>8), byte(sum))
}

// hook is one form of the programme, with what its verdicts return.
type hook struct {
	name             string
	of               func(programs) *ebpf.Program
	pass, send, drop uint32
	shortest         int // IPv4 frame that a test run takes
}

// The values are those of linux/bpf.h and linux/pkt_cls.h.
var hooks = []hook{
	{"xdp", func(g programs) *ebpf.Program { return g.xdp }, 2, 3, 1, 14},
	{"tc", func(g programs) *ebpf.Program { return g.tc }, ^uint32(0), 7, 2, 34},
}

// returns is what the programme returns with a verdict.
func (h hook) returns(verdict string) uint32 {
	switch verdict {
	case "pass", "permit":
		return h.pass
	case "deny", "drop-no-server", "drop-old", "drop-malformed", "held", "drop-hold", "drop-too-big":
		return h.drop
	}
	return h.send
}

// plane is a data plane with the programme of this hook only.
func (h hook) plane(t testing.TB, connections int) *Plane {
	t.Helper()
	other := directorProgFairleadTc
	if h.name == "tc" {
		other = directorProgFairleadXdp
	}
	return newPlane(t, connections, other)
}

// run sends one frame through the programme.
func (h hook) run(t testing.TB, p *Plane, frame []byte) (result uint32, out []byte) {
	t.Helper()
	options := &ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256)}
	result, err := h.of(p.programs).Run(options)
	if err != nil {
		t.Fatalf("run the programme on %d bytes: %v", len(frame), err)
	}
	return result, options.DataOut
}

// runLookedAt is run for the first packet since the clock ticked: the table is
// asked.
func (h hook) runLookedAt(t testing.TB, p *Plane, frame []byte) (result uint32, out []byte) {
	t.Helper()
	p.maps.state.Sampled = 0
	return h.run(t, p, frame)
}

// is is a condition that must hold.
func is[T comparable](v T) model.Cond[T] { return model.Cond[T]{Set: true, Value: v} }

// to is a rule for every packet to an address.
func to(addr netip.Addr) model.Rule {
	return model.Rule{Dst: is(netip.PrefixFrom(addr, addr.BitLen()))}
}

// leads are rules of a flow that leads to a director.
func leads(flow, director string, rules ...model.Rule) []model.FlowRule {
	var all []model.FlowRule
	for _, r := range rules {
		all = append(all, model.FlowRule{Flow: flow, Policy: model.PolicyDirector, Director: director, Rule: r})
	}
	return all
}

// note is the desired value of the note's configuration in its first epoch.
func note() model.Desired {
	return model.Desired{
		Rules: model.RuleSet{VIPs: []model.VIP{{Addr: vipAddr, Announce: true}}, Rules: leads("nfs", "nfs", to(vipAddr))},
		Directors: []model.DesiredDirector{{Name: "nfs", Active: "nfs-01", MAC: serverMAC1, Source: directorMAC, Epoch: 1, Reason: model.ReasonFirst,
			Servers: []model.DesiredServer{{Name: "nfs-01", MAC: serverMAC1}, {Name: "nfs-02", MAC: serverMAC2}}}},
	}
}

// switched is the note's configuration after a switch to the second server.
func switched() model.Desired {
	d := note()
	d.Directors[0].Active, d.Directors[0].MAC, d.Directors[0].Epoch = "nfs-02", serverMAC2, 2
	return d
}

// apply makes the kernel hold the value, or ends the test.
func apply(t testing.TB, p *Plane, want model.Desired) {
	t.Helper()
	if err := p.Apply(want); err != nil {
		t.Fatal(err)
	}
}
