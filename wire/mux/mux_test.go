package mux_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
	"github.com/outwork-build/outwork/wire/mux"
	"github.com/outwork-build/outwork/wire/stdio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// links are two ends of a link over pipes. A hole opened on one swallows what comes from the other.
func links(t testing.TB) (*holed, *holed) {
	a, b, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c, d, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	near, far := &holed{Link: stdio.New(a, d, "far"), closed: make(chan struct{})}, &holed{Link: stdio.New(c, b, "near"), closed: make(chan struct{})}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// holed is a link into which bytes can vanish, as on a path that drops packets without a word: what was said, and that the other side
// has closed.
type holed struct {
	wire.Link
	hole   atomic.Bool
	closed chan struct{}
	once   sync.Once
}

func (h *holed) Read(p []byte) (int, error) {
	for {
		n, err := h.Link.Read(p)
		if !h.hole.Load() {
			return n, err
		}
		if err != nil {
			<-h.closed
			return 0, err
		}
	}
}

func (h *holed) Close() error {
	h.once.Do(func() { close(h.closed) })
	return h.Link.Close()
}

func sessions(t testing.TB, near, far wire.Link, a, b mux.Config) (*mux.Session, *mux.Session) {
	n, err := mux.Dialer(near, a)
	if err != nil {
		t.Fatal(err)
	}
	f, err := mux.Listener(far, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close(); f.Close() })
	return n, f
}

func ended(t testing.TB, s *mux.Session) error {
	t.Helper()
	select {
	case <-s.Done():
	case <-time.After(time.Minute):
		t.Fatal("the session has not ended")
	}
	return s.Err()
}

func TestStreamsBothWays(t *testing.T) {
	near, far := links(t)
	a, b := sessions(t, near, far, mux.Config{}, mux.Config{})
	var all sync.WaitGroup
	for _, s := range []*mux.Session{a, b} {
		all.Go(func() {
			for range 5 {
				c, err := s.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				all.Go(func() { io.Copy(c, c); c.Close() })
			}
		})
	}
	for _, s := range []*mux.Session{a, b} {
		for i := range 5 {
			all.Go(func() {
				c, err := s.Open(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				sent := bytes.Repeat([]byte{byte(i), 'x', '\n'}, 1<<20)
				go c.Write(sent)
				got := make([]byte, len(sent))
				if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
					t.Errorf("stream %d: %v", i, err)
				}
			})
		}
	}
	all.Wait()
	if a.RoundTrip() <= 0 {
		t.Errorf("round trip %v", a.RoundTrip())
	}
}

func TestCloseTellsBothSides(t *testing.T) {
	near, far := links(t)
	a, b := sessions(t, near, far, mux.Config{}, mux.Config{})
	c, err := a.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	if err := ended(t, a); err != nil {
		t.Errorf("the closing side: %v", err)
	}
	if err := ended(t, b); !fault.Is(err, fault.Unavailable) || !errors.Is(err, io.EOF) {
		t.Errorf("the other side: %v", err)
	}
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("a stream outlived its session")
	}
	if _, err := b.Open(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("open after the end: %v", err)
	}
	if _, err := b.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after the end: %v", err)
	}
}

func TestSilentPeerIsFound(t *testing.T) {
	const heartbeat = 400 * time.Millisecond
	near, far := links(t)
	a, b := sessions(t, near, far, mux.Config{Heartbeat: heartbeat}, mux.Config{Heartbeat: heartbeat})
	near.hole.Store(true)
	far.hole.Store(true)
	start := time.Now()
	for _, s := range []*mux.Session{a, b} {
		err := ended(t, s)
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "silent for two heartbeats") {
			t.Errorf("%v", err)
		}
	}
	if d := time.Since(start); d < heartbeat {
		t.Errorf("found after %v with heartbeats of %v", d, heartbeat)
	}
}

