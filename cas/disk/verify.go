package disk

import (
	"context"
	"errors"
	"io"

	"github.com/outwork-build/outwork/cas"
)

// Report is what Verify found.
type Report struct {
	Blobs, Actions int   // that were read
	Bytes          int64 // of them
	Dropped        int   // that were not what they should be, or gone
}

// Verify reads everything and drops what is not what it should be: blobs are held against their digests, whatever was trusted before.
// It does not count as use. What is put or evicted meanwhile may be left out.
func (s *Store) Verify(ctx context.Context) (r Report, err error) {
	for _, p := range s.index.everything() {
		if ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
		sound, err := s.verify(ctx, p)
		if err != nil {
			return r, err
		}
		if !sound {
			r.Dropped++
			continue
		}
		r.Bytes += p.size
		if p.kind == isAction {
			r.Actions++
		} else {
			r.Blobs++
		}
	}
	return r, nil
}

// verify reads one blob or entry.
func (s *Store) verify(ctx context.Context, p place) (sound bool, err error) {
	if p.kind == inFile {
		return s.verifyFile(ctx, p)
	}
	if !s.index.holdPlace(&p) {
		return true, nil // it moved or went meanwhile, and was checked on the way
	}
	b, err := s.readRecord(p)
	if err == nil && p.kind == inPack && cas.Of(b) != p.digest() {
		s.drop(p, cas.ErrMismatch)
		return false, nil
	}
	if errors.Is(err, cas.ErrMismatch) {
		return false, nil
	}
	return err == nil, err
}

func (s *Store) verifyFile(ctx context.Context, p place) (bool, error) {
	r, err := s.openChecked(ctx, p, p.digest())
	if err != nil {
		s.drop(p, err)
		return false, nil
	}
	defer r.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, make([]byte, 256<<10))
	if errors.Is(err, cas.ErrMismatch) {
		return false, nil
	}
	return err == nil, err
}

// everything returns the places of all that is kept; packs are not held.
func (x *index) everything() (all []place) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := x.last; i != 0; i = x.slot(i).prev {
		if s := x.slot(i); s.kind != isDeleted {
			all = append(all, place{slot: *s})
		}
	}
	return all
}

// holdPlace holds the pack of a place, if that is still where its record is.
func (x *index) holdPlace(p *place) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	i, ok := x.table(p.kind)[p.key]
	if !ok || x.slot(i).kind != p.kind || x.slot(i).where != p.where || x.slot(i).at != p.at {
		return false
	}
	p.pack = x.packs[p.where]
	p.pack.users++
	return true
}

// Shrink gives up what was used least recently until all that is kept takes no more than size bytes, as far as it may go: what is leased
// or kept stays. It returns what is taken then.
func (s *Store) Shrink(ctx context.Context, size int64) (int64, error) {
	if err := s.refreshKept(ctx); err != nil {
		return s.Stats().Bytes, err
	}
	s.clearing.Lock()
	defer s.clearing.Unlock()
	for {
		used := s.Stats().Bytes
		if used <= size || ctx.Err() != nil || !s.makeRoom(used-size, 0) {
			return used, context.Cause(ctx)
		}
	}
}
