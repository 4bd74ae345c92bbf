package log

import "github.com/prometheus/client_golang/prometheus"

// metrics counts for all logs of a store. Without a registry they count for nobody.
type metrics struct {
	written prometheus.Counter   // bytes of consoles
	dropped prometheus.Counter   // bytes over MaxSize
	syncs   prometheus.Histogram // seconds of a round of fsyncs
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		written: prometheus.NewCounter(prometheus.CounterOpts{Name: "outwork_log_written_bytes_total", Help: "Bytes appended to the consoles of builds."}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "outwork_log_dropped_bytes_total", Help: "Bytes of steps' output that were counted and not kept, because the log had reached its limit."}),
		syncs: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "outwork_log_sync_seconds", Help: "How long one round of fsyncs of build logs took.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9)}),
	}
	if r != nil {
		r.MustRegister(m.written, m.dropped, m.syncs)
	}
	return m
}
