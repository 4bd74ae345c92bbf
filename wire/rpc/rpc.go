// Package rpc speaks gRPC over a mux.Session, in both directions at once.
//
// A Peer serves its own services on the streams the far side opens and gives a connection to the far side's services on
// streams it opens itself. Errors keep their fault kind across the wire; messages are limited; a panic in a handler fails its
// call and no more. What the services say is for those who register them. All methods may be called concurrently.
package rpc

import (
	"context"
	"log/slog"
	"math"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire/mux"
)

// Limits of every peer.
const (
	MaxMessage      = 4 << 20 // bytes of one message, both ways
	DefaultMaxCalls = 1024
	maxHeaders      = 64 << 10

	// One call may have callWindow bytes unread: with the number of calls it bounds what a peer that sends costs who does not
	// read. connWindow only bounds what is under way: gRPC gives it back whether or not a call reads, so that a slow call holds
	// up no other.
	callWindow = 1 << 20
	connWindow = 4 << 20

	readBuffer = 0 // of each connection: the stream below has what came in memory already, and a controller has a thousand
)

// handlerGrace is how long Close waits for handlers whose context has ended. One that hangs (a dead mount) must not keep the
// next connection from being made.
const handlerGrace = 2 * time.Second

// forever switches gRPC's own pings off; heartbeats are the session's.
const forever = time.Duration(math.MaxInt64)

// Config of a Peer. The zero value serves nothing.
type Config struct {
	Register func(grpc.ServiceRegistrar) // adds the services the far side may call; nil is none
	MaxCalls uint32                      // of the far side, served at once; further ones wait there; 0 is 1024
	Logger   *slog.Logger                // nil is silent
}

// Peer is one side of the conversation.
type Peer struct {
	session *mux.Session
	server  *grpc.Server
	conn    *grpc.ClientConn
	calls   *calls
	log     *slog.Logger
	serving sync.WaitGroup
	closed  sync.Once
}

// New starts to serve on the session. The Peer owns the session from here on, also when New fails.
func New(session *mux.Session, c Config) (*Peer, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.MaxCalls == 0 {
		c.MaxCalls = DefaultMaxCalls
	}
	p := &Peer{session: session, calls: &calls{log: c.Logger}, log: c.Logger}
	conn, err := grpc.NewClient("passthrough:///peer", clientOptions(session)...)
	if err != nil {
		session.Close()
		return nil, fault.New(fault.Internal, "rpc client: %w", err)
	}
	p.conn = conn
	p.server = grpc.NewServer(serverOptions(c, p.calls)...)
	if c.Register != nil {
		c.Register(p.server)
	}
	p.serving.Go(func() { p.server.Serve(listener{session}) })
	return p, nil
}

// Conn calls the far side's services. Its errors have fault kinds; when the session has ended, every call fails at once with
// fault.Unavailable.
func (p *Peer) Conn() grpc.ClientConnInterface { return p.conn }

// Session is what the peer speaks over.
func (p *Peer) Session() *mux.Session { return p.session }

// Done is closed when the session has ended.
func (p *Peer) Done() <-chan struct{} { return p.session.Done() }

// Err says why the session ended; see mux.Session.Err.
func (p *Peer) Err() error { return p.session.Err() }

// Close ends the session and waits for what the peer started. It may be called more than once.
func (p *Peer) Close() error {
	p.closed.Do(func() {
		p.session.Close()
		p.conn.Close()
		p.server.Stop()
		p.serving.Wait()
		if left := p.calls.wait(handlerGrace); left > 0 {
			p.log.Warn("calls did not end with their connection", "count", left)
		}
	})
	return nil
}

func serverOptions(c Config, live *calls) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(MaxMessage),
		grpc.MaxSendMsgSize(MaxMessage),
		grpc.MaxConcurrentStreams(c.MaxCalls),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.InitialWindowSize(callWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.ReadBufferSize(readBuffer),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: forever, Timeout: forever}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Minute}),
		grpc.UnaryInterceptor(live.unary),
		grpc.StreamInterceptor(live.stream),
	}
}

func clientOptions(s *mux.Session) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.Open(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithIdleTimeout(0),
		grpc.WithInitialWindowSize(callWindow),
		grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithReadBufferSize(readBuffer),
		grpc.WithMaxHeaderListSize(maxHeaders),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage)),
		grpc.WithUnaryInterceptor(client{s}.unary),
		grpc.WithStreamInterceptor(client{s}.stream),
	}
}

// listener leaves the session open when the server stops: Peer.Close says when it ends.
type listener struct{ *mux.Session }

func (listener) Close() error { return nil }
