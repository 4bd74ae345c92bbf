// Package wiretest is the suite that every wire.Link passes.
package wiretest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire"
)

// patience is how long the suite waits for what must happen. It is long: on a busy machine it must not be reached.
const patience = time.Minute

// Pair makes two ends of a new link, and cleans up after the test.
type Pair func(t testing.TB) (near, far wire.Link)

// Run runs the suite, in both directions.
func Run(t *testing.T, pair Pair) {
	swapped := func(t testing.TB) (wire.Link, wire.Link) {
		near, far := pair(t)
		return far, near
	}
	t.Run("near", func(t *testing.T) { run(t, pair) })
	t.Run("far", func(t *testing.T) { run(t, swapped) })
}

func run(t *testing.T, pair Pair) {
	tests := []struct {
		name string
		test func(*testing.T, wire.Link, wire.Link)
	}{
		{"order", order},
		{"big writes", bigWrites},
		{"both ways at once", bothWays},
		{"close ends the peer's reading in good order", endOfFile},
		{"close unblocks a pending read", closeUnblocksRead},
		{"close unblocks a pending write", closeUnblocksWrite},
		{"close twice", closeTwice},
		{"peer has a name", peerName},
		{"handshake", handshake},
		{"probe", probe},
		{"refuse", refuse},
		{"cut", cut},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			near, far := pair(t)
			c.test(t, near, far)
		})
	}
}

func order(t *testing.T, near, far wire.Link) {
	var want bytes.Buffer
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		want.Write(random(r, 1+r.IntN(3000)))
	}
	sent := want.Bytes()
	go func() {
		rest := sent
		for len(rest) > 0 {
			n := min(len(rest), 1+r.IntN(5000))
			if _, err := near.Write(rest[:n]); err != nil {
				t.Errorf("write: %v", err)
				near.Close()
				return
			}
			rest = rest[n:]
		}
	}()
	got := make([]byte, len(sent))
	readFull(t, far, got)
	if !bytes.Equal(got, sent) {
		t.Fatal("bytes came in another order, or others came")
	}
}

func bigWrites(t *testing.T, near, far wire.Link) {
	sent := random(rand.New(rand.NewPCG(3, 4)), 9<<20+7)
	go func() {
		if n, err := near.Write(sent); n != len(sent) || err != nil {
			t.Errorf("write: %d bytes, %v; want %d", n, err, len(sent))
			near.Close()
		}
	}()
	got := make([]byte, len(sent))
	readFull(t, far, got)
	if sha256.Sum256(got) != sha256.Sum256(sent) {
		t.Fatal("other bytes came")
	}
}

func bothWays(t *testing.T, near, far wire.Link) {
	const size = 4 << 20
	var all sync.WaitGroup
	for i, ends := range [][2]wire.Link{{near, far}, {far, near}} {
		sent := random(rand.New(rand.NewPCG(5, uint64(i))), size)
		all.Go(func() {
			if _, err := ends[0].Write(sent); err != nil {
				t.Errorf("write: %v", err)
				ends[0].Close()
			}
		})
		all.Go(func() {
			got := make([]byte, size)
			if _, err := io.ReadFull(ends[1], got); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("read: %v; same bytes: %v", err, bytes.Equal(got, sent))
				ends[1].Close()
			}
		})
	}
	within(t, "both directions", all.Wait)
}

func endOfFile(t *testing.T, near, far wire.Link) {
	if _, err := near.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	got := make([]byte, 10)
	readFull(t, far, got)
	go func() { near.Close(); close(closed) }()
	within(t, "the end", func() {
		if n, err := far.Read(got); err != io.EOF || n != 0 {
			t.Errorf("read after the peer's close: %d bytes, %v; want io.EOF", n, err)
		}
		if n, err := far.Read(got); err == nil || n != 0 {
			t.Errorf("second read after the end: %d bytes, %v; want an error", n, err)
		}
	})
	far.Close()
	within(t, "close", func() { <-closed })
}

func closeUnblocksRead(t *testing.T, near, _ wire.Link) {
	unblocked := make(chan error)
	go func() {
		_, err := near.Read(make([]byte, 1))
		unblocked <- err
	}()
	near.Close()
	within(t, "the read", func() {
		if err := <-unblocked; err == nil {
			t.Error("a read succeeded that had nothing to read")
		}
	})
}

func closeUnblocksWrite(t *testing.T, near, _ wire.Link) {
	unblocked := make(chan error)
	started := make(chan struct{})
	go func() {
		p := make([]byte, 1<<20)
		close(started)
		for { // until every buffer on the way is full, and then until Close
			if _, err := near.Write(p); err != nil {
				unblocked <- err
				return
			}
		}
	}()
	<-started
	within(t, "close", func() { near.Close() })
	within(t, "the write", func() { <-unblocked })
}

