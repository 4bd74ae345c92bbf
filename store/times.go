package store

import (
	"context"
	"slices"

	"github.com/outwork-build/outwork/queue"
)

const (
	maxWorks   = 10_000 // that Times answers for
	spareWorks = 1_000  // rows over that, so that not every write has to trim
)

// PutTimes keeps how long work took, soon.
func (s *Leases) PutTimes(ctx context.Context, all []queue.WorkTimes) error {
	datas := make([]string, len(all))
	for i, w := range all {
		data, err := encode(w)
		if err != nil {
			return err
		}
		datas[i] = data
	}
	return s.engine.Later(ctx, func(tx Tx) error {
		for i, w := range all {
			if _, err := tx.Exec("work.put", w.Work, datas[i]); err != nil {
				return err
			}
		}
		n := 0
		if _, err := one(tx, "work.count", nil, &n); err != nil || n <= maxWorks+spareWorks {
			return err
		}
		_, err := tx.Exec("work.trim", maxWorks)
		return err
	})
}

// Times answers how long the newest works took, the newest last.
func (s *Leases) Times(ctx context.Context) (all []queue.WorkTimes, err error) {
	if err := s.engine.Settle(ctx); err != nil {
		return nil, err
	}
	err = s.engine.Read(ctx, func(tx Tx) (err error) {
		all, err = list[queue.WorkTimes](tx, "work.list", maxWorks)
		return err
	})
	slices.Reverse(all)
	return all, err
}
