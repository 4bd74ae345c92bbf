package store

import (
	"context"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
)

// Nodes is fleet.Store.
type Nodes struct{ engine Engine }

var _ fleet.Store = (*Nodes)(nil)

// PutNode keeps a node, new or changed.
func (s *Nodes) PutNode(ctx context.Context, n fleet.Node) error {
	if err := fleet.CheckName(n.Name); err != nil {
		return fault.With(fault.Invalid, err)
	}
	data, err := encode(n)
	if err != nil {
		return err
	}
	return s.engine.Write(ctx, func(tx Tx) error {
		_, err := tx.Exec("node.put", string(n.Name), data)
		return err
	})
}

// DeleteNode forgets a node.
func (s *Nodes) DeleteNode(ctx context.Context, n fleet.NodeName) error {
	return s.engine.Write(ctx, func(tx Tx) error {
		k, err := tx.Exec("node.delete", string(n))
		if err == nil && k == 0 {
			return fault.New(fault.NotFound, "no node %q", n)
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
