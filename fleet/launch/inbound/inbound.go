// Package inbound is the Launcher of nodes whose agents dial the controller.
//
// The HTTP handler that has checked an agent's credential delivers its link to the Hub; the roster's Launch takes it. The Hub
// keeps one link a node: a newcomer replaces a link whose peer does not answer any more, or that the same agent process has given
// up, and is refused while another agent of the same name answers.
package inbound

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
)

// Config of a Hub. The zero value works.
type Config struct {
	// Probe is how long the peer of an older link may take to answer before a newcomer takes its place; 0 is 3 s.
	Probe time.Duration
	// Handover is how long a delivered link waits to be taken by Launch; 0 is 20 s.
	Handover time.Duration
	Logger   *slog.Logger // nil is silent
}

// Hub joins links that arrive with the nodes that wait for them. All methods may be called concurrently.
type Hub struct {
	cfg Config

	way func(context.Context, fleet.Node, func(fleet.Hop)) bool // see Explain

	mu        sync.Mutex
	nodes     map[fleet.NodeName]*node   // guarded by mu; an entry is dropped when nobody uses it
	attempts  map[fleet.NodeName]attempt // guarded by mu: the newest of each node
	strangers []attempt                  // guarded by mu: refused, of no node that is known; oldest first
}

// node is where the deliveries of one node and its Launch meet.
type node struct {
	users  int           // calls that hold the node; guarded by Hub.mu
	turn   chan struct{} // holds one token: deliveries come one by one
	offers chan *link    // from Deliver to Launch

	mu      sync.Mutex
	current *link // taken by Launch and not closed; guarded by mu
}

// New returns a Hub without links.
func New(c Config) *Hub {
	if c.Probe == 0 {
		c.Probe = 3 * time.Second
	}
	if c.Handover == 0 {
		c.Handover = 20 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Hub{cfg: c, nodes: map[fleet.NodeName]*node{}, attempts: map[fleet.NodeName]attempt{}}
}

// AgentsDial tells the roster that Launch starts nothing and may wait for long.
func (h *Hub) AgentsDial() bool { return true }

// Launch waits for the next link of n. log hears where it comes from.
func (h *Hub) Launch(ctx context.Context, n fleet.Node, log io.Writer) (wire.Link, error) {
	at := h.hold(n.Name)
	defer h.release(n.Name, at)
	select {
	case l := <-at.offers:
		fmt.Fprintf(log, "Agent connected from %s\n", l.Peer())
		return l, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the agent of %s: %w", n.Name, context.Cause(ctx))
	}
}

// Deliver hands the link of an authenticated agent to who waits for it, and returns when it is taken. Otherwise it closes the link
// and fails: with fault.Conflict when another agent is connected as the same node and answers, with fault.Unavailable when
// nobody takes the link (the node was deleted, the roster has stopped). The peer hears the reason if the link can tell it.
func (h *Hub) Deliver(ctx context.Context, name fleet.NodeName, l wire.Link) error {
	at := h.hold(name)
	defer h.release(name, at)
	err := h.deliver(ctx, name, at, l)
	h.tried(name, l.Peer(), err)
	if err == nil {
		return nil
	}
	h.cfg.Logger.Info("agent refused", "node", name, "peer", l.Peer(), "reason", err)
	if r, ok := l.(wire.Refuser); ok {
		r.Refuse(err)
	}
	l.Close()
	return err
}

func (h *Hub) deliver(ctx context.Context, name fleet.NodeName, at *node, l wire.Link) error {
	ctx, cancel := context.WithTimeoutCause(ctx, h.cfg.Handover+h.cfg.Probe, fault.New(fault.Unavailable, "nobody waits for node %s", name))
	defer cancel()
	select {
	case at.turn <- struct{}{}:
		defer func() { <-at.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if old := at.live(); old != nil {
		if err := h.replace(ctx, name, old, l); err != nil {
			return err
		}
	}
	// current is set before the link is offered: Launch's caller may close it at once.
	mine := &link{Link: l, at: at}
	at.set(mine)
	select {
	case at.offers <- mine:
		return nil
	case <-ctx.Done():
		at.forget(mine)
		return context.Cause(ctx)
	}
}

// replace closes old, unless its agent is there and another than the newcomer.
func (h *Hub) replace(ctx context.Context, name fleet.NodeName, old *link, newcomer wire.Link) error {
	if !sameProcess(old.Link, newcomer) {
		ctx, cancel := context.WithTimeout(ctx, h.cfg.Probe)
		defer cancel()
		if p, ok := old.Link.(wire.Prober); ok && p.Probe(ctx) == nil {
			return fault.New(fault.Conflict, "node %s is already connected, from %s", name, old.Peer())
		}
	}
	h.cfg.Logger.Info("link replaced", "node", name, "old", old.Peer(), "new", newcomer.Peer())
	old.replace()
	return nil
}

// sameProcess: a process that dials again has given its older link up. One link of the two may have no instance: then they are
// strangers.
func sameProcess(a, b wire.Link) bool {
	type instance interface{ Instance() string }
	ia, okA := a.(instance)
	ib, okB := b.(instance)
	return okA && okB && ia.Instance() != "" && ia.Instance() == ib.Instance()
}

func (h *Hub) hold(name fleet.NodeName) *node {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.nodes[name]
	if n == nil {
		n = &node{turn: make(chan struct{}, 1), offers: make(chan *link)}
		h.nodes[name] = n
	}
	n.users++
	return n
}

func (h *Hub) release(name fleet.NodeName, n *node) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n.users--; n.users == 0 && n.live() == nil {
		delete(h.nodes, name)
	}
}

func (n *node) live() *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.current
}

func (n *node) set(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.current = l
}

func (n *node) forget(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.current == l {
		n.current = nil
	}
}
