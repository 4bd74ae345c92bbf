package mux

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
)

// The yamux frame header: version, type, flags (2), stream (4), length (4), big endian.
// Source: github.com/hashicorp/yamux/blob/master/spec.md.
const (
	headerSize = 12
	typeData   = 0
	typePing   = 2
)

// A peer may send this many pings at once and as many a second. yamux answers each in a goroutine of its own, so that without a
// limit a peer that sends and does not read could make this process grow.
const pingBurst = 200

// guard stands between yamux and the link. Reading, it counts signs of life and refuses a flood of pings. Writing, it joins a
// data frame's header and body, which yamux writes apart, into one write: one message, one system call.
type guard struct {
	link wire.Link

	count atomic.Uint64 // reads that brought bytes
	heard atomic.Int64  // wall time of the last, Unix nanoseconds

	// Only the reader touches these.
	header [headerSize]byte
	have   int    // bytes of header
	body   uint32 // bytes of the present frame's body still to come
	pings  int
	second time.Time // when pings was last set to 0

	ended chan struct{} // closed when a Read has failed
	over  sync.Once

	held []byte // a data header waiting for its body; only the writer touches it

	mu  sync.Mutex
	err error // the first failure of the link; guarded by mu
}

func newGuard(l wire.Link) *guard {
	g := &guard{link: l, ended: make(chan struct{})}
	g.heard.Store(time.Now().UnixNano())
	return g
}

func (g *guard) reads() uint64        { return g.count.Load() }
func (g *guard) lastHeard() time.Time { return time.Unix(0, g.heard.Load()) }

// cause says how the link failed, for people.
func (g *guard) cause() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.err == nil:
		return fault.New(fault.Unavailable, "session with %s ended", g.link.Peer())
	case errors.Is(g.err, io.EOF):
		return fault.New(fault.Unavailable, "%s closed the connection: %w", g.link.Peer(), g.err)
	case fault.Is(g.err, fault.Exhausted):
		return g.err
	}
	return fault.New(fault.Unavailable, "connection with %s was broken: %w", g.link.Peer(), g.err)
}

func (g *guard) failed(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = err
	}
}

func (g *guard) Read(p []byte) (int, error) {
	n, err := g.link.Read(p)
	if n > 0 {
		g.count.Add(1)
		g.heard.Store(time.Now().UnixNano())
		if e := g.inspect(p[:n]); e != nil {
			err = e
		}
	}
	if err != nil {
		g.failed(err)
		g.over.Do(func() { close(g.ended) })
	}
	return n, err
}

// inspect follows the frames through p.
func (g *guard) inspect(p []byte) error {
	for len(p) > 0 {
		if g.body > 0 {
			skip := min(g.body, uint32(len(p)))
			g.body -= skip
			p = p[skip:]
			continue
		}
		n := copy(g.header[g.have:], p)
		g.have += n
		p = p[n:]
		if g.have < headerSize {
			return nil
		}
		g.have = 0
		switch g.header[1] {
		case typeData:
			g.body = binary.BigEndian.Uint32(g.header[8:])
		case typePing:
			if err := g.countPing(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *guard) countPing() error {
	if now := time.Now(); now.Sub(g.second) >= time.Second {
		g.second, g.pings = now, 0
	}
	if g.pings++; g.pings > pingBurst {
		return fault.New(fault.Exhausted, "%s sent more than %d pings within a second", g.link.Peer(), pingBurst)
	}
	return nil
}

func (g *guard) Write(p []byte) (int, error) {
	n := len(p)
	if g.held == nil && isDataHeader(p) {
		g.held = append(make([]byte, 0, headerSize), p...)
		return n, nil
	}
	if g.held != nil {
		p = append(g.held, p...)
		g.held = nil
	}
	if _, err := g.link.Write(p); err != nil {
		g.hearOut()
		g.failed(err)
		return 0, err
	}
	return n, nil
}

// hearOut gives the reader a moment to find out why a write failed: a peer that has closed in good order is no broken pipe.
func (g *guard) hearOut() {
	t := time.NewTimer(100 * time.Millisecond)
	defer t.Stop()
	select {
	case <-g.ended:
	case <-t.C:
	}
}

// isDataHeader reports whether p is a header that announces a body: yamux writes every header by itself.
func isDataHeader(p []byte) bool {
	return len(p) == headerSize && p[0] == 0 && p[1] == typeData && binary.BigEndian.Uint32(p[8:]) > 0
}

func (g *guard) Close() error { return g.link.Close() }
