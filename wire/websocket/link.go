// Package websocket is the Link that an agent dials through the controller's one HTTP port.
//
// Dial is the agent's side and goes through the proxies the environment names; Accept is the controller's, inside an HTTP handler
// that has already decided who is calling. Bytes travel in binary messages whose borders mean nothing.
package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/outwork-build/outwork/internal/fault"
)

// Subprotocol is what both sides ask for and insist on.
const Subprotocol = "outwork.agent.v1"

const (
	maxSend = 256 << 10 // bytes of one message that this side sends
	maxRead = 4 << 20   // bytes of one message that this side takes; messages are not buffered whole

	// closeGrace is how long the peer may take to answer a close. A dead one must not hold up who closes.
	closeGrace = 500 * time.Millisecond
)

// refused is the first close code that tells a fault kind. Source: RFC 6455 §7.4.2, codes for private use.
const refused = websocket.StatusCode(4000)

// maxReason is how many bytes a close frame has for people.
const maxReason = 123

// link implements wire.Link, wire.Prober, wire.Refuser and wire.Cutter.
type link struct {
	conn     *websocket.Conn
	raw      net.Conn // below conn and its TLS: closing it ends everything at once
	peer     string
	instance string

	reader io.Reader // the message being read; only the reading goroutine touches it
	ended  error     // what Read answers from now on; only the reading goroutine touches it

	once   sync.Once
	closed chan struct{}
}

func newLink(conn *websocket.Conn, raw net.Conn, peer, instance string) *link {
	conn.SetReadLimit(maxRead)
	return &link{conn: conn, raw: raw, peer: peer, instance: instance, closed: make(chan struct{})}
}

func (l *link) Peer() string { return l.peer }

// Instance tells the agent's process apart from its predecessor and from another that uses the same credential: what the
// agent sent in its InstanceHeader. It is empty on the agent's side.
func (l *link) Instance() string { return l.instance }

func (l *link) Probe(ctx context.Context) error { return l.conn.Ping(ctx) }

func (l *link) Read(p []byte) (int, error) {
	if l.ended != nil {
		return 0, l.ended
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := l.read(p)
	if err != nil {
		l.ended = l.readError(err)
	}
	if n > 0 {
		return n, nil
	}
	return 0, l.ended
}

// read returns with bytes or with an error.
func (l *link) read(p []byte) (int, error) {
	for {
		if l.reader == nil {
			kind, r, err := l.conn.Reader(context.Background())
			if err != nil {
				return 0, err
			}
			if kind != websocket.MessageBinary {
				return 0, errors.New("expected a binary message, got a text message")
			}
			l.reader = r
		}
		n, err := l.reader.Read(p)
		if err == io.EOF {
			l.reader, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (l *link) readError(err error) error {
	select {
	case <-l.closed:
		return fmt.Errorf("read: %w", net.ErrClosed)
	default:
	}
	var ce websocket.CloseError
	switch {
	case !errors.As(err, &ce):
	case ce.Code == websocket.StatusNormalClosure:
		return io.EOF
	case ce.Code >= refused:
		return fault.New(fault.Kind(min(ce.Code-refused, math.MaxUint8)), "refused: %s", ce.Reason)
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("read: closed without a word: %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("read: %w", err)
}

func (l *link) Write(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		n := min(len(p), maxSend)
		if err := l.conn.Write(context.Background(), websocket.MessageBinary, p[:n]); err != nil {
			return total, fmt.Errorf("write: %w", err)
		}
		total += n
		p = p[n:]
	}
	return total, nil
}

// Close tells the peer, waits a moment for its answer, then cuts.
func (l *link) Close() error {
	l.close(websocket.StatusNormalClosure, "")
	return nil
}

// Cut closes at once.
func (l *link) Cut() {
	l.raw.Close()
	l.Close()
}

// Refuse closes with a code of the private range, refused plus the kind.
func (l *link) Refuse(err error) {
	reason := err.Error()
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	l.close(refused+websocket.StatusCode(fault.Of(err)), strings.ToValidUTF8(reason, ""))
}

func (l *link) close(code websocket.StatusCode, reason string) {
	l.once.Do(func() {
		close(l.closed)
		cut := time.AfterFunc(closeGrace, func() { l.raw.Close() })
		defer cut.Stop()
		// Its error says that the peer did not answer or was gone already: all the same to who closes.
		_ = l.conn.Close(code, reason)
	})
}

// below returns the connection under TLS: closing it does not wait for the peer.
func below(c net.Conn) net.Conn {
	if t, ok := c.(*tls.Conn); ok {
		return t.NetConn()
	}
	return c
}
