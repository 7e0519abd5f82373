package main

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"fairlead/internal/model"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run with -update and look at the difference\n got:\n%s\n want:\n%s", path, got, want)
	}
}

// quietStatus is a status of a director where all is well.
func quietStatus() model.Status {
	now := time.Date(2026, 11, 23, 3, 14, 15, 0, time.UTC)
	vip := netip.MustParseAddr("192.168.10.50")
	return model.Status{
		At: now, Version: "0.1.0", PID: 4711, Since: now.Add(-76 * time.Hour), Generation: 2, Sources: []string{"/etc/fairlead"},
		Interfaces: []model.InterfaceStatus{{Name: "eth0", Desired: model.AttachAuto, Applied: "native", Why: "the driver supports it", Up: true}},
		Flows: []model.FlowStatus{{Name: "nfs", Policy: model.PolicyDirector, Director: "nfs", Applied: true,
			VIPs: []model.VIPStatus{{Addr: vip, State: model.VIPAnnounced}}, Total: model.Counter{Packets: 8123456, Bytes: 9876543210}}},
		Directors: []model.DirectorStatus{{
			Name: "nfs", Mode: model.ModeGateway, Desired: "nfs-01", Applied: "nfs-01", Epoch: 1, Reason: model.ReasonFirst, Since: now.Add(-76 * time.Hour),
			LastSwitch:  &model.Switch{To: "nfs-01", Reason: model.ReasonFirst, Epoch: 1, Why: "first choice", DecidedMono: 1e9, AppliedMono: 1e9 + 412000, ResetMono: 1e9 + 650000},
			Connections: 41, Total: model.Counter{Packets: 8123456, Bytes: 9876543210},
			Servers: []model.ServerStatus{
				{Name: "nfs-01", Addr: netip.MustParseAddr("192.168.10.100"), Port: 2049, Weight: 10, Health: model.HealthUp, Since: now.Add(-76 * time.Hour),
					LastProbe: now.Add(-4 * time.Second), Latency: 310 * time.Microsecond, MAC: model.MAC{2, 0, 0, 0, 0, 0x64}, Active: true,
					Connections: 41, Total: model.Counter{Packets: 8123456, Bytes: 9876543210}},
				{Name: "nfs-02", Addr: netip.MustParseAddr("192.168.10.101"), Port: 2049, Weight: 1, Sorry: true, Health: model.HealthUnchecked,
					MAC: model.MAC{2, 0, 0, 0, 0, 0x65}},
			},
		}},
		Verdicts: map[string]model.Counter{"forward": {Packets: 8123456, Bytes: 9876543210}, "arp-reply": {Packets: 12, Bytes: 720}, "malformed": {}},
		Table:    model.TableStatus{Size: 1 << 20, Used: 50, Ended: 9, Bytes: 72 << 20},
	}
}

// brokenStatus is that of a night: the server died, the data plane resists, and
// somebody else answers for the virtual IP.
func brokenStatus() model.Status {
	s := quietStatus()
	s.Alarms = []model.Alarm{
		{What: "the data plane is not as desired", Why: "attach to eth0: the driver of eth0 refuses the programme while its MTU is above 3498", Do: "lower the MTU of eth0, or run with --attach generic"},
		{What: "another machine answers for the virtual IP 192.168.10.50", Why: "192.168.10.50 is answered by 02:00:00:00:00:99", Do: "find that machine and take 192.168.10.50 from it"},
	}
	d := &s.Directors[0]
	d.Desired, d.Epoch, d.Reason, d.Since = "nfs-02", 2, model.ReasonFailed, s.At.Add(-90*time.Second)
	d.Why = s.Alarms[0].Why
	d.LastSwitch = &model.Switch{From: "nfs-01", To: "nfs-02", Reason: model.ReasonFailed, Epoch: 2, At: d.Since,
		Why: "check failed: no answer from 192.168.10.100:2049 within 2s", DecidedMono: 1e9, AppliedMono: 1e9 + 2e6, ResetMono: 1e9 + 5400000, Known: 41, Reset: 40, Ended: 39}
	d.LastSwitch.Suspected, d.LastSwitch.FirstAttempt = d.Since.Add(-2100*time.Millisecond), d.Since.Add(-100*time.Millisecond)
	d.LastSwitch.Replayed, d.LastSwitch.ServerReset = 3, 41
	d.Failback, d.Held = model.FailbackManual, 7
	d.Servers[0].Mark = model.MarkDraining
	d.Old, d.Connections = 2, 12345
	d.Note = "nfs-01 is up again; to return: fairlead switch nfs/nfs-01"
	d.Servers[0].Health, d.Servers[0].Why, d.Servers[0].Since = model.HealthDown, "no answer from 192.168.10.100:2049 within 2s", d.Since
	d.Servers[0].Latency = 0
	d.Servers[1].Advisory, d.Servers[1].MAC, d.Servers[1].Total = "passes", model.MAC{}, model.Counter{Packets: 999999, Bytes: 1 << 60}
	d.Servers = append(d.Servers, model.ServerStatus{Name: strings.Repeat("long-name", 3), Addr: netip.MustParseAddr("192.168.10.102"), Health: model.HealthUnknown})
	s.Directors = append(s.Directors, model.DirectorStatus{Name: "web", Mode: model.ModeTunnel, Reason: model.ReasonWaiting, Note: "waiting for checks: web-01 is unknown"})
	s.Directors = append(s.Directors, model.DirectorStatus{Name: "home", Mode: model.ModeGateway, Desired: "home-01", Applied: "home-01", Failback: model.FailbackManual,
		Step: model.StepFence, StepSince: s.At.Add(-12 * time.Second), To: "home-02"})
	s.Directors = append(s.Directors, model.DirectorStatus{Name: "pool", Mode: model.ModeGateway, Balanced: true, Persistence: &model.Persisting{Timeout: 5 * time.Minute, Netmask: 24, Templates: 12}, Servers: []model.ServerStatus{
		{Name: "pool-01", Active: true, Health: model.HealthUp}, {Name: "pool-02", Active: true, Health: model.HealthUp}}})
	s.Flows[0].Applied = false
	s.Flows[0].VIPs[0] = model.VIPStatus{Addr: s.Flows[0].VIPs[0].Addr, State: model.VIPConflict, Why: s.Alarms[1].Why}
	s.Interfaces[0] = model.InterfaceStatus{Name: "eth0", Why: s.Alarms[0].Why}
	return s
}