func closeTwice(t *testing.T, near, far wire.Link) {
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { near.Close() })
		all.Go(func() { far.Close() })
	}
	within(t, "close", all.Wait)
	if _, err := near.Write([]byte("x")); err == nil {
		t.Error("a write succeeded after close")
	}
}

func peerName(t *testing.T, near, far wire.Link) {
	if near.Peer() == "" || far.Peer() == "" {
		t.Errorf("peers %q and %q: want names", near.Peer(), far.Peer())
	}
}

func handshake(t *testing.T, near, far wire.Link) {
	answered := make(chan error, 1)
	go func() {
		g, err := wire.Handshake(t.Context(), far, wire.Hello{Name: "far", Version: "2"})
		if err == nil && g.Peer.Name != "near" {
			err = errors.New("peer is " + g.Peer.Name)
		}
		answered <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	g, err := wire.Handshake(ctx, near, wire.Hello{Name: "near", Version: "1"})
	if err != nil || g.Peer.Name != "far" || g.Protocol != wire.Protocol {
		t.Fatalf("handshake: %+v, %v", g, err)
	}
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	// The handshake has taken nothing that came after it.
	go near.Write([]byte("next"))
	got := make([]byte, 4)
	readFull(t, far, got)
	if string(got) != "next" {
		t.Fatalf("after the handshake came %q", got)
	}
}

// probe is for a wire.Prober: it hears of a peer that reads, and only of one.
func probe(t *testing.T, near, far wire.Link) {
	p, ok := near.(wire.Prober)
	if !ok {
		t.Skip("the link is no wire.Prober")
	}
	go io.Copy(io.Discard, near) // a probe works while somebody reads
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errors.New("enough"))
	defer cancel()
	within(t, "the probe of a peer that does not read", func() {
		if err := p.Probe(ctx); err == nil {
			t.Error("a peer answered that does not read")
		}
	})
	go io.Copy(io.Discard, far)
	within(t, "the probes of a peer that reads", func() {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if err := p.Probe(t.Context()); err != nil {
					t.Errorf("probe: %v", err)
				}
			})
		}
		all.Wait()
	})
	near.Close()
	within(t, "the probe after close", func() {
		if err := p.Probe(t.Context()); err == nil {
			t.Error("a probe succeeded after close")
		}
	})
}

// refuse is for a wire.Refuser: the peer reads what was sent before, and then why.
func refuse(t *testing.T, near, far wire.Link) {
	r, ok := near.(wire.Refuser)
	if !ok {
		t.Skip("the link is no wire.Refuser")
	}
	if _, err := near.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	refused := make(chan struct{})
	go func() {
		r.Refuse(fault.New(fault.Conflict, "node n is already connected"))
		close(refused)
	}()
	within(t, "the refusal", func() {
		said, err := io.ReadAll(far)
		if string(said) != "last words" || !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "node n is already connected") {
			t.Errorf("the peer read %q, %v", said, err)
		}
		far.Close()
		<-refused
	})
}

// cut is for a wire.Cutter: it asks nobody.
func cut(t *testing.T, near, far wire.Link) {
	c, ok := near.(wire.Cutter)
	if !ok {
		t.Skip("the link is no wire.Cutter")
	}
	ended := make(chan error, 1)
	go func() {
		_, err := near.Read(make([]byte, 1))
		ended <- err
	}()
	within(t, "the cut", func() {
		c.Cut()
		if err := <-ended; err == nil || err == io.EOF {
			t.Errorf("a read at the end that was cut: %v", err)
		}
		if _, err := far.Read(make([]byte, 1)); err == nil {
			t.Error("a read succeeded after the cut")
		}
	})
}

// Benchmark measures bytes a second from near to far.
func Benchmark(b *testing.B, pair Pair) {
	near, far := pair(b)
	p := make([]byte, 64<<10)
	b.SetBytes(int64(len(p)))
	go func() {
		for {
			if _, err := near.Write(p); err != nil {
				return
			}
		}
	}()
	got := make([]byte, len(p))
	b.ResetTimer()
	for range b.N {
		if _, err := io.ReadFull(far, got); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	near.Close()
	far.Close()
}

func random(r *rand.Rand, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

func readFull(t *testing.T, l wire.Link, p []byte) {
	t.Helper()
	within(t, "the bytes", func() {
		if n, err := io.ReadFull(l, p); err != nil {
			t.Errorf("read %d of %d bytes: %v", n, len(p), err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
}

func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
	}
}
