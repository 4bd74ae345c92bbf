package queue

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// figures is what is scraped of a queue: the owner publishes it after each turn.
type figures struct {
	stats                    Stats
	waiting, busy, executors int
}

// metrics are the queue's figures. A nil *metrics keeps none.
type metrics struct {
	read   func() figures
	waits  prometheus.Histogram
	gauges []figure
	counts []figure
}

type figure struct {
	desc *prometheus.Desc
	of   func(figures) float64
}

func newMetrics(reg prometheus.Registerer, read func() figures) (*metrics, error) {
	if reg == nil {
		return nil, nil
	}
	m := &metrics{read: read, waits: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "outwork_queue_wait_seconds", Help: "Time from submission to a durable lease.",
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 12),
	})}
	gauge := func(name, help string, of func(figures) int) {
		m.gauges = append(m.gauges, figure{prometheus.NewDesc("outwork_queue_"+name, help, nil, nil), func(f figures) float64 { return float64(of(f)) }})
	}
	count := func(name, help string, of func(Stats) uint64) {
		m.counts = append(m.counts, figure{prometheus.NewDesc("outwork_queue_"+name+"_total", help, nil, nil),
			func(f figures) float64 { return float64(of(f.stats)) }})
	}
	gauge("waiting", "Items that wait for an executor.", func(f figures) int { return f.waiting })
	gauge("executors_busy", "Executors that are given to an item.", func(f figures) int { return f.busy })
	gauge("executors", "Executors of nodes that take work.", func(f figures) int { return f.executors })
	count("submitted", "Items that were accepted.", func(s Stats) uint64 { return s.Submitted })
	count("refused", "Items that were refused because too many waited.", func(s Stats) uint64 { return s.Refused })
	count("grants", "Leases that were granted.", func(s Stats) uint64 { return s.Granted })
	count("returns", "Leases that were given back unopened.", func(s Stats) uint64 { return s.Returned })
	count("releases", "Leases that ended in good order.", func(s Stats) uint64 { return s.Released })
	count("lost", "Leases that were lost.", func(s Stats) uint64 { return s.Lost })
	count("held", "Leases whose agent became silent and that were held.", func(s Stats) uint64 { return s.Held })
	count("recovered", "Held leases whose agent came back.", func(s Stats) uint64 { return s.Recovered })
	count("forgiven", "Leases prolonged because the controller itself had been away.", func(s Stats) uint64 { return s.Forgiven })
	if err := reg.Register(m); err != nil {
		return nil, fmt.Errorf("queue metrics: %w", err)
	}
	if err := reg.Register(m.waits); err != nil {
		return nil, fmt.Errorf("queue metrics: %w", err)
	}
	return m, nil
}

// Describe is for prometheus.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range append(m.gauges, m.counts...) {
		ch <- f.desc
	}
}

// Collect is for prometheus.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	now := m.read()
	for _, f := range m.gauges {
		ch <- prometheus.MustNewConstMetric(f.desc, prometheus.GaugeValue, f.of(now))
	}
	for _, f := range m.counts {
		ch <- prometheus.MustNewConstMetric(f.desc, prometheus.CounterValue, f.of(now))
	}
}

func (m *metrics) waited(d time.Duration) {
	if m != nil {
		m.waits.Observe(d.Seconds())
	}
}
