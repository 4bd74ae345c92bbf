package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/outwork-build/outwork/cas"
)

// Room is made by giving up what was used least recently. A file's space is free at once; a blob in a pack leaves garbage, and
// the pack's space comes back when nothing in it counts any more or when what counts was copied to the end of the packs. Packs
// are copied when seven eighths of one are garbage, or an eighth of the whole store is.

// reserve takes the space for something to be put, making room when there is none. cas.ErrFull: nothing may go.
func (s *Store) reserve(ctx context.Context, r *reservation) error {
	if s.index.reserve(r) {
		return nil
	}
	if r.size > s.cfg.MaxBytes {
		return cas.ErrFull
	}
	if err := s.refreshKept(ctx); err != nil {
		return err
	}
	s.clearing.Lock()
	defer s.clearing.Unlock()
	for !s.index.reserve(r) {
		short, many := s.index.over(r.size)
		if !s.makeRoom(short, many) {
			return cas.ErrFull
		}
	}
	return nil
}

// makeRoom does one thing that brings the store nearer to having short bytes and many places more. The caller holds clearing.
func (s *Store) makeRoom(short int64, many int) bool {
	if p := s.index.dirtiest(true); p != nil && short > 0 && s.compact(p) {
		return true
	}
	if s.evict(max(short, min(short, 1)*s.commit.packSize/4), many) {
		return true
	}
	p := s.index.dirtiest(false)
	return p != nil && short > 0 && s.compact(p)
}

// over says how much must go before size bytes and one more blob fit.
func (x *index) over(size int64) (short int64, many int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return max(0, x.used+size-x.maxBytes), max(0, len(x.blobs)+len(x.actions)+x.held+1-x.maxBlobs)
}

// evict gives up what was used least recently: records and files of at least size bytes, and many of them. It reports whether
// any went. Files are renamed while the index is locked, so that no blob put anew is hit; freeing the space, which may take
// long, is done after.
func (s *Store) evict(size int64, many int) bool {
	var trash []string
	packs, n := s.index.evict(size, many, func(file string) error {
		t := s.tempPath()
		err := os.Rename(s.path("blobs", file), t)
		if isFull(err) { // not even a name in tmp has room
			return os.Remove(s.path("blobs", file))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		trash = append(trash, t)
		return nil
	})
	for _, t := range trash {
		if err := os.Remove(t); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.cfg.Log.Warn("remove evicted blob", "file", t, "error", err)
		}
	}
	s.removePacks(packs)
	return n > 0
}

func (x *index) evict(size int64, many int, remove func(string) error) (packs []*pack, n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now().UnixNano()
	for i := x.last; i != 0 && (size > 0 || many > 0); {
		s := x.slot(i)
		here := i
		i = s.prev
		if _, kept := x.kept[s.key]; s.until > now || s.kind == isDeleted || s.kind <= inPack && (kept || x.pending[s.key] > 0) {
			continue
		}
		if s.kind == inFile {
			if remove(filePath(s.where, s.key, s.size)) != nil {
				continue
			}
			size -= space(s.size)
		} else {
			size -= s.header().size()
		}
		p := x.packs[s.where]
		inAPack := s.kind != inFile
		x.forget(here)
		if inAPack {
			packs = append(packs, x.giveUp(p)...)
		}
		x.evicted++
		many--
		n++
	}
	return packs, n
}

// giveUp takes a pack out of the index if nothing in it counts. The caller holds mu and removes its files.
func (x *index) giveUp(p *pack) []*pack {
	if !p.sealed || p.live > 0 || p.gone {
		return nil
	}
	p.gone = true
	delete(x.packs, p.id)
	x.used -= p.size
	if p.users == 0 {
		p.f.Close()
	}
	return []*pack{p}
}

// removePacks removes the files of packs that the index gave up.
func (s *Store) removePacks(packs []*pack) {
	for _, p := range packs {
		for _, name := range []string{p.listPath(), p.path} {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				s.cfg.Log.Warn("remove a pack", "file", name, "error", err)
			}
		}
	}
}

