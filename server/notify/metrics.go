package notify

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	sent    *prometheus.CounterVec
	failed  *prometheus.CounterVec
	dropped *prometheus.CounterVec
	waiting prometheus.Gauge
}

// newMetrics registers the metrics of a service. A nil registry keeps none.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"channel"})
	}
	m := &metrics{
		sent:    counter("outwork_notifications_sent_total", "Messages that were delivered."),
		failed:  counter("outwork_notifications_failed_attempts_total", "Attempts to deliver a message that failed."),
		dropped: counter("outwork_notifications_dropped_total", "Messages that were given up, or found no place in the spool."),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "outwork_notifications_waiting", Help: "Messages that wait to be delivered."}),
	}
	if r == nil {
		return m, nil
	}
	return m, errors.Join(r.Register(m.sent), r.Register(m.failed), r.Register(m.dropped), r.Register(m.waiting))
}
