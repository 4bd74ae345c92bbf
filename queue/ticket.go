package queue

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/outwork-build/outwork/internal/fault"
)

// Ticket stands for an item that was submitted. Its methods may be called concurrently.
type Ticket struct {
	q     *Queue
	id    ItemID
	done  chan struct{} // closed when grant and err are set
	grant Grant
	err   error

	mu    sync.Mutex
	after []*func() // to be called when done is closed; guarded by mu
}

// Wait returns the grant once it is durable; ErrWithdrawn when the item was withdrawn. It may be called again. The end of ctx
// leaves the item in the queue.
func (t *Ticket) Wait(ctx context.Context) (Grant, error) {
	if t.Ready() {
		return t.grant, t.err
	}
	select {
	case <-t.done:
		return t.grant, t.err
	case <-ctx.Done():
		return Grant{}, fmt.Errorf("wait for an executor for %s: %w", t.id, ctx.Err())
	case <-t.q.stopped:
		return Grant{}, errStopped()
	}
}

// Ready reports that Wait would not wait: the item is granted, or withdrawn.
func (t *Ticket) Ready() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// AfterFunc has f called, in a goroutine of its own, when the ticket is ready: at once, if it is so already. stop takes that back,
// unless f has been called. It is for those who wait long and have nothing else to remember: a goroutine costs more.
func (t *Ticket) AfterFunc(f func()) (stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.Ready() {
		go f()
		return func() {}
	}
	t.after = append(t.after, &f)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.after = slices.DeleteFunc(t.after, func(o *func()) bool { return o == &f })
	}
}

// resolve ends the ticket.
func (t *Ticket) resolve(g Grant, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.grant, t.err = g, err
	close(t.done)
	for _, f := range t.after {
		go (*f)()
	}
	t.after = nil
}

// Withdraw takes the item out of the queue. fault.Conflict when it has been granted: Release it then.
func (t *Ticket) Withdraw(ctx context.Context) error {
	var refused error
	if err := t.q.do(ctx, func() { refused = t.q.core.Withdraw(t.q.now(), t.id) }); err != nil {
		return err
	}
	return refused
}

// resolve ends the tickets of an item.
func (q *Queue) resolve(id ItemID, g Grant, err error) {
	for _, t := range q.tickets[id] {
		t.resolve(g, err)
	}
	delete(q.tickets, id)
}

// ticket makes one for an item that waits, or is granted already.
func (q *Queue) ticket(id ItemID, g Grant, granted bool) *Ticket {
	t := &Ticket{q: q, id: id, done: make(chan struct{})}
	if granted {
		t.resolve(g, nil)
		return t
	}
	q.tickets[id] = append(q.tickets[id], t)
	return t
}

