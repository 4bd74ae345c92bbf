// Package mux carries many streams over one Link, opened from either side, and finds dead peers.
//
// It is yamux with the farm's own settings, two guards (against a peer that floods the session with pings or streams) and
// heartbeats of the application: a stopped process and a dead path are noticed within two heartbeats on both sides, which
// TCP would not. What is said on the streams is wire/rpc's matter. All methods may be called concurrently.
package mux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
)

// Defaults of Config.
const (
	DefaultHeartbeat  = 10 * time.Second
	DefaultWindow     = 1 << 20
	DefaultBacklog    = 16
	DefaultMaxStreams = 64
)

// minHeartbeat bounds what an impatient peer can make this side send.
const minHeartbeat = 10 * time.Millisecond

// writeTimeout fails a single write that the link does not take. Dead peers are found by heartbeats long before.
const writeTimeout = time.Minute

// Config of a Session. The zero value works.
type Config struct {
	// Heartbeat is the longest this side lets pass before it wants a sign of life; after two of them without a byte from the peer
	// the session ends. 0 is 10 s.
	Heartbeat time.Duration
	// PeerHeartbeat is what the peer said it wants in its Hello. 0 is the same as Heartbeat.
	PeerHeartbeat time.Duration
	Window        uint32 // bytes a stream may have unread; 0 is 1 MiB; at least 256 KiB
	Backlog       int    // streams waiting for Accept; 0 is 16
	MaxStreams    int    // streams of the peer alive at once; 0 is 64; one more ends the session
	Logger        *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Heartbeat <= 0 {
		c.Heartbeat = DefaultHeartbeat
	}
	if c.PeerHeartbeat <= 0 {
		c.PeerHeartbeat = c.Heartbeat
	}
	if c.Window == 0 {
		c.Window = DefaultWindow
	}
	if c.Backlog == 0 {
		c.Backlog = DefaultBacklog
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = DefaultMaxStreams
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Session is a multiplexed link. It is a net.Listener for the peer's streams.
type Session struct {
	link   wire.Link
	yamux  *yamux.Session
	guard  *guard
	log    *slog.Logger
	limit  int64
	live   atomic.Int64 // accepted streams not yet closed
	rtt    atomic.Int64 // nanoseconds
	beats  sync.WaitGroup
	done   chan struct{}
	closed sync.Once

	mu  sync.Mutex
	err error // why the session ended; guarded by mu
}

// Dialer starts a session as the side that opens the first stream. Exactly one side is the Dialer, the other the Listener;
// streams can be opened from both. From here on the session owns the link.
func Dialer(link wire.Link, c Config) (*Session, error) { return start(link, c, yamux.Client) }

// Listener starts a session as the other side.
func Listener(link wire.Link, c Config) (*Session, error) { return start(link, c, yamux.Server) }

func start(link wire.Link, c Config, open func(io.ReadWriteCloser, *yamux.Config) (*yamux.Session, error)) (*Session, error) {
	c = c.withDefaults()
	s := &Session{link: link, log: c.Logger, limit: int64(c.MaxStreams), done: make(chan struct{}), guard: newGuard(link)}
	y, err := open(s.guard, &yamux.Config{
		AcceptBacklog:          c.Backlog,
		KeepAliveInterval:      c.Heartbeat, // not enabled; yamux wants it positive
		ConnectionWriteTimeout: writeTimeout,
		MaxStreamWindowSize:    c.Window,
		StreamCloseTimeout:     time.Minute,
		Logger:                 yamuxLog{c.Logger},
	})
	if err != nil {
		return nil, fault.New(fault.Invalid, "mux: %w", err)
	}
	s.yamux = y
	every := max(min(c.Heartbeat, c.PeerHeartbeat), minHeartbeat)
	s.beats.Go(func() { s.beat(every) })
	go func() {
		s.watch(c.Heartbeat)
		s.end()
	}()
	return s, nil
}

// end closes Done once yamux has ended for whatever reason and the heartbeats with it. It follows the watch in its goroutine: a
// controller has a thousand sessions.
func (s *Session) end() {
	<-s.yamux.CloseChan()
	s.yamux.Close()
	s.beats.Wait()
	s.because(s.guard.cause())
	close(s.done)
}

// because keeps the first reason.
func (s *Session) because(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

// Open opens a stream to the peer. fault.Unavailable when the session has ended.
func (s *Session) Open(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	conn, err := s.yamux.Open()
	if err != nil {
		return nil, fault.New(fault.Unavailable, "open stream to %s: %w", s.link.Peer(), s.reason(err))
	}
	return conn, nil
}

// Accept waits for a stream of the peer. After the session has ended it fails with net.ErrClosed.
func (s *Session) Accept() (net.Conn, error) {
	conn, err := s.yamux.Accept()
	if err != nil {
		return nil, fmt.Errorf("accept stream of %s: %w: %w", s.link.Peer(), net.ErrClosed, s.reason(err))
	}
	if s.live.Add(1) > s.limit {
		err := fault.New(fault.Exhausted, "%s opened more than %d streams", s.link.Peer(), s.limit)
		s.because(err)
		s.Close()
		return nil, fmt.Errorf("%w: %w", net.ErrClosed, err)
	}
	return &stream{Conn: conn, live: &s.live}, nil
}

// reason prefers what is known of the session's end to what yamux says of it.
func (s *Session) reason(err error) error {
	select {
	case <-s.done:
		if e := s.Err(); e != nil {
			return e
		}
	default:
	}
	return err
}

// Close ends the session, its streams and the link. It may be called more than once and waits for the end.
func (s *Session) Close() error {
	s.because(errClosedHere)
	s.closed.Do(func() { s.yamux.Close() })
	<-s.done
	return nil
}

// errClosedHere is what Err answers as nil.
var errClosedHere = errors.New("closed by this side")

// Done is closed when the session has ended and nothing of it runs any more.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err says why the session ended: nil while it lives and after Close, otherwise an error of kind fault.Unavailable (the peer
// closed or fell silent) or fault.Exhausted (it broke a limit).
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.err, errClosedHere) {
		return nil
	}
	return s.err
}

// RoundTrip is the time the last heartbeat took; 0 before the first.
func (s *Session) RoundTrip() time.Duration { return time.Duration(s.rtt.Load()) }

// LastHeard is when the last byte came from the peer.
func (s *Session) LastHeard() time.Time { return s.guard.lastHeard() }

// Addr is the link's peer.
func (s *Session) Addr() net.Addr { return addr(s.link.Peer()) }

type addr string

func (addr) Network() string  { return "outwork" }
func (a addr) String() string { return string(a) }

// stream gives its place back when it is closed.
type stream struct {
	net.Conn
	live *atomic.Int64
	once sync.Once
}

func (s *stream) Close() error {
	s.once.Do(func() { s.live.Add(-1) })
	return s.Conn.Close()
}

// yamuxLog passes what yamux complains about on as debug lines: the session's end tells the reason to whoever needs it.
type yamuxLog struct{ log *slog.Logger }

func (l yamuxLog) Print(v ...any)                 { l.log.Debug(fmt.Sprint(v...)) }
func (l yamuxLog) Printf(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l yamuxLog) Println(v ...any)               { l.log.Debug(fmt.Sprint(v...)) }
