package metrics

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fairlead/internal/model"
)

// at is the moment of every status here.
var at = time.Unix(1_700_000_000, 0)

// nfs is the note's service after a failover.
func nfs() model.Status {
	return model.Status{
		At: at, Version: "1.2.3", Since: at.Add(-time.Hour), Turned: at, Generation: 3,
		Services:   []model.ServiceStatus{{Name: "lvs", State: model.ServiceRunning}, {Name: "web", State: model.ServiceFailed}},
		Interfaces: []model.InterfaceStatus{{Name: "eth0", Applied: "native", Up: true}, {Name: "eth1"}},
		Verdicts:   map[string]model.Counter{"forward": {Packets: 100, Bytes: 6400}, "pass": {Packets: 5, Bytes: 300}},
		Table:      model.TableStatus{Size: 1000, Used: 10, Ended: 3, Bytes: 64000, Refused: 2},
		Alarms:     []model.Alarm{{What: "web failed"}},
		Flows: []model.FlowStatus{
			{Name: "nfs", Director: "nfs", Applied: true, Verdicts: map[string]model.Counter{"forward": {Packets: 90, Bytes: 6000}, "reset": {Packets: 1, Bytes: 60}},
				VIPs: []model.VIPStatus{{Addr: netip.MustParseAddr("192.168.10.50"), State: model.VIPAnnounced}}},
			{Name: "idle"},
		},
		Directors: []model.DirectorStatus{{
			Name: "nfs", Mode: model.ModeGateway, Desired: "nfs-02", Applied: "nfs-02", Epoch: 7, Reason: model.ReasonFailed, Since: at.Add(-time.Minute),
			Connections: 4, Old: 1, Failback: model.FailbackManual, Persistence: &model.Persisting{Templates: 12},
			Servers: []model.ServerStatus{
				{Name: "nfs-01", Addr: netip.MustParseAddr("192.168.10.100"), Weight: 10, Health: model.HealthDown, Since: at, LastProbe: at,
					Copy: &model.CopyStatus{Freshness: model.FreshnessTooOld, Lag: 12500 * time.Millisecond, Measured: at.Add(-100 * time.Second)}},
				{Name: "nfs-02", Addr: netip.MustParseAddr("192.168.10.101"), Weight: 10, Sorry: true, Health: model.HealthUnchecked,
					Active: true, Connections: 4, Total: model.Counter{Packets: 90, Bytes: 6000}},
			},
		}},
	}
}

// ref names nfs-01.
var ref = model.ServerRef{Director: "nfs", Server: "nfs-01"}

// failover is what the agent tells of one.
var failover = model.Switch{From: "nfs-01", To: "nfs-02", Reason: model.ReasonFailed, Epoch: 7,
	DecidedMono: 1e9, AppliedMono: 1e9 + 2e6, ResetMono: 1e9 + 30e6, Known: 4, Reset: 4, Ended: 3, ServerReset: 2, Replayed: 1}

// busy is Metrics that were told of everything.
func busy() *Metrics {
	m := New("1.2.3")
	const mounts = "nfscheck version 3 export /srv/nfs"
	m.Probed(model.ProbeResult{Ref: ref, OK: true, Latency: 2 * time.Millisecond, Tests: []model.TestResult{
		{Check: mounts, At: "192.168.10.100:2049", OK: true, Latency: 2 * time.Millisecond},
		{Check: mounts, At: model.AtVIP("192.168.10.50:2049", netip.MustParseAddr("192.168.10.100")), OK: true, Latency: 20 * time.Millisecond},
		{Check: "icmpcheck", At: "192.168.10.100", Error: "no answer"},
	}})
	m.Probed(model.ProbeResult{Ref: ref, Err: "connection refused", Latency: time.Second})
	m.Switched("nfs", failover, false)
	m.Switched("nfs", failover, true)
	m.Notified("webhook", nil)
	m.Notified("webhook", errors.New("refused"))
	m.Notified("email", fmt.Errorf("give up: %w", gone(3)))
	return m
}

type gone int

func (g gone) Error() string { return "given up" }
func (g gone) Lost() int     { return int(g) }

