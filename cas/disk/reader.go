package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/outwork-build/outwork/cas"
)

// readRecord reads what a place in a pack holds and releases the pack. A record that was changed is dropped, cas.ErrMismatch.
func (s *Store) readRecord(p place) ([]byte, error) {
	b, ok, err := p.pack.read(p.at, p.header())
	s.index.release(p.pack)
	if err == nil && !ok {
		err = cas.ErrMismatch
		s.drop(p, err)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// newBytes reads a blob that is in memory.
func newBytes(b []byte) io.ReadCloser { return memoryReader{bytes.NewReader(b)} }

// memoryReader has WriteTo, unlike io.NopCloser's.
type memoryReader struct{ *bytes.Reader }

func (memoryReader) Close() error { return nil }

// failed is a reader that only says what is wrong.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }
func (f failed) Close() error             { return nil }

// plain reads a file whose bytes are known to be right: hashed since Open, and not written to since. WriteTo lets the operating system
// send the file to a connection by itself.
type plain struct {
	ctx  context.Context
	f    *os.File
	left int64
}

func (r *plain) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.f.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if err == io.EOF && r.left > 0 {
		err = cas.ErrMismatch
	}
	return n, err
}

// WriteTo is io.WriterTo.
func (r *plain) WriteTo(w io.Writer) (int64, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	n, err := io.Copy(w, &io.LimitedReader{R: r.f, N: r.left})
	r.left -= n
	if err == nil && r.left > 0 {
		err = cas.ErrMismatch
	}
	return n, err
}

func (r *plain) Close() error { return r.f.Close() }

// reader reads a blob's file and checks it. From offset 0 the bytes are hashed as they pass; from elsewhere the whole file is
// read once more before the last chunk is handed out, so that a reader of a middle part does not pay for it.
type reader struct {
	ctx      context.Context
	s        *Store
	p        place
	f        *os.File
	d        cas.Digest
	modified time.Time     // of the file, when it was opened
	v        *cas.Verifier // nil when reading from elsewhere
	left     int64
	err      error
}

// open opens a blob's file.
func (s *Store) open(ctx context.Context, p place, d cas.Digest, offset int64) (io.ReadCloser, error) {
	f, err := os.Open(s.path("blobs", filePath(p.where, p.key, p.size)))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && offset > 0 {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	if info.Size() == d.Size && s.index.trusted(p.key, info.ModTime()) {
		return &plain{ctx, f, d.Size - offset}, nil
	}
	return s.checked(ctx, p, d, f, info, offset), nil
}

// openChecked opens a blob's file to be hashed as it is read.
func (s *Store) openChecked(ctx context.Context, p place, d cas.Digest) (io.ReadCloser, error) {
	f, err := os.Open(s.path("blobs", filePath(p.where, p.key, p.size)))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return s.checked(ctx, p, d, f, info, 0), nil
}

func (s *Store) checked(ctx context.Context, p place, d cas.Digest, f *os.File, info os.FileInfo, offset int64) *reader {
	r := &reader{ctx: ctx, s: s, p: p, f: f, d: d, modified: info.ModTime(), left: d.Size - offset}
	if offset == 0 {
		r.v = cas.NewVerifier(d, f)
	}
	return r
}

func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	n, err := r.read(p)
	switch {
	case err == io.EOF && r.v != nil:
		r.proven()
	case err != nil && err != io.EOF:
		if errors.Is(err, cas.ErrMismatch) {
			r.s.drop(r.p, err)
		}
		err = fmt.Errorf("get %s: %w", r.d, err)
	}
	r.err = err
	return n, err
}

func (r *reader) read(p []byte) (int, error) {
	if r.v != nil {
		return r.v.Read(p)
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) >= r.left {
		p = p[:r.left]
		if err := r.check(); err != nil {
			return 0, err
		}
		r.proven()
	}
	n, err := r.f.Read(p)
	r.left -= int64(n)
	if err == io.EOF && r.left > 0 {
		err = cas.ErrMismatch
	}
	return n, err
}

// check reads the whole file, past the position that reads go on from.
func (r *reader) check() error {
	v := cas.NewVerifier(r.d, io.NewSectionReader(r.f, 0, r.d.Size+1))
	_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{v}, make([]byte, 128<<10))
	return err
}

// proven notes that the file holds what it should, if nobody wrote to it while it was read.
func (r *reader) proven() {
	if info, err := r.f.Stat(); err == nil && info.ModTime().Equal(r.modified) {
		r.s.index.proven(r.p.key, r.modified)
	}
}

func (r *reader) Close() error { return r.f.Close() }
