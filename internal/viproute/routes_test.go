package viproute

import (
	"net"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"fairlead/internal/model"
	"fairlead/internal/topology"
)

var (
	vip1    = netip.MustParseAddr("192.168.10.50")
	vip2    = netip.MustParseAddr("192.168.10.51")
	outside = netip.MustParseAddr("10.1.2.3")
	one     = netip.MustParseAddr("192.168.10.100")
	two     = netip.MustParseAddr("192.168.10.101")
)

func path(server, vip netip.Addr) model.Path {
	return model.Path{Server: server, VIP: vip, Iface: topology.HostIface}
}

// inside runs a test in the network namespace of a director.
func inside(t *testing.T, test func(t *testing.T, r *Routes)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces and must run as root")
	}
	s, err := topology.Build("fairlead-viproute-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	director, err := s.Add(topology.Spec{Name: "director", Addr: netip.MustParsePrefix("192.168.10.5/24")})
	if err != nil {
		t.Fatal(err)
	}
	err = director.Do(func() error {
		r, err := Open("this")
		if err != nil {
			return err
		}
		defer r.Close()
		test(t, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// has is what there is of ours: how many rules and routes.
func has(t *testing.T, r *Routes, rules, routes int) {
	t.Helper()
	have, err := r.read()
	if err != nil {
		t.Fatal(err)
	}
	if len(have.rules) != rules || len(have.routes) != routes {
		t.Errorf("there are %d rules and %d routes, want %d and %d: %v", len(have.rules), len(have.routes), rules, routes, have)
	}
}

func applies(t *testing.T, r *Routes, paths ...model.Path) {
	t.Helper()
	if why := r.Apply(paths); len(why) > 0 {
		t.Errorf("apply %v: %v", paths, why)
	}
}

func TestApply(t *testing.T) {
	inside(t, func(t *testing.T, r *Routes) {
		applies(t, r, path(one, vip1), path(one, vip2), path(two, vip1))
		has(t, r, 2, 3)
		for _, p := range []model.Path{path(one, vip1), path(one, vip2), path(two, vip1)} {
			if err := r.Check(p); err != nil {
				t.Error(err)
			}
		}
		if err := r.Check(path(two, vip2)); err == nil {
			t.Error("a path that was not wanted is in force")
		}
		// Another daemon finds them, and what is not wanted goes.
		next, err := Open("this")
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		applies(t, next, path(one, vip2))
		has(t, next, 1, 1)
		// What somebody took away comes back.
		if err := r.handle.RouteDel(&netlink.Route{Table: int(path(one, vip2).Mark()), Dst: &net.IPNet{IP: vip2.AsSlice(), Mask: net.CIDRMask(32, 32)}}); err != nil {
			t.Fatal(err)
		}
		if err := r.Check(path(one, vip2)); err == nil || !strings.Contains(err.Error(), "is not in force") {
			t.Errorf("without its route: got %v", err)
		}
		applies(t, r, path(one, vip2))
		has(t, r, 1, 1)
		applies(t, r)
		has(t, r, 0, 0)
	})
}

// TestTwoDaemons: what another daemon leads to a virtual IP, by the same server or
// another one, stays.
func TestTwoDaemons(t *testing.T) {
	inside(t, func(t *testing.T, r *Routes) {
		other, err := Open("other")
		if err != nil {
			t.Error(err)
			return
		}
		defer other.Close()
		theirs := []model.Path{path(one, vip1), path(two, vip2)}
		applies(t, r, path(one, vip1), path(one, vip2))
		applies(t, other, theirs...)
		applies(t, r, path(one, vip1), path(one, vip2))
		has(t, r, 2, 2) // the rules are both's
		has(t, other, 2, 2)
		applies(t, r, path(one, vip2))
		applies(t, r)
		if err := Remove("this"); err != nil {
			t.Error(err)
		}
		has(t, r, 2, 0)
		for _, p := range theirs {
			if err := other.Check(p); err != nil {
				t.Errorf("after the end of this daemon: %v", err)
			}
		}
		if err := Remove("other"); err != nil {
			t.Error(err)
		}
		has(t, r, 0, 0)
	})
}

func TestRemoveLeavesOthersAlone(t *testing.T) {
	inside(t, func(t *testing.T, r *Routes) {
		rules := func() (all []string) {
			list, err := r.handle.RuleList(netlink.FAMILY_V4)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range list {
				all = append(all, one.String())
			}
			return all
		}
		alien := netlink.NewRule()
		alien.Family, alien.Mark, alien.Table, alien.Priority = unix.AF_INET, 7, 7, priority
		if err := r.handle.RuleAdd(alien); err != nil {
			t.Fatal(err)
		}
		before := rules()
		applies(t, r, path(one, vip1), path(two, vip1))
		if err := Remove("this"); err != nil {
			t.Fatal(err)
		}
		has(t, r, 0, 0)
		if after := rules(); !reflect.DeepEqual(before, after) {
			t.Errorf("got %v, want the rules as they were: %v", after, before)
		}
	})
}

func TestWhyNot(t *testing.T) {
	inside(t, func(t *testing.T, r *Routes) {
		set := func(name, value string) {
			if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+name, []byte(value), 0); err != nil {
				t.Fatal(err)
			}
		}
		refuses := func(p model.Path, want string) {
			t.Helper()
			if why := r.Apply([]model.Path{p, path(one, vip1)}); len(why) != 1 || !strings.Contains(why[p], want) {
				t.Errorf("got %v, want %q, and only of this path", why, want)
			}
		}
		refuses(model.Path{Server: two, VIP: vip1, Iface: "eth7"}, "this machine has no interface eth7")
		// A rule of somebody else that comes first.
		alien := netlink.NewRule()
		alien.Family, alien.Mark, alien.Table, alien.Priority = unix.AF_INET, path(two, vip1).Mark(), unix.RT_TABLE_MAIN, 1
		if err := r.handle.RuleAdd(alien); err != nil {
			t.Fatal(err)
		}
		refuses(path(two, vip1), "the route to 192.168.10.50 by 192.168.10.101 is not in force")
		// The answers of a virtual IP elsewhere would be dropped.
		set("eth0/rp_filter", "1")
		refuses(path(two, outside), "rp_filter=1 drops the answers from 10.1.2.3, to which no route leads: set net.ipv4.conf.eth0.rp_filter=2")
		set("eth0/rp_filter", "2")
		applies(t, r, path(one, outside))
	})
}

// TestPlan: routes come before their rule and go after it.
func TestPlan(t *testing.T) {
	old, kept, fresh := route{1, vip1, one, 3}, route{2, vip1, two, 3}, route{1, vip1, one, 4}
	have := held{map[rule]bool{{mark: 1}: true, {mark: 9}: true}, map[route]bool{old: true, kept: true, {9, vip1, two, 3}: true}, nil}
	want := held{map[rule]bool{{mark: 1}: true, {mark: 2}: true}, map[route]bool{fresh: true, kept: true}, nil}
	gone := route{9, vip1, two, 3}
	expected := []op{{add: true, route: &fresh}, {add: true, rule: &rule{mark: 2}}, {rule: &rule{mark: 9}}, {route: &gone}}
	if got := plan(have, want); !reflect.DeepEqual(got, expected) {
		t.Errorf("got  %+v\nwant %+v", got, expected)
	}
	if got := plan(want, want); len(got) > 0 {
		t.Errorf("nothing changed, and the plan is %+v", got)
	}
}
