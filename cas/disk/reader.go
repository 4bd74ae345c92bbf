package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/outwork-build/outwork/cas"
)

// reader reads a blob's file and checks it. From offset 0 the bytes are hashed as they pass; from elsewhere the whole file is
// read once more before the last chunk is handed out, so that a reader of a middle part does not pay for it.
type reader struct {
	ctx     context.Context
	f       *os.File
	d       cas.Digest
	corrupt func(error)
	v       *cas.Verifier // nil when reading from elsewhere
	left    int64
	err     error
}

func newReader(ctx context.Context, f *os.File, d cas.Digest, offset int64, corrupt func(error)) (*reader, error) {
	r := &reader{ctx: ctx, f: f, d: d, corrupt: corrupt, left: d.Size - offset}
	if offset == 0 {
		r.v = cas.NewVerifier(d, f)
	} else if _, err := f.Seek(offset, io.SeekStart); err != nil {
		f.Close()
		return nil, fmt.Errorf("get %s: %w", d, err)
	}
	return r, nil
}

func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	n, err := r.read(p)
	if err != nil && err != io.EOF {
		if errors.Is(err, cas.ErrMismatch) {
			r.corrupt(err)
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

func (r *reader) Close() error { return r.f.Close() }
