package probe

import (
	"context"
	"net/netip"
	"os"
	"testing"
	"time"

	"fairlead/internal/model"
	"fairlead/internal/topology"
)

// The addresses of the note's diagram.
var (
	directorAddr = netip.MustParsePrefix("192.168.10.5/24")
	serverAddr   = netip.MustParsePrefix("192.168.10.100/24")
	nobody       = netip.MustParseAddr("192.168.10.200")
	vip          = netip.MustParseAddr("192.168.10.50")
)

// segment is a director, a real server, and more of them.
func segment(t *testing.T, spec topology.Spec, more ...topology.Spec) (director, server *topology.Host) {
	t.Helper()
	director, server, _ = segmentOf(t, spec, more...)
	return director, server
}

func segmentOf(t *testing.T, spec topology.Spec, more ...topology.Spec) (director, server *topology.Host, others []*topology.Host) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces and must run as root")
	}
	s, err := topology.Build("fairlead-probe-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if director, err = s.Add(topology.Spec{Name: "director", Addr: directorAddr}); err != nil {
		t.Fatal(err)
	}
	if server, err = s.Add(spec); err != nil {
		t.Fatal(err)
	}
	for _, m := range more {
		h, err := s.Add(m)
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, h)
	}
	return director, server, others
}

// from puts one question from a host, and returns what is wrong in words.
func from(t *testing.T, h *topology.Host, q question, timeout time.Duration) string {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), timeout, timedOut(timeout))
	defer cancel()
	var r model.TestResult
	if err := h.Do(func() error { r, _ = asker{put: put, via: newTurns(nil, timeout)}.one(ctx, q); return nil }); err != nil {
		t.Fatal(err)
	}
	return r.Error
}

func TestWithoutPort(t *testing.T) {
	director, _ := segment(t, topology.Spec{Name: "server", Addr: serverAddr, VIP: vip})
	for _, tt := range []struct {
		test model.Test
		addr netip.Addr
		want string
	}{
		{model.Test{Kind: model.CheckARP}, serverAddr.Addr(), ""},
		{model.Test{Kind: model.CheckARP, Iface: topology.HostIface}, serverAddr.Addr(), ""},
		{model.Test{Kind: model.CheckARP}, nobody, "no answer to ARP from 192.168.10.200 within 300ms"},
		{model.Test{Kind: model.CheckARP}, vip, "no answer to ARP from 192.168.10.50 within 300ms"},
		{model.Test{Kind: model.CheckARP, Iface: "eth7"}, nobody, "192.168.10.200 cannot be asked: this machine has no interface eth7"},
		{model.Test{Kind: model.CheckARP, Iface: "lo"}, nobody, "192.168.10.200 cannot be asked by ARP: interface lo is no Ethernet"},
		{model.Test{Kind: model.CheckICMP}, serverAddr.Addr(), ""},
		{model.Test{Kind: model.CheckICMP}, nobody, "no answer to an ICMP echo request from 192.168.10.200 within 300ms"},
	} {
		timeout := patience
		if tt.want != "" {
			timeout = short
		}
		target := Target{Addr: tt.addr, Tests: []model.Test{tt.test}}
		if got := from(t, director, target.question(target.Tests[0], target.Addr), timeout); got != tt.want {
			t.Errorf("%s of %s: got %q, want %q", tt.test, tt.addr, got, tt.want)
		}
	}
}

// TestRepeats: the first question is lost.
func TestRepeats(t *testing.T) {
	for _, kind := range []model.CheckKind{model.CheckARP, model.CheckICMP} {
		t.Run(kind.String(), func(t *testing.T) {
			director, server := segment(t, topology.Spec{Name: "server", Addr: serverAddr})
			if err := server.Cut(); err != nil {
				t.Fatal(err)
			}
			mended := make(chan error, 1)
			time.AfterFunc(firstRepeat/2, func() { mended <- server.Restore() })
			target := Target{Addr: serverAddr.Addr(), Tests: []model.Test{{Kind: kind}}}
			if got := from(t, director, target.question(target.Tests[0], target.Addr), patience); got != "" {
				t.Errorf("got %q", got)
			}
			if err := <-mended; err != nil {
				t.Error(err)
			}
		})
	}
}
