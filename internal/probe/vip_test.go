package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vishvananda/netlink"

	"fairlead/internal/model"
	"fairlead/internal/topology"
	"fairlead/internal/viproute"
)

// accepts lets a host accept connections at an address, until the test ends.
func accepts(t *testing.T, h *topology.Host, addr string) {
	t.Helper()
	var l net.Listener
	if err := h.Do(func() (err error) { l, err = net.Listen("tcp4", addr); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // the test has ended
			}
			c.Close()
		}
	}()
}

// TestAtTheVIP: servers that answer at their own address, and what is wrong with
// them at the virtual IP.
func TestAtTheVIP(t *testing.T) {
	const loopback = ": is the VIP on its loopback? fairlead realserver setup --vip 192.168.10.50"
	with, without := topology.Spec{Name: "server", Addr: serverAddr, VIP: vip}, topology.Spec{Name: "server", Addr: serverAddr}
	// It forwards, and its way to the virtual IP is by a server that has it.
	other := topology.Spec{Name: "other", Addr: netip.MustParsePrefix("192.168.10.101/24"), VIP: vip}
	forward := func(t *testing.T, h *topology.Host) {
		err := h.Do(func() error {
			link, err := netlink.LinkByName(topology.HostIface)
			if err != nil {
				return err
			}
			return errors.Join(os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0), netlink.RouteAdd(&netlink.Route{
				LinkIndex: link.Attrs().Index, Gw: other.Addr.Addr().AsSlice(), Dst: &net.IPNet{IP: vip.AsSlice(), Mask: net.CIDRMask(32, 32)}}))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	everywhere := func(t *testing.T, h *topology.Host) { accepts(t, h, ":2049") }
	for name, tt := range map[string]struct {
		spec topology.Spec
		do   func(*testing.T, *topology.Host)
		test model.Test
		want string
	}{
		"well":           {with, everywhere, model.Test{Kind: model.CheckTCP, Port: 2049}, ""},
		"well, by ICMP":  {with, everywhere, model.Test{Kind: model.CheckICMP}, ""},
		"without it":     {without, everywhere, model.Test{Kind: model.CheckTCP, Port: 2049}, "nfs-01 answers at 192.168.10.100:2049 but not at the VIP 192.168.10.50 (no answer from 192.168.10.50:2049 within 1s)" + loopback},
		"without, ICMP":  {without, everywhere, model.Test{Kind: model.CheckICMP}, "nfs-01 answers at 192.168.10.100 but not at the VIP 192.168.10.50 (no answer to an ICMP echo request from 192.168.10.50 within 1s)" + loopback},
		"it forwards":    {without, func(t *testing.T, h *topology.Host) { everywhere(t, h); forward(t, h) }, model.Test{Kind: model.CheckTCP, Port: 2049}, "nfs-01 answers at 192.168.10.100:2049 but not at the VIP 192.168.10.50 (it sends packets to the VIP on, instead of taking them)" + loopback},
		"own address":    {with, func(t *testing.T, h *topology.Host) { accepts(t, h, "192.168.10.100:2049") }, model.Test{Kind: model.CheckTCP, Port: 2049}, "nfs-01 answers at 192.168.10.100:2049 but not at the VIP 192.168.10.50 (connection refused by 192.168.10.50:2049): does its service listen there, and does its firewall let it in?"},
		"without it, v3": {without, everywhere, model.Test{Kind: model.CheckNFS, Version: "3", Port: 2049}, "nfs-01 answers at 192.168.10.100:2049 but not at the VIP 192.168.10.50 (192.168.10.50:2049 does not pass nfscheck version 3: NFS, port 2049: no answer in time)" + loopback},
		"another there":  {with, everywhere, model.Test{Kind: model.CheckHTTP, URI: "/", Port: 2049}, "nfs-01 answers at 192.168.10.100:2049 but not at the VIP 192.168.10.50 (192.168.10.50:2049 accepts connections, but ends them without an answer to an HTTP request): is it the same service that listens there?"},
	} {
		t.Run(name, func(t *testing.T) {
			director, server, others := segmentOf(t, tt.spec, other)
			everywhere(t, others[0])
			tt.do(t, server)
			path := model.Path{Server: serverAddr.Addr(), VIP: vip, Iface: topology.HostIface}
			err := director.Do(func() error {
				routes, err := viproute.Open("probe")
				if err != nil {
					return err
				}
				if why := routes.Apply([]model.Path{path}); len(why) > 0 {
					err = errors.New(why[path])
				}
				return errors.Join(err, routes.Close())
			})
			if err != nil {
				t.Fatal(err)
			}
			target := Target{Ref: nfs01.Ref, Addr: serverAddr.Addr(), Tests: []model.Test{tt.test}, Via: []model.VIPTest{{VIP: vip, Test: tt.test}}}
			_, via := target.questions()
			timeout := patience
			if strings.Contains(tt.want, "no answer ") { // it is to run into it
				timeout = time.Second
			}
			if got := from(t, director, via[0], timeout); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// TestViaComesSecond: the virtual IPs are asked when the own address passes, and a
// way that is lost says nothing of the server.
func TestViaComesSecond(t *testing.T) {
	second := netip.MustParseAddr("192.168.10.51")
	tcp := nfs01.Tests[0]
	target := nfs01
	target.Via = []model.VIPTest{{VIP: vip, Test: tcp}, {VIP: second, Test: tcp}}
	own, via := target.questions()
	for name, tt := range map[string]struct {
		fails netip.Addr
		lost  error
		want  string // what passed +, and what failed -
		err   string // a part of it
	}{
		"all pass":    {netip.Addr{}, nil, "+192.168.10.100:2049 +192.168.10.50:2049 on 192.168.10.100 +192.168.10.51:2049 on 192.168.10.100", ""},
		"own fails":   {nfs01.Addr, nil, "-192.168.10.100:2049", "no answer from 192.168.10.100:2049 within 2s"},
		"VIP fails":   {second, nil, "+192.168.10.100:2049 +192.168.10.50:2049 on 192.168.10.100 -192.168.10.51:2049 on 192.168.10.100", "nfs-01 answers at 192.168.10.100:2049 but not at the VIP 192.168.10.51"},
		"way is lost": {second, errors.New("no route"), "+192.168.10.100:2049 +192.168.10.50:2049 on 192.168.10.100", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShot(t.Context(), nfs01.Timeout)
				a := asker{own: own, via: newTurns(via, target.Interval), lost: func(model.Path) error { return tt.lost },
					put: func(ctx context.Context, q question) error {
						if q.addr == tt.fails {
							return silence(ctx)
						}
						return nil
					}}
				r, ok := s.result(nfs01.Ref, a.ask(s.ctx, false))
				var got []string
				for _, one := range r.Tests {
					got = append(got, map[bool]string{true: "+", false: "-"}[one.OK]+one.At)
				}
				if !ok || strings.Join(got, " ") != tt.want || r.OK != (tt.err == "") || !strings.Contains(r.Err, tt.err) {
					t.Errorf("got %q, %q\nwant %q, %q", got, r.Err, tt.want, tt.err)
				}
			})
		})
	}
}
