package tcp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
)

// Config of a Server. Admit and Deliver must be set; they are called by many goroutines at once.
type Config struct {
	TLS *tls.Config // nil serves plain TCP
	// Admit decides who calls, by the credential, and names the node. Its error is told to the agent, with its kind; a *Refusal
	// also says when to come again.
	Admit func(ctx context.Context, c Caller) (node string, err error)
	// Deliver takes the link over, also when it fails.
	Deliver func(ctx context.Context, node string, l wire.Link) error

	// Greeting is how long a client may take from its connection to its first line; 0 is 10 s.
	Greeting time.Duration
	// MaxGreeting is how many clients may be between their connection and their admission at once; more are cut off. 0 is 256.
	MaxGreeting int
	Logger      *slog.Logger // nil is silent
}

// Server is the controller's port for agents.
type Server struct {
	cfg      Config
	greeting chan struct{} // a token for each client that is not admitted yet
}

// NewServer returns a Server that waits for Serve.
func NewServer(c Config) *Server {
	if c.Greeting <= 0 {
		c.Greeting = timeout
	}
	if c.MaxGreeting <= 0 {
		c.MaxGreeting = 256
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: c, greeting: make(chan struct{}, c.MaxGreeting)}
}

// Serve accepts connections until ctx ends, closes l, and returns nil when no client is being greeted any more. Links live on.
// It may be called for several listeners at once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var clients sync.WaitGroup
	defer clients.Wait()
	var pause time.Duration
	crowded := false // and said so
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("agents' port %s: %w", l.Addr(), err)
		case err != nil: // of this connection, or no file descriptor is left
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.cfg.Logger.Warn("accept an agent", "address", l.Addr().String(), "error", err, "again_in", pause)
			wait(ctx, pause)
			continue
		}
		pause = 0
		select {
		case s.greeting <- struct{}{}:
			crowded = false
			clients.Go(func() { s.serve(ctx, conn) })
		default:
			if !crowded {
				s.cfg.Logger.Warn("too many clients at once on the agents' port that do not say who they are", "peer", conn.RemoteAddr().String(), "most", s.cfg.MaxGreeting)
			}
			crowded = true
			conn.Close()
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// serve greets a client; who is admitted is delivered.
func (s *Server) serve(ctx context.Context, raw net.Conn) {
	peer := raw.RemoteAddr().String()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	link, node, err := s.greet(ctx, raw)
	<-s.greeting
	if !stop() || err != nil || link == nil {
		if err != nil {
			s.cfg.Logger.Info("agent's connection refused", "peer", peer, "error", err)
		}
		raw.Close()
		return
	}
	if err := s.cfg.Deliver(ctx, node, link); err != nil {
		s.cfg.Logger.Info("agent refused", "node", node, "peer", peer, "error", err)
	}
}

// greet returns nil and no error for a client that only wanted to know what this port is.
func (s *Server) greet(ctx context.Context, raw net.Conn) (*link, string, error) {
	if err := raw.SetDeadline(time.Now().Add(s.cfg.Greeting)); err != nil {
		return nil, "", err
	}
	conn, in, err := s.secure(ctx, raw)
	if err != nil {
		return nil, "", err
	}
	line, err := readLine(in)
	if isHTTP(line) {
		hello(conn)
		bye(conn, raw)
		return nil, "", nil
	}
	if err == nil && conn == raw && s.cfg.TLS != nil {
		err = fault.New(fault.Denied, "this port speaks TLS")
	}
	var node string
	var c Caller
	if err == nil {
		node, c, err = s.admit(ctx, line, raw.RemoteAddr().String())
	}
	if err != nil {
		_ = writeLine(conn, refusal(err)) // who does not hear it has left
		bye(conn, raw)
		return nil, "", err
	}
	if err := writeLine(conn, answer{OK: true}); err != nil {
		return nil, "", err
	}
	return newLink(conn, raw, in, c.Peer, c.Instance), node, raw.SetDeadline(time.Time{})
}

// secure does the TLS handshake, if TLS is served and the client begins one.
func (s *Server) secure(ctx context.Context, raw net.Conn) (net.Conn, *bufio.Reader, error) {
	if s.cfg.TLS == nil {
		return raw, bufio.NewReaderSize(raw, buffer), nil
	}
	in := bufio.NewReaderSize(raw, 16) // lives as long as the link
	first, err := in.Peek(1)
	if err != nil {
		return nil, nil, fault.New(fault.Unavailable, "it said nothing: %w", err)
	}
	const handshake = 22 // RFC 8446 §5.1
	if first[0] != handshake {
		return raw, bufio.NewReaderSize(in, buffer), nil
	}
	t := tls.Server(&peeked{Conn: raw, in: in}, s.cfg.TLS)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, nil, fault.New(fault.Unavailable, "TLS: %w", err)
	}
	return t, bufio.NewReaderSize(t, buffer), nil
}

// peeked reads what was peeked at again.
type peeked struct {
	net.Conn
	in *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.in.Read(b) }

func (s *Server) admit(ctx context.Context, line []byte, peer string) (string, Caller, error) {
	var c Caller
	if err := parseLine(line, &c); err != nil {
		return "", c, err
	}
	if len(c.Instance) > maxInstance || !utf8.ValidString(c.Instance) {
		return "", c, fault.New(fault.Invalid, "instance of %d bytes: expected at most %d of UTF-8", len(c.Instance), maxInstance)
	}
	c.Peer = peer
	node, err := s.cfg.Admit(ctx, c)
	return node, c, err
}

func isHTTP(line []byte) bool {
	for _, method := range []string{"GET ", "HEAD ", "POST ", "OPTIONS ", "PUT "} {
		if bytes.HasPrefix(line, []byte(method)) {
			return true
		}
	}
	return false
}

// hello answers a browser, a health check, a person with curl.
func hello(w io.Writer) {
	const text = "This is the port for agents of an Outwork controller. Pages are on its HTTP port.\n" +
		"An agent comes here with: outwork agent --url ADDRESS-OF-THE-PAGES --tcp\n"
	fmt.Fprintf(w, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text)
}

// bye ends the connection so that what was written arrives: to close with unread bytes would reset it.
func bye(conn, raw net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		_ = t.CloseWrite()
	}
	if c, ok := raw.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	_ = raw.SetReadDeadline(time.Now().Add(closeGrace))
	_, _ = io.CopyN(io.Discard, raw, 64<<10)
	raw.Close()
}
