// Package memory keeps blobs in this process's memory, up to a bound: for tests, and as a small store in front of others.
//
// The least recently used blobs make room for new ones. What Missing found is protected for Config.Lease; when only
// protected blobs are left, Put answers cas.ErrFull. All methods may be called concurrently.
package memory

import (
	"bytes"
	"container/list"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/outwork-build/outwork/cas"
)

// Config sets the bounds. The zero value is usable.
type Config struct {
	MaxBytes int64         // bytes of blobs kept, those being received included; 0 is 256 MiB
	Lease    time.Duration // how long Missing protects what it found; 0 is 10 minutes
}

// Store is a cas.Store in memory.
type Store struct {
	cfg Config

	mu    sync.Mutex
	used  int64 // bytes kept and reserved
	blobs map[cas.Digest]*list.Element
	order *list.List // of *blob, the most recently used first
}

type blob struct {
	digest cas.Digest
	data   []byte
	until  time.Time // protected until then
}

var _ cas.Finder = (*Store)(nil)

// New returns an empty store.
func New(cfg Config) *Store {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 256 << 20
	}
	if cfg.Lease == 0 {
		cfg.Lease = 10 * time.Minute
	}
	return &Store{cfg: cfg, blobs: make(map[cas.Digest]*list.Element), order: list.New()}
}

// Missing implements cas.Store.
func (s *Store) Missing(ctx context.Context, ds []cas.Digest) ([]cas.Digest, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	until := time.Now().Add(s.cfg.Lease)
	seen := make(map[cas.Digest]bool, len(ds))
	var missing []cas.Digest
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range ds {
		if err := d.Validate(); err != nil {
			return nil, err
		}
		if seen[d] || d == cas.Empty {
			continue
		}
		seen[d] = true
		if b := s.touch(d); b == nil {
			missing = append(missing, d)
		} else if b.until.Before(until) {
			b.until = until
		}
	}
	return missing, nil
}

// Put implements cas.Store.
func (s *Store) Put(ctx context.Context, d cas.Digest, r io.Reader) error {
	if err := d.Validate(); err != nil {
		return err
	}
	if s.has(d) {
		return nil
	}
	if err := s.reserve(d.Size); err != nil {
		return fmt.Errorf("put %s: %w", d, err)
	}
	data, err := receive(ctx, d, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.blobs[d]; err != nil || ok || d == cas.Empty {
		s.used -= d.Size
		return err
	}
	s.blobs[d] = s.order.PushFront(&blob{digest: d, data: data})
	return nil
}

// receive reads a blob as it comes: a digest that lies about its size costs no more memory than the bytes that were sent.
func receive(ctx context.Context, d cas.Digest, r io.Reader) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(int(min(d.Size, 64<<10) + bytes.MinRead))
	if _, err := buf.ReadFrom(cas.UntilDone(ctx, cas.NewVerifier(d, r))); err != nil {
		return nil, err
	}
	return bytes.Clone(buf.Bytes()), nil
}

// Get implements cas.Store. What it returns stays readable when the blob is evicted.
func (s *Store) Get(ctx context.Context, d cas.Digest, offset int64) (io.ReadCloser, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	var data []byte
	if d != cas.Empty {
		s.mu.Lock()
		b := s.touch(d)
		s.mu.Unlock()
		if b == nil {
			return nil, fmt.Errorf("get %s: %w", d, cas.ErrNotFound)
		}
		data = b.data
	}
	if offset < 0 || offset > d.Size {
		return nil, fmt.Errorf("get %s from %d: %w", d, offset, cas.ErrRange)
	}
	return io.NopCloser(cas.UntilDone(ctx, bytes.NewReader(data[offset:]))), nil
}

// Find implements cas.Finder, by looking at every blob.
func (s *Store) Find(_ context.Context, hash string) (cas.Digest, error) {
	if hash == cas.Empty.Hash {
		return cas.Empty, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for d := range s.blobs {
		if d.Hash == hash {
			return d, nil
		}
	}
	return cas.Digest{}, fmt.Errorf("find %.100q: %w", hash, cas.ErrNotFound)
}

func (s *Store) has(d cas.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.touch(d) != nil
}

// touch finds a blob and makes it the most recently used. The caller holds mu.
func (s *Store) touch(d cas.Digest) *blob {
	e, ok := s.blobs[d]
	if !ok {
		return nil
	}
	s.order.MoveToFront(e)
	return e.Value.(*blob)
}

// reserve takes size bytes of the bound, evicting from the far end of the order.
func (s *Store) reserve(size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if size > s.cfg.MaxBytes {
		return cas.ErrFull
	}
	now := time.Now()
	for e := s.order.Back(); e != nil && s.used+size > s.cfg.MaxBytes; {
		b, prev := e.Value.(*blob), e.Prev()
		if !b.until.After(now) {
			s.order.Remove(e)
			delete(s.blobs, b.digest)
			s.used -= b.digest.Size
		}
		e = prev
	}
	if s.used+size > s.cfg.MaxBytes {
		return cas.ErrFull
	}
	s.used += size
	return nil
}