func TestOneWaySilenceIsFoundByBoth(t *testing.T) {
	near, far := links(t)
	c := mux.Config{Heartbeat: 50 * time.Millisecond}
	a, b := sessions(t, near, far, c, c)
	near.hole.Store(true) // b hears a, a does not hear b
	if err := ended(t, a); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	if err := ended(t, b); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
}

// An idle session lives, also when the two sides are not equally patient and a stream that nobody reads is full.
func TestIdleSessionLives(t *testing.T) {
	const impatient = 150 * time.Millisecond
	near, far := links(t)
	start := time.Now()
	a, b := sessions(t, near, far, mux.Config{Heartbeat: impatient, PeerHeartbeat: time.Hour}, mux.Config{Heartbeat: time.Hour, PeerHeartbeat: impatient})
	c, err := a.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go c.Write(make([]byte, 4<<20))
	select {
	case <-a.Done():
		t.Errorf("the impatient side ended: %v", a.Err())
	case <-b.Done():
		t.Errorf("the patient side ended: %v", b.Err())
	case <-time.After(12 * impatient):
	}
	if last := a.LastHeard().Sub(start); last < 4*impatient {
		t.Errorf("heard nothing any more after %v", last)
	}
}

// frame is a yamux header.
func frame(kind byte, flags uint16, stream, length uint32) []byte {
	p := []byte{0, kind}
	p = binary.BigEndian.AppendUint16(p, flags)
	p = binary.BigEndian.AppendUint32(p, stream)
	return binary.BigEndian.AppendUint32(p, length)
}

// A peer that asks for more pings than it reads answers to must not make this side grow.
func TestFloodOfPingsEndsTheSession(t *testing.T) {
	near, far := links(t)
	s, err := mux.Listener(near, mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	go func() {
		for {
			if _, err := far.Write(frame(2, 1, 0, 7)); err != nil {
				return
			}
		}
	}()
	if err := ended(t, s); !fault.Is(err, fault.Exhausted) {
		t.Errorf("%v", err)
	}
}

func TestTooManyStreamsEndTheSession(t *testing.T) {
	near, far := links(t)
	a, b := sessions(t, near, far, mux.Config{}, mux.Config{MaxStreams: 3})
	go func() {
		for {
			if _, err := a.Open(t.Context()); err != nil {
				return
			}
		}
	}()
	for range 3 {
		if _, err := b.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the fourth: %v", err)
	}
	if err := ended(t, b); !fault.Is(err, fault.Exhausted) {
		t.Errorf("%v", err)
	}
}

func TestClosedStreamsGiveTheirPlaceBack(t *testing.T) {
	near, far := links(t)
	a, b := sessions(t, near, far, mux.Config{}, mux.Config{MaxStreams: 2})
	for range 20 {
		out, err := a.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		in, err := b.Accept()
		if err != nil {
			t.Fatal(err)
		}
		in.Close()
		in.Close()
		out.Close()
	}
}

func TestGarbageEndsTheSession(t *testing.T) {
	near, far := links(t)
	s, err := mux.Dialer(near, mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	go far.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	if err := ended(t, s); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
}

func TestBadConfig(t *testing.T) {
	near, _ := links(t)
	if _, err := mux.Dialer(near, mux.Config{Window: 1}); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}

func TestOpenAfterContext(t *testing.T) {
	near, far := links(t)
	a, _ := sessions(t, near, far, mux.Config{}, mux.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Open(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestStartAndStop(t *testing.T) {
	for i := range 300 {
		near, far := links(t)
		a, b := sessions(t, near, far, mux.Config{Heartbeat: 20 * time.Millisecond}, mux.Config{Heartbeat: 20 * time.Millisecond})
		if i%2 == 0 {
			if c, err := a.Open(t.Context()); err == nil {
				go c.Write(make([]byte, 100))
			}
		}
		var all sync.WaitGroup
		all.Go(func() { a.Close() })
		all.Go(func() { b.Close() })
		all.Wait()
	}
}
