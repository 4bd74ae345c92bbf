package pipeline

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outwork-build/outwork/build"
)

// metrics are what a Runner counts. They exist without a registry too.
type metrics struct {
	accepted prometheus.Counter
	finished *prometheus.CounterVec // by result and cause
	resumed  prometheus.Counter
}

func newMetrics(r *Runner) (*metrics, error) {
	m := &metrics{
		accepted: prometheus.NewCounter(prometheus.CounterOpts{Name: "outwork_builds_accepted_total", Help: "Builds that were accepted."}),
		finished: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "outwork_builds_finished_total", Help: "Builds that ended, by result and by what decided it."}, []string{"result", "cause"}),
		resumed:  prometheus.NewCounter(prometheus.CounterOpts{Name: "outwork_builds_resumed_total", Help: "Times a build was taken up again from its journal."}),
	}
	if r.c.Registry == nil {
		return m, nil
	}
	gauge := func(name, help string, f func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			r.mu.Lock()
			defer r.mu.Unlock()
			return float64(f())
		})
	}
	for _, c := range []prometheus.Collector{m.accepted, m.finished, m.resumed,
		gauge("outwork_pipelines_running", "Pipelines that have begun and not ended.", func() int { return len(r.running) }),
		gauge("outwork_pipelines_parked", "Pipelines among them that only wait and are not in memory.", func() int { return r.away }),
		gauge("outwork_builds_waiting", "Builds that are queued because of a limit.", func() int { return len(r.waiting) })} {
		if err := r.c.Registry.Register(c); err != nil {
			return nil, fmt.Errorf("pipeline: metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) ended(r build.Result, c build.CauseKind) {
	m.finished.WithLabelValues(string(r), string(c)).Inc()
}
