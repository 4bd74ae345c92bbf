// Package stdio is the Link over a pair of byte streams: this process' stdin and stdout, or those of a child process.
//
// The channel must be 8-bit clean. On the agent's side nothing else may write to stdout: logs go to stderr.
package stdio

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"

	"github.com/outwork-build/outwork/wire"
)

// maxNoise is how much a login shell may print before the peer greets.
const maxNoise = 64 << 10

// New makes a Link of r and w. Closing r must unblock a pending Read, closing w a pending Write, as with pipes and sockets.
func New(r io.ReadCloser, w io.WriteCloser, peer string) wire.Link {
	return &link{r: r, w: w, peer: peer}
}

// Own is the Link over this process' stdin and stdout, to whoever started it. A process uses it once: what the peer sends after
// Close is lost.
func Own() wire.Link {
	// Reading a blocking stdin cannot be interrupted, so goroutines of their own do it; they end with the process.
	return New(detachReader(os.Stdin), detachWriter(os.Stdout), "stdin and stdout")
}

type link struct {
	r    io.ReadCloser
	w    io.WriteCloser
	peer string

	once sync.Once
	err  error
}

func (l *link) Peer() string                { return l.peer }
func (l *link) Noise() int                  { return maxNoise }
func (l *link) Read(p []byte) (int, error)  { return l.r.Read(p) }
func (l *link) Write(p []byte) (int, error) { return l.w.Write(p) }

func (l *link) Close() error {
	l.once.Do(func() { l.err = errors.Join(l.w.Close(), l.r.Close()) })
	return l.err
}

// detached moves blocking calls of f to a goroutine, so that Close unblocks them. What a call given up on reads or writes
// afterwards is lost.
type detached struct {
	jobs   chan []byte
	done   chan result
	closed chan struct{}
	once   sync.Once
	f      io.Closer
}

type result struct {
	n   int
	err error
}

func detach(f io.Closer, op func([]byte) (int, error)) *detached {
	d := &detached{jobs: make(chan []byte), done: make(chan result, 1), closed: make(chan struct{}), f: f}
	go func() {
		for {
			select {
			case p := <-d.jobs:
				n, err := op(p)
				d.done <- result{n, err}
			case <-d.closed:
				return
			}
		}
	}()
	return d
}

// do runs the operation on p. After Close the goroutine may still use p, so p must not be the caller's.
func (d *detached) do(p []byte) (int, error) {
	select {
	case d.jobs <- p:
	case <-d.closed:
		return 0, net.ErrClosed
	}
	select {
	case r := <-d.done:
		return r.n, r.err
	case <-d.closed:
		return 0, net.ErrClosed
	}
}

func (d *detached) Close() error {
	d.once.Do(func() { close(d.closed) })
	return d.f.Close()
}

type reader struct {
	*detached
	buf  []byte
	rest []byte // of buf, not yet handed out
}

func detachReader(f *os.File) *reader {
	return &reader{detached: detach(f, f.Read), buf: make([]byte, 64<<10)}
}

func (r *reader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		n, err := r.do(r.buf)
		if n <= 0 {
			return 0, err
		}
		r.rest = r.buf[:n]
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

type writer struct {
	*detached
	buf []byte
}

func detachWriter(f *os.File) *writer { return &writer{detached: detach(f, f.Write)} }

func (w *writer) Write(p []byte) (int, error) {
	w.buf = append(w.buf[:0], p...)
	return w.do(w.buf)
}