// copiesStatus is that of a director whose standby servers have copies.
func copiesStatus() model.Status {
	s := quietStatus()
	d := &s.Directors[0]
	d.MaxLag = 30 * time.Second
	of := d.Servers[1]
	d.Servers = d.Servers[:1]
	for _, c := range []model.CopyStatus{
		{Freshness: model.FreshnessTooOld, Lag: 754 * time.Second, Measured: s.At.Add(-4 * time.Second)},
		{Freshness: model.FreshnessUnknown, Why: "the heartbeat cannot be read on nfs-02: connection refused: nothing listens on the port"},
		{Freshness: model.FreshnessFresh, Lag: 2500 * time.Millisecond, Measured: s.At.Add(-4 * time.Second)},
	} {
		of.Copy = &c
		d.Servers = append(d.Servers, of)
	}
	return s
}

func TestStatusPage(t *testing.T) {
	for name, s := range map[string]model.Status{"status.txt": quietStatus(), "status-night.txt": brokenStatus(), "status-copies.txt": copiesStatus(), "status-empty.txt": {}} {
		var b strings.Builder
		if err := printStatus(&b, s, false); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
		for _, line := range strings.Split(b.String(), "\n") {
			if utf8.RuneCountInString(line) > pageWidth || strings.TrimRight(line, " ") != line {
				t.Errorf("%s: a line is too long, or ends in blanks: %q", name, line)
			}
		}
	}
}

// TestColoursOnlyPaint: without its colours, a coloured page is the plain one.
func TestColoursOnlyPaint(t *testing.T) {
	var coloured, uncoloured strings.Builder
	if err := printStatus(&coloured, brokenStatus(), true); err != nil {
		t.Fatal(err)
	}
	if err := printStatus(&uncoloured, brokenStatus(), false); err != nil {
		t.Fatal(err)
	}
	bare := strings.NewReplacer(plain, "", bold, "", red, "", green, "", yellow, "").Replace(coloured.String())
	if bare != uncoloured.String() || coloured.Len() == uncoloured.Len() {
		t.Errorf("got:\n%s", coloured.String())
	}
	if !strings.Contains(coloured.String(), red+"down     "+plain) || !strings.Contains(coloured.String(), yellow+"unchecked"+plain) {
		t.Error("the health is not coloured")
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 9999: "9999", 10000: "10.0k", 999999: "1.0M", 1234567: "1.2M", 1 << 63: "9.2E"} {
		if got := short(n); got != want {
			t.Errorf("short(%d): got %q, want %q", n, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 1 << 30: "1.0 GiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d): got %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Second: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m01s", 3*time.Hour + 5*time.Minute: "3h05m", 76 * time.Hour: "3d04h"} {
		if got := ago(d); got != want {
			t.Errorf("ago(%v): got %q, want %q", d, got, want)
		}
	}
}
