package dataplane

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/model"
)

// A situation is what was before the packet of a case.
type situation struct {
	name  string
	build func(t testing.TB, p *Plane, h hook)
}

var (
	fresh = situation{"first epoch", func(t testing.TB, p *Plane, h hook) { apply(t, p, note()) }}

	known = situation{"known connection", func(t testing.TB, p *Plane, h hook) {
		apply(t, p, note())
		establish(t, p, h)
	}}

	after = situation{"after the switch", func(t testing.TB, p *Plane, h hook) {
		known.build(t, p, h)
		apply(t, p, switched())
	}}

	afterSilent = situation{"after a switch in silence", func(t testing.TB, p *Plane, h hook) {
		known.build(t, p, h)
		d := switched()
		d.Directors[0].Silent = true
		apply(t, p, d)
	}}

	knownEnded = situation{"connection that was seen to end", func(t testing.TB, p *Plane, h hook) {
		known.build(t, p, h)
		h.run(t, p, frameSpec{flags: rstFlag}.bytes(t))
	}}

	afterUnknownMAC = situation{"after the switch, old server's MAC unknown", func(t testing.TB, p *Plane, h hook) {
		d := note()
		d.Directors[0].Servers[0].MAC = model.MAC{}
		apply(t, p, d)
		establish(t, p, h)
		d = switched()
		d.Directors[0].Servers[0].MAC = model.MAC{}
		apply(t, p, d)
	}}

	afterSweep = situation{"after the switch, nothing old left", func(t testing.TB, p *Plane, h hook) {
		apply(t, p, note())
		apply(t, p, switched())
		if left, err := p.Sweep("nfs"); err != nil || left != 0 {
			t.Fatalf("Sweep = %d, %v; want 0", left, err)
		}
	}}

	noServer = situation{"no active server", func(t testing.TB, p *Plane, h hook) {
		d := note()
		d.Directors[0].Active, d.Directors[0].MAC = "", model.MAC{}
		apply(t, p, d)
	}}

	unannounced = situation{"not announced", func(t testing.TB, p *Plane, h hook) {
		d := note()
		d.Rules.VIPs[0].Announce = false
		apply(t, p, d)
	}}

	ruled = situation{"rules by port", func(t testing.TB, p *Plane, h hook) {
		d := note()
		d.Rules.Rules[0].Rule.DstPort = is(model.Ports{First: 2049, Last: 2049})
		apply(t, p, d)
	}}

	onHold = situation{"on hold", func(t testing.TB, p *Plane, h hook) {
		known.build(t, p, h)
		d := note()
		d.Directors[0].Hold = true
		apply(t, p, d)
	}}

	permitted = situation{"permitted", func(t testing.TB, p *Plane, h hook) {
		d := note()
		d.Rules.Rules = []model.FlowRule{{Flow: "nfs", Policy: model.PolicyPermit, Rule: to(vipAddr)}}
		apply(t, p, d)
	}}

	denied = situation{"denied", func(t testing.TB, p *Plane, h hook) {
		d := note()
		d.Rules.Rules = []model.FlowRule{{Flow: "nfs", Policy: model.PolicyDeny, Rule: to(vipAddr)}}
		apply(t, p, d)
	}}

	nothing = situation{"nothing applied", func(t testing.TB, p *Plane, h hook) {}}
)

// establish makes the connection of frameSpec's defaults known, with the
// acknowledgment number 1000.
func establish(t testing.TB, p *Plane, h hook) {
	t.Helper()
	h.runLookedAt(t, p, frameSpec{flags: synFlag}.bytes(t))
	h.runLookedAt(t, p, frameSpec{flags: ackFlag, ack: 1000}.bytes(t))
	if got := table(p); got != "nfs-01 ack 1000" {
		t.Fatalf("the connection table holds %q, want an established connection", got)
	}
}

