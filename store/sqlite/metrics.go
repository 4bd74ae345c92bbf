package sqlite

import "github.com/prometheus/client_golang/prometheus"

// metrics are the writer's. Without a registry they count for nobody.
type metrics struct {
	seconds prometheus.Histogram // of a batch, its fsync included
	writes  prometheus.Histogram // in a batch
	failed  prometheus.Counter   // batches undone as a whole
}

func newMetrics(r prometheus.Registerer, waiting func() float64) metrics {
	m := metrics{
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "outwork_ledger_commit_seconds",
			Help: "How long one batch of writes took, its fsync included.", Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9)}),
		writes: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "outwork_ledger_batch_writes",
			Help: "How many writes shared one commit.", Buckets: prometheus.ExponentialBuckets(1, 2, 10)}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "outwork_ledger_failed_batches_total",
			Help: "Batches of writes that were undone: no space, or locked by another process."}),
	}
	if r != nil {
		r.MustRegister(m.seconds, m.writes, m.failed, prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Name: "outwork_ledger_waiting_writes", Help: "Writes that wait for the next batch."}, waiting))
	}
	return m
}
