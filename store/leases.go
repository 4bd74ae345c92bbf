package store

import (
	"context"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
)

const (
	maxAffinities   = 10_000 // that LastNodes answers for
	spareAffinities = 1_000  // rows over that, so that not every grant has to trim
)

// Leases is queue.Ledger.
type Leases struct{ engine Engine }

var _ queue.Ledger = (*Leases)(nil)

// PutItem keeps a waiting item, soon.
func (s *Leases) PutItem(ctx context.Context, it queue.Item) error {
	data, err := encode(it)
	if err != nil {
		return err
	}
	return s.engine.Later(ctx, func(tx Tx) error {
		_, err := tx.Exec("item.put", string(it.ID), it.Affinity, data)
		return err
	})
}

// Grant keeps new leases, all or none. A lease whose epoch is not its item's newest plus one is fault.Stale.
func (s *Leases) Grant(ctx context.Context, rows []queue.LeaseRow) error {
	datas, err := encodeRows(rows)
	if err != nil || len(rows) == 0 {
		return err
	}
	return s.engine.Write(ctx, func(tx Tx) error {
		for i, r := range rows {
			if err := grant(tx, r, datas[i]); err != nil {
				return err
			}
		}
		return trimAffinities(tx)
	})
}

func grant(tx Tx, r queue.LeaseRow, data string) error {
	var newest uint64
	if _, err := one(tx, "lease.newest", []any{string(r.Item)}, &newest); err != nil {
		return err
	}
	if r.Epoch != newest+1 {
		return fault.New(fault.Stale, "lease of %q: epoch %d does not follow %d", r.Item, r.Epoch, newest)
	}
	if _, err := tx.Exec("lease.insert", string(r.Item), int64(r.Epoch), string(r.State), data); err != nil {
		return err
	}
	// Only the newest lease of an item is ever asked for.
	if _, err := tx.Exec("lease.delete_older", string(r.Item), int64(r.Epoch)); err != nil {
		return err
	}
	affinity := ""
	if _, err := one(tx, "item.affinity", []any{string(r.Item)}, &affinity); err != nil || affinity == "" {
		return err
	}
	_, err := tx.Exec("affinity.put", affinity, string(r.Node))
	return err
}

func trimAffinities(tx Tx) error {
	n := 0
	if _, err := one(tx, "affinity.count", nil, &n); err != nil || n <= maxAffinities+spareAffinities {
		return err
	}
	_, err := tx.Exec("affinity.trim", maxAffinities)
	return err
}

func encodeRows(rows []queue.LeaseRow) ([]string, error) {
	out := make([]string, len(rows))
	for i, r := range rows {
		data, err := encode(r)
		if err != nil {
			return nil, err
		}
		out[i] = data
	}
	return out, nil
}

// SetLease moves leases to a new state. Those whose epoch is not their item's newest are returned.
func (s *Leases) SetLease(ctx context.Context, rows []queue.LeaseRow) (stale []queue.LeaseRow, err error) {
	datas, err := encodeRows(rows)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	err = s.engine.Write(ctx, func(tx Tx) error {
		stale = nil
		for i, r := range rows {
			var newest uint64
			if _, err := one(tx, "lease.newest", []any{string(r.Item)}, &newest); err != nil {
				return err
			}
			if r.Epoch != newest || newest == 0 {
				stale = append(stale, r)
				continue
			}
			if _, err := tx.Exec("lease.update", string(r.State), datas[i], string(r.Item), int64(r.Epoch)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return stale, nil
}

// DropItem forgets an item and its ended leases.
func (s *Leases) DropItem(ctx context.Context, id queue.ItemID) error {
	return s.engine.Write(ctx, func(tx Tx) error {
		if _, err := tx.Exec("item.delete", string(id)); err != nil {
			return err
		}
		_, err := tx.Exec("lease.delete_ended", string(id))
		return err
	})
}

// Load reads every item and the newest lease of each item that has one, forgotten items included.
func (s *Leases) Load(ctx context.Context) (items []queue.Item, leases []queue.LeaseRow, err error) {
	if err := s.engine.Settle(ctx); err != nil {
		return nil, nil, err
	}
	err = s.engine.Read(ctx, func(tx Tx) (err error) {
		if items, err = list[queue.Item](tx, "item.list"); err != nil {
			return err
		}
		leases, err = list[queue.LeaseRow](tx, "lease.list")
		return err
	})
	return items, leases, err
}

// LastNodes answers where each affinity ran last.
func (s *Leases) LastNodes(ctx context.Context) (map[string]fleet.NodeName, error) {
	var all map[string]fleet.NodeName
	err := s.engine.Read(ctx, func(tx Tx) error {
		all = map[string]fleet.NodeName{}
		return tx.Query("affinity.list", []any{maxAffinities}, func(scan func(...any) error) error {
			var affinity, node string
			err := scan(&affinity, &node)
			all[affinity] = fleet.NodeName(node)
			return err
		})
	})
	return all, err
}
