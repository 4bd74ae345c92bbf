package cas

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/outwork-build/outwork/internal/fault"
)

// PutBytes keeps b and returns its digest.
func PutBytes(ctx context.Context, s Store, b []byte) (Digest, error) {
	d := Of(b)
	return d, s.Put(ctx, d, bytes.NewReader(b))
}

// OfReader returns the digest of what r reads until its end.
func OfReader(r io.Reader) (Digest, error) {
	h := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{r}, make([]byte, 256<<10))
	return Digest{Hash: hex.EncodeToString(h.Sum(nil)), Size: n}, err
}

// ReadAll returns a whole blob. One of more than limit bytes is refused with a fault.Exhausted error before it is read.
func ReadAll(ctx context.Context, s Store, d Digest, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, fault.New(fault.Exhausted, "blob %s: expected at most %d bytes", d, limit)
	}
	r, err := s.Get(ctx, d, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := make([]byte, d.Size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, shortened(d, err)
	}
	return b, nil
}

func shortened(d Digest, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("blob %s: ended early: %w", d, ErrMismatch)
	}
	return err
}

// Verifier passes on the bytes of a reader while they may still be those of a digest. The chunk that completes the blob is
// handed out only when all bytes match; ErrMismatch comes instead when they do not, when there are too few, and when there
// are more. It is not safe for concurrent use.
type Verifier struct {
	r    io.Reader
	d    Digest
	h    hash.Hash
	n    int64
	err  error
	over [1]byte
}

// NewVerifier returns a Verifier of r's bytes against d. Empty is verified too: r must then have no bytes.
func NewVerifier(d Digest, r io.Reader) *Verifier {
	return &Verifier{r: r, d: d, h: sha256.New()}
}

// Read is io.Reader. After the last byte it answers io.EOF together with a sound blob, never before.
func (v *Verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if len(p) == 0 && v.n < v.d.Size {
		return 0, nil
	}
	if left := v.d.Size - v.n; int64(len(p)) > left {
		p = p[:left]
	}
	var n int
	var err error
	if len(p) > 0 {
		n, err = v.r.Read(p)
		v.h.Write(p[:n])
		v.n += int64(n)
	}
	if v.n == v.d.Size {
		v.err = v.finish(err)
		if v.err != io.EOF {
			return 0, v.err
		}
		return n, nil
	}
	if err != nil {
		v.err = shortened(v.d, err)
		return 0, v.err
	}
	return n, nil
}

// finish decides on a blob that has all its bytes; err is what the read of the last ones said.
func (v *Verifier) finish(err error) error {
	for err == nil {
		var n int
		if n, err = v.r.Read(v.over[:]); n > 0 {
			return fmt.Errorf("blob %s: more bytes than %d: %w", v.d, v.d.Size, ErrMismatch)
		}
	}
	if err != io.EOF {
		return err
	}
	if got := hex.EncodeToString(v.h.Sum(nil)); got != v.d.Hash {
		return fmt.Errorf("blob %s: hash is %s: %w", v.d, got, ErrMismatch)
	}
	return io.EOF
}

// UntilDone returns a reader of r that fails with the context's cause once ctx has ended.
func UntilDone(ctx context.Context, r io.Reader) io.Reader { return untilDone{ctx, r} }

type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}

// Source passes on the bytes of R and keeps the error, other than io.EOF, that ended them: it tells a source that failed from a reader of
// it that did. It is not safe for concurrent use.
type Source struct {
	R   io.Reader
	Err error
}

// Read is io.Reader.
func (s *Source) Read(p []byte) (int, error) {
	n, err := s.R.Read(p)
	if err != nil && err != io.EOF {
		s.Err = err
	}
	return n, err
}
