package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/outwork-build/outwork/cas"
)

// smallBlob is up to how many bytes a blob waits in memory, and maxStaged how many bytes wait together.
const (
	smallBlob = 64 << 10
	maxStaged = 32 << 20
)

// staged is a store whose small new blobs wait in memory until commit puts them all at once: one sync for all that an action made.
type staged struct {
	cas.Store
	mu    sync.Mutex
	blobs map[cas.Digest][]byte
	bytes int64
}

func newStaged(s cas.Store) *staged { return &staged{Store: s, blobs: map[cas.Digest][]byte{}} }

// Missing implements cas.Store.
func (s *staged) Missing(ctx context.Context, ds []cas.Digest) ([]cas.Digest, error) {
	missing, err := s.Store.Missing(ctx, ds)
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := missing[:0]
	for _, d := range missing {
		if _, waits := s.blobs[d]; !waits {
			kept = append(kept, d)
		}
	}
	return kept, err
}

// Put implements cas.Store.
func (s *staged) Put(ctx context.Context, d cas.Digest, r io.Reader) error {
	if d.Size > smallBlob {
		return s.Store.Put(ctx, d, r)
	}
	b, err := io.ReadAll(io.LimitReader(r, d.Size+1))
	if err == nil {
		err = cas.Blob{Digest: d, Data: b}.Check()
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, waits := s.blobs[d]; waits {
		return nil
	}
	s.blobs[d] = b
	if s.bytes += d.Size; s.bytes > maxStaged {
		return s.flush(ctx)
	}
	return nil
}

// Get implements cas.Store.
func (s *staged) Get(ctx context.Context, d cas.Digest, offset int64) (io.ReadCloser, error) {
	s.mu.Lock()
	b, waits := s.blobs[d]
	s.mu.Unlock()
	if !waits {
		return s.Store.Get(ctx, d, offset)
	}
	if offset < 0 || offset > d.Size {
		return nil, fmt.Errorf("get %s from %d: %w", d, offset, cas.ErrRange)
	}
	return io.NopCloser(bytes.NewReader(b[offset:])), nil
}

// commit puts what waits.
func (s *staged) commit(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flush(ctx)
}

// flush is commit for who holds mu.
func (s *staged) flush(ctx context.Context) error {
	ds := make([]cas.Digest, 0, len(s.blobs))
	for d := range s.blobs {
		ds = append(ds, d)
	}
	missing, err := s.Store.Missing(ctx, ds)
	if err != nil {
		return err
	}
	batch := make([]cas.Blob, len(missing))
	for i, d := range missing {
		batch[i] = cas.Blob{Digest: d, Data: s.blobs[d]}
	}
	for _, err := range cas.PutBatch(ctx, s.Store, batch) {
		if err != nil {
			return err
		}
	}
	clear(s.blobs)
	s.bytes = 0
	return nil
}