// scrape is what Prometheus reads.
func scrape(t testing.TB, m *Metrics, s model.Status) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler(func() model.Status { return s }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// lacks tells which lines a text does not have.
func lacks(text string, lines ...string) []string {
	have := strings.Split(text, "\n")
	return slices.DeleteFunc(lines, func(l string) bool { return slices.Contains(have, l) })
}

func TestScrape(t *testing.T) {
	got := scrape(t, busy(), nfs())
	for _, line := range lacks(got,
		`fairlead_start_time_seconds 1.6999964e+09`,
		`fairlead_heartbeat_timestamp_seconds 1.7e+09`,
		`fairlead_config_generation 3`,
		`fairlead_alarms 1`,
		`fairlead_data_plane_readable 1`,
		`fairlead_service_state{service="web",state="failed"} 1`,
		`fairlead_service_state{service="web",state="running"} 0`,
		`fairlead_interface_applied{interface="eth0"} 1`,
		`fairlead_interface_applied{interface="eth1"} 0`,
		`fairlead_interface_up{interface="eth1"} 0`,
		`fairlead_packets_total{verdict="pass"} 5`,
		`fairlead_bytes_total{verdict="forward"} 6400`,
		`fairlead_connection_table_slots 1000`,
		`fairlead_connection_table_used_slots 10`,
		`fairlead_connection_table_ended_slots 3`,
		`fairlead_connection_table_refused_connections_total 2`,
		`fairlead_flow_packets_total{flow="nfs",verdict="reset"} 1`,
		`fairlead_flow_bytes_total{flow="nfs",verdict="forward"} 6000`,
		`fairlead_flow_packets_total{flow="idle",verdict="forward"} 0`,
		`fairlead_flow_applied{flow="idle"} 0`,
		`fairlead_vips{state="announced"} 1`,
		`fairlead_vips{state="conflict"} 0`,
		`fairlead_director_info{director="nfs",failback="manual",forwarding="gateway",mode="active-passive",scheduler=""} 1`,
		`fairlead_director_in_sync{director="nfs"} 1`,
		`fairlead_director_has_server{director="nfs"} 1`,
		`fairlead_director_old_connections{director="nfs"} 1`,
		`fairlead_director_templates{director="nfs"} 12`,
		`fairlead_director_epoch{director="nfs"} 7`,
		`fairlead_server_health{director="nfs",server="nfs-01",state="down"} 1`,
		`fairlead_server_health{director="nfs",server="nfs-01",state="up"} 0`,
		`fairlead_server_health{director="nfs",server="nfs-02",state="up"} 0`,
		`fairlead_server_health{director="nfs",server="nfs-02",state="unchecked"} 1`,
		`fairlead_server_active{director="nfs",server="nfs-02"} 1`,
		`fairlead_server_desired{director="nfs",server="nfs-01"} 0`,
		`fairlead_server_copy_state{director="nfs",server="nfs-01",state="too-old"} 1`,
		`fairlead_server_copy_state{director="nfs",server="nfs-01",state="fresh"} 0`,
		`fairlead_server_copy_lag_seconds{director="nfs",server="nfs-01"} 12.5`,
		`fairlead_server_copy_measured_timestamp_seconds{director="nfs",server="nfs-01"} 1.6999999e+09`,
		`fairlead_server_info{address="192.168.10.101",director="nfs",role="sorry",server="nfs-02"} 1`,
		`fairlead_server_packets_total{director="nfs",server="nfs-02"} 90`,
		`fairlead_checks_total{director="nfs",result="ok",server="nfs-01"} 1`,
		`fairlead_checks_total{director="nfs",result="failed",server="nfs-01"} 1`,
		`fairlead_check_duration_seconds_bucket{director="nfs",server="nfs-01",le="0.001"} 0`,
		`fairlead_check_duration_seconds_bucket{director="nfs",server="nfs-01",le="0.0025"} 1`,
		`fairlead_check_duration_seconds_count{director="nfs",server="nfs-01"} 1`,
		`fairlead_check_results_total{at="own",check="nfscheck",director="nfs",result="ok",server="nfs-01"} 1`,
		`fairlead_check_results_total{at="vip",check="nfscheck",director="nfs",result="ok",server="nfs-01"} 1`,
		`fairlead_check_results_total{at="own",check="icmpcheck",director="nfs",result="failed",server="nfs-01"} 1`,
		`fairlead_check_result_duration_seconds_bucket{check="nfscheck",director="nfs",server="nfs-01",le="0.01"} 1`,
		`fairlead_check_result_duration_seconds_count{check="nfscheck",director="nfs",server="nfs-01"} 2`,
		`fairlead_switches_total{director="nfs",reason="server-failed"} 1`,
		`fairlead_switches_total{director="nfs",reason="operator"} 0`,
		`fairlead_switch_duration_seconds_sum{director="nfs",phase="applied"} 0.002`,
		`fairlead_switch_duration_seconds_sum{director="nfs",phase="reset"} 0.03`,
		`fairlead_switch_connections_total{director="nfs",outcome="ended"} 3`,
		`fairlead_switch_server_resets_total{director="nfs"} 2`,
		`fairlead_switch_replayed_syns_total{director="nfs"} 1`,
		`fairlead_notification_tries_total{result="failed",target="webhook"} 1`,
		`fairlead_notification_tries_total{result="ok",target="webhook"} 1`,
		`fairlead_notification_events_lost_total{target="email"} 3`,
	) {
		t.Errorf("lacks %s", line)
	}
	// An address of a client has no place here; nor have check times of an unchecked server.
	for _, bad := range []string{`fairlead_server_last_check_timestamp_seconds{director="nfs",server="nfs-02"}`, `flow="idle",verdict="reset"`,
		`copy_state{director="nfs",server="nfs-02"`} {
		if strings.Contains(got, bad) {
			t.Errorf("has %s", bad)
		}
	}
}

// TestBlind: what could not be read is no zero.
func TestBlind(t *testing.T) {
	s := nfs()
	s.Blind = "permission denied"
	got := scrape(t, busy(), s)
	if missing := lacks(got, `fairlead_data_plane_readable 0`, `fairlead_server_desired{director="nfs",server="nfs-02"} 1`); len(missing) > 0 {
		t.Errorf("lacks %q", missing)
	}
	for _, name := range []string{"packets_total", "server_active", "director_in_sync", "director_has_server", "connection_table_slots", "director_old_connections", "flow_applied"} {
		if strings.Contains(got, "\nfairlead_"+name) {
			t.Errorf("shows %s although the kernel could not be read", name)
		}
	}
}

func TestOutOfSync(t *testing.T) {
	s := nfs()
	s.Directors[0].Applied = "nfs-01"
	if missing := lacks(scrape(t, New(""), s), `fairlead_director_in_sync{director="nfs"} 0`); len(missing) > 0 {
		t.Error(missing)
	}
	for name, tt := range map[string]struct {
		active, down bool
		want         bool
	}{"shares": {true, false, true}, "should share": {false, false, false}, "nobody can": {false, true, true}} {
		server := model.ServerStatus{Weight: 1, Active: tt.active, Health: model.HealthUp}
		if tt.down {
			server.Health = model.HealthDown
		}
		if got := inSync(model.DirectorStatus{Balanced: true, Servers: []model.ServerStatus{server}}); got != tt.want {
			t.Errorf("balanced, %s: got %t", name, got)
		}
	}
}

// TestSwitchIsCountedOnce whatever is told how often.
func TestSwitchIsCountedOnce(t *testing.T) {
	m := New("")
	m.Switched("nfs", failover, true) // its beginning was not told
	m.Switched("nfs", failover, true)
	m.Switched("nfs", failover, false)
	unfinished := failover
	unfinished.Epoch, unfinished.AppliedMono, unfinished.ResetMono = 8, 0, 0
	m.Switched("nfs", unfinished, true)
	if missing := lacks(scrape(t, m, nfs()), `fairlead_switches_total{director="nfs",reason="server-failed"} 2`,
		`fairlead_switch_duration_seconds_count{director="nfs",phase="applied"} 1`,
		`fairlead_switch_connections_total{director="nfs",outcome="known"} 8`); len(missing) > 0 {
		t.Errorf("lacks %q", missing)
	}
}

// TestRemovedDisappears: a server and a director that left the configuration
// leave nothing behind.
func TestRemovedDisappears(t *testing.T) {
	m, s := busy(), nfs()
	s.Directors[0].Servers = s.Directors[0].Servers[1:]
	if got := scrape(t, m, s); strings.Contains(got, `"nfs-01"`) || !strings.Contains(got, `fairlead_switches_total{director="nfs"`) {
		t.Error("nfs-01 is still there, or its director is not")
	}
	s.Directors = nil
	if got := scrape(t, m, s); strings.Contains(got, `director="nfs"`) {
		t.Error("the director is still there")
	}
	if got := scrape(t, m, nfs()); len(lacks(got, `fairlead_switches_total{director="nfs",reason="server-failed"} 0`)) > 0 {
		t.Error("a director that comes back does not begin anew")
	}
}

func TestCompressed(t *testing.T) {
	server := httptest.NewServer(busy().Handler(nfs))
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept-Encoding", "gzip")
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	plain, err := gzip.NewReader(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(plain); err != nil || !bytes.Contains(text, []byte("\nfairlead_alarms 1\n")) {
		t.Errorf("%v: %.200s", err, text)
	}
}

// TestPromtool: Prometheus' own linter has nothing to say.
func TestPromtool(t *testing.T) {
	if out := promtool(t, scrape(t, busy(), nfs()), "check", "metrics"); out != "" {
		t.Error(out)
	}
}

// TestDocumented holds the reference to the metrics that there are.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(fairlead_[a-z_]+)` \\| ([a-z]+) \\|").FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = row[2]
	}
	kinds := map[string]string{}
	for _, row := range regexp.MustCompile(`(?m)^# TYPE (fairlead_\w+) (\w+)$`).FindAllStringSubmatch(scrape(t, busy(), nfs()), -1) {
		kinds[row[1]] = row[2]
		if documented[row[1]] != row[2] {
			t.Errorf("docs/reference/metrics.md lacks the %s %s", row[2], row[1])
		}
	}
	for name := range documented {
		if kinds[name] == "" {
			t.Errorf("docs/reference/metrics.md has %s, which there is not", name)
		}
	}
	// What nfs and busy do not show would be missed.
	descs := make(chan *prometheus.Desc, 1000)
	(&collector{metrics: New("")}).Describe(descs)
	if len(descs) != len(kinds) {
		t.Errorf("the test's status shows %d of %d metrics", len(kinds), len(descs))
	}
}
