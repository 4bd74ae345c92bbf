package tcp

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
)

// A frame is its type, its length in three bytes, big-endian, and as many bytes.
type frame byte

const (
	data    frame = 'd'
	ping    frame = 'p' // 8 bytes that come back
	pong    frame = 'q'
	closing frame = 'c' // empty in good order; else the name of a fault kind, LF, text for people

	header    = 4
	maxSend   = 64 << 10 // bytes of data in a frame that this side sends
	maxData   = 1 << 20  // in one that it takes
	maxReason = 1 << 10  // bytes of another frame

	// closeGrace is how long the peer may take to answer a close. A dead one must not hold up who closes.
	closeGrace = 500 * time.Millisecond
)

// link implements wire.Link, wire.Prober, wire.Refuser and wire.Cutter.
type link struct {
	conn     net.Conn
	raw      net.Conn // below conn and its TLS: closing it ends everything at once
	peer     string
	instance string

	reading sync.Mutex // held by who reads
	in      *bufio.Reader
	left    int   // bytes of the frame of data being read; guarded by reading
	ended   error // what Read answers from now on; guarded by reading

	turn  chan struct{} // holds one token: frames are written one by one
	out   []byte        // guarded by turn
	pongs chan [8]byte  // what the next to have the turn answers
	waits sync.Map      // ping's 8 bytes → channel to close
	count chan uint64   // the number of the next ping
	once  sync.Once
	shut  chan struct{} // closed by Close
}

func newLink(conn, raw net.Conn, in *bufio.Reader, peer, instance string) *link {
	l := &link{conn: conn, raw: raw, peer: peer, instance: instance, in: in,
		turn: make(chan struct{}, 1), pongs: make(chan [8]byte, 1), count: make(chan uint64, 1), shut: make(chan struct{})}
	l.count <- 1
	return l
}

func (l *link) Peer() string { return l.peer }

// Instance is what the agent sent as Caller.Instance. It is empty on the agent's side.
func (l *link) Instance() string { return l.instance }

func (l *link) Read(p []byte) (int, error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	for l.left == 0 && l.ended == nil && len(p) > 0 {
		if err := l.next(); err != nil {
			l.ended = l.readError(err)
		}
	}
	if l.ended != nil || len(p) == 0 {
		return 0, l.ended
	}
	n, err := l.in.Read(p[:min(len(p), l.left)])
	l.left -= n
	if err != nil {
		l.ended = l.readError(err)
	}
	if n > 0 {
		return n, nil
	}
	return 0, l.ended
}

// next reads the header of a frame, and all of one that has no data.
func (l *link) next() error {
	h, err := l.in.Peek(header)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("closed without a word: %w", io.ErrUnexpectedEOF)
		}
		return err
	}
	kind, n := frame(h[0]), int(binary.BigEndian.Uint32(h)&0xffffff)
	if _, err := l.in.Discard(header); err != nil {
		return err
	}
	if kind == data {
		if n > maxData {
			return fault.New(fault.Incompatible, "the peer sent a frame of %d bytes: expected at most %d", n, maxData)
		}
		l.left = n
		return nil
	}
	if n > maxReason {
		return fault.New(fault.Incompatible, "the peer sent a frame of type %q of %d bytes: expected at most %d", byte(kind), n, maxReason)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(l.in, body); err != nil {
		return err
	}
	return l.control(kind, body)
}

func (l *link) control(kind frame, body []byte) error {
	switch {
	case kind == ping && len(body) == 8:
		select {
		case l.pongs <- [8]byte(body):
		default: // one is on its way
		}
		select {
		case l.turn <- struct{}{}:
			l.release()
		default: // who has the turn answers
		}
		return nil
	case kind == pong && len(body) == 8:
		if c, ok := l.waits.LoadAndDelete([8]byte(body)); ok {
			close(c.(chan struct{}))
		}
		return nil
	case kind == closing:
		l.closeWrite() // nobody reads any more what this side writes
		if len(body) == 0 {
			return io.EOF
		}
		name, text, _ := strings.Cut(string(body), "\n")
		return fault.New(fault.Parse(name), "refused: %s", strings.ToValidUTF8(text, ""))
	}
	return fault.New(fault.Incompatible, "the peer sent a frame of type %q and %d bytes, which this version of outwork does not understand", byte(kind), len(body))
}

