package tier_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/castest"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/cas/tier"
)

func TestConformance(t *testing.T) {
	for name, near := range map[string]func() cas.Store{
		"near":            func() cas.Store { return memory.New(memory.Config{}) },
		"tiny near":       func() cas.Store { return memory.New(memory.Config{MaxBytes: 1000}) },
		"near that fails": func() cas.Store { return broken{} },
	} {
		t.Run(name, func(t *testing.T) {
			castest.Run(t, func(*testing.T) cas.Store {
				return tier.New(tier.Config{Near: near(), Far: memory.New(memory.Config{})})
			}, castest.Options{})
		})
	}
}

// broken fails in everything, and reads a little of what it is given.
type broken struct{}

var errBroken = errors.New("the disk is gone")

func (broken) Missing(context.Context, []cas.Digest) ([]cas.Digest, error) { return nil, errBroken }
func (broken) Put(_ context.Context, _ cas.Digest, r io.Reader) error {
	r.Read(make([]byte, 10))
	return errBroken
}
func (broken) Get(context.Context, cas.Digest, int64) (io.ReadCloser, error) { return nil, errBroken }

// counting counts the reads of a store, and holds them up until gate is closed.
type counting struct {
	*memory.Store
	gets atomic.Int64
	gate chan struct{}
}

func (c *counting) Get(ctx context.Context, d cas.Digest, offset int64) (io.ReadCloser, error) {
	c.gets.Add(1)
	if c.gate != nil {
		select {
		case <-c.gate:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return c.Store.Get(ctx, d, offset)
}

func TestManyReadersFetchOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := &counting{Store: memory.New(memory.Config{}), gate: make(chan struct{})}
		b := castest.Bytes(1, 1<<20)
		d, err := cas.PutBytes(t.Context(), far.Store, b)
		if err != nil {
			t.Fatal(err)
		}
		s := tier.New(tier.Config{Near: memory.New(memory.Config{}), Far: far})
		impatient, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				ctx := t.Context()
				if i%2 == 0 {
					ctx = impatient
				}
				got, err := cas.ReadAll(ctx, s, d, 1<<30)
				if i%2 == 0 && !errors.Is(err, context.Canceled) || i%2 == 1 && (err != nil || !bytes.Equal(got, b)) {
					t.Errorf("reader %d: %d bytes, %v", i, len(got), err)
				}
			})
		}
		synctest.Wait()
		cancel() // half of them go, the one that began it among them
		synctest.Wait()
		close(far.gate)
		wg.Wait()
		if _, err := cas.ReadAll(t.Context(), s, d, 1<<30); err != nil || far.gets.Load() != 1 {
			t.Errorf("%d reads of the far store for 51 of the tier, %v", far.gets.Load(), err)
		}
	})
}

// When nobody waits any more a fetch ends, and the next reader begins another.
func TestAbandonedFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := &counting{Store: memory.New(memory.Config{}), gate: make(chan struct{})}
		d, err := cas.PutBytes(t.Context(), far.Store, []byte("blob"))
		if err != nil {
			t.Fatal(err)
		}
		s := tier.New(tier.Config{Near: memory.New(memory.Config{}), Far: far})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			cancel()
		}()
		if _, err := s.Get(ctx, d, 0); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		close(far.gate)
		if _, err := cas.ReadAll(t.Context(), s, d, 100); err != nil || far.gets.Load() != 2 {
			t.Errorf("%d reads of the far store, %v", far.gets.Load(), err)
		}
	})
}

func TestWriteThrough(t *testing.T) {
	near, far := memory.New(memory.Config{}), memory.New(memory.Config{})
	s := tier.New(tier.Config{Near: near, Far: far})
	one, two := castest.Bytes(1, 300<<10), castest.Bytes(2, 100)
	if _, err := cas.PutBytes(t.Context(), s, one); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.PutBatch(t.Context(), []cas.Blob{{Digest: cas.Of(two), Data: two}}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, store := range map[string]cas.Store{"near": near, "far": far} {
		for _, b := range [][]byte{one, two} {
			if got, err := cas.ReadAll(t.Context(), store, cas.Of(b), 1<<30); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	// What only the near store has does not count: a restart or an eviction there would lose it.
	three := []byte("near only")
	if _, err := cas.PutBytes(t.Context(), near, three); err != nil {
		t.Fatal(err)
	}
	if ds, err := s.Missing(t.Context(), []cas.Digest{cas.Of(three)}); err != nil || len(ds) != 1 {
		t.Errorf("missing: %v, %v", ds, err)
	}
}
