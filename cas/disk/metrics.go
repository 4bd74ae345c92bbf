package disk

import "github.com/prometheus/client_golang/prometheus"

// Metrics makes the store's counts known to a registry.
func (s *Store) Metrics(r prometheus.Registerer) error {
	gauge := func(name, help string, value func(Stats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(s.Stats()) })
	}
	counter := func(name, help string, value func(Stats) float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return value(s.Stats()) })
	}
	for _, c := range []prometheus.Collector{
		gauge("outwork_cas_blobs", "Blobs that are kept.", func(st Stats) float64 { return float64(st.Blobs) }),
		gauge("outwork_cas_actions", "Entries of the action cache.", func(st Stats) float64 { return float64(st.Actions) }),
		gauge("outwork_cas_bytes", "Disk space of blobs and entries, garbage included.", func(st Stats) float64 { return float64(st.Bytes) }),
		gauge("outwork_cas_garbage_bytes", "Bytes in packs that nothing counts on any more.", func(st Stats) float64 { return float64(st.Garbage) }),
		counter("outwork_cas_evicted_total", "Blobs and entries that made room.", func(st Stats) float64 { return float64(st.Evicted) }),
		counter("outwork_cas_dropped_total", "Blobs and entries that were found corrupt or gone.", func(st Stats) float64 { return float64(st.Dropped) }),
	} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}
