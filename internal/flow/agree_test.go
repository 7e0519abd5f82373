package flow

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"fairlead/internal/model"
)

// game draws rule sets and packets from a few values each, so that conditions
// hold and fail often.
type game struct{ *rand.Rand }

func pick[T any](r game, from ...T) T { return from[r.IntN(len(from))] }

func maybe[T comparable](r game, one ...T) model.Cond[T] {
	if r.IntN(3) > 0 {
		return model.Cond[T]{}
	}
	return model.Cond[T]{Set: true, Not: r.IntN(4) == 0, Value: pick(r, one...)}
}

func (r game) rule() model.Rule {
	rule := model.Rule{
		Ignore:   r.IntN(4) == 0,
		Iface:    maybe(r, "eth0", "eth1"),
		Proto:    maybe(r, model.ProtoTCP, model.ProtoUDP, model.ProtoICMP),
		Src:      maybe(r, net("10.9.0.0/16"), net("10.9.1.1/32"), net("0.0.0.0/0"), net("2001:db8:9::/48"), net("::/0")),
		SrcPort:  maybe(r, port(700), ports(0, 699), ports(1, 65535)),
		ICMPType: maybe[uint8](r, 0, 8),
	}
	if r.IntN(2) == 0 { // as most rules are: for a port of an address
		rule.Iface, rule.Src, rule.SrcPort, rule.ICMPType = model.Cond[string]{}, model.Cond[netip.Prefix]{}, model.Cond[model.Ports]{}, model.Cond[uint8]{}
	}
	rule.DstPort = maybe(r, port(80), port(2049), port(22), ports(22, 100))
	if r.IntN(4) > 0 {
		rule.Dst = is(net(pick(r, "10.0.0.1/32", "10.0.0.2/32", "2001:db8::1/128")))
	} else {
		rule.Dst = maybe(r, net("10.0.0.0/30"), net("10.0.0.1/32"), net("10.0.0.2/31"), net("2001:db8::/64"), net("2001:db8::1/128"))
	}
	return rule
}

func (r game) config() model.Config {
	var cfg model.Config
	for i := range 1 + r.IntN(5) {
		f := model.Flow{Name: fmt.Sprintf("f%d", i), Director: fmt.Sprintf("d%d", i),
			Policy: pick(r, model.PolicyDirector, model.PolicyDirector, model.PolicyPermit, model.PolicyDeny, model.PolicySkip)}
		for range 1 + r.IntN(5) {
			f.Rules = append(f.Rules, r.rule())
		}
		cfg.Flows = append(cfg.Flows, f)
	}
	return cfg
}

func (r game) packet() Packet {
	p := Packet{Iface: pick(r, "eth0", "eth1"), Proto: pick[uint8](r, 1, 6, 6, 17, 17, 47),
		Src: addr(pick(r, "10.9.1.1", "10.9.2.2", "10.8.0.1")), Dst: addr(pick(r, "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9"))}
	if r.IntN(3) == 0 {
		p.Src, p.Dst = addr(pick(r, "2001:db8:9::1", "2001:db8:8::1")), addr(pick(r, "2001:db8::1", "2001:db8::2", "2001:db8:1::1"))
		p.Proto, p.HidesProto = pick[uint8](r, 1, 58, 6, 6, 17, 17, 47), r.IntN(10) == 0
	}
	switch p.Later = r.IntN(5) == 0; {
	case p.Later || p.HidesProto:
	case p.Proto == 6 || p.Proto == 17:
		p.HasPorts, p.SrcPort, p.DstPort = true, pick[uint16](r, 699, 700, 701), pick[uint16](r, 22, 80, 100, 2049, 3000)
	case p.proto() == 1:
		p.HasICMPType, p.ICMPType = true, pick[uint8](r, 0, 3, 8)
	}
	return p
}

// The layout finds what the specification says, on random rules and packets.
func TestLayoutAgrees(t *testing.T) {
	const ruleSets, packets = 20000, 30
	r := game{rand.New(rand.NewPCG(6, 1))}
	claimed, direct := 0, 0
	for range ruleSets {
		cfg := r.config()
		set := Compile(cfg)
		layout := Lay(set)
		for range packets {
			p := r.packet()
			want, wanted := Match(set, p)
			got, ok := layout.Match(p)
			if ok != wanted || got != want {
				t.Fatalf("packet %+v\nof the rules\n%+v\nlaid out as\n%+v\nis of flow %q (%t), want %q (%t)",
					p, set.Rules, layout, got.Flow, ok, want.Flow, wanted)
			}
			if ok {
				claimed++
			}
		}
		for _, a := range layout.Addrs {
			if a.Direct.Is {
				direct++
			}
		}
		for _, s := range layout.Services {
			if s.Direct.Is {
				direct++
			}
		}
	}
	if total := ruleSets * packets; claimed < total/10 || claimed > total*9/10 || direct < ruleSets/10 {
		t.Errorf("%d of %d packets were claimed, %d destinations and services are direct: too one-sided", claimed, total, direct)
	}
}
