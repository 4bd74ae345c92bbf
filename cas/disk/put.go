package disk

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/outwork-build/outwork/cas"
)

// Put implements cas.Store.
func (s *Store) Put(ctx context.Context, d cas.Digest, r io.Reader) error {
	if err := d.Validate(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if _, ok := s.use(d, 0); ok {
		return nil
	}
	if err := s.put(ctx, d, cas.UntilDone(ctx, cas.NewVerifier(d, r))); err != nil {
		return fmt.Errorf("put %s: %w", d, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, d cas.Digest, r io.Reader) error {
	var small []byte
	if d.Size <= inMemory {
		small = make([]byte, d.Size)
		if _, err := io.ReadFull(r, small); err != nil {
			return err
		}
		if _, err := io.ReadFull(r, make([]byte, 1)); err != io.EOF { // the Verifier's last word
			return err
		}
		if d == cas.Empty {
			return nil
		}
		r = bytes.NewReader(small)
	}
	if !s.index.fits(d) {
		if err := s.refreshKept(ctx); err != nil {
			return err
		}
	}
	ok := false
	s.evict(func(remove func(string) error) (n int) { n, ok = s.index.reserve(d, remove); return n })
	if !ok {
		return cas.ErrFull
	}
	kept := false
	temp, err := s.receive(ctx, d, r, small)
	if err == nil {
		kept, err = s.commit(ctx, d, temp)
	}
	s.index.release(d, kept)
	if err != nil {
		os.Remove(temp)
	}
	return err
}

// receive writes a blob into a file of tmp and syncs it. The file may be there even when it fails.
func (s *Store) receive(ctx context.Context, d cas.Digest, r io.Reader, small []byte) (string, error) {
	temp := s.tempPath()
	f, err := s.create(ctx, temp, d.Size)
	if err != nil {
		return temp, err
	}
	if small != nil {
		err = s.makingRoom(ctx, d.Size, func() error { _, err := f.WriteAt(small, 0); return err })
	} else {
		_, err = io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{r}, make([]byte, 256<<10))
	}
	if err == nil {
		err = s.makingRoom(ctx, d.Size, f.Sync)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return temp, full(err)
}

// create makes the file and claims its space before the first byte of a large blob is read: only then room can be made.
func (s *Store) create(ctx context.Context, temp string, size int64) (f *os.File, err error) {
	err = s.makingRoom(ctx, size, func() (err error) {
		f, err = os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		return err
	})
	if err != nil {
		return nil, full(err)
	}
	if size > inMemory {
		if err := s.makingRoom(ctx, size, func() error { return allocate(f, size) }); err != nil {
			f.Close()
			return nil, full(err)
		}
	}
	return f, nil
}

// commit moves a received blob to where it is kept. When it returns nil the name is on the disk too. kept says that the blob
// was not there before.
func (s *Store) commit(ctx context.Context, d cas.Digest, temp string) (kept bool, err error) {
	var file string
	err = s.makingRoom(ctx, d.Size, func() (err error) {
		file, err = s.place(d)
		if err != nil {
			return err
		}
		return os.Rename(temp, s.path("blobs", file))
	})
	if err == nil {
		err = s.makingRoom(ctx, d.Size, func() error { return s.syncs.sync(s.path("blobs", filepath.Dir(file))) })
	}
	if err != nil {
		return false, full(err)
	}
	kept, extra := s.index.add(d, file)
	if extra {
		os.Remove(s.path("blobs", file))
	}
	return kept, nil
}

// place says where a new blob goes, beginning a new folder when the present one is full.
func (s *Store) place(d cas.Digest) (string, error) {
	folder, fresh := s.index.folder()
	if fresh {
		if err := os.MkdirAll(s.path("blobs", folder), 0o700); err != nil {
			return "", err
		}
		if err := syncDir(s.path("blobs")); err != nil {
			return "", err
		}
		s.index.folderMade(folder)
	}
	return filepath.Join(folder, fileName(d)), nil
}

// makingRoom does something again after evicting, as long as the disk is full and there is something to evict.
func (s *Store) makingRoom(ctx context.Context, size int64, do func() error) error {
	for {
		err := do()
		if !isFull(err) {
			return err
		}
		if kerr := s.refreshKept(ctx); kerr != nil {
			return fmt.Errorf("%w; %w", err, kerr)
		}
		if s.evict(func(remove func(string) error) int { return s.index.shrink(size, remove) }) == 0 {
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
