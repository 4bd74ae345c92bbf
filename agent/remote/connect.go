// Package remote is the agent.Machine at the far end of a link.
//
// Connect is the controller's half: link in, Machine out. Answer is the agent's: it serves a Machine to the controller. Both
// check every message against its limits before they use or send it: whatever comes from an agent is hostile input. Every error
// keeps its fault kind; when the link is lost all calls fail with fault.Unavailable at once, and Follow is taken up again by its
// caller at the offset it reached, on the next link. All methods may be called concurrently.
package remote

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/api/agentpb"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/mux"
	"github.com/outwork-build/outwork/wire/rpc"
)

// handshakeTimeout is how long the other side may take to greet; ctx may be shorter.
const handshakeTimeout = 20 * time.Second

// maxUpcalls is how many calls of one agent the controller serves at once: with what a call may have unread (1 MiB) it bounds what
// a rogue agent can make the controller hold.
const maxUpcalls = 64

// An agent follows its controller's heartbeat between these: below, a busy machine loses its links; above, an agent does not find
// out that its controller is gone.
const (
	shortestFollowed = 100 * time.Millisecond
	longestFollowed  = 5 * time.Minute
)

// Options of a connection, on either side. The zero value works.
type Options struct {
	Name     string   // who this side says it is, for people
	Version  string   // Outwork's, for people
	Features []string // told to the other side
	// Heartbeat is how often a sign of life is wanted; the link ends after two without. 0 is 10 s for the controller; an agent
	// follows its controller then.
	Heartbeat time.Duration
	// Register adds services for the other side to call: the controller's storage. nil is none.
	Register func(grpc.ServiceRegistrar)
	Logger   *slog.Logger // nil is silent
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Conn is the controller's connection to one agent. It lives until the link ends or Close; the maker calls Close in any case.
type Conn struct {
	peer     *rpc.Peer
	greeting wire.Greeting
	machine  agent.Machine
	leaving  <-chan struct{}
}

// Connect greets the agent at the far end of link and returns a connection to it. It owns the link from here on, also when it
// fails: with fault.Incompatible when the versions do not fit, fault.Unavailable when there is no agent there. ctx ends the
// attempt, not the connection.
func Connect(ctx context.Context, link wire.Link, o Options) (*Conn, error) {
	o = o.withDefaults()
	o.Heartbeat = cmp.Or(max(o.Heartbeat, 0), mux.DefaultHeartbeat)
	hears := newRoster()
	peer, greeting, err := join(ctx, link, o, mux.Dialer, rpc.Config{Register: hears.register(o.Register), MaxCalls: maxUpcalls, Logger: o.Logger})
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &Conn{peer: peer, greeting: greeting, machine: New(peer.Conn()), leaving: hears.left}, nil
}

// join is what both sides do with a link.
func join(ctx context.Context, link wire.Link, o Options, side func(wire.Link, mux.Config) (*mux.Session, error), serve rpc.Config) (*rpc.Peer, wire.Greeting, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	greeting, err := wire.Handshake(ctx, link, wire.Hello{Version: o.Version, Name: o.Name, Features: o.Features, Heartbeat: o.Heartbeat})
	if err != nil {
		return nil, greeting, err
	}
	session, err := side(link, mux.Config{Heartbeat: o.heartbeat(greeting.Peer), PeerHeartbeat: greeting.Peer.Heartbeat, Logger: o.Logger})
	if err != nil {
		link.Close()
		return nil, greeting, err
	}
	peer, err := rpc.New(session, serve)
	return peer, greeting, err
}

// heartbeat is this side's, or the one that the peer wants when this side leaves it to the peer: bounded, as it is the peer's word.
func (o Options) heartbeat(peer wire.Hello) time.Duration {
	if o.Heartbeat > 0 || peer.Heartbeat <= 0 {
		return o.Heartbeat
	}
	return min(max(peer.Heartbeat, shortestFollowed), longestFollowed)
}

// Machine is the agent's machine.
func (c *Conn) Machine() agent.Machine { return c.machine }

// Hello is what the agent said of itself in the handshake. Nothing in it is an identity.
func (c *Conn) Hello() wire.Hello { return c.greeting.Peer }

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.peer.Done() }

// Err says why the connection ended: nil while it lives and after Close, otherwise fault.Unavailable and the reason.
func (c *Conn) Err() error { return c.peer.Err() }

// RoundTrip is the time the last heartbeat took; 0 before the first.
func (c *Conn) RoundTrip() time.Duration { return c.peer.Session().RoundTrip() }

// LastHeard is when the last byte came from the agent.
func (c *Conn) LastHeard() time.Time { return c.peer.Session().LastHeard() }

// Drain asks the agent to leave and to dial again not before retryAfter has passed. The caller closes the connection then; the
// agent does after a second. A launched agent, which does not dial, ends.
func (c *Conn) Drain(ctx context.Context, retryAfter time.Duration, reason string) error {
	_, err := agentpb.NewControlClient(c.peer.Conn()).Drain(ctx, &agentpb.DrainRequest{RetryAfterMs: retryAfter.Milliseconds(), Reason: reason})
	if err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	return nil
}

// Close ends the connection and its link and waits for what it started. It may be called more than once.
func (c *Conn) Close() error { return c.peer.Close() }
