package browser

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// noteDaemon is the application note's service some time after a switch: nfs-01 was
// away, and is active again by an operator's order.
func noteDaemon(now time.Time) *daemon {
	nfs := model.DirectorStatus{
		Name: "nfs", Desired: "nfs-01", Applied: "nfs-01", Epoch: 7, Reason: model.ReasonFailed,
		Since: now.Add(-50 * time.Hour), Connections: 412, Failback: model.FailbackManual,
		Total: model.Counter{Packets: 91_234_567, Bytes: 71_234_567_890},
		Servers: []model.ServerStatus{
			{Name: "nfs-01", Addr: addr("192.168.10.100"), Port: 2049, Weight: 10, Health: model.HealthUp, Since: now.Add(-51 * time.Hour),
				LastProbe: now.Add(-4 * time.Second), Latency: 412 * time.Microsecond, MAC: model.MAC{2, 0, 0, 0, 1, 0}, Active: true,
				Connections: 412, Total: model.Counter{Packets: 90_000_000, Bytes: 70_000_000_000}},
			{Name: "nfs-02", Addr: addr("192.168.10.101"), Port: 2049, Sorry: true, Health: model.HealthUnchecked,
				MAC: model.MAC{2, 0, 0, 0, 1, 1}, Total: model.Counter{Packets: 1_234_567, Bytes: 1_234_567_890}},
		},
	}
	nfs.LastSwitch = noteSwitch(nfs.Since)
	d := newDaemon(model.Status{
		Version: "1.0.0", PID: 812, Since: now.Add(-20 * 24 * time.Hour), Generation: 3, Sources: []string{"/etc/fairlead"},
		Interfaces: []model.InterfaceStatus{{Name: "eth0", Desired: model.AttachAuto, Applied: "native", Up: true}},
		Flows: []model.FlowStatus{{Name: "nfs", Policy: model.PolicyDirector, Director: "nfs", Applied: true,
			VIPs:  []model.VIPStatus{{Addr: addr("192.168.10.50"), State: model.VIPAnnounced}},
			Total: nfs.Total, Verdicts: map[string]model.Counter{"forward": nfs.Total}}},
		Directors: []model.DirectorStatus{nfs},
		Verdicts:  map[string]model.Counter{"forward": nfs.Total},
		Table:     model.TableStatus{Size: 1 << 20, Used: 431, Bytes: 58 << 20},
		Alarms:    []model.Alarm{},
		Services:  []model.ServiceStatus{{Name: "lvs", Title: "LVS", State: model.ServiceRunning}},
	})
	d.events = noteEvents(nfs.Since)
	d.history[model.ServerRef{Director: "nfs", Server: "nfs-01"}] = probes(now, 120, 10*time.Second, 70)
	d.known = noteConnections(412)
	return d
}

// noteSwitch is a switch back with hooks, by a server that failed.
func noteSwitch(at time.Time) *model.Switch {
	ms := func(n float64) time.Time { return at.Add(time.Duration(n * float64(time.Millisecond))) }
	return &model.Switch{
		From: "nfs-02", To: "nfs-01", Reason: model.ReasonFailed, Why: "connect to 192.168.10.101:2049: no answer within 1 s", Epoch: 7, At: at,
		Suspected: ms(-1604), FirstAttempt: ms(-1480), Held: ms(-402), Fenced: ms(-255), Promoted: ms(-31), Verified: ms(-0.8),
		DecidedMono: 4e12, AppliedMono: 4e12 + 1_210_000, ResetMono: 4e12 + 3_950_000, FirstBack: ms(9.4),
		Known: 388, Reset: 388, Ended: 371, Replayed: 3, ServerReset: 388,
	}
}

