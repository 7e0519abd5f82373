package dataplane

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/flow"
	"fairlead/internal/model"
)

// A ruleGame draws configurations and packets from a few values each, so that
// conditions hold and fail often. The test's packets arrive on lo.
type ruleGame struct{ *rand.Rand }

var gameVIPs = []netip.Addr{vipAddr, netip.MustParseAddr("192.168.10.60"), netip.MustParseAddr("10.0.0.1")}

// Those are the director's own addresses in the game.
var (
	ownAddr = netip.MustParseAddr("192.168.10.2")
	own6    = netip.MustParseAddr("2001:db8::fe")
)

func pick[T any](r ruleGame, from ...T) T { return from[r.IntN(len(from))] }

// maybe is no condition, or one that must or must not hold.
func maybe[T comparable](r ruleGame, one ...T) model.Cond[T] {
	if r.IntN(3) > 0 {
		return model.Cond[T]{}
	}
	return model.Cond[T]{Set: true, Not: r.IntN(3) == 0, Value: pick(r, one...)}
}

func ports(first, last uint16) model.Ports { return model.Ports{First: first, Last: last} }

func (r ruleGame) rule() model.Rule {
	var rule model.Rule
	if rule.Ignore = r.IntN(4) == 0; r.IntN(3) > 0 { // else a destination and a port alone
		rule.Iface = maybe(r, "lo", "eth1")
		rule.Proto = maybe(r, model.ProtoTCP, model.ProtoUDP, model.ProtoICMP)
		rule.Src = maybe(r, netip.MustParsePrefix("192.168.10.0/24"), netip.MustParsePrefix("192.168.10.10/32"), netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("192.168.10.99/31"),
			netip.MustParsePrefix("2001:db8::10/128"), netip.MustParsePrefix("2001:db8:ff00::/40"), netip.MustParsePrefix("::/0"))
		rule.SrcPort = maybe(r, ports(700, 700), ports(0, 699), ports(1, 65535))
		rule.ICMPType = maybe[uint8](r, 0, 8)
	}
	rule.DstPort = maybe(r, ports(2049, 2049), ports(111, 111), ports(22, 111), ports(2050, 65535))
	if r.IntN(4) > 0 {
		vip := pick(r, append(gameVIPs, vip6, other6)...)
		rule.Dst = is(netip.PrefixFrom(vip, vip.BitLen()))
	} else {
		rule.Dst = maybe(r, netip.MustParsePrefix("192.168.10.32/27"), netip.PrefixFrom(vipAddr, 32), netip.MustParsePrefix("0.0.0.0/0"),
			netip.PrefixFrom(vip6, 128), netip.MustParsePrefix("2001:db8::/121"), netip.MustParsePrefix("::/0"))
	}
	return rule
}

// config has flows of a director each, so that the director tells the flow.
func (r ruleGame) config() model.Config {
	var cfg model.Config
	for i := range 1 + r.IntN(4) {
		f := model.Flow{Name: fmt.Sprintf("f%d", i), Policy: pick(r, model.PolicyDirector, model.PolicyDirector, model.PolicyPermit, model.PolicyDeny)}
		if f.Policy == model.PolicyDirector {
			f.Director = fmt.Sprintf("d%d", i)
		}
		for range 1 + r.IntN(4) {
			f.Rules = append(f.Rules, r.rule())
		}
		cfg.Flows = append(cfg.Flows, f)
	}
	return cfg
}

func (r ruleGame) packet(t testing.TB) (frameSpec, flow.Packet) {
	s := frameSpec{
		src:      pick(r, clientAddr, netip.MustParseAddr("192.168.10.99"), netip.MustParseAddr("192.168.10.98"), netip.MustParseAddr("172.16.0.1")),
		dst:      pick(r, append(gameVIPs, otherAddr, ownAddr, netip.MustParseAddr("192.0.2.1"))...),
		proto:    pick[uint8](r, 1, 6, 6, 17, 17, 47),
		sport:    pick[uint16](r, 1, 699, 700, 701, 65535),
		dport:    pick[uint16](r, 21, 22, 111, 112, 2049, 2050, 65535),
		flags:    synFlag, // whatever is known of the connection, it is a new one. UDP takes the short way
		icmpType: pick[uint8](r, 0, 3, 8),
		fragment: pick[uint16](r, 0, 0, 0, 0x4000, 0x2000, 0x2010, 16, 0x1fff),
		payload:  8 * r.IntN(6),
		options:  4 * max(0, r.IntN(5)-3),
	}
	icmp := uint8(1)
	if r.IntN(3) == 0 {
		icmp = 58
		s.src = pick(r, client6, netip.MustParseAddr("2001:db8:ff01::1"), netip.MustParseAddr("fd00::1"))
		s.dst = pick(r, vip6, vip6, other6, own6, netip.MustParseAddr("2001:db8:1::1"))
		s.proto = pick[uint8](r, 1, 58, 58, 6, 6, 17, 17, 47)
	}
	later := s.fragment&0x1fff != 0
	p := flow.Packet{Iface: "lo", Proto: s.proto, Src: s.src, Dst: s.dst, Later: later}
	if !later && (s.proto == 6 || s.proto == 17) {
		p.HasPorts, p.SrcPort, p.DstPort = true, s.sport, s.dport
	}
	if !later && s.proto == icmp {
		p.HasICMPType, p.ICMPType = true, s.icmpType
	}
	return s, p
}

