// Package queue gives waiting items a place in the fleet.
//
// An Item asks for one executor on a node that its label expression admits. One goroutine owns the queue; what decides is a
// pure function of an indexed view (board.place), in a state machine without clocks and disks (Core). Policy says how it
// chooses, Explain what it chose from. A decision becomes a Lease in the ledger before anyone hears of it: (item, epoch), the epoch
// only grows. A lease lives as long as its agent is heard of; see Item.Policy for what follows when it is not.
//
//	Submit ──▶ waiting ──Place──▶ leased ──Release──▶ done
//	              ▲                 │ agent silent for TTL+grace
//	              │                 ├── Kill policy: lost, the ticket ends with ErrLost
//	              │                 └── Hold policy: held ──agent back──▶ leased
//	              └─ agent never opened it (epoch+1)      └─hold window over─▶ lost
package queue

import (
	"context"
	"errors"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
)

// ItemID names an item for ever. A pipeline's node block is "job#12/ADDRESS".
type ItemID string

// Item is one piece of work that waits for an executor.
type Item struct {
	ID       ItemID         `json:"id"`
	Label    string         `json:"label"`          // label expression; "" is any node in normal mode
	Node     fleet.NodeName `json:"node,omitempty"` // pinned: this node and no other
	Build    build.ID       `json:"build,omitzero"` // whose work it is
	Title    string         `json:"title"`          // for people: "part of job#12"
	Affinity string         `json:"affinity"`       // items of one affinity prefer the node that last ran one (sticky)
	Work     string         `json:"work,omitempty"` // items of one work are expected to take equally long; "" is Affinity
	Priority int            `json:"priority"`       // higher first, then first come
	Policy   agent.Policy   `json:"policy"`         // what losing the agent means
	Waiting  time.Time      `json:"waiting"`        // since when
}

// Grant is an executor given to an item.
type Grant struct {
	Item     ItemID         `json:"item"`
	Epoch    uint64         `json:"epoch"`
	Node     fleet.NodeName `json:"node"`
	Executor int            `json:"executor"` // slot of the node, from 0; held by one lease at a time
}

// Lease returns the lease in the agent's words.
func (g Grant) Lease() agent.Lease { return agent.Lease{Item: string(g.Item), Epoch: g.Epoch} }

// ErrLost ends a grant whose agent was not heard of for too long, or came back from a reboot without the work.
var ErrLost = errors.New("agent lost")

// ErrWithdrawn ends a ticket that was cancelled before it was granted.
var ErrWithdrawn = errors.New("withdrawn from the queue")

// LeaseState is the state of a row in the ledger's lease table.
type LeaseState string

const (
	LeaseActive LeaseState = "active"
	LeaseHeld   LeaseState = "held" // its agent is silent; the result may still come
	LeaseLost   LeaseState = "lost"
	LeaseDone   LeaseState = "done"
)

// LeaseRow is a lease as the ledger keeps it.
type LeaseRow struct {
	Grant
	State   LeaseState `json:"state"`
	Granted time.Time  `json:"granted"`
	Ended   time.Time  `json:"ended,omitzero"`
	Boot    string     `json:"boot,omitempty"` // agent.Description.Boot of the machine when granted; "" is not known
}

// Ledger keeps items and leases. Durable writes are on disk when they return. An epoch older than the item's newest changes
// nothing and answers fault.Stale.
type Ledger interface {
	// PutItem keeps a waiting item; it is idempotent by ID. It need not be durable at return, but is never after a later write.
	PutItem(ctx context.Context, it Item) error
	// Grant makes a batch of leases durable in one transaction. Each epoch must be the item's newest plus one.
	Grant(ctx context.Context, rows []LeaseRow) error
	// SetLease moves leases to a new state, each fenced by its epoch; stale ones are returned and left alone. Durable.
	SetLease(ctx context.Context, rows []LeaseRow) (stale []LeaseRow, err error)
	// DropItem forgets an item that waits no more and its ended leases.
	DropItem(ctx context.Context, id ItemID) error
	// Load reads every item and its newest lease, at start.
	Load(ctx context.Context) ([]Item, []LeaseRow, error)
	// LastNodes answers which node was last granted to each affinity, of the newest 10,000. Grant keeps it.
	LastNodes(ctx context.Context) (map[string]fleet.NodeName, error)
	// PutTimes keeps how long work took, in place of what was known of it. It need not be durable at return.
	PutTimes(ctx context.Context, all []WorkTimes) error
	// Times answers the newest 10,000 works of PutTimes, the newest last.
	Times(ctx context.Context) ([]WorkTimes, error)
}
