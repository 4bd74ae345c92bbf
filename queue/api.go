package queue

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outwork-build/outwork/fleet"
)

// Fleet is what the queue needs of the roster.
type Fleet interface {
	// Snapshot returns a copy of every node's status, by name.
	Snapshot() []fleet.Status
	// Subscribe signals, without content, that a snapshot would read differently. cancel ends it.
	Subscribe() (changed <-chan struct{}, cancel func())
	// Keep makes k the one who is asked about leases. It is called once, before either of the two runs.
	Keep(k fleet.Keeper)
	// Idle tells that a draining node holds no lease any more. It must not block.
	Idle(n fleet.NodeName)
}

// Config says what a Queue stands on. Ledger and Fleet must be set; zero durations and counts mean the defaults.
type Config struct {
	Ledger Ledger
	Fleet  Fleet
	Policy Policy // how to choose among nodes; see Queue.SetPolicy for later changes

	TTL        time.Duration // of a lease after the last heartbeat; 0 is 30 s. The agent's OpenRequest.TTL must be the same
	Grace      time.Duration // on top of TTL, before the controller believes the agent's steps have ended; 0 is 15 s
	HoldWindow time.Duration // how long a held lease waits for its agent; 0 is 5 min
	KeepEnded  time.Duration // how long the epoch of an ended item is remembered, in case it is submitted again; 0 is 1 h
	Unclaimed  time.Duration // after a restart, how long a lease waits for its item to be submitted again; 0 is 1 h
	Rest       time.Duration // how long a node that gave a lease back unopened is not asked again; 0 is 5 s
	MaxWaiting int           // waiting items; more are refused with fault.Exhausted; 0 is 100,000

	Now      func() time.Time      // the wall clock, for display only; nil is time.Now
	Log      *slog.Logger          // nil discards
	Registry prometheus.Registerer // nil keeps no metrics
}

// ItemState is where an item is, for people.
type ItemState string

const (
	Waiting  ItemState = "waiting"
	Granting ItemState = "granting" // placed; the ledger is being written
	Leased   ItemState = "leased"
	Held     ItemState = "held" // its agent is silent
	Left     ItemState = "left" // it has ended; only Report says so
)

// ItemStatus is a copy of what the queue knows of one item that has not ended.
type ItemStatus struct {
	Item  Item      `json:"item"`
	State ItemState `json:"state"`
	Grant *Grant    `json:"grant,omitempty"` // when leased or held
	Since time.Time `json:"since"`           // of State
	Stuck bool      `json:"stuck,omitempty"` // it waits longer than it should; see Core.stuck
}

// Explanation says why an item waits.
type Explanation struct {
	Summary    string       `json:"summary"`              // one sentence, in the words of this field
	Nodes      []NodeReason `json:"nodes"`                // every node, by name
	Since      time.Time    `json:"since"`                // waiting since
	Position   int          `json:"position"`             // among all waiting items, from 1
	Suggestion string       `json:"suggestion,omitempty"` // a label that exists and is near to one that does not
}

// NodeReason says why one node does not take an item.
type NodeReason struct {
	Node      fleet.NodeName `json:"node"`
	Reason    string         `json:"reason"`
	Predicate Predicate      `json:"predicate"`
}

// Predicate names what refused an item on a node, for programs.
type Predicate string

const (
	NoLabel   Predicate = "label"     // it does not have the label
	Reserved  Predicate = "reserved"  // it is in exclusive mode and the item names no label
	Pinned    Predicate = "pinned"    // the item wants another node
	NotTaking Predicate = "accepting" // it is suspended, draining or has no executors
	IsOffline Predicate = "offline"
	Busy      Predicate = "busy" // all its executors are in use

	Forbidden Predicate = "allow" // the policy does not allow the job on it
	Limited   Predicate = "limit" // a limit of the policy is reached
)