// gameMAC is the server's address of the n-th director.
func gameMAC(n int) model.MAC { return model.MAC{2, 9, 9, 9, 9, byte(n)} }

func gameDirectors() []model.DesiredDirector {
	var all []model.DesiredDirector
	for i := range 4 {
		all = append(all, model.DesiredDirector{Name: fmt.Sprintf("d%d", i), Active: "s", MAC: gameMAC(i), Source: directorMAC, Epoch: 1,
			Servers: []model.DesiredServer{{Name: "s", MAC: gameMAC(i)}}})
	}
	return all
}

// settledNow spares the test the grace periods: none of its packets is in
// flight while it applies.
func settledNow(p *Plane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settled = p.flips
}

// The programme and the reference matcher agree on random rules and packets.
func TestRulesAgreeWithReference(t *testing.T) {
	const ruleSets, packets = 1000, 60
	seed := [2]uint64{20, 49}
	t.Logf("seed %v", seed)
	r := ruleGame{rand.New(rand.NewPCG(seed[0], seed[1]))}
	site := newSite(t)
	site.within(t, func() error {
		p := newPlane(t, 1000)
		verdicts := map[string]int{}
		for range ruleSets {
			set := flow.Compile(r.config())
			set.Ifaces = nil // test runs need no attachment
			set.Own = []netip.Addr{ownAddr, own6}
			settledNow(p)
			apply(t, p, model.Desired{Rules: set, Directors: gameDirectors()})
			for range packets {
				spec, packet := r.packet(t)
				rule, ok := flow.Match(set, packet)
				for _, h := range hooks {
					verdicts[checkMatch(t, h, p, spec.bytes(t), rule, ok)]++
				}
				if t.Failed() {
					t.Fatalf("packet %+v\nrules %+v", packet, set)
				}
			}
		}
		for _, v := range []string{"pass", "permit", "deny", "forward"} {
			if n := verdicts[v]; n < 2*ruleSets*packets/50 {
				t.Errorf("of %d packets %d got the verdict %s: too one-sided", 2*ruleSets*packets, n, v)
			}
		}
		return nil
	})
}

// checkMatch runs a packet that a rule claims, or none, and returns the verdict
// that it must get.
func checkMatch(t *testing.T, h hook, p *Plane, frame []byte, rule model.FlowRule, ok bool) string {
	t.Helper()
	verdict, want := "pass", frame
	switch {
	case !ok:
	case rule.Policy == model.PolicyDirector:
		verdict, want = "forward", sent(gameMAC(int(rule.Director[1]-'0')), frame)
	default:
		verdict = rule.Policy.String()
	}
	before := verdictCount(t, p, verdict)
	result, out := h.run(t, p, frame)
	if result != h.returns(verdict) || !bytes.Equal(out, want) {
		t.Errorf("%s returned %d and\n%x, want %d and\n%x (flow %q)", h.name, int32(result), out, int32(h.returns(verdict)), want, rule.Flow)
	}
	if got := verdictCount(t, p, verdict); got != before+1 {
		t.Errorf("%s: %d packets got the verdict %s, want %d", h.name, got, verdict, before+1)
	}
	return verdict
}

func verdictCount(t *testing.T, p *Plane, verdict string) uint64 {
	t.Helper()
	traffic, err := p.Traffic()
	if err != nil {
		t.Fatal(err)
	}
	return traffic.Verdicts[verdict].Packets
}

// claims tells whether a frame may be dealt with at all: IPv4 or ARP that names
// a virtual IP.
func claims(frame []byte, vips ...netip.Addr) bool {
	at := 0
	switch {
	case len(frame) < 34:
		return false
	case binary.BigEndian.Uint16(frame[12:]) == 0x0800:
		at = 30
	case binary.BigEndian.Uint16(frame[12:]) == 0x0806 && len(frame) >= 42:
		at = 38
	default:
		return false
	}
	return slices.Contains(vips, netip.AddrFrom4([4]byte(frame[at:at+4])))
}

