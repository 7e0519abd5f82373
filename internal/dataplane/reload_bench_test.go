package dataplane

import (
	"fmt"
	"net/netip"
	"testing"

	"fairlead/internal/flow"
	"fairlead/internal/model"
)

// estate is a configuration of so many flows, in turn for an address and for a
// port of one, which lead to directors of ten servers each.
func estate(flows, directors, turn int) model.Desired {
	var d model.Desired
	for i := range directors {
		one := model.DesiredDirector{Name: fmt.Sprintf("d%d", i), Source: directorMAC, MAC: serverMAC1, Active: "s0", Epoch: 1}
		for k := range 10 {
			one.Servers = append(one.Servers, model.DesiredServer{Name: fmt.Sprintf("s%d", k), MAC: serverMAC1})
		}
		d.Directors = append(d.Directors, one)
	}
	var cfg model.Config
	for i := range flows {
		rule := to(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}))
		if i%2 == 0 {
			rule.Proto, rule.DstPort = is(model.ProtoTCP), is(ports(2049, 2049))
		}
		cfg.Flows = append(cfg.Flows, model.Flow{Name: fmt.Sprintf("f%d", i), Policy: model.PolicyDirector,
			Director: fmt.Sprintf("d%d", (i+turn)%directors), Rules: []model.Rule{rule}})
	}
	d.Rules = flow.Compile(cfg)
	return d
}

// BenchmarkReload applies 10,000 flows, 100 directors and 1,000 servers: from
// nothing, the same again, and with one flow moved to another director.
func BenchmarkReload(b *testing.B) {
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			p := newPlane(b, 1000)
			want := estate(10000, 100, 0)
			b.StartTimer()
			apply(b, p, want)
		}
	})
	p := newPlane(b, 1000)
	want := estate(10000, 100, 0)
	apply(b, p, want)
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			apply(b, p, want)
		}
	})
	b.Run("one flow moved", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			rules := append([]model.FlowRule{}, want.Rules.Rules...)
			rules[5000].Director = fmt.Sprintf("d%d", i%100)
			next := want
			next.Rules.Rules = rules
			apply(b, p, next)
		}
	})
	b.Run("another order of directors", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			apply(b, p, estate(10000, 100, i))
		}
	})
	b.Run("Applied", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.Applied(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Traffic", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.Traffic(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
