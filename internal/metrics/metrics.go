package metrics

import (
	"errors"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"fairlead/internal/model"
)

const (
	// scrapeTimeout bounds a scrape; Prometheus gives up after 10 s by default.
	scrapeTimeout = 9 * time.Second

	// scrapers is how many may scrape at once: a few servers, not a flood.
	scrapers = 4
)

// Metrics keeps what was told. Its methods may be called by several goroutines,
// and never wait.
type Metrics struct {
	version string
	told    *told
	shape   shape
}

// New returns Metrics of a daemon of this version.
func New(version string) *Metrics {
	return &Metrics{version: version, told: newTold(), shape: newShape()}
}

// Handler serves the metrics in Prometheus' format. It asks for one status in
// each scrape.
func (m *Metrics) Handler(status func() model.Status) http.Handler {
	return promhttp.HandlerFor(m.registry(status), promhttp.HandlerOpts{
		Timeout:             scrapeTimeout,
		MaxRequestsInFlight: scrapers,
	})
}

func (m *Metrics) registry(status func() model.Status) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		&collector{metrics: m, status: status},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

// Probed tells the outcome of a probe.
func (m *Metrics) Probed(r model.ProbeResult) { m.told.probed(r) }

// Switched tells of a switch: with done false when it was decided, with done
// true when it is over. Telling it again changes nothing.
func (m *Metrics) Switched(director string, s model.Switch, done bool) {
	m.told.switched(director, s, done)
}

// Notified tells of one try to notify a target of this kind. An error with a
// method Lost() int means that so many events were given up.
func (m *Metrics) Notified(target string, err error) {
	var lost interface{ Lost() int }
	switch {
	case err == nil:
		m.told.tries.WithLabelValues(target, "ok").Inc()
	case errors.As(err, &lost):
		m.told.lost.WithLabelValues(target).Add(float64(lost.Lost()))
	default:
		m.told.tries.WithLabelValues(target, "failed").Inc()
	}
}

// collector makes one scrape.
type collector struct {
	metrics *Metrics
	status  func() model.Status
}

// Describe tells every metric that may come.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.metrics.shape.all {
		out <- d
	}
	for _, part := range c.metrics.told.parts() {
		part.Describe(out)
	}
}

// Collect tells the values of one moment.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.status()
	m := c.metrics
	if !s.At.IsZero() {
		m.told.keep(s)
	}
	e := emitter{out: out}
	e.gauge(m.shape.build, 1, m.version, runtime.Version())
	m.shape.daemon(e, s)
	m.shape.plane(e, s)
	m.shape.flows(e, s)
	for _, d := range byName(s.Directors, func(d model.DirectorStatus) string { return d.Name }) {
		m.shape.director(e, d, s.Blind != "")
	}
	for _, part := range m.told.parts() {
		part.Collect(out)
	}
}

// emitter hands values to the registry.
type emitter struct{ out chan<- prometheus.Metric }

func (e emitter) gauge(d *prometheus.Desc, v float64, labels ...string) {
	e.emit(d, prometheus.GaugeValue, v, labels)
}

func (e emitter) counter(d *prometheus.Desc, v uint64, labels ...string) {
	e.emit(d, prometheus.CounterValue, float64(v), labels)
}

// flag is a gauge of 1 or 0.
func (e emitter) flag(d *prometheus.Desc, v bool, labels ...string) {
	if v {
		e.gauge(d, 1, labels...)
	} else {
		e.gauge(d, 0, labels...)
	}
}

// instant is a gauge with a Unix time in seconds; one that is not known is left out.
func (e emitter) instant(d *prometheus.Desc, t time.Time, labels ...string) {
	if !t.IsZero() {
		e.gauge(d, float64(t.UnixNano())/1e9, labels...)
	}
}

func (e emitter) emit(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels []string) {
	metric, err := prometheus.NewConstMetric(d, kind, v, labels...)
	if err != nil {
		metric = prometheus.NewInvalidMetric(d, err)
	}
	e.out <- metric
}
