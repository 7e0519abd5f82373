package dataplane

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/model"
)

// pair is two directors of two servers each, on a virtual IP each.
func pair() model.Desired {
	d := note()
	second := d.Directors[0]
	second.Name = "web"
	second.Servers = []model.DesiredServer{{Name: "web-01", MAC: serverMAC1}, {Name: "web-02", MAC: serverMAC2}}
	second.Active, second.MAC = "web-02", serverMAC2
	d.Directors = append(d.Directors, second)
	d.Rules.VIPs = append(d.Rules.VIPs, model.VIP{Addr: otherAddr})
	d.Rules.Rules = append(d.Rules.Rules, leads("web", "web", to(otherAddr))...)
	return d
}

// A reload that only changes the order changes no index, and disturbs nothing.
func TestOrderDoesNotMatter(t *testing.T) {
	p := newPlane(t, 1000)
	apply(t, p, pair())
	hooks[0].run(t, p, frameSpec{flags: synFlag}.bytes(t))
	hooks[0].run(t, p, frameSpec{flags: synFlag, dst: otherAddr}.bytes(t))
	before := *p.names.Load()
	flips := p.flips
	turned := pair()
	slices.Reverse(turned.Directors)
	for i := range turned.Directors {
		turned.Directors[i].Servers = slices.Clone(turned.Directors[i].Servers)
		slices.Reverse(turned.Directors[i].Servers)
	}
	slices.Reverse(turned.Rules.VIPs)
	slices.Reverse(turned.Rules.Rules)
	apply(t, p, turned)
	if after := *p.names.Load(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the indices are %v, want %v", after, before)
	}
	for i, d := range p.maps.settings().Choices[:2] {
		if d.Flags&uint16(directorChoiceFlagsCHOICE_LOOKUP) != 0 {
			t.Errorf("director %d looks connections up after a mere reload", i)
		}
	}
	if got := table(p); got != "nfs-01, web-02" {
		t.Errorf("the table holds %q", got)
	}
	for dst, mac := range map[netip.Addr]model.MAC{vipAddr: serverMAC1, otherAddr: serverMAC2} {
		f := frameSpec{flags: ackFlag, dst: dst}.bytes(t)
		if _, out := hooks[0].run(t, p, f); string(out) != string(sent(mac, f)) {
			t.Errorf("after the reload a packet to %v became\n%x", dst, out)
		}
	}
	apply(t, p, turned)
	if p.flips > flips+1 {
		t.Errorf("applying the same again changed %d things", p.flips-flips)
	}
}

// crowded has as many directors as there are indices, of so many servers each,
// of that generation of names; the last server is the active one.
func crowded(generation string, servers int) model.Desired {
	var d model.Desired
	for i := range maxDirectors {
		one := model.DesiredDirector{Name: fmt.Sprintf("d%d%s", i, generation), Source: directorMAC, MAC: serverMAC1, Epoch: 1}
		for k := range servers {
			one.Servers = append(one.Servers, model.DesiredServer{Name: fmt.Sprintf("s%d%s", k, generation), MAC: serverMAC1})
		}
		one.Active = one.Servers[servers-1].Name
		d.Directors = append(d.Directors, one)
	}
	for i := range 4 {
		vip := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		d.Rules.VIPs = append(d.Rules.VIPs, model.VIP{Addr: vip})
		d.Rules.Rules = append(d.Rules.Rules, leads(fmt.Sprintf("f%d%s", i, generation), d.Directors[i].Name, to(vip))...)
	}
	return d
}

