package fleet

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the roster's figures. A nil *metrics keeps none.
type metrics struct {
	sessions, failures prometheus.Counter
	trips              prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, snapshot func() []Status) (*metrics, error) {
	if reg == nil {
		return nil, nil
	}
	m := &metrics{
		sessions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "outwork_fleet_sessions_total", Help: "Connections of agents that came up.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "outwork_fleet_launch_failures_total", Help: "Launches and handshakes that failed.",
		}),
		trips: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "outwork_fleet_heartbeat_seconds", Help: "Round trip of answered heartbeats.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8),
		}),
	}
	for _, c := range []prometheus.Collector{m.sessions, m.failures, m.trips, newCensus(snapshot)} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("fleet metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) connected() {
	if m != nil {
		m.sessions.Inc()
	}
}

func (m *metrics) failed() {
	if m != nil {
		m.failures.Inc()
	}
}

func (m *metrics) trip(d time.Duration) {
	if m != nil {
		m.trips.Observe(d.Seconds())
	}
}

// census counts nodes and executors by state when it is scraped.
type census struct {
	snapshot     func() []Status
	nodes, slots *prometheus.Desc
}

func newCensus(snapshot func() []Status) census {
	return census{
		snapshot: snapshot,
		nodes:    prometheus.NewDesc("outwork_fleet_nodes", "Nodes by state.", []string{"state"}, nil),
		slots:    prometheus.NewDesc("outwork_fleet_executors", "Executors by the state of their node.", []string{"state"}, nil),
	}
}

// Describe is for prometheus.
func (c census) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.nodes
	ch <- c.slots
}

// Collect is for prometheus.
func (c census) Collect(ch chan<- prometheus.Metric) {
	nodes, slots := map[State]int{}, map[State]int{}
	for _, s := range c.snapshot() {
		nodes[s.State]++
		slots[s.State] += s.Node.Executors
	}
	for _, s := range []State{Offline, Connecting, Online, Suspended, Draining} {
		ch <- prometheus.MustNewConstMetric(c.nodes, prometheus.GaugeValue, float64(nodes[s]), string(s))
		ch <- prometheus.MustNewConstMetric(c.slots, prometheus.GaugeValue, float64(slots[s]), string(s))
	}
}
