package fleet

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/wire"
)

// Conn is a live connection to an agent, made from a link. agent/remote.Conn is one.
type Conn interface {
	// Machine is the machine at the far end. Its calls fail with fault.Unavailable when the connection has ended.
	Machine() agent.Machine
	// Done is closed when the connection has ended, for whatever reason.
	Done() <-chan struct{}
	// Err says why it ended; nil before, io.EOF for an end in good order.
	Err() error
	// Close ends it and the link below it. It may be called more than once.
	Close() error
}

// Leaver is a Conn whose agent can say beforehand that it goes. Leaving is closed when the agent has said that it takes no new
// leases and ends the connection when its last one is closed: its node drains, until then.
type Leaver interface {
	Conn
	Leaving() <-chan struct{}
}

// ErrReplaced is what a launcher's link fails with after a newer link of the same node has taken its place.
var ErrReplaced = errors.New("the current peer is reconnecting")

// Waiter is a Launcher that starts nothing: its agents dial, and Launch waits for one. While it waits the node is offline,
// not connecting, and waiting however long is no failure.
type Waiter interface {
	Launcher
	AgentsDial() bool
}

// Keeper knows which leases a machine should hold: the queue. Its methods are called by many goroutines at once.
type Keeper interface {
	// Held lists the leases to be named in the heartbeat that is sent next to this node. An error means that they are not known
	// now; the heartbeat is then sent without any.
	Held(ctx context.Context, n NodeName, session uint64) ([]agent.Lease, error)
	// Renewed hears of an answered heartbeat, and returns the leases that are open on the machine and should not be: they are
	// closed.
	Renewed(ctx context.Context, r Renewal) (garbage []agent.Lease)
}

// Renewal is one answered heartbeat.
type Renewal struct {
	Node    NodeName
	Session uint64
	Boot    string        // agent.Description.Boot of this session
	First   bool          // the first heartbeat of the session: nobody has used its Machine yet
	Held    []agent.Lease // named in it, as Held returned them
	Open    []agent.Lease // that the machine said are open
}

// Demand knows what work there is for nodes: the queue.
type Demand interface {
	// Subscribe signals, without content, that Works may answer differently. cancel ends it.
	Subscribe() (changed <-chan struct{}, cancel func())
	// Works tells what each of these nodes has to do, in their order. The answer knows what the roster has published before the
	// call: to a node that takes no new work then, none comes after the answer.
	Works(ctx context.Context, asks []Ask) ([]Work, error)
}

// Ask names a node of whose work the roster wants to know.
type Ask struct {
	Node  NodeName
	Reach Reach
}

// Reach says what it takes to have a node do waiting work. An item makes no more nodes wanted than it needs: those that come
// take it first, then those that can be started, in the order of the asks. What is left makes all doubtful ones wanted.
type Reach uint8

const (
	Unwanted  Reach = iota // it is connected, or a person keeps it off
	Coming                 // it is being connected
	Startable              // it can be launched
	Doubtful               // its last launch failed, or its agent has to dial
)

// Work is what there is to do for a node.
type Work struct {
	Busy        int       // executors in use
	IdleSince   time.Time // when the last of them became free; zero when one is in use, or none was since the controller started
	WantedSince time.Time // since when work waits that makes the node wanted; zero when none does
	Done        int       // leases that ended on it since the controller started or the node was made, but for those never opened
}

// Config says what a Roster stands on. Store and Connect must be set.
type Config struct {
	Store     Store
	Launchers map[string]Launcher // by LauncherSpec.Kind
	// Connect does the handshake on a link and returns the live connection. On an error the roster closes the link.
	Connect func(ctx context.Context, link wire.Link, n Node) (Conn, error)

	Monitors  Monitors                               // nil judges nothing
	Record    func() Recorder                        // makes the memory of a node; nil keeps none
	Retention func(RetentionSpec) (Retention, error) // fleet/retain.New; nil keeps every node connected

	// Prepare sets up a machine whose node has a Setup, before anybody uses it; an error keeps the node offline. fleet/setup.Prepare is
	// one. Called anew whenever such a machine connects. nil sets nothing up.
	Prepare func(ctx context.Context, p Preparation) error
	// CheckSetup says what is wrong with a Setup; nil finds nothing.
	CheckSetup func(*Setup) error

	// Hold says of a node that has just connected why it takes no work until Roster.Hold lets it; nil lets it take work at once. It is
	// called by the owner of the roster's state: it must not block, nor call the Roster. May be nil.
	Hold func(Status) *OfflineCause

	Heartbeat      time.Duration         // between heartbeats, and how long an answer may take; 0 is 10 s
	ConnectTimeout time.Duration         // for the handshake, not for Launch; 0 is 30 s
	MinBackoff     time.Duration         // upper bound of the first pause between launches; 0 is 1 s
	MaxBackoff     time.Duration         // upper bound of any pause; 0 is 60 s
	LogDir         string                // folder of the nodes' logs; "" keeps only the newest 64 KiB of each in memory
	Log            *slog.Logger          // nil discards
	Registry       prometheus.Registerer // nil keeps no metrics
}