// Submit puts an item into the queue. It is idempotent by ID: an item that waits already keeps its place, and one that the
// ledger says is leased (after a restart) is granted at once, with the grant it has. An item whose Hold lease was lost is
// refused with ErrLost, also after a restart; one whose Kill lease was lost, or that was released, is a new attempt with the
// next epoch, so a resumed caller must compare the grant's epoch with the one it journaled.
//
// The epoch of an ended item is forgotten after Config.KeepEnded: an ID must not be submitted again later than that.
// fault.Exhausted when too many wait, fault.Invalid for a wrong label expression.
func (q *Queue) Submit(ctx context.Context, it Item) (*Ticket, error) {
	var (
		t       *Ticket
		refused error
	)
	err := q.do(ctx, func() {
		g, granted, err := q.core.Submit(q.now(), it)
		if refused = err; err == nil {
			t = q.ticket(it.ID, g, granted)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("submit %s: %w", it.ID, err)
	}
	return t, refused
}

// Lost returns a channel that is closed when the lease is lost, after the ledger has it. It is closed already for a grant
// that has ended. It never closes for one that is released later.
func (q *Queue) Lost(g Grant) <-chan struct{} {
	var ch chan struct{}
	err := q.do(context.Background(), func() {
		if ch = q.losses[g]; ch != nil {
			return
		}
		ch = make(chan struct{})
		if q.core.lives(g) {
			q.losses[g] = ch
		} else {
			close(ch)
		}
	})
	if err != nil {
		return nil // the queue has stopped: nothing is lost any more
	}
	return ch
}

// Release ends a lease in good order and returns when the ledger has it. Close the lease on the machine first. fault.Stale
// when the lease was lost meanwhile: nothing changed, and a holder whose work had ended may ignore it. When ctx ends first the
// lease ends all the same.
func (q *Queue) Release(ctx context.Context, g Grant) error {
	written := make(chan error, 1)
	var refused error
	err := q.do(ctx, func() {
		no, err := q.core.Release(q.now(), g)
		if refused = err; err == nil {
			q.writes[no] = written
		}
	})
	switch {
	case err != nil:
		return fmt.Errorf("release %s: %w", g.Item, err)
	case refused != nil:
		return refused
	}
	select {
	case err := <-written:
		return err
	case <-ctx.Done():
		return fmt.Errorf("release %s: %w", g.Item, ctx.Err())
	case <-q.stopped:
		select {
		case err := <-written:
			return err
		default:
			return errStopped()
		}
	}
}

// Opened tells that the machine has answered Open, before the first step is started. It is what makes a lease that the agent
// does not have later a certain loss, and it counts as news of the agent. fault.Stale when the lease has ended meanwhile: start
// nothing then, and close it on the machine.
func (q *Queue) Opened(ctx context.Context, g Grant) error {
	var refused error
	if err := q.do(ctx, func() { refused = q.core.Opened(q.now(), g) }); err != nil {
		return fmt.Errorf("open %s: %w", g.Item, err)
	}
	return refused
}

// Return gives back a lease that its holder never opened on the machine. The item waits again in its old place; the new
// ticket gets a grant with the next epoch. fault.Stale when the lease has ended, fault.Conflict when it was opened: Release it.
func (q *Queue) Return(ctx context.Context, g Grant) (*Ticket, error) {
	var (
		t       *Ticket
		refused error
	)
	err := q.do(ctx, func() {
		if _, refused = q.core.Return(q.now(), g); refused == nil {
			t = q.ticket(g.Item, Grant{}, false)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("return %s: %w", g.Item, err)
	}
	return t, refused
}

// Why explains why an item waits. fault.NotFound when it does not.
func (q *Queue) Why(ctx context.Context, id ItemID) (Explanation, error) {
	var (
		e       Explanation
		refused error
	)
	if err := q.do(ctx, func() { e, refused = q.core.Why(id) }); err != nil {
		return Explanation{}, fmt.Errorf("explain %s: %w", id, err)
	}
	return e, refused
}

// Explain says for every node what it makes of an item, with scores; for one that has its node, how that was chosen. With changes it
// says what would happen if they were so, tried on a copy: an item that has its node is treated as if it waited as the first.
// fault.NotFound when the queue knows nothing of the item (any more), or there is no such node to change.
func (q *Queue) Explain(ctx context.Context, id ItemID, changes ...Change) (Report, error) {
	var (
		r       Report
		t       *trial
		refused error
	)
	err := q.do(ctx, func() {
		q.core.wake(q.now())
		if len(changes) == 0 {
			r, refused = q.core.Explain(id)
		} else {
			t, refused = q.core.trial(id)
		}
	})
	switch {
	case err != nil:
		return Report{}, fmt.Errorf("explain %s: %w", id, err)
	case refused != nil || t == nil:
		return r, refused
	}
	return t.run(changes)
}

// Find names an item by its ID, or by its build as JOB#NUMBER: the first of the build that waits, else one that runs, else the one
// that was placed last.
func (q *Queue) Find(ctx context.Context, name string) (id ItemID, err error) {
	var refused error
	if err := q.do(ctx, func() { id, refused = q.core.find(name) }); err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	return id, refused
}

// SetPolicy has a policy decide from now on. What was placed stays where it is. fault.Invalid says what is wrong with it.
func (q *Queue) SetPolicy(ctx context.Context, p Policy) error {
	var refused error
	if err := q.do(ctx, func() { refused = q.core.SetPolicy(q.now(), p) }); err != nil {
		return fmt.Errorf("scheduling policy: %w", err)
	}
	return refused
}

// Snapshot returns all items that have not ended: waiting ones first, in the order in which they would be served. It is empty
// before and after Run.
func (q *Queue) Snapshot() []ItemStatus {
	var all []listed
	ctx, cancel := context.WithTimeoutCause(context.Background(), lastWords, fault.New(fault.Unavailable, "the queue does not run"))
	defer cancel()
	_ = q.do(ctx, func() { q.core.wake(q.now()); all = q.core.list() })
	return inOrder(all)
}

// Subscribe signals, without content, that a snapshot would read differently. cancel ends it.
func (q *Queue) Subscribe() (changed <-chan struct{}, cancel func()) { return q.changed.Subscribe() }
