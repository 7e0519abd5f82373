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

func pick[T any](r ruleGame, from ...T) T { return from[r.IntN(len(from))] }

// maybe is no condition, or one that must or must not hold.
func maybe[T comparable](r ruleGame, one ...T) model.Cond[T] {
	if r.IntN(3) > 0 {
		return model.Cond[T]{}
	}
	return model.Cond[T]{Set: true, Not: r.IntN(3) == 0, Value: pick(r, one...)}
}

func (r ruleGame) rule() model.Rule {
	rule := model.Rule{
		Ignore:   r.IntN(3) == 0,
		Iface:    maybe(r, "lo", "eth1"),
		Proto:    maybe(r, model.ProtoTCP, model.ProtoUDP, model.ProtoICMP),
		Src:      maybe(r, netip.MustParsePrefix("192.168.10.0/24"), netip.MustParsePrefix("192.168.10.10/32"), netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("192.168.10.99/31")),
		SrcPort:  maybe(r, model.Ports{First: 700, Last: 700}, model.Ports{First: 0, Last: 699}, model.Ports{First: 1, Last: 65535}),
		DstPort:  maybe(r, model.Ports{First: 2049, Last: 2049}, model.Ports{First: 22, Last: 111}, model.Ports{First: 2050, Last: 65535}),
		ICMPType: maybe[uint8](r, 0, 8),
	}
	if !rule.Ignore || r.IntN(3) == 0 {
		rule.Dst = is(netip.PrefixFrom(pick(r, gameVIPs...), 32))
	}
	return rule
}

// config has flows of a director each, so that the director tells the flow.
func (r ruleGame) config() model.Config {
	var cfg model.Config
	for i := range 1 + r.IntN(4) {
		f := model.Flow{Name: fmt.Sprintf("f%d", i), Director: fmt.Sprintf("d%d", i), Policy: model.PolicyDirector}
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
		dst:      pick(r, append(gameVIPs, otherAddr)...),
		proto:    pick[uint8](r, 1, 6, 6, 17, 17, 47),
		sport:    pick[uint16](r, 1, 699, 700, 701, 65535),
		dport:    pick[uint16](r, 21, 22, 111, 112, 2049, 2050, 65535),
		flags:    synFlag, // whatever is known of the connection, it is a new one
		icmpType: pick[uint8](r, 0, 3, 8),
		fragment: pick[uint16](r, 0, 0, 0, 0x4000, 0x2000, 0x2010, 16, 0x1fff),
		payload:  8 * r.IntN(3),
		options:  4 * max(0, r.IntN(5)-3),
	}
	later := s.fragment&0x1fff != 0
	p := flow.Packet{Iface: "lo", Proto: s.proto, Src: s.src, Dst: s.dst, Later: later}
	if !later && (s.proto == 6 || s.proto == 17) {
		p.HasPorts, p.SrcPort, p.DstPort = true, s.sport, s.dport
	}
	if !later && s.proto == 1 {
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
		compared, claimed := 0, 0
		for range ruleSets {
			cfg := r.config()
			set := flow.Compile(cfg)
			set.Ifaces = nil // test runs need no attachment
			if slices.ContainsFunc(set.VIPs, func(v model.VIP) bool { return len(v.Rules) > rulesPerVIP }) {
				continue
			}
			settledNow(p)
			apply(t, p, model.Desired{Rules: set, Directors: gameDirectors()})
			for range packets {
				spec, packet := r.packet(t)
				rule, ok := flow.Match(set, packet)
				for _, h := range hooks {
					checkMatch(t, h, p, spec.bytes(t), rule, ok)
					compared++
				}
				if ok {
					claimed++
				}
				if t.Failed() {
					t.Fatalf("packet %+v\nrules %+v", packet, set)
				}
			}
		}
		if compared < 20000 || claimed < compared/20 || claimed > compared/2-compared/20 {
			t.Errorf("compared %d times, %d packets were claimed: too few or too one-sided", compared, claimed)
		}
		return nil
	})
}