func noteEvents(at time.Time) []model.Event {
	type line struct {
		after float64 // ms
		e     model.Event
	}
	ms := time.Millisecond
	lines := []line{
		{-9e6, model.Event{Kind: model.EventReload, Text: "configuration 3 is in force: /etc/fairlead", By: "ana (10.0.0.9)"}},
		{-1604, model.Event{Kind: model.EventSuspect, Server: "nfs-02", Text: "192.168.10.21:812 sent the same data again, and nothing new was acknowledged"}},
		{-402, model.Event{Kind: model.EventHealth, Server: "nfs-02", Text: "nfs-02 is down", Err: "connect to 192.168.10.101:2049: no answer within 1 s"}},
		{-402, model.Event{Kind: model.EventHold, Server: "nfs-01", Text: "SYNs are kept until nfs-01 is ready"}},
		{-255, model.Event{Kind: model.EventFence, Server: "nfs-02", Text: "the fence hook ended", Took: 147 * ms}},
		{-31, model.Event{Kind: model.EventPromote, Server: "nfs-01", Text: "the promote hook ended", Took: 224 * ms}},
		{-0.8, model.Event{Kind: model.EventVerify, Server: "nfs-01", Text: "the check of nfs-01 passed"}},
		{0, model.Event{Kind: model.EventFlip, Server: "nfs-01", Epoch: 7, Reason: model.ReasonFailed, Text: "nfs-01 takes over from nfs-02"}},
		{1.2, model.Event{Kind: model.EventApplied, Server: "nfs-01", Epoch: 7, Reason: model.ReasonFailed, Text: "the data plane forwards to nfs-01; 3 kept SYNs were sent on"}},
		{3.9, model.Event{Kind: model.EventReset, Server: "nfs-02", Epoch: 7, Text: "388 old connections were reset"}},
		{4100, model.Event{Kind: model.EventDone, Server: "nfs-01", Epoch: 7, Text: "the switch is over: no old connection is left"}},
		{11 * 3600e3, model.Event{Kind: model.EventHealth, Server: "nfs-02", Text: "nfs-02 is up again; it stays standby"}},
		{49 * 3600e3, model.Event{Kind: model.EventOrder, Server: "nfs-02", Text: "drain: nfs-02 is draining", By: "ana (10.0.0.9)"}},
		{49.2 * 3600e3, model.Event{Kind: model.EventOrder, Server: "nfs-02", Text: "enable: nfs-02 may be used again", By: "ana (10.0.0.9)"}},
	}
	var all []model.Event
	for i, l := range lines {
		l.e.Seq, l.e.At = uint64(i+1), at.Add(time.Duration(l.after*float64(time.Millisecond)))
		if l.e.Server != "" {
			l.e.Director = "nfs"
		}
		all = append(all, l.e)
	}
	return all
}

// probes are results of checks, the newest now; some of them failed.
func probes(now time.Time, n int, every time.Duration, failed int) []api.Probed {
	all := make([]api.Probed, n)
	for i := range all {
		wave := 380 + 90*math.Sin(float64(i)/7) + 60*math.Sin(float64(i)*2.3)
		all[i] = api.Probed{At: now.Add(-time.Duration(n-1-i) * every), OK: true, Latency: time.Duration(wave) * time.Microsecond}
		all[i].Tests = []model.TestResult{
			{Check: "tcpcheck", At: "192.168.10.100:2049", OK: true, Latency: all[i].Latency / 2},
			{Check: "tcpcheck", At: "192.168.10.50:2049 on 192.168.10.100", OK: true, Latency: all[i].Latency / 2},
		}
		if i >= failed && i < failed+4 {
			all[i] = api.Probed{At: all[i].At, Latency: 2 * time.Second, Error: "connect to 192.168.10.100:2049: no answer within 2 s",
				Tests: []model.TestResult{{Check: "tcpcheck", At: "192.168.10.100:2049", Latency: 2 * time.Second, Error: "no answer from 192.168.10.100:2049 within 2s"}}}
		}
	}
	return all
}