// dirtiest returns the pack with the most garbage; nil when there is none or, with worth, none that is worth to be copied.
func (x *index) dirtiest(worth bool) (p *pack) {
	x.mu.Lock()
	defer x.mu.Unlock()
	all, most := int64(0), int64(0)
	for _, q := range x.packs {
		garbage := q.size - q.live - packHeader
		if all += garbage; garbage > most {
			p, most = q, garbage
		}
	}
	if worth && p != nil && most < p.size*7/8 && (all < x.maxBytes/8 || most < p.size/4) {
		return nil
	}
	return p
}

// compact copies what counts in a pack to the end of the packs and removes it. It reports whether the pack is gone. Readers are not
// held up, and others go on putting.
func (s *Store) compact(p *pack) bool {
	s.commit.sealActive(p)
	if !s.index.hold(p) {
		return true // it went when it was sealed
	}
	err := s.copyOut(p)
	var gone []*pack
	if err == nil {
		gone = s.index.lost(p)
	} else {
		s.cfg.Log.Warn("copy what counts in a pack", "pack", p.path, "error", err)
	}
	s.index.release(p)
	s.removePacks(gone)
	return err == nil
}

// copyOut appends what counts in a pack anew.
func (s *Store) copyOut(p *pack) error {
	if s.index.empty(p) {
		return nil
	}
	var todo []record
	size := int64(0)
	move := func() error {
		err := s.commit.append(todo, true)
		todo, size = nil, 0
		return err
	}
	_, err := scan(p.f, packHeader, p.size, func(at int64, h header, data []byte) error {
		from := s.index.movable(p, at, h)
		if from == nil {
			return nil
		}
		if from.kind == isDeleted && s.index.oldest(p) {
			s.index.drop(*from, func() {}) // no older record is left that it could hide
			return nil
		}
		todo = append(todo, record{header: h, data: append([]byte(nil), data...), moved: from})
		if from.saved > h.stamp {
			todo = append(todo, record{header: header{kind: touchOf(h.kind), stamp: from.saved, key: h.key}})
		}
		if size += h.size(); size >= 1<<20 {
			return move()
		}
		return nil
	})
	if err == nil {
		err = move()
	}
	return err
}

func (x *index) empty(p *pack) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return p.live == 0
}

func touchOf(k kind) kind {
	if k == action {
		return used
	}
	return touch
}

// hold keeps a pack's file open until release, if the pack is still known.
func (x *index) hold(p *pack) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p.gone {
		return false
	}
	p.users++
	return true
}

// movable returns the place of a record if the index points at it.
func (x *index) movable(p *pack, at int64, h header) *place {
	x.mu.Lock()
	defer x.mu.Unlock()
	table := x.blobs
	if h.kind == action {
		table = x.actions
	} else if h.kind != blob {
		return nil
	}
	i, ok := table[h.key]
	if !ok || x.slot(i).where != p.id || x.slot(i).at != at || x.slot(i).kind == inFile {
		return nil
	}
	return &place{slot: *x.slot(i)}
}

func (x *index) oldest(p *pack) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for id := range x.packs {
		if id < p.id {
			return false
		}
	}
	return true
}

// lost gives a pack up whose records were copied. What still counts in it could not be read: it is corrupt, and dropped.
func (x *index) lost(p *pack) []*pack {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := x.last; i != 0 && p.live > 0; {
		here := i
		i = x.slot(i).prev
		if s := x.slot(here); s.kind != inFile && s.where == p.id {
			x.forget(here)
			x.dropped++
		}
	}
	return x.giveUp(p)
}

// makingRoom does something again after making room, as long as the disk is full and there is room to be made.
func (s *Store) makingRoom(ctx context.Context, size int64, do func() error) error {
	for {
		err := do()
		if !isFull(err) {
			return err
		}
		if kerr := s.refreshKept(ctx); kerr != nil {
			return fmt.Errorf("%w; %w", err, kerr)
		}
		s.clearing.Lock()
		made := s.makeRoom(size, 0)
		s.clearing.Unlock()
		if !made {
			return err
		}
		s.cfg.Log.Info("disk is full: blobs evicted to make room", "for", size)
	}
}

func full(err error) error {
	if isFull(err) {
		return fmt.Errorf("%w: %w", cas.ErrFull, err)
	}
	return err
}
