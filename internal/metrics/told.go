package metrics

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fairlead/internal/model"
)

// checkBuckets are few: a thousand servers have them each. In seconds.
var checkBuckets = [...]float64{.00025, .0005, .001, .0025, .005, .01, .05, .25, 1, 5}

// switchBuckets reach from a plain flip to a switch that waits for slow hooks.
var switchBuckets = [...]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60}

// told is what the daemon told since its start.
type told struct {
	checks  *prometheus.CounterVec
	latency *prometheus.HistogramVec
	results *prometheus.CounterVec   // of each kind of check
	took    *prometheus.HistogramVec // likewise

	switches, ended, resets, replayed *prometheus.CounterVec
	duration                          *prometheus.HistogramVec

	tries, lost *prometheus.CounterVec

	mu      sync.Mutex // guards the following
	servers map[model.ServerRef]bool
	begun   map[string]uint64 // the epoch of each director's last switch that was counted
	done    map[string]uint64 // and of the last one that was seen to be over
}

func newTold() *told {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fairlead_" + name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "fairlead_" + name, Help: help, Buckets: buckets}, labels)
	}
	return &told{
		checks: counter("checks_total",
			"Checks of a server since the daemon's start, by result. One that failed is not yet a server that is down: see fairlead_server_health.", "director", "server", "result"),
		latency: histogram("check_duration_seconds",
			"How long the checks that passed took, from the start to the answer. It is the check's time, not that of a client's request.", checkBuckets[:], "director", "server"),
		results: counter("check_results_total",
			"Answers to the questions of which the checks consist, by kind of check, by where it was asked (own: the server's own address; vip: a virtual IP on the server) and by result. What was given up because another one had failed does not count.", "director", "server", "check", "at", "result"),
		took: histogram("check_result_duration_seconds",
			"How long each kind of check took that passed, at the server's own address and at virtual IPs on it.", checkBuckets[:], "director", "server", "check"),
		switches: counter("switches_total",
			"Switches to another server since the daemon's start, by reason. Counted when they are decided.", "director", "reason"),
		duration: histogram("switch_duration_seconds",
			"Time from the decision to switch until the kernel forwards to the new server (phase applied), and until the first resets are sent (phase reset). What came before the decision, the detection and hooks, is not in it.", switchBuckets[:], "director", "phase"),
		ended: counter("switch_connections_total",
			"Connections of the old servers at switches since the daemon's start: known at the switch, reset, and seen to have ended.", "director", "outcome"),
		resets: counter("switch_server_resets_total",
			"Connections at switches for which the old server got a reset too.", "director"),
		replayed: counter("switch_replayed_syns_total",
			"SYNs that were kept during switches and then sent on to the new server.", "director"),
		tries: counter("notification_tries_total",
			"Tries to deliver notifications since the daemon's start, by kind of target and result. A try that failed is repeated. \"ok\" means that the receiver accepted it, not that anybody read it.", "target", "result"),
		lost: counter("notification_events_lost_total",
			"Events that a target was to be notified of and never was: given up, or dropped from a full queue.", "target"),
		servers: make(map[model.ServerRef]bool),
		begun:   make(map[string]uint64),
		done:    make(map[string]uint64),
	}
}

func (t *told) parts() []prometheus.Collector {
	return []prometheus.Collector{t.checks, t.latency, t.results, t.took, t.switches, t.duration, t.ended, t.resets, t.replayed, t.tries, t.lost}
}

func (t *told) probed(r model.ProbeResult) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d, s := r.Ref.Director, r.Ref.Server
	if !t.servers[r.Ref] {
		t.servers[r.Ref] = true
		t.checks.WithLabelValues(d, s, "ok")
		t.checks.WithLabelValues(d, s, "failed")
		t.latency.WithLabelValues(d, s)
	}
	for _, test := range r.Tests {
		t.tested(d, s, test)
	}
	if !r.OK {
		t.checks.WithLabelValues(d, s, "failed").Inc()
		return
	}
	t.checks.WithLabelValues(d, s, "ok").Inc()
	t.latency.WithLabelValues(d, s).Observe(r.Latency.Seconds())
}

// tested counts one test. Its kind is the first word that the configuration says: the
// rest, such as paths, would make ever new series.
func (t *told) tested(director, server string, r model.TestResult) {
	kind, _, _ := strings.Cut(r.Check, " ")
	at, result := "own", "ok"
	if r.OnVIP() {
		at = "vip"
	}
	if !r.OK {
		result = "failed"
	}
	t.results.WithLabelValues(director, server, kind, at, result).Inc()
	if r.OK {
		t.took.WithLabelValues(director, server, kind).Observe(r.Latency.Seconds())
	}
}

func (t *told) switched(director string, s model.Switch, done bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.show(director)
	if s.Epoch > t.begun[director] {
		t.begun[director] = s.Epoch
		t.switches.WithLabelValues(director, s.Reason.String()).Inc()
	}
	if !done || s.Epoch <= t.done[director] {
		return
	}
	t.done[director] = s.Epoch
	for phase, at := range map[string]int64{"applied": s.AppliedMono, "reset": s.ResetMono} {
		if at > 0 && at >= s.DecidedMono { // 0: it did not come to that
			t.duration.WithLabelValues(director, phase).Observe(time.Duration(at - s.DecidedMono).Seconds())
		}
	}
	for outcome, n := range map[string]int{"known": s.Known, "reset": s.Reset, "ended": s.Ended} {
		t.ended.WithLabelValues(director, outcome).Add(float64(max(0, n)))
	}
	t.resets.WithLabelValues(director).Add(float64(max(0, s.ServerReset)))
	t.replayed.WithLabelValues(director).Add(float64(max(0, s.Replayed)))
}

// keep forgets what the configuration no longer has, and shows the counters of
// switches from the start, so that the first one is an increase.
func (t *told) keep(s model.Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	servers, directors := make(map[model.ServerRef]bool), make(map[string]bool)
	for _, d := range s.Directors {
		directors[d.Name] = true
		for _, server := range d.Servers {
			servers[model.ServerRef{Director: d.Name, Server: server.Name}] = true
		}
		t.show(d.Name)
	}
	for ref := range t.servers {
		if !servers[ref] {
			delete(t.servers, ref)
			t.checks.DeleteLabelValues(ref.Director, ref.Server, "ok")
			t.checks.DeleteLabelValues(ref.Director, ref.Server, "failed")
			t.latency.DeleteLabelValues(ref.Director, ref.Server)
			its := prometheus.Labels{"director": ref.Director, "server": ref.Server}
			t.results.DeletePartialMatch(its)
			t.took.DeletePartialMatch(its)
		}
	}
	for director := range t.begun {
		if !directors[director] {
			t.forget(director)
		}
	}
}

// show makes the switch counters of a director.
func (t *told) show(director string) {
	if _, ok := t.begun[director]; ok {
		return
	}
	t.begun[director] = 0
	for _, r := range moves {
		t.switches.WithLabelValues(director, r.String())
	}
}

// moves are the reasons for which a server takes another's place.
var moves = [...]model.Reason{model.ReasonFailed, model.ReasonFailback, model.ReasonOperator,
	model.ReasonRemoved, model.ReasonQuiescent, model.ReasonPreferred}

func (t *told) forget(director string) {
	delete(t.begun, director)
	delete(t.done, director)
	match := prometheus.Labels{"director": director}
	t.switches.DeletePartialMatch(match)
	t.duration.DeletePartialMatch(match)
	t.ended.DeletePartialMatch(match)
	t.resets.DeletePartialMatch(match)
	t.replayed.DeletePartialMatch(match)
}
