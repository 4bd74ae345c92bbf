package disk

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/outwork-build/outwork/cas"
)

// Put implements cas.Store.
func (s *Store) Put(ctx context.Context, d cas.Digest, r io.Reader) error {
	if err := d.Validate(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.has(d) {
		return nil
	}
	v := cas.UntilDone(ctx, cas.NewVerifier(d, r))
	var err error
	if d.Size > inMemory {
		err = s.putLarge(ctx, d, v)
	} else {
		err = s.putSmall(ctx, d, v)
	}
	if err != nil {
		return fmt.Errorf("put %s: %w", d, err)
	}
	return nil
}

// has reports whether a blob is there, and marks it as used.
func (s *Store) has(d cas.Digest) bool {
	p, ok := s.index.use(d, 0, false)
	if ok {
		s.saveUse(p)
	}
	return ok
}

func (s *Store) putSmall(ctx context.Context, d cas.Digest, r io.Reader) error {
	data := make([]byte, d.Size+1)
	if _, err := io.ReadFull(r, data[:d.Size]); err != nil {
		return err
	}
	if _, err := io.ReadFull(r, data[d.Size:]); err != io.EOF { // the Verifier's last word
		return err
	}
	return s.putSound(ctx, []cas.Blob{{Digest: d, Data: data[:d.Size]}})[0]
}

// PutBatch implements cas.Batcher: the small ones of the blobs are one commit.
func (s *Store) PutBatch(ctx context.Context, blobs []cas.Blob) []error {
	errs := make([]error, len(blobs))
	var sound []cas.Blob
	var at []int
	for i, b := range blobs {
		switch {
		case ctx.Err() != nil:
			errs[i] = context.Cause(ctx)
		case len(b.Data) > inMemory:
			errs[i] = s.Put(ctx, b.Digest, newBytes(b.Data))
		default:
			if errs[i] = b.Check(); errs[i] == nil && !s.has(b.Digest) {
				sound, at = append(sound, b), append(at, i)
			}
		}
	}
	for i, err := range s.putSound(ctx, sound) {
		if err != nil {
			errs[at[i]] = fmt.Errorf("put %s: %w", sound[i].Digest, err)
		}
	}
	return errs
}

// putSound appends blobs whose bytes were checked to the packs, in one commit.
func (s *Store) putSound(ctx context.Context, blobs []cas.Blob) []error {
	errs := make([]error, len(blobs))
	var records []record
	var of []int
	total := int64(0)
	for i, b := range blobs {
		if b.Digest == cas.Empty {
			continue
		}
		h := header{kind: blob, n: uint32(len(b.Data)), key: keyOf(b.Digest)}
		held := &reservation{key: h.key, size: h.size() + packHeader}
		if errs[i] = s.reserve(ctx, held); errs[i] != nil {
			continue
		}
		defer s.index.end(held)
		records, of = append(records, record{header: h, data: b.Data, held: held}), append(of, i)
		total += held.size
	}
	if len(records) == 0 {
		return errs
	}
	if err := full(s.makingRoom(ctx, total, func() error { return s.commit.append(records, true) })); err != nil {
		for _, i := range of {
			errs[i] = err
		}
	}
	return errs
}

// Add implements cas.Adder.
func (s *Store) Add(ctx context.Context, size int64, r io.Reader) (cas.Digest, error) {
	h := cas.NewHasher(cas.UntilDone(ctx, r), size)
	if size > inMemory {
		d, err := s.addLarge(ctx, size, h)
		if err != nil {
			return d, fmt.Errorf("add %d bytes: %w", size, err)
		}
		return d, nil
	}
	data, err := io.ReadAll(h)
	if err != nil {
		return cas.Digest{}, fmt.Errorf("add %d bytes: %w", size, err)
	}
	d, err := h.Digest()
	if err != nil || s.has(d) {
		return d, err
	}
	return d, s.putSound(ctx, []cas.Blob{{Digest: d, Data: data}})[0]
}

// addLarge receives a blob before it is known which.
func (s *Store) addLarge(ctx context.Context, size int64, h *cas.Hasher) (d cas.Digest, err error) {
	held := &reservation{size: space(size)}
	if err := s.reserve(ctx, held); err != nil {
		return d, err
	}
	defer s.index.end(held)
	temp, modified, err := s.receive(ctx, size, h)
	if err == nil {
		d, err = h.Digest()
	}
	if err == nil && s.has(d) {
		return d, os.Remove(temp)
	}
	if err == nil {
		s.index.name(held, keyOf(d))
		err = s.commitFile(ctx, held, d, temp, modified)
	}
	if err != nil {
		os.Remove(temp)
	}
	return d, err
}

func (s *Store) putLarge(ctx context.Context, d cas.Digest, r io.Reader) error {
	held := &reservation{key: keyOf(d), size: space(d.Size)}
	if err := s.reserve(ctx, held); err != nil {
		return err
	}
	defer s.index.end(held)
	temp, modified, err := s.receive(ctx, d.Size, r)
	if err == nil {
		err = s.commitFile(ctx, held, d, temp, modified)
	}
	if err != nil {
		os.Remove(temp)
	}
	return err
}

// receive writes a blob into a file of tmp and syncs it. The file may be there even when it fails.
func (s *Store) receive(ctx context.Context, size int64, r io.Reader) (temp string, modified time.Time, err error) {
	temp = s.tempPath()
	f, err := s.create(ctx, temp, size)
	if err != nil {
		return temp, modified, err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{r}, make([]byte, 256<<10))
	if err == nil {
		err = s.makingRoom(ctx, size, f.Sync)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		modified = fileTime()
		err = os.Chtimes(temp, modified, modified)
	}
	return temp, modified, full(err)
}

// create makes the file and claims its space before the first byte of the blob is read: only then room can be made.
func (s *Store) create(ctx context.Context, temp string, size int64) (f *os.File, err error) {
	err = s.makingRoom(ctx, size, func() (err error) {
		f, err = os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		return err
	})
	if err != nil {
		return nil, full(err)
	}
	if err := s.makingRoom(ctx, size, func() error { return allocate(f, size) }); err != nil {
		f.Close()
		return nil, full(err)
	}
	return f, nil
}

// commitFile moves a received blob to where it is kept. When it returns nil the name is on the disk too.
func (s *Store) commitFile(ctx context.Context, held *reservation, d cas.Digest, temp string, modified time.Time) error {
	var folder uint32
	var file string
	err := s.makingRoom(ctx, d.Size, func() (err error) {
		if folder, err = s.openFolder(); err != nil {
			return err
		}
		file = s.path("blobs", filePath(folder, held.key, d.Size))
		return os.Rename(temp, file)
	})
	if err == nil {
		err = s.makingRoom(ctx, d.Size, func() error { return s.syncs.sync(s.path("blobs", folderName(int(folder)))) })
	}
	if err != nil {
		return full(err)
	}
	if s.index.add(held, d.Size, folder, modified) {
		os.Remove(file)
	}
	return nil
}

// openFolder says where a new file goes, beginning a new folder when the present one is full.
func (s *Store) openFolder() (uint32, error) {
	number, fresh := s.index.folder()
	if fresh {
		if err := os.MkdirAll(s.path("blobs", folderName(int(number))), 0o700); err != nil {
			return 0, err
		}
		if err := syncDir(s.path("blobs")); err != nil {
			return 0, err
		}
		s.index.folderMade(number)
	}
	return number, nil
}