func checkMatch(t *testing.T, h hook, p *Plane, frame []byte, rule model.VIPRule, ok bool) {
	t.Helper()
	result, out := h.run(t, p, frame)
	wantResult, want := h.pass, frame
	if ok {
		wantResult, want = h.send, sent(gameMAC(int(rule.Director[1]-'0')), frame)
	}
	if result != wantResult || !bytes.Equal(out, want) {
		t.Errorf("%s returned %d and\n%x, want %d and\n%x (flow %q)", h.name, int32(result), out, int32(wantResult), want, rule.Flow)
	}
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
	want.Rules.VIPs = append(want.Rules.VIPs, model.VIP{Addr: gameVIPs[1], Rules: []model.VIPRule{
		{Flow: "nfs", Director: "nfs", Rule: model.Rule{Ignore: true, SrcPort: is(model.Ports{First: 5, Last: 9})}},
		{Flow: "nfs", Director: "nfs", Rule: model.Rule{DstPort: is(model.Ports{First: 1, Last: 0x8000})}}}})
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

// Every number of virtual IPs finds a multiplier, and none shares a slot.
func TestMultiplier(t *testing.T) {
	for _, n := range []int{0, 1, 2, 16, 256} {
		var vips []model.VIP
		for i := range n {
			// one network's worth of neighbours
			vips = append(vips, model.VIP{Addr: netip.AddrFrom4([4]byte{10, 1, byte(i % 3), byte(i)})})
		}
		m := multiplierFor(vips)
		used := map[int]netip.Addr{}
		for _, v := range vips {
			slot := vipSlot(m, be(v.Addr))
			if slot < 0 || slot >= vipSlots || used[slot].IsValid() {
				t.Errorf("%d addresses: %v has slot %d, like %v", n, v.Addr, slot, used[slot])
			}
			used[slot] = v.Addr
		}
		if vipSlot(m, foreignAddr(m)) == 0 {
			t.Errorf("%d addresses: the foreign address belongs to slot 0", n)
		}
	}
}

// 256 virtual IPs are each claimed and read back, and no other address is.
func TestManyVirtualIPs(t *testing.T) {
	p := newPlane(t, 1000)
	want := note()
	template := want.Rules.VIPs[0]
	want.Rules.VIPs = nil
	for i := range 256 {
		v := template
		v.Addr, v.Announce = netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}), i%2 == 0
		want.Rules.VIPs = append(want.Rules.VIPs, v)
	}
	apply(t, p, want)
	a, err := p.Applied()
	if err != nil {
		t.Fatal(err)
	}
	if len(a.VIPs) != 256 {
		t.Errorf("%d virtual IPs are applied, want 256", len(a.VIPs))
	}
	for i := range 512 {
		s := frameSpec{dst: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), proto: 17}
		want := hooks[0].pass
		if i < 256 {
			want = hooks[0].send
		}
		if got, _ := hooks[0].run(t, p, s.bytes(t)); got != want {
			t.Errorf("a packet to %v returned %d, want %d", s.dst, got, want)
		}
		if got, ok := a.VIPs[s.dst]; ok != (i < 256) || got.Announce != (i < 256 && i%2 == 0) {
			t.Errorf("%v is applied: %v, announced: %v", s.dst, ok, got.Announce)
		}
	}
}

// What the data plane cannot hold is refused, and the rules that stand go on.
func TestTooManyRules(t *testing.T) {
	p := newPlane(t, 1000)
	apply(t, p, note())
	want := note()
	rule := want.Rules.VIPs[0].Rules[0]
	rule.Rule.Proto = is(model.ProtoUDP)
	want.Rules.VIPs[0].Rules = slices.Repeat([]model.VIPRule{rule}, rulesPerVIP)
	if err := p.Apply(want); err != nil {
		t.Errorf("%d rules: %v", rulesPerVIP, err)
	}
	apply(t, p, note())
	want.Rules.VIPs[0].Rules = slices.Repeat([]model.VIPRule{rule}, rulesPerVIP+1)
	if err := p.Apply(want); err == nil || err.Error() != "apply the rules of 192.168.10.50: 17 rules are more than the data plane holds" {
		t.Errorf("%d rules: %v", rulesPerVIP+1, err)
	}
	if got, _ := hooks[0].run(t, p, frameSpec{flags: ackFlag}.bytes(t)); got != hooks[0].send {
		t.Errorf("after a refused change a packet returned %d", got)
	}
}

func TestMACWords(t *testing.T) {
	mac0, mac1 := macWords(serverMAC1, directorMAC)
	b := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint64(nil, mac0), mac1)
	if want := append(serverMAC1[:], directorMAC[:]...); !bytes.Equal(b, want) {
		t.Errorf("macWords lie as %x in memory, want %x", b, want)
	}
}
