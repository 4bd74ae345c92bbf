package store

import (
	"context"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

// Nodes is fleet.Store.
type Nodes struct{ engine Engine }

var _ fleet.Store = (*Nodes)(nil)

// PutNode keeps nodes, new or changed: all or none.
func (s *Nodes) PutNode(ctx context.Context, ns ...fleet.Node) error {
	rows := make([]string, len(ns))
	for i, n := range ns {
		if err := fleet.CheckName(n.Name); err != nil {
			return fault.With(fault.Invalid, err)
		}
		var err error
		if rows[i], err = encode(n); err != nil {
			return err
		}
	}
	return s.engine.Write(ctx, func(tx Tx) error {
		for i, n := range ns {
			if _, err := tx.Exec("node.put", string(n.Name), rows[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteNode forgets a node and what happened to it.
func (s *Nodes) DeleteNode(ctx context.Context, n fleet.NodeName) error {
	return s.engine.Write(ctx, func(tx Tx) error {
		k, err := tx.Exec("node.delete", string(n))
		if err == nil && k == 0 {
			return fault.New(fault.NotFound, "no node %q", n)
		}
		if err == nil {
			_, err = tx.Exec("record.delete", string(n))
		}
		return err
	})
}

// Nodes returns all nodes by name.
func (s *Nodes) Nodes(ctx context.Context) (all []fleet.Node, err error) {
	err = s.engine.Read(ctx, func(tx Tx) (err error) {
		all, err = list[fleet.Node](tx, "node.list")
		return err
	})
	return all, err
}

// AddRecords keeps what happened to nodes, and of each node the newest fleet.RecordsKept.
func (s *Nodes) AddRecords(ctx context.Context, rs []fleet.Record) error {
	rows := make([]string, len(rs))
	for i, r := range rs {
		var err error
		if rows[i], err = encode(r); err != nil {
			return err
		}
	}
	return s.engine.Write(ctx, func(tx Tx) error {
		nodes := map[string]bool{}
		for i, r := range rs {
			if _, err := tx.Exec("record.add", rows[i], string(r.Node)); err != nil {
				return err
			}
			nodes[string(r.Node)] = true
		}
		for n := range nodes {
			if _, err := tx.Exec("record.trim", n, n, fleet.RecordsKept); err != nil {
				return err
			}
		}
		return nil
	})
}

// Records returns the newest of what happened to a node, newest first.
func (s *Nodes) Records(ctx context.Context, n fleet.NodeName, limit int) (rs []fleet.Record, err error) {
	err = s.engine.Read(ctx, func(tx Tx) (err error) {
		rs, err = list[fleet.Record](tx, "record.list", string(n), limit)
		return err
	})
	return rs, err
}
