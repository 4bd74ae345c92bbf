package fleet

import (
	"context"
	"errors"

	"github.com/outwork-build/outwork/agent"
)

// Roster is the fleet at work.
type Roster struct{ cfg Config }

// New returns a roster that does nothing until Run.
func New(cfg Config) (*Roster, error) { return &Roster{cfg: cfg}, nil }

// Run loads the nodes, connects them and works until ctx ends. It returns when all it started has ended.
func (r *Roster) Run(ctx context.Context) error { return errors.ErrUnsupported }

// Keep makes k the one who is asked about leases. Call it before Run.
func (r *Roster) Keep(k Keeper) {}

// Put adds or changes a node, durably. Executors, labels, mode, environment and description change live; a change of
// launcher or remote root connects it anew.
func (r *Roster) Put(ctx context.Context, n Node) error { return errors.ErrUnsupported }

// Remove disconnects and forgets a node. fault.NotFound.
func (r *Roster) Remove(ctx context.Context, n NodeName) error { return errors.ErrUnsupported }

// SetOffline keeps a node from taking work, durably; what runs on it runs on. By is who asked.
func (r *Roster) SetOffline(ctx context.Context, n NodeName, by, message string) error {
	return errors.ErrUnsupported
}

// ClearOffline lets a node take work again.
func (r *Roster) ClearOffline(ctx context.Context, n NodeName) error { return errors.ErrUnsupported }

// Drain is SetOffline that shows as draining until the last lease on the node has ended.
func (r *Roster) Drain(ctx context.Context, n NodeName, by, message string) error {
	return errors.ErrUnsupported
}

// Disconnect closes a node's connection and keeps it closed until Reconnect or a restart. What runs on it runs on.
func (r *Roster) Disconnect(ctx context.Context, n NodeName, by, message string) error {
	return errors.ErrUnsupported
}

// Reconnect launches a node's agent now: it closes a connection that there is, and forgets a Disconnect and any backoff.
func (r *Roster) Reconnect(ctx context.Context, n NodeName) error { return errors.ErrUnsupported }

// Idle tells that no lease is left on a draining node. It does not block.
func (r *Roster) Idle(n NodeName) {}

// Snapshot returns a copy of every node's status, by name. It never blocks.
func (r *Roster) Snapshot() []Status { return nil }

// Node returns one node's status.
func (r *Roster) Node(n NodeName) (Status, bool) { return Status{}, false }

// WaitMachine returns the machine of a node once it is connected, and the number of that session. It waits through
// reconnects until ctx ends. fault.NotFound when there is no such node or it was removed.
func (r *Roster) WaitMachine(ctx context.Context, n NodeName) (agent.Machine, uint64, error) {
	return nil, 0, errors.ErrUnsupported
}

// Subscribe signals, without content, that a snapshot would read differently (heartbeats alone do not signal).
func (r *Roster) Subscribe() (changed <-chan struct{}, cancel func()) { return nil, nil }

// Log returns what the node's log holds from the byte at offset from on, and the offset of its end. Older bytes than it
// still has are left out. fault.NotFound.
func (r *Roster) Log(n NodeName, from int64) (data []byte, next int64, err error) {
	return nil, 0, errors.ErrUnsupported
}