// table is the connection table in words.
func table(p *Plane) string {
	var all []string
	for c := range p.Connections() {
		s := c.Server
		if c.Old {
			s += " old"
		}
		if c.Ended {
			s += " ended"
		}
		if c.HasAck {
			s += fmt.Sprintf(" ack %d", c.LastAck)
		}
		all = append(all, s)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// A verdictCase is one row: a situation and a packet in; the verdict, the
// packet out, the flow that counts it, and the connection table.
type verdictCase struct {
	name    string
	in      situation
	frame   []byte
	verdict string
	out     []byte // nil: unchanged
	reset   uint32 // the sequence number, where the verdict is reset
	flow    bool   // the flow counts it, not only the total
	table   string
}

func (c verdictCase) check(t *testing.T, h hook) {
	p := h.plane(t, 1000)
	c.in.build(t, p, h)
	before, err := p.Traffic()
	if err != nil {
		t.Fatal(err)
	}
	result, out := h.runLookedAt(t, p, c.frame)
	if want := h.returns(c.verdict); result != want {
		t.Errorf("returned %d, want %d", int32(result), int32(want))
	}
	switch {
	case c.verdict == "reset":
		checkReset(t, c.frame, out, c.reset)
	case c.out != nil && !bytes.Equal(out, c.out):
		t.Errorf("left as\n%x, want\n%x", out, c.out)
	case c.out == nil && !bytes.Equal(out, c.frame):
		t.Errorf("was changed to\n%x, want\n%x", out, c.frame)
	}
	c.checkCounters(t, p, before)
	if got := table(p); got != c.table {
		t.Errorf("the connection table holds %q, want %q", got, c.table)
	}
}

// checkCounters: exactly one packet more, under its verdict, its flow and, when
// forwarded, its server.
func (c verdictCase) checkCounters(t *testing.T, p *Plane, before model.Traffic) {
	t.Helper()
	now, err := p.Traffic()
	if err != nil {
		t.Fatal(err)
	}
	one := model.Counter{Packets: 1, Bytes: uint64(len(c.frame))}
	for _, name := range verdictNames {
		want := before.Verdicts[name]
		if name == c.verdict {
			want = want.Add(one)
		}
		if got := now.Verdicts[name]; got != want {
			t.Errorf("counted %+v under %s, want %+v", got, name, want)
		}
		want = before.Flows["nfs"][name]
		if name == c.verdict && c.flow {
			want = want.Add(one)
		}
		if got := now.Flows["nfs"][name]; got != want {
			t.Errorf("the flow counted %+v under %s, want %+v", got, name, want)
		}
	}
	active := ""
	if c.verdict == "forward" {
		active = map[model.MAC]string{serverMAC1: "nfs-01", serverMAC2: "nfs-02"}[model.MAC(c.out[:6])]
	}
	for _, server := range []string{"nfs-01", "nfs-02"} {
		ref := model.ServerRef{Director: "nfs", Server: server}
		want := before.Servers[ref]
		if server == active {
			want = want.Add(one)
		}
		if got := now.Servers[ref]; got != want {
			t.Errorf("%s counted %+v, want %+v", server, got, want)
		}
	}
}

// checkReset reads the answer with an independent decoder, which also verifies
// both checksums.
func checkReset(t *testing.T, in, out []byte, seq uint32) {
	t.Helper()
	if in[12] == 0x86 {
		checkResetOfSix(t, in, out, seq)
		return
	}
	if len(out) != 54 {
		t.Fatalf("the reset is %d bytes long, want 54", len(out))
	}
	if !bytes.Equal(out[:6], in[6:12]) || !bytes.Equal(out[6:12], in[:6]) {
		t.Errorf("the reset goes from %x to %x, want the other way round of the packet", out[6:12], out[:6])
	}
	partial := bytes.Equal(in, partialForm(in))
	if partial {
		if !bytes.Equal(out, partialForm(out)) {
			t.Errorf("the TCP checksum is %x, want that of the pseudo header", out[50:52])
		}
		out = completed(out)
	}
	packet := gopacket.NewPacket(out, layers.LayerTypeEthernet, gopacket.Default)
	if f := packet.ErrorLayer(); f != nil {
		t.Fatal(f.Error())
	}
	ip, tcp := packet.NetworkLayer().(*layers.IPv4), packet.TransportLayer().(*layers.TCP)
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	err, bad := packet.VerifyChecksums()
	if err != nil || len(bad) > 0 {
		t.Errorf("bad checksums: %v, %+v", err, bad)
	}
	if ip.SrcIP.String() != vipAddr.String() || ip.DstIP.String() != clientAddr.String() || tcp.SrcPort != 2049 || tcp.DstPort != 700 {
		t.Errorf("the reset goes from %v:%d to %v:%d", ip.SrcIP, tcp.SrcPort, ip.DstIP, tcp.DstPort)
	}
	if ip.IHL != 5 || ip.Length != 40 || ip.TTL != 64 || ip.Flags != layers.IPv4DontFragment || ip.FragOffset != 0 {
		t.Errorf("IP header %+v", ip)
	}
	if !tcp.RST || tcp.ACK || tcp.SYN || tcp.FIN || tcp.PSH || tcp.Seq != seq || tcp.Ack != 0 || tcp.DataOffset != 5 || tcp.Window != 0 {
		t.Errorf("TCP header %+v, want a bare RST at %d", tcp, seq)
	}
}

// completed does what the device does with a partial checksum.
func completed(frame []byte) []byte {
	sum := uint32(0)
	for i := 34; i < 54; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(frame[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return change(frame, 50, byte(^sum>>8), byte(^sum))
}

func TestVerdicts(t *testing.T) {
	for _, cases := range [][]verdictCase{passCases(t), forwardCases(t), oldCases(t), holdCases(t), connectionCases(t), arpCases(), dropCases(t), rejectCases(t), tunnelCases(t)} {
		for _, c := range cases {
			for _, h := range hooks {
				t.Run(c.verdict+"/"+c.in.name+"/"+c.name+"/"+h.name, func(t *testing.T) {
					t.Parallel() // each has its own plane; most of the time is spent on grace periods
					c.check(t, h)
				})
			}
		}
	}
}

func passCases(t testing.TB) []verdictCase {
	data := frameSpec{flags: ackFlag, payload: 100}
	other, elsewhere := data, data
	other.dst, elsewhere.to = otherAddr, strangerMAC
	zero := data
	zero.dst = netip.IPv4Unspecified()
	// what is not TCP takes the short way whenever it comes
	short := elsewhere
	short.proto = 17
	port := data
	port.dport = 22
	whole := data.bytes(t)
	return []verdictCase{
		{name: "another address", in: fresh, frame: other.bytes(t), verdict: "pass"},
		{name: "the address 0.0.0.0", in: fresh, frame: zero.bytes(t), verdict: "pass"},
		{name: "the address 0.0.0.0", in: nothing, frame: zero.bytes(t), verdict: "pass"},
		{name: "another MAC address", in: fresh, frame: elsewhere.bytes(t), verdict: "pass"},
		{name: "another MAC address, UDP", in: fresh, frame: short.bytes(t), verdict: "pass"},
		{name: "another MAC address, first byte", in: fresh, frame: change(whole, 0, 4), verdict: "pass"},
		{name: "another MAC address, no server", in: noServer, frame: elsewhere.bytes(t), verdict: "pass"},
		{name: "another port", in: ruled, frame: port.bytes(t), verdict: "pass"},
		{name: "permitted", in: permitted, frame: whole, verdict: "permit", flow: true},
		{name: "to the address, unclaimed", in: nothing, frame: whole, verdict: "pass"},
		{name: "IPv6", in: fresh, frame: change(whole, 12, 0x86, 0xdd), verdict: "pass"},
		{name: "a VLAN tag before nothing", in: fresh, frame: change(whole, 12, 0x81, 0x00), verdict: "pass"},
	}
}

func forwardCases(t testing.TB) []verdictCase {
	var cases []verdictCase
	add := func(name string, in situation, to model.MAC, s frameSpec, table string) {
		f := s.bytes(t)
		cases = append(cases, verdictCase{name: name, in: in, frame: f, verdict: "forward", out: sent(to, f), flow: true, table: table})
	}
	const moreFragments = 0x2000
	for _, in := range []situation{fresh, ruled} {
		add("TCP", in, serverMAC1, frameSpec{flags: ackFlag, ack: 9, payload: 100}, "nfs-01 ack 9")
		add("TCP without payload", in, serverMAC1, frameSpec{flags: ackFlag, ack: 9}, "nfs-01 ack 9")
		add("TCP of 4000 bytes", in, serverMAC1, frameSpec{flags: ackFlag, ack: 9, payload: 3000}, "nfs-01 ack 9")
		add("UDP", in, serverMAC1, frameSpec{proto: 17, payload: 50}, "")
		add("UDP without payload", in, serverMAC1, frameSpec{proto: 17}, "")
		add("first fragment of TCP", in, serverMAC1, frameSpec{flags: ackFlag, ack: 9, payload: 80, fragment: moreFragments}, "nfs-01 ack 9")
		add("first fragment of UDP", in, serverMAC1, frameSpec{proto: 17, payload: 80, fragment: moreFragments}, "")
		add("fragment in the middle", in, serverMAC1, frameSpec{payload: 80, fragment: moreFragments | 10}, "")
		add("last fragment", in, serverMAC1, frameSpec{proto: 17, payload: 3, fragment: 20}, "")
		add("last fragment of nothing", in, serverMAC1, frameSpec{fragment: 20}, "")
		add("IP options and TCP", in, serverMAC1, frameSpec{flags: ackFlag, ack: 9, options: 8}, "nfs-01 ack 9")
		add("40 bytes of IP options and UDP", in, serverMAC1, frameSpec{proto: 17, options: 40}, "")
	}
	add("ICMP", fresh, serverMAC1, frameSpec{proto: 1, icmpType: 8, payload: 30}, "")
	add("GRE", fresh, serverMAC1, frameSpec{proto: 47, payload: 30}, "")
	add("an empty protocol", fresh, serverMAC1, frameSpec{proto: 253}, "")
	add("TCP", after, serverMAC2, frameSpec{proto: 17}, "nfs-01 old ack 1000")
	return cases
}

// connectionCases: what SYN, FIN, RST and ACK make of the connection table.
func connectionCases(t testing.TB) []verdictCase {
	var cases []verdictCase
	add := func(name string, in situation, to model.MAC, s frameSpec, table string) {
		f := s.bytes(t)
		cases = append(cases, verdictCase{name: name, in: in, frame: f, verdict: "forward", out: sent(to, f), flow: true, table: table})
	}
	add("SYN", fresh, serverMAC1, frameSpec{flags: synFlag}, "nfs-01")
	add("FIN of a stranger", fresh, serverMAC1, frameSpec{flags: finFlag | ackFlag}, "")
	add("RST of a stranger", fresh, serverMAC1, frameSpec{flags: rstFlag}, "")
	add("SYN and ACK", fresh, serverMAC1, frameSpec{flags: synFlag | ackFlag, ack: 4}, "nfs-01 ack 4")
	add("no flags", fresh, serverMAC1, frameSpec{}, "nfs-01")
	add("ACK", known, serverMAC1, frameSpec{flags: ackFlag, ack: 2000}, "nfs-01 ack 2000")
	add("no ACK", known, serverMAC1, frameSpec{payload: 4}, "nfs-01 ack 1000")
	add("FIN", known, serverMAC1, frameSpec{flags: finFlag | ackFlag, ack: 2000}, "nfs-01 ended ack 2000")
	add("RST", known, serverMAC1, frameSpec{flags: rstFlag}, "nfs-01 ended ack 1000")
	add("SYN of the same ports", known, serverMAC1, frameSpec{flags: synFlag}, "nfs-01 ack 1000")
	add("SYN of the same ports", knownEnded, serverMAC1, frameSpec{flags: synFlag}, "nfs-01")
	add("ACK", knownEnded, serverMAC1, frameSpec{flags: ackFlag, ack: 2000}, "nfs-01 ended ack 2000")
	add("data", knownEnded, serverMAC1, frameSpec{flags: ackFlag, ack: 2000, payload: 4}, "nfs-01 ack 2000")
	add("FIN with data", knownEnded, serverMAC1, frameSpec{flags: finFlag | ackFlag, ack: 2000, payload: 4}, "nfs-01 ended ack 2000")
	add("SYN of another port", known, serverMAC1, frameSpec{flags: synFlag, sport: 701}, "nfs-01, nfs-01 ack 1000")
	add("SYN of another destination port", known, serverMAC1, frameSpec{flags: synFlag, dport: 111}, "nfs-01, nfs-01 ack 1000")
	add("SYN of another client", known, serverMAC1, frameSpec{flags: synFlag, src: otherAddr}, "nfs-01, nfs-01 ack 1000")
	add("SYN of the same ports", after, serverMAC2, frameSpec{flags: synFlag}, "nfs-02")
	add("SYN of another port", after, serverMAC2, frameSpec{flags: synFlag, sport: 701}, "nfs-01 old ack 1000, nfs-02")
	add("ACK of a stranger", afterSweep, serverMAC2, frameSpec{flags: ackFlag, ack: 6}, "nfs-02 ack 6")
	return cases
}

// oldCases: the connections of a server that is no longer the active one.
func oldCases(t testing.TB) []verdictCase {
	const old, ended = "nfs-01 old ack 1000", "nfs-01 old ended ack 1000"
	ack := frameSpec{flags: ackFlag, ack: 0xfedcba98, seq: 3}
	var cases []verdictCase
	reset := func(name string, f []byte, seq uint32) {
		cases = append(cases, verdictCase{name: name, in: after, frame: f, verdict: "reset", reset: seq, flow: true, table: old})
	}
	reset("ACK", ack.bytes(t), ack.ack)
	for _, vary := range []struct {
		name string
		f    func(*frameSpec)
	}{
		{"with payload", func(s *frameSpec) { s.payload = 1000 }},
		{"with an odd payload", func(s *frameSpec) { s.payload = 7 }},
		{"of 4000 bytes", func(s *frameSpec) { s.payload = 3000 }},
		{"with IP options", func(s *frameSpec) { s.options = 12; s.payload = 9 }},
		{"with TCP options", func(s *frameSpec) { s.tcpOptions = 12 }},
		{"a first fragment", func(s *frameSpec) { s.fragment = 0x2000; s.payload = 80 }},
		{"FIN with data", func(s *frameSpec) { s.flags |= finFlag; s.payload = 5 }},
		{"SYN and ACK", func(s *frameSpec) { s.flags |= synFlag }},
		{"acknowledging 0", func(s *frameSpec) { s.ack = 0 }},
	} {
		s := ack
		vary.f(&s)
		tableAfter := old
		if s.flags&finFlag != 0 {
			tableAfter = ended
		}
		cases = append(cases, verdictCase{name: vary.name, in: after, frame: s.bytes(t), verdict: "reset", reset: s.ack, flow: true, table: tableAfter})
	}
	padded := append(ack.bytes(t), 0, 0, 0, 0, 0, 0)
	reset("padded to Ethernet's minimum", padded, ack.ack)
	with := ack
	with.payload = 50
	reset("checksum left to a device", partialForm(with.bytes(t)), ack.ack)

	unknown := ack
	unknown.sport = 701
	rst, rstAck, rstData, strangerRST := ack, ack, ack, unknown
	rst.flags, rstAck.flags, rstData.flags, strangerRST.flags = rstFlag, rstFlag|ackFlag, rstFlag, rstFlag
	rstData.payload = 4
	bare := ack
	bare.flags, bare.payload = 0, 10
	drop := func(name string, in situation, s frameSpec, table string) {
		cases = append(cases, verdictCase{name: name, in: in, frame: s.bytes(t), verdict: "drop-old", flow: true, table: table})
	}
	drop("without ACK", after, bare, old)
	drop("RST with payload", after, rstData, ended)
	drop("RST of a stranger", after, strangerRST, old)
	drop("RST", afterUnknownMAC, rst, ended)
	drop("ACK", afterSilent, ack, old)
	drop("ACK of a stranger", afterSilent, unknown, old)
	fin := ack
	fin.flags |= finFlag
	for _, s := range []frameSpec{rst, rstAck, fin} {
		for _, in := range []situation{after, afterSilent} {
			f := s.bytes(t)
			cases = append(cases, verdictCase{name: fmt.Sprintf("flags %#x", s.flags), in: in, frame: f, verdict: "forward-old",
				out: sent(serverMAC1, f), flow: true, table: ended})
		}
	}
	return cases
}

// holdCases: SYNs are kept, and what is known stays known.
func holdCases(t testing.TB) []verdictCase {
	const known = "nfs-01 ack 1000"
	var cases []verdictCase
	for _, s := range []frameSpec{{flags: synFlag}, {flags: synFlag, sport: 701}} {
		cases = append(cases, verdictCase{name: fmt.Sprint("SYN of port ", s.sport), in: onHold, frame: s.bytes(t), verdict: "held", flow: true, table: known})
	}
	for _, s := range []frameSpec{{flags: ackFlag, ack: 3000, payload: 9}, {flags: rstFlag}, {flags: finFlag | ackFlag}, {flags: synFlag | ackFlag}, {proto: 17}, {proto: 1}, {fragment: 9}} {
		cases = append(cases, verdictCase{name: fmt.Sprintf("protocol %d flags %#x", s.proto, s.flags), in: onHold, frame: s.bytes(t),
			verdict: "drop-hold", flow: true, table: known})
	}
	return cases
}

func arpCases() []verdictCase {
	reply := func(to model.MAC, asker netip.Addr) []byte {
		return arpSpec{to: to, sender: directorMAC, from: vipAddr, targetMAC: to, target: asker, operation: 2}.bytes()
	}
	ask := arpSpec{}.bytes()
	answer := reply(clientMAC, clientAddr)
	padding := make([]byte, 18)
	var cases []verdictCase
	for _, in := range []situation{fresh, ruled, noServer, after} {
		table := ""
		if in.name == after.name {
			table = "nfs-01 old ack 1000"
		}
		cases = append(cases, verdictCase{name: "who-has", in: in, frame: ask, verdict: "arp-reply", out: answer, table: table})
	}
	cases = append(cases,
		verdictCase{name: "padded", in: fresh, frame: slices.Concat(ask, padding), verdict: "arp-reply", out: slices.Concat(answer, padding)},
		verdictCase{name: "unicast", in: fresh, frame: arpSpec{to: directorMAC}.bytes(), verdict: "arp-reply", out: answer},
		verdictCase{name: "probe", in: fresh, frame: arpSpec{from: netip.IPv4Unspecified()}.bytes(), verdict: "arp-reply",
			out: reply(clientMAC, netip.IPv4Unspecified())})
	pass := func(name string, in situation, f []byte) {
		cases = append(cases, verdictCase{name: "ARP " + name, in: in, frame: f, verdict: "pass"})
	}
	pass("who-has", unannounced, ask)
	pass("who-has", nothing, ask)
	pass("another target", fresh, arpSpec{target: otherAddr}.bytes())
	pass("an announcement", fresh, arpSpec{from: vipAddr}.bytes())
	pass("a reply", fresh, arpSpec{operation: 2}.bytes())
	pass("of another hardware", fresh, change(ask, 15, 6))
	pass("of another protocol", fresh, change(ask, 16, 0x86, 0xdd))
	pass("of long hardware addresses", fresh, change(ask, 18, 8))
	pass("of long addresses", fresh, change(ask, 19, 16))
	pass("cut by a byte", fresh, ask[:len(ask)-1])
	return cases
}

func dropCases(t testing.TB) []verdictCase {
	data := frameSpec{flags: ackFlag, payload: 100}
	var cases []verdictCase
	for _, s := range []frameSpec{data, {flags: synFlag}, {flags: rstFlag}, {proto: 17}, {proto: 1}, {fragment: 9}} {
		cases = append(cases, verdictCase{name: fmt.Sprintf("protocol %d flags %#x", s.proto, s.flags), in: noServer, frame: s.bytes(t),
			verdict: "drop-no-server", flow: true})
	}
	malformed := func(name string, f []byte) {
		cases = append(cases, verdictCase{name: name, in: fresh, frame: f, verdict: "drop-malformed", flow: true})
	}
	whole := data.bytes(t)
	udp := frameSpec{proto: 17, payload: 100}.bytes(t)
	malformed("IP version 6", change(whole, 14, 0x65))
	cases = append(cases, verdictCase{name: "malformed, where rules would have to look", in: ruled, frame: change(whole, 14, 0x44),
		verdict: "drop-malformed", flow: true})
	malformed("IP header of 16 bytes", change(whole, 14, 0x44))
	cases = append(cases, verdictCase{name: "denied", in: denied, frame: whole, verdict: "deny", flow: true})
	malformed("IP header of 0 bytes", change(whole, 14, 0x40))
	malformed("IP header longer than the frame", change(frameSpec{flags: ackFlag}.bytes(t), 14, 0x4f))
	malformed("IP length below its header, with options", change(frameSpec{flags: ackFlag, options: 4}.bytes(t), 16, 0, 23))
	malformed("UDP cut short", udp[:41])
	malformed("UDP length without room, short frame", change(udp[:50], 16, 0, 27))
	malformed("ICMP cut short", frameSpec{proto: 1}.bytes(t)[:41])
	malformed("tiny first fragment of TCP", change(frameSpec{flags: synFlag, fragment: 0x2000}.bytes(t)[:42], 16, 0, 28))
	malformed("tiny first fragment of TCP, padded", change(frameSpec{flags: synFlag, fragment: 0x2000}.bytes(t), 16, 0, 39))
	return cases
}

// Every verdict has one name, no name stands twice, and every one is reached by
// a row of TestVerdicts.
func TestVerdictNames(t *testing.T) {
	if len(verdictNames) != int(directorVerdictVERDICTS) {
		t.Errorf("%d names for %d verdicts", len(verdictNames), directorVerdictVERDICTS)
	}
	reached := map[string]bool{}
	for _, c := range slices.Concat(passCases(t), forwardCases(t), oldCases(t), holdCases(t), arpCases(), dropCases(t), rejectCases(t), tunnelCases(t)) {
		reached[c.verdict] = true
	}
	seen := map[string]bool{}
	for v, name := range verdictNames {
		if name == "" || seen[name] {
			t.Errorf("verdict %d has the name %q", v, name)
		}
		if !reached[name] {
			t.Errorf("no packet of the tests gets the verdict %s", name)
		}
		seen[name] = true
	}
}
