package queue

import (
	"context"
	"errors"
)

// Queue is the queue at work: a Core with one owner goroutine, a ledger writer, and tickets for those who wait.
type Queue struct{ cfg Config }

// New returns a queue that does nothing until Run.
func New(cfg Config) (*Queue, error) { return &Queue{cfg: cfg}, nil }

// Run loads the ledger and works until ctx ends. It returns when all it started has ended.
func (q *Queue) Run(ctx context.Context) error { return errors.ErrUnsupported }

// Submit puts an item into the queue. It is idempotent by ID: an item that waits already keeps its place, and one that the
// ledger says is leased (after a restart) is granted at once, with the grant it has. An item whose Hold lease was lost is
// refused with ErrLost for ever; one whose Kill lease was lost, or that was released, is a new attempt with the next epoch,
// so a resumed caller must compare the grant's epoch with the one it journaled.
// fault.Exhausted when too many wait, fault.Invalid for a wrong label expression.
func (q *Queue) Submit(ctx context.Context, it Item) (*Ticket, error) {
	return nil, errors.ErrUnsupported
}

// Lost returns a channel that is closed when the lease is lost, after the ledger has it. It is closed already for a grant
// that is not the item's newest. It never closes for one that is released.
func (q *Queue) Lost(g Grant) <-chan struct{} { return nil }

// Release ends a lease in good order and returns when the ledger has it. Close the lease on the machine first. fault.Stale
// when the lease was lost meanwhile: nothing changed, and a holder whose work had ended may ignore it.
func (q *Queue) Release(ctx context.Context, g Grant) error { return errors.ErrUnsupported }

// Return gives back a lease that its holder never opened on the machine. The item waits again in its old place, and its
// ticket's next Wait gets a grant with the next epoch.
func (q *Queue) Return(ctx context.Context, g Grant) (*Ticket, error) {
	return nil, errors.ErrUnsupported
}

// Why explains why an item waits. fault.NotFound when it does not.
func (q *Queue) Why(ctx context.Context, id ItemID) (Explanation, error) {
	return Explanation{}, errors.ErrUnsupported
}

// Snapshot returns all items that have not ended: waiting ones first, in the order in which they would be served.
func (q *Queue) Snapshot() []ItemStatus { return nil }

// Subscribe signals, without content, that a snapshot would read differently. cancel ends it.
func (q *Queue) Subscribe() (changed <-chan struct{}, cancel func()) { return nil, nil }

// Ticket stands for an item that was submitted.
type Ticket struct{}

// Wait returns the grant once it is durable; ErrWithdrawn when the item was withdrawn; ErrLost when its lease has been lost.
// It may be called again and by several goroutines. The end of ctx leaves the item in the queue.
func (t *Ticket) Wait(ctx context.Context) (Grant, error) { return Grant{}, errors.ErrUnsupported }

// Withdraw takes the item out of the queue. fault.Conflict when it has been granted: Release it then.
func (t *Ticket) Withdraw(ctx context.Context) error { return errors.ErrUnsupported }
