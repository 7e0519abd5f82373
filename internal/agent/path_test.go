package agent

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
)

// probed are the virtual IPs at which each server is probed.
func (p *fakeProber) probed() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[string]int)
	for _, t := range p.targets {
		all[t.Ref.Server] = len(t.Via)
	}
	return all
}

// TestPathsGateTheChecks: a server is probed at the virtual IP only while the way is
// there, and the status says where.
func TestPathsGateTheChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.files.text = strings.Replace(note, "2049 sorry", "2049 check sorry", 1)
		b.start(func() { b.paths.refuse("192.168.10.101", "no policy routing") })
		defer b.end()
		want := []model.Path{
			{Server: netip.MustParseAddr("192.168.10.100"), VIP: netip.MustParseAddr("192.168.10.50"), Iface: "eth0"},
			{Server: netip.MustParseAddr("192.168.10.101"), VIP: netip.MustParseAddr("192.168.10.50"), Iface: "eth0"},
		}
		if !reflect.DeepEqual(b.paths.applied, want) {
			t.Errorf("applied %v, want %v", b.paths.applied, want)
		}
		if got, want := b.prober.probed(), map[string]int{"nfs-01": 1, "nfs-02": 0}; !reflect.DeepEqual(got, want) {
			t.Errorf("probed at %v virtual IPs, want %v", got, want)
		}
		says := func(one, two string, alarms int) {
			t.Helper()
			s, found := b.agent.Status(), 0
			servers := s.Directors[0].Servers
			if servers[0].CheckedVIPs != "192.168.10.50" || servers[0].VIPNote != "" || servers[1].CheckedVIPs != one || servers[1].VIPNote != two {
				t.Errorf("the status says %+v", servers)
			}
			for _, a := range s.Alarms {
				if strings.Contains(a.Why, "no policy routing") {
					found++
				}
			}
			if found != alarms {
				t.Errorf("%d alarms, want %d: %+v", found, alarms, s.Alarms)
			}
		}
		says("", "it is not checked at 192.168.10.50: no policy routing", 1)
		// It is tried again by itself.
		b.paths.refuse("192.168.10.200", "")
		time.Sleep(2 * refresh) // bubble time
		synctest.Wait()
		if got, want := b.prober.probed(), map[string]int{"nfs-01": 1, "nfs-02": 1}; !reflect.DeepEqual(got, want) {
			t.Errorf("probed at %v virtual IPs, want %v", got, want)
		}
		says("192.168.10.50", "", 0)
	})
}
