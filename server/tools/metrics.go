package tools

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	syncs *prometheus.CounterVec
	moved prometheus.Counter
}

// newMetrics registers the metrics of a service. A nil registry keeps none.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		syncs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "outwork_tools_syncs_total", Help: "Syncs of a node's tools, by how they ended."}, []string{"result"}),
		moved: prometheus.NewCounter(prometheus.CounterOpts{Name: "outwork_tools_moved_bytes_total", Help: "Bytes of tools that nodes have fetched."}),
	}
	if r == nil {
		return m, nil
	}
	return m, errors.Join(r.Register(m.syncs), r.Register(m.moved))
}

func (m *metrics) count(s State) {
	m.syncs.WithLabelValues(s.State).Inc()
	m.moved.Add(float64(s.Moved))
}
