// Package tier puts a near store in front of a far one: a machine's own disk before a farm's cache, a disk before S3.
//
// What is read from the far store is kept in the near one on the way; many readers of one blob make it come once. What is put goes to both,
// and counts as put when the far one has it. The near store may lose what it likes, may be full, and may fail: nothing depends on it.
// All methods may be called concurrently.
package tier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/outwork-build/outwork/cas"
)

// Config of a Store. Near and Far are required.
type Config struct {
	Near, Far cas.Store
	Log       *slog.Logger // nil logs nothing
}

// Store is a cas.Store of two.
type Store struct {
	near, far cas.Store
	log       *slog.Logger

	mu      sync.Mutex
	fetches map[cas.Digest]*fetch
}

var _ cas.Batcher = (*Store)(nil)

// fetch is a blob on its way from far to near. Its context ends when nobody waits for it any more.
type fetch struct {
	done    chan struct{}
	err     error
	waiting int // guarded by mu
	cancel  context.CancelFunc
}

// New returns the store of two. It makes no call.
func New(cfg Config) *Store {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Store{near: cfg.Near, far: cfg.Far, log: cfg.Log, fetches: map[cas.Digest]*fetch{}}
}

// Missing implements cas.Store: the far store's word counts, as what it has is what survives.
func (s *Store) Missing(ctx context.Context, ds []cas.Digest) ([]cas.Digest, error) {
	return s.far.Missing(ctx, ds)
}

// Put implements cas.Store. The bytes go to both stores while they come.
func (s *Store) Put(ctx context.Context, d cas.Digest, r io.Reader) error {
	pr, pw := io.Pipe()
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		err := s.near.Put(ctx, d, pr)
		pr.CloseWithError(errNear)
		s.spared(d, err)
	}()
	err := s.far.Put(ctx, d, &tee{r: r, near: pw})
	pw.CloseWithError(io.ErrUnexpectedEOF) // of what far did not read, near must not take the end for the blob's
	<-kept
	return err
}

// errNear is what the copy for the near store ends with when that has heard enough.
var errNear = errors.New("the near store reads no further")

// spared logs that the near store goes without a blob.
func (s *Store) spared(d cas.Digest, err error) {
	if err != nil && !errors.Is(err, cas.ErrMismatch) {
		s.log.Debug("not kept near", "blob", d, "error", err)
	}
}

// tee copies what is read to the near store, as long as that takes it.
type tee struct {
	r    io.Reader
	near *io.PipeWriter
	lost bool
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if n > 0 && !t.lost {
		_, werr := t.near.Write(p[:n])
		t.lost = werr != nil
	}
	if err != nil && !t.lost {
		t.near.CloseWithError(err) // io.EOF is the end of a sound blob, anything else is of none
		t.lost = true
	}
	return n, err
}

// PutBatch implements cas.Batcher.
func (s *Store) PutBatch(ctx context.Context, blobs []cas.Blob) []error {
	errs := cas.PutBatch(ctx, s.far, blobs)
	var good []cas.Blob
	for i, b := range blobs {
		if errs[i] == nil {
			good = append(good, b)
		}
	}
	for i, err := range cas.PutBatch(ctx, s.near, good) {
		s.spared(good[i].Digest, err)
	}
	return errs
}

// Get implements cas.Store. A blob that is not near is fetched whole before its first byte is read, so that it is near from then on.
func (s *Store) Get(ctx context.Context, d cas.Digest, offset int64) (io.ReadCloser, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if offset < 0 || offset > d.Size {
		return nil, fmt.Errorf("get %s from %d: %w", d, offset, cas.ErrRange)
	}
	if r, err := s.near.Get(ctx, d, offset); err == nil {
		return r, nil
	}
	if err := s.fetch(ctx, d); err != nil {
		return nil, err
	}
	if r, err := s.near.Get(ctx, d, offset); err == nil {
		return r, nil
	}
	return s.far.Get(ctx, d, offset) // the near store could not take it
}

// fetch has a blob copied from far to near, or waits for who does. It fails only when the far store does.
func (s *Store) fetch(ctx context.Context, d cas.Digest) error {
	s.mu.Lock()
	f := s.fetches[d]
	if f == nil {
		f = &fetch{done: make(chan struct{})}
		var work context.Context
		work, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
		s.fetches[d] = f
		go s.run(work, d, f)
	}
	f.waiting++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if f.waiting--; f.waiting == 0 {
			if s.fetches[d] == f {
				delete(s.fetches, d) // who comes now begins anew
			}
			f.cancel()
		}
	}()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Store) run(ctx context.Context, d cas.Digest, f *fetch) {
	f.err = s.copy(ctx, d)
	s.mu.Lock()
	if s.fetches[d] == f {
		delete(s.fetches, d)
	}
	s.mu.Unlock()
	close(f.done)
}

func (s *Store) copy(ctx context.Context, d cas.Digest) error {
	blob, err := s.far.Get(ctx, d, 0)
	if err != nil {
		return err
	}
	defer blob.Close()
	source := &cas.Source{R: blob}
	if err := s.near.Put(ctx, d, source); err != nil {
		if source.Err != nil {
			return source.Err
		}
		s.spared(d, err)
	}
	return nil
}
