// Package fleet is the roster: the nodes, their life and their executors.
//
// A Node is the entry a person made; the machine behind it is reached through a Launcher, whose link the roster turns into
// an agent.Machine. One goroutine owns the roster's state and hands out copies; Changed signals without content.
// The fleet places no work: the queue does.
package fleet

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/wire"
)

// NodeName names a node. See CheckName.
type NodeName string

// BuiltIn is the node that is the controller's own machine, when the controller has executors.
const BuiltIn NodeName = "built-in"

// CheckName refuses the names that Jenkins refuses (Jenkins.checkGoodName).
func CheckName(n NodeName) error {
	s := string(n)
	if s == "" || s == "." || s == ".." || strings.HasSuffix(s, ".") {
		return fmt.Errorf("node name %q: expected a name that is not empty, not . or .. and does not end in a dot", s)
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`?*/\%!@#$^&|<>[]:;`, r) }); i >= 0 {
		return fmt.Errorf("node name %q: character %q at %d is not allowed", s, s[i:i+1], i)
	}
	if len(s) > 200 {
		return fmt.Errorf("node name %q: longer than 200 bytes", s)
	}
	return nil
}

// Mode says which work a node takes.
type Mode string

const (
	Normal    Mode = "normal"    // "Use this node as much as possible"
	Exclusive Mode = "exclusive" // "Only build jobs with label expressions matching this node"
)

// Node is a machine's entry in the roster, as configured.
type Node struct {
	Name        NodeName          `json:"name"`
	Description string            `json:"description,omitempty"`
	Executors   int               `json:"executors"`            // slots; 0 takes no work
	Labels      []string          `json:"labels,omitempty"`     // configured labels, without the implied ones
	Mode        Mode              `json:"mode"`                 // "" is Normal
	RemoteRoot  string            `json:"remoteRoot,omitempty"` // folder on the machine; "" is the agent's default
	Env         map[string]string `json:"env,omitempty"`
	Launcher    LauncherSpec      `json:"launcher"`
	Retention   RetentionSpec     `json:"retention,omitzero"`
	Monitors    map[string]Limit  `json:"monitors,omitempty"` // by the monitor's name: what differs from the farm's limits
	Probes      map[string]Probe  `json:"probes,omitempty"`   // monitors of its own, by name
	Tools       map[string]string `json:"tools,omitempty"`    // tool name to its folder on the machine
	Setup       *Setup            `json:"setup,omitempty"`    // what is done before its first use; nil is nothing
	Offline     *OfflineCause     `json:"offline,omitempty"`  // a person or a monitor keeps it from taking work
	Created     time.Time         `json:"created"`

	// What the roster itself remembers of a node over a restart. Put does not change it.
	Down *OfflineCause `json:"down,omitempty"` // a person had it disconnected: it is not connected before a Reconnect, or a new launcher
	Used bool          `json:"used,omitempty"` // work was given to it, where its retention goes by that
}

// LauncherSpec names a kind of launcher and its settings.
type LauncherSpec struct {
	Kind   string            `json:"kind"` // inbound, local, ssh, command, winrm
	Config map[string]string `json:"config,omitempty"`
}

// State is where a node is in its life.
//
//	offline ──launch, or the agent dials──▶ connecting ──handshake──▶ online ──suspend──▶ suspended
//	   ▲                                        │                     │  ▲───resume──────────┘
//	   └───────── link ended, launch failed ────┴─────────────────────┘──drain──▶ draining ──last lease ends──▶ suspended
//
// Only an online node is given work. A suspended or draining one is connected; what runs on it runs on. An OfflineCause of
// a person (Node.Offline) makes a connected node suspended. A node whose agent was asked to end drains too, until the link ends.
type State string

const (
	Offline    State = "offline"
	Connecting State = "connecting"
	Online     State = "online"
	Suspended  State = "suspended"
	Draining   State = "draining"
)

// OfflineCause says why a node takes no work, in the words of this field.
type OfflineCause struct {
	Kind string    `json:"kind"` // user, channel, launch, idle, schedule, monitor, heartbeat, replaced, leave, tools, new
	Text string    `json:"text"` // "Disconnected by alice : new disk", "Connection was broken: EOF", …
	By   string    `json:"by,omitempty"`
	When time.Time `json:"when"`
}

// Status is a copy of all that is known of one node now.
type Status struct {
	Node      Node              `json:"node"`
	State     State             `json:"state"`
	Cause     *OfflineCause     `json:"cause,omitempty"`   // why not online; nil while online
	Machine   agent.Description `json:"machine"`           // as it last said; zero before the first connection
	Assigned  []string          `json:"assigned"`          // all labels: configured, its own name, os:…, arch:…; sorted
	Session   uint64            `json:"session,omitempty"` // counts the connections of this node; 0 before the first
	Since     time.Time         `json:"since"`             // of State
	LastHeard time.Time         `json:"lastHeard,omitzero"`
	RoundTrip time.Duration     `json:"roundTrip,omitempty"` // of the last heartbeat
	// Monitors is what the monitors made of the newest sample, by name, without Verdict.State. Do not change it.
	Monitors map[string]Verdict `json:"monitors,omitempty"`
	Vitals   agent.Vitals       `json:"-"`        // of the last answered heartbeat; zero before, and from an older agent
	Revision uint64             `json:"revision"` // grows with every change of this node
}

// Launcher brings the agent of a node up and returns a link to it.
//
// Launch returns when the link's bytes flow, or with the reason why not; the roster does the handshake. log is the node's
// log: what a person who asks "why does it not connect" wants to read. ctx ends the attempt, not the link. When the link is
// closed the launcher leaves nothing running but shims. Launch may be called again after the link has ended, never twice
// at once for one node.
type Launcher interface {
	Launch(ctx context.Context, n Node, log io.Writer) (wire.Link, error)
}

// Store keeps the nodes. Every write is durable when it returns.
type Store interface {
	PutNode(ctx context.Context, n ...Node) error     // all or none of them
	DeleteNode(ctx context.Context, n NodeName) error // and its records; fault.NotFound
	Nodes(ctx context.Context) ([]Node, error)        // by name
	// AddRecords adds to what happened to nodes, in order. Of each node the newest RecordsKept stay; those of a node that is not
	// there are left out.
	AddRecords(ctx context.Context, rs []Record) error
	// Records returns the newest of a node, newest first; none of a node that is not there.
	Records(ctx context.Context, n NodeName, limit int) ([]Record, error)
}

// RecordsKept is how many records of a node a Store keeps.
const RecordsKept = 200

// Record is something that happened to a node: it was taken off, the reason changed, or it is online again. Attempts to
// connect that fail one after another are one record.
type Record struct {
	Node  NodeName      `json:"node"`
	At    time.Time     `json:"at"`
	State State         `json:"state"`           // that began; never connecting
	Cause *OfflineCause `json:"cause,omitempty"` // why; of an online node: who brought it back, if a person did
}