func noteConnections(n int) []api.Connection {
	states := []string{"open", "open", "open", "ended", "open", "open", "old", "open"}
	all := make([]api.Connection, n)
	for i := range all {
		all[i] = api.Connection{
			Client:   netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, 10 + byte(i/200), byte(20 + i%200)}), uint16(700+i)),
			VIP:      netip.MustParseAddrPort("192.168.10.50:2049"),
			Director: "nfs", Server: "nfs-01", State: states[i%len(states)], Age: time.Duration(i*i+3) * time.Second,
		}
	}
	return all
}

// bigDaemon has 10,000 flows, and 1,000 servers in 64 directors.
func bigDaemon(now time.Time) *daemon {
	s := model.Status{
		Version: "1.0.0", PID: 812, Since: now.Add(-20 * 24 * time.Hour), Generation: 12, Sources: []string{"/etc/fairlead"},
		Interfaces: []model.InterfaceStatus{{Name: "eth0", Desired: model.AttachAuto, Applied: "native", Up: true}},
		Table:      model.TableStatus{Size: 1 << 22, Used: 812_345, Bytes: 232 << 20},
		Alarms:     []model.Alarm{}, Verdicts: map[string]model.Counter{},
	}
	for i := range 64 {
		s.Directors = append(s.Directors, bigDirector(now, i))
	}
	for i := range 10_000 {
		vip := netip.AddrFrom4([4]byte{10, 64, byte(i >> 8), byte(i)})
		s.Flows = append(s.Flows, model.FlowStatus{
			Name: fmt.Sprintf("flow-%05d", i), Policy: model.PolicyDirector, Director: s.Directors[i%64].Name, Applied: true,
			VIPs:  []model.VIPStatus{{Addr: vip, State: model.VIPAnnounced}},
			Total: model.Counter{Packets: uint64(i) * 1000, Bytes: uint64(i) * 700_000}, Verdicts: map[string]model.Counter{"forward": {Packets: uint64(i) * 1000, Bytes: uint64(i) * 700_000}},
		})
	}
	d := newDaemon(s)
	for i := range 5000 {
		d.events = append(d.events, model.Event{
			Seq: uint64(i + 1), At: now.Add(time.Duration(i-5000) * 10 * time.Second), Kind: model.EventKinds()[i%len(model.EventKinds())],
			Director: s.Directors[i%64].Name, Server: s.Directors[i%64].Servers[i%15].Name, Text: fmt.Sprintf("entry %d of a long journal", i+1),
		})
	}
	return d
}

func bigDirector(now time.Time, i int) model.DirectorStatus {
	n := 15
	if i < 40 {
		n = 16 // 40·16 + 24·15 = 1,000
	}
	d := model.DirectorStatus{
		Name: fmt.Sprintf("pool-%02d", i), Epoch: uint64(i), Reason: model.ReasonFirst, Since: now.Add(-time.Duration(i+1) * time.Hour), Balanced: i%2 == 1,
		Connections: uint64(i) * 177, Total: model.Counter{Packets: uint64(i) * 1e6, Bytes: uint64(i) * 8e8},
	}
	for j := range n {
		srv := model.ServerStatus{
			Name: fmt.Sprintf("srv-%02d-%02d", i, j), Addr: netip.AddrFrom4([4]byte{10, 1, byte(i), byte(10 + j)}), Port: 2049, Weight: 10,
			Health: model.HealthUp, Since: d.Since, LastProbe: now, Latency: time.Duration(200+13*i+7*j) * time.Microsecond, MAC: model.MAC{2, 0, 0, 1, byte(i), byte(j)},
			Active: d.Balanced || j == 0, Connections: uint64(i * j), Total: model.Counter{Packets: uint64(i*j) * 1e5, Bytes: uint64(i*j) * 7e7},
		}
		if (i*17+j)%41 == 7 {
			srv.Health, srv.Active, srv.Why = model.HealthDown, false, "connect: connection refused"
		}
		d.Servers = append(d.Servers, srv)
	}
	if !d.Balanced {
		d.Desired, d.Applied = d.Servers[0].Name, d.Servers[0].Name
	}
	return d
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }
