package disk

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/outwork-build/outwork/cas"
)

// kept remembers when Config.Keep was asked last.
type kept struct {
	mu   sync.Mutex
	last time.Time
}

// refreshKept asks Config.Keep, if its last answer is too old to evict by. One call asks, others wait for its answer.
func (s *Store) refreshKept(ctx context.Context) error {
	if s.cfg.Keep == nil {
		return nil
	}
	s.kept.mu.Lock()
	defer s.kept.mu.Unlock()
	if !s.kept.last.IsZero() && time.Since(s.kept.last) < s.cfg.Lease/2 {
		return nil
	}
	asked := time.Now()
	ds := map[key]struct{}{}
	if err := s.cfg.Keep(ctx, func(d cas.Digest) { ds[keyOf(d)] = struct{}{} }); err != nil {
		return fmt.Errorf("%w: nothing can be evicted while it is unknown what must be kept: %w", cas.ErrFull, err)
	}
	s.index.keep(ds)
	s.kept.last = asked
	return nil
}