// Arbitrary bytes: what no rule claims passes unchanged; what is sent on is
// unchanged behind the MAC addresses, or an answer.
func FuzzProgram(f *testing.F) {
	for _, s := range []frameSpec{{flags: synFlag}, {flags: ackFlag, payload: 3}, {flags: rstFlag}, {proto: 17, options: 8}, {proto: 1}, {fragment: 0x2001}, {dst: gameVIPs[1]}, {dst: otherAddr}} {
		f.Add(s.bytes(f))
	}
	f.Add(arpSpec{}.bytes())
	f.Add(arpSpec{target: otherAddr}.bytes())
	f.Add(make([]byte, 60))
	p := newPlane(f, 1000)
	want := note()
	want.Rules.VIPs = append(want.Rules.VIPs, model.VIP{Addr: gameVIPs[1]})
	ranged := to(gameVIPs[1])
	ranged.DstPort = is(ports(1, 0x8000))
	want.Rules.Rules = append(want.Rules.Rules, leads("ranged", "nfs", model.Rule{Ignore: true, SrcPort: is(ports(5, 9))}, ranged)...)
	apply(f, p, want)
	want.Directors = switched().Directors
	apply(f, p, want)
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, h := range hooks {
			// below, test runs are refused; above, XDP wants several buffers
			if len(frame) < 54 && (h.name == "tc" || len(frame) < h.shortest) || len(frame) > 3000 {
				continue
			}
			result, out := h.run(t, p, frame)
			if !claims(frame, vipAddr, gameVIPs[1]) && result != h.pass {
				t.Errorf("%s returned %d for a frame of somebody else", h.name, int32(result))
			}
			checkFuzzed(t, h, frame, result, out)
		}
	})
}

func checkFuzzed(t *testing.T, h hook, frame []byte, result uint32, out []byte) {
	t.Helper()
	switch result {
	case h.pass, h.drop:
		if !bytes.Equal(out, frame) {
			t.Errorf("%s returned %d and changed the frame to\n%x", h.name, int32(result), out)
		}
	case h.send:
		forwarded := bytes.Equal(out, sent(serverMAC1, frame)) || bytes.Equal(out, sent(serverMAC2, frame))
		reset := len(out) == 54 && out[47] == rstFlag && bytes.Equal(out[26:30], frame[30:34])
		answer := len(out) >= 42 && out[13] == 6 && out[21] == 2 && bytes.Equal(out[6:12], directorMAC[:])
		if !forwarded && !reset && !answer {
			t.Errorf("%s sent\n%x, neither the frame nor an answer to it", h.name, out)
		}
	default:
		t.Errorf("%s returned %d", h.name, int32(result))
	}
}

// Every number of keys finds slots, and none shares one; a few get their first.
func TestLodge(t *testing.T) {
	for _, n := range []int{0, 1, 2, 16, fewKeys, 256, 10000} {
		var keys []uint64
		for i := range n {
			// networks of neighbours
			keys = append(keys, uint64(be(netip.AddrFrom4([4]byte{10, 1, byte(i / 200), byte(i % 200)}))))
		}
		m, slots, err := lodge(keys, vipSlots)
		if err != nil {
			t.Fatal(err)
		}
		used, away := map[int]bool{}, 0
		for i, key := range keys {
			first, second := slotsOf(key, m, vipSlots)
			if slot := slots[i]; slot != first && slot != second || used[slot] {
				t.Errorf("%d keys: %x has slot %d of %d and %d, or another one has it too", n, key, slot, first, second)
			} else if slot != first {
				away++
			}
			used[slots[i]] = true
		}
		if n <= fewKeys && away > 0 || away > n/4 {
			t.Errorf("%d of %d keys are not in their first slots", away, n)
		}
		if first, second := slotsOf(uint64(foreign(m, vipSlots)), m, vipSlots); first == 0 || second == 0 {
			t.Errorf("%d keys: the foreign one belongs to slot 0", n)
		}
	}
	var ports []uint64 // of one address
	for i := range uint16(12000) {
		ports = append(ports, serviceKey(directorService{Addr: be(vipAddr), Port: swap16(1000 + i), Protocol: 6}))
	}
	if _, _, err := lodge(ports, serviceSlots); err != nil {
		t.Errorf("12,000 ports of one address: %v", err)
	}
	if _, _, err := lodge(make([]uint64, 3), 64); err == nil {
		t.Error("three keys of the same two slots found places")
	}
}

