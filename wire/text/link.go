package text

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	batch      = 24 << 10  // bytes of payload in one write to the channel
	maxPending = 256 << 10 // bytes received that nobody has read yet

	// closeGrace is how long the peer may take to answer a close. A dead one must not hold up who closes.
	closeGrace = 500 * time.Millisecond
)

// link implements wire.Link. A goroutine of its own reads the channel: so Close can wait for the peer's last line, without which a
// terminal would throw away what the peer has not read yet.
type link struct {
	inner io.ReadWriteCloser
	peer  string

	turn chan struct{} // holds one token: writes come one by one
	enc  encoder       // guarded by turn
	out  []byte        // guarded by turn
	said bool          // the last line was sent; guarded by turn

	dec decoder // of the pump

	mu      sync.Mutex
	changed sync.Cond // of what mu guards
	pending []byte    // received, not read; guarded by mu
	ended   error     // what Read answers after pending; guarded by mu

	once   sync.Once
	closed chan struct{}
	last   chan struct{} // closed when the pump has ended
}

func newLink(inner io.ReadWriteCloser, peer string, own side, rest []byte) *link {
	l := &link{inner: inner, peer: peer, turn: make(chan struct{}, 1), enc: encoder{side: own}, dec: decoder{peer: own.other()},
		closed: make(chan struct{}), last: make(chan struct{})}
	l.changed.L = &l.mu
	l.inner = &withRest{ReadWriteCloser: inner, rest: rest}
	return l
}

// withRest gives back what was read too much.
type withRest struct {
	io.ReadWriteCloser
	rest []byte
}

func (w *withRest) Read(p []byte) (int, error) {
	if len(w.rest) == 0 {
		return w.ReadWriteCloser.Read(p)
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

func (l *link) Peer() string { return l.peer }

// pump reads the channel to its end.
func (l *link) pump() {
	defer close(l.last)
	buf := make([]byte, 32<<10)
	var data []byte
	for {
		n, readErr := l.inner.Read(buf)
		var err error
		data, err = l.dec.feed(data[:0], buf[:n])
		if err == nil && readErr != nil {
			err = l.brokenOff(readErr)
		}
		l.deliver(data, err)
		if err == io.EOF {
			l.sayLast()
		}
		if err != nil {
			return
		}
	}
}

func (l *link) brokenOff(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("read: closed without a word: %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("read: %w", err)
}

// deliver hands data to Read, when there is room; a link that is closed needs none of it.
func (l *link) deliver(data []byte, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.pending) > maxPending && l.ended == nil {
		l.changed.Wait()
	}
	if l.ended == nil {
		l.pending, l.ended = append(l.pending, data...), err
		l.changed.Broadcast()
	}
}

func (l *link) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.pending) == 0 && l.ended == nil && len(p) > 0 {
		l.changed.Wait()
	}
	if len(l.pending) == 0 {
		return 0, l.ended
	}
	n := copy(p, l.pending)
	if l.pending = l.pending[n:]; len(l.pending) == 0 {
		l.pending = nil
	}
	l.changed.Broadcast()
	return n, nil
}

func (l *link) Write(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		n := min(len(p), batch)
		if err := l.write(p[:n]); err != nil {
			return total, err
		}
		total += n
		p = p[n:]
	}
	return total, nil
}

// write sends the lines of p, of an empty p the last one, in one piece.
func (l *link) write(p []byte) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-l.closed:
		return errClosed("write")
	}
	if l.said {
		return errClosed("write")
	}
	l.said = len(p) == 0
	l.out = l.enc.lines(l.out[:0], p)
	if _, err := l.inner.Write(l.out); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// sayLast sends the last line, once. Its error says that the channel is gone: all the same to who closes.
func (l *link) sayLast() { _ = l.write(nil) }

// Close tells the peer, waits a moment for its answer, then closes the channel.
func (l *link) Close() error {
	var err error
	l.once.Do(func() {
		l.end()
		told := make(chan struct{})
		go func() { l.sayLast(); close(told) }()
		grace := time.NewTimer(closeGrace)
		defer grace.Stop()
		select {
		case <-told:
			select {
			case <-l.last:
			case <-grace.C:
			}
		case <-grace.C:
		}
		close(l.closed)
		err = l.inner.Close()
	})
	return err
}

// end ends the reading.
func (l *link) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = nil
	if l.ended == nil || l.ended == io.EOF {
		l.ended = errClosed("read")
	}
	l.changed.Broadcast()
}