// Indices are reused when all are taken, and what they meant before is cleared:
// connections, choices and names.
func TestReusedIndices(t *testing.T) {
	p := newPlane(t, 1000)
	apply(t, p, crowded("a", maxServers))
	syn := frameSpec{flags: synFlag, dst: netip.AddrFrom4([4]byte{10, 0, 0, 1})}.bytes(t)
	hooks[0].run(t, p, syn)
	if got := table(p); got != "s15a" {
		t.Fatalf("the table holds %q", got)
	}
	apply(t, p, crowded("b", 2))
	if got := table(p); got != "" {
		t.Errorf("the table holds %q, want nothing of the old directors", got)
	}
	traffic, err := p.Traffic()
	if err != nil {
		t.Fatal(err)
	}
	for ref := range traffic.Conns {
		if !strings.HasSuffix(ref.Director, "b") || !strings.HasSuffix(ref.Server, "b") {
			t.Errorf("%v is still shown", ref)
		}
	}
	if len(traffic.Conns) != maxDirectors*2 {
		t.Errorf("%d servers are shown, want %d", len(traffic.Conns), maxDirectors*2)
	}
	d := p.maps.settings().Choices[0]
	if d.Flags != uint16(directorChoiceFlagsCHOICE_FORWARD) {
		t.Errorf("a new director begins with flags %d", d.Flags)
	}
	hooks[0].run(t, p, syn)
	if got := table(p); got != "s1b" {
		t.Errorf("the table holds %q, want the connection of the new server", got)
	}
}

// A reused flow index begins to count at zero.
func TestReusedFlowCountsFromZero(t *testing.T) {
	p := newPlane(t, 1000)
	// rename takes indices of the flows, many at a time
	const many = 4000
	rename := func(i int) model.Desired {
		d := note()
		d.Rules.Rules = nil
		for k := range many {
			d.Rules.Rules = append(d.Rules.Rules, leads(fmt.Sprintf("flow-%d-%d", i, k), "nfs", to(vipAddr))...)
		}
		return d
	}
	for i := range 3*maxFlows/many + 1 {
		settledNow(p)
		apply(t, p, rename(i))
		hooks[0].run(t, p, frameSpec{proto: 17}.bytes(t))
		traffic, err := p.Traffic()
		if err != nil {
			t.Fatal(err)
		}
		if got := traffic.Flows[fmt.Sprintf("flow-%d-0", i)]["forward"].Packets; got != 1 {
			t.Fatalf("flow %d of the same index begins with %d packets, want 1", i, got)
		}
	}
}

// One more than the indices is refused, by name.
func TestTooMany(t *testing.T) {
	p := newPlane(t, 1000)
	d := note()
	for i := range maxServers {
		d.Directors[0].Servers = append(d.Directors[0].Servers, model.DesiredServer{Name: fmt.Sprintf("more-%d", i)})
	}
	if err := p.Apply(d); err == nil || err.Error() != `apply "more-14": the data plane holds no more than 16 of its kind` {
		t.Errorf("18 servers: %v", err)
	}
	d = note()
	for i := range maxDirectors {
		d.Directors = append(d.Directors, model.DesiredDirector{Name: fmt.Sprintf("more-%d", i), Source: directorMAC})
	}
	if err := p.Apply(d); err == nil || err.Error() != `apply "more-127": the data plane holds no more than 128 of its kind` {
		t.Errorf("129 directors: %v", err)
	}
}

// What is not known yet is not applied, is said, and the present choice stands.
func TestUnknownMAC(t *testing.T) {
	p := newPlane(t, 1000)
	apply(t, p, note())
	for _, tt := range []struct {
		change func(*model.DesiredDirector)
		want   string
	}{
		{func(d *model.DesiredDirector) { d.MAC = model.MAC{} }, "apply nfs/nfs-02: its MAC address is not known: it does not answer ARP"},
		{func(d *model.DesiredDirector) { d.Source = model.MAC{} }, "apply nfs/nfs-02: the MAC address of the director's own interface is not known yet"},
	} {
		d := switched()
		tt.change(&d.Directors[0])
		if err := p.Apply(d); err == nil || err.Error() != tt.want {
			t.Errorf("Apply = %v, want %q", err, tt.want)
		}
		f := frameSpec{flags: ackFlag}.bytes(t)
		if _, out := hooks[0].run(t, p, f); string(out) != string(sent(serverMAC1, f)) {
			t.Errorf("a packet became\n%x, want it forwarded as before", out)
		}
		if a, err := p.Applied(); err != nil || a.Directors["nfs"].Active != "nfs-01" || a.Directors["nfs"].Epoch != 1 {
			t.Errorf("applied %+v, %v", a.Directors["nfs"], err)
		}
	}
}
