package remote

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/api/agentpb"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/mux"
	"github.com/outwork-build/outwork/wire/rpc"
)

// Drained is what the controller says when it wants the agent to come back later.
type Drained struct {
	RetryAfter time.Duration
	Reason     string
}

// Served is the agent's connection to the controller.
type Served struct {
	peer     *rpc.Peer
	greeting wire.Greeting
	drained  chan Drained
}

// Answer greets the controller at the far end of link and serves m to it. It owns the link from here on, also when it
// fails. ctx ends the attempt, not the connection.
func Answer(ctx context.Context, link wire.Link, m agent.Machine, o Options) (*Served, error) {
	o = o.withDefaults()
	s := &Served{drained: make(chan Drained, 1)}
	register := func(r grpc.ServiceRegistrar) {
		agentpb.RegisterMachineServer(r, &server{machine: m})
		agentpb.RegisterControlServer(r, &control{drained: s.drained})
		if o.Register != nil {
			o.Register(r)
		}
	}
	var err error
	if s.peer, s.greeting, err = join(ctx, link, o, mux.Listener, rpc.Config{Register: register, Logger: o.Logger}); err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	return s, nil
}

// Conn calls the controller's services: its storage.
func (s *Served) Conn() grpc.ClientConnInterface { return s.peer.Conn() }

// Hello is what the controller said of itself in the handshake.
func (s *Served) Hello() wire.Hello { return s.greeting.Peer }

// Drained delivers the controller's wish that this side closes the link and comes back later.
func (s *Served) Drained() <-chan Drained { return s.drained }

// Done is closed when the connection has ended.
func (s *Served) Done() <-chan struct{} { return s.peer.Done() }

// Err says why the connection ended: nil while it lives and after Close, otherwise fault.Unavailable and the reason.
func (s *Served) Err() error { return s.peer.Err() }

// Close ends the connection and its link and waits for what it started. It may be called more than once.
func (s *Served) Close() error { return s.peer.Close() }

type control struct {
	agentpb.UnimplementedControlServer
	drained chan Drained
}

func (c *control) Drain(_ context.Context, r *agentpb.DrainRequest) (*agentpb.DrainResponse, error) {
	if r.GetRetryAfterMs() < 0 || r.GetRetryAfterMs() > maxDuration.Milliseconds() {
		return nil, fault.New(fault.Invalid, "retry_after_ms %d: expected 0 to %d", r.GetRetryAfterMs(), maxDuration.Milliseconds())
	}
	if err := checkText("reason", r.GetReason()); err != nil {
		return nil, err
	}
	select {
	case c.drained <- Drained{time.Duration(r.GetRetryAfterMs()) * time.Millisecond, r.GetReason()}:
	default: // asked before
	}
	return &agentpb.DrainResponse{}, nil
}