func (l *link) readError(err error) error {
	select {
	case <-l.shut:
		return fmt.Errorf("read: %w", net.ErrClosed)
	default:
	}
	if err == io.EOF {
		return err
	}
	return fmt.Errorf("read: %w", err)
}

func (l *link) Write(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		n := min(len(p), maxSend)
		if err := l.write(data, p[:n]); err != nil {
			return total, fmt.Errorf("write: %w", err)
		}
		total += n
		p = p[n:]
	}
	return total, nil
}

// write sends one frame.
func (l *link) write(kind frame, body []byte) error {
	select {
	case l.turn <- struct{}{}:
		defer l.release()
	case <-l.shut:
		return net.ErrClosed
	}
	select {
	case <-l.shut:
		return net.ErrClosed
	default:
		return l.put(kind, body)
	}
}

// put is write for who has the turn.
func (l *link) put(kind frame, body []byte) error {
	l.out = binary.BigEndian.AppendUint32(l.out[:0], uint32(kind)<<24|uint32(len(body)))
	l.out = append(l.out, body...)
	_, err := l.conn.Write(l.out)
	return err
}

// release gives the turn back, after what came meanwhile was answered.
func (l *link) release() {
	for {
		select {
		case id := <-l.pongs:
			_ = l.put(pong, id[:]) // the peer that does not get it is gone, and reading finds that
			continue
		default:
		}
		<-l.turn
		if len(l.pongs) == 0 {
			return
		}
		select {
		case l.turn <- struct{}{}:
		default:
			return
		}
	}
}

// Probe implements wire.Prober.
func (l *link) Probe(ctx context.Context) error {
	number := <-l.count
	l.count <- number + 1
	id := [8]byte(binary.BigEndian.AppendUint64(nil, number))
	answered := make(chan struct{})
	l.waits.Store(id, answered)
	defer l.waits.Delete(id)
	sent := make(chan error, 1)
	go func() { sent <- l.write(ping, id[:]) }() // it ends with the link at the latest
	for {
		select {
		case <-answered:
			return nil
		case err := <-sent:
			if err != nil {
				return fmt.Errorf("probe: %w", err)
			}
			sent = nil
		case <-l.shut:
			return fmt.Errorf("probe: %w", net.ErrClosed)
		case <-ctx.Done():
			return fmt.Errorf("probe: no answer: %w", context.Cause(ctx))
		}
	}
}

// Close tells the peer, waits a moment for its end, then cuts.
func (l *link) Close() error {
	l.close(nil)
	return nil
}

// Refuse implements wire.Refuser.
func (l *link) Refuse(err error) {
	reason := fault.Of(err).String() + "\n" + err.Error()
	l.close([]byte(reason[:min(len(reason), maxReason)]))
}

// Cut implements wire.Cutter.
func (l *link) Cut() {
	l.raw.Close()
	l.Close()
}

func (l *link) close(reason []byte) {
	l.once.Do(func() {
		deadline := time.Now().Add(closeGrace)
		cut := time.AfterFunc(closeGrace, func() { l.raw.Close() })
		defer cut.Stop()
		close(l.shut)
		l.conn.SetReadDeadline(time.Unix(1, 0)) // wakes who reads
		l.conn.SetWriteDeadline(deadline)       // and who writes, in the end
		l.turn <- struct{}{}
		_ = l.put(closing, reason)
		<-l.turn
		l.closeWrite()
		l.reading.Lock()
		defer l.reading.Unlock()
		// To close with unread bytes would reset the connection, and the peer might lose the reason.
		l.raw.SetReadDeadline(deadline)
		_, _ = io.Copy(io.Discard, l.raw)
		l.raw.Close()
	})
}

// closeWrite ends this side's stream below TLS.
func (l *link) closeWrite() {
	if c, ok := l.raw.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
}