// 10,000 virtual IPs are each claimed and read back, and no other address is;
// every second one by a port only.
func TestManyVirtualIPs(t *testing.T) {
	const many = 10000
	p := newPlane(t, 1000)
	want := note()
	want.Rules.VIPs, want.Rules.Rules = nil, nil
	addrOf := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}) }
	for i := range many {
		rule := to(addrOf(i))
		if i%2 == 0 {
			rule.Proto, rule.DstPort = is(model.ProtoUDP), is(ports(2049, 2049))
		}
		want.Rules.VIPs = append(want.Rules.VIPs, model.VIP{Addr: addrOf(i), Announce: i%2 == 0})
		want.Rules.Rules = append(want.Rules.Rules, leads(fmt.Sprintf("f%d", i), "nfs", rule)...)
	}
	apply(t, p, want)
	a, err := p.Applied()
	if err != nil {
		t.Fatal(err)
	}
	if len(a.VIPs) != many {
		t.Errorf("%d virtual IPs are applied, want %d", len(a.VIPs), many)
	}
	for i := range many + 500 {
		s := frameSpec{dst: addrOf(i), proto: 17}
		want, whole := hooks[0].pass, hooks[0].pass
		if i < many {
			want = hooks[0].send
		}
		if i < many && i%2 == 1 {
			whole = hooks[0].send
		}
		if got, _ := hooks[0].run(t, p, s.bytes(t)); got != want {
			t.Errorf("a packet to %v returned %d, want %d", s.dst, got, want)
		}
		s.dport = 111
		if got, _ := hooks[0].run(t, p, s.bytes(t)); got != whole {
			t.Errorf("a packet to another port of %v returned %d, want %d", s.dst, got, whole)
		}
		if got, ok := a.VIPs[s.dst]; ok != (i < many) || got.Announce != (i < many && i%2 == 0) {
			t.Errorf("%v is applied: %v, announced: %v", s.dst, ok, got.Announce)
		}
	}
}

// A list may be as long as the places reach: the last rule is found, and so is
// the last ignore rule. What the data plane cannot hold is refused, and the rules
// that stand go on.
func TestManyRules(t *testing.T) {
	p := newPlane(t, 1000)
	udp := frameSpec{proto: 17, sport: 5}
	other := model.Rule{Src: is(netip.MustParsePrefix("203.0.113.0/24"))}
	ignore := other
	ignore.Ignore = true
	for _, tt := range []struct {
		name    string
		rules   []model.FlowRule
		verdict string
	}{
		{"match rules", leads("f", "nfs", append(slices.Repeat([]model.Rule{other}, maxRules-1), model.Rule{})...), "forward"},
		{"ignore rules that do not hold", leads("f", "nfs", append(slices.Repeat([]model.Rule{ignore}, maxRules-1), model.Rule{})...), "forward"},
		{"ignore rules, the last holds", leads("f", "nfs", append(slices.Repeat([]model.Rule{ignore}, maxRules-2),
			model.Rule{Ignore: true, SrcPort: is(ports(5, 5))}, model.Rule{})...), "pass"},
		{"flows that all ignore it", ignoring(4000), "forward"},
	} {
		d := note()
		d.Rules.VIPs, d.Rules.Rules = nil, tt.rules
		apply(t, p, d)
		for _, h := range hooks {
			if got, _ := h.run(t, p, udp.bytes(t)); got != h.returns(tt.verdict) {
				t.Errorf("%s: %s returned %d, want %s", tt.name, h.name, int32(got), tt.verdict)
			}
		}
	}
	apply(t, p, note())
	want := note()
	want.Rules.Rules = leads("f", "nfs", slices.Repeat([]model.Rule{other}, maxRules+1)...)
	if err := p.Apply(want); err == nil || err.Error() != "apply the rules: they take 16385 places, the data plane has 16384" {
		t.Errorf("%d rules: %v", maxRules+1, err)
	}
	if got, _ := hooks[0].run(t, p, frameSpec{flags: ackFlag}.bytes(t)); got != hooks[0].send {
		t.Errorf("after a refused change a packet returned %d", got)
	}
}

// ignoring are flows that each exempt what comes from port 5, and take the rest;
// the last one takes everything.
func ignoring(flows int) []model.FlowRule {
	var all []model.FlowRule
	for i := range flows {
		all = append(all, leads(fmt.Sprintf("f%d", i), "nfs", model.Rule{Ignore: true, SrcPort: is(ports(5, 5))}, model.Rule{}, model.Rule{})...)
	}
	return append(all, leads("last", "nfs", model.Rule{})...)
}

func TestMACWords(t *testing.T) {
	mac0, mac1 := macWords(serverMAC1, directorMAC)
	b := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint64(nil, mac0), mac1)
	if want := append(serverMAC1[:], directorMAC[:]...); !bytes.Equal(b, want) {
		t.Errorf("macWords lie as %x in memory, want %x", b, want)
	}
}
