package cas

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
)

// Blob is a small blob in memory, with the digest that it came under.
type Blob struct {
	Digest Digest
	Data   []byte
}

// Batcher is a Store that keeps many small blobs at the price of one.
type Batcher interface {
	Store
	// PutBatch puts each blob as Put would and returns an error for each, in their order; nil says that it is kept. One that
	// is refused does not keep others from being kept.
	PutBatch(ctx context.Context, blobs []Blob) []error
}

// PutBatch puts each blob, with one commit if the store can do that, and returns an error for each, in their order.
func PutBatch(ctx context.Context, s Store, blobs []Blob) []error {
	if b, ok := s.(Batcher); ok {
		return b.PutBatch(ctx, blobs)
	}
	errs := make([]error, len(blobs))
	for i, b := range blobs {
		errs[i] = s.Put(ctx, b.Digest, bytes.NewReader(b.Data))
	}
	return errs
}

// Check says whether the bytes are those of the digest: nil, or ErrMismatch.
func (b Blob) Check() error {
	if err := b.Digest.Validate(); err != nil {
		return err
	}
	if got := Of(b.Data); got != b.Digest {
		return mismatch(b.Digest, got)
	}
	return nil
}

// Finder is a Store that finds a blob by its hash alone, as plain HTTP clients name it.
type Finder interface {
	Store
	// Find returns the digest of the blob with that hash, ErrNotFound when it is not there. It protects nothing.
	Find(ctx context.Context, hash string) (Digest, error)
}

// Adder is a Store that takes bytes whose digest nobody knows yet, and hashes them while they come.
type Adder interface {
	Store
	// Add keeps the bytes of r, which are size, and returns their digest. ErrMismatch: they are fewer or more. Else as Put.
	Add(ctx context.Context, size int64, r io.Reader) (Digest, error)
}

// Add keeps the bytes of r, which are size. A store that is no Adder is given them from a temporary file.
func Add(ctx context.Context, s Store, size int64, r io.Reader) (Digest, error) {
	if a, ok := s.(Adder); ok {
		return a.Add(ctx, size, r)
	}
	f, err := os.CreateTemp("", "blob-*")
	if err != nil {
		return Digest{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	h := NewHasher(UntilDone(ctx, r), size)
	if _, err := io.Copy(f, h); err != nil {
		return Digest{}, err
	}
	d, err := h.Digest()
	if err != nil {
		return Digest{}, err
	}
	return d, s.Put(ctx, d, io.NewSectionReader(f, 0, d.Size))
}

// Hasher passes on the bytes of a reader, which are to be a number of them, and hashes them.
type Hasher struct {
	r    io.Reader
	h    hash.Hash
	n    int64
	size int64
}

// NewHasher returns a Hasher of r's bytes. It reads at most size+1 of them.
func NewHasher(r io.Reader, size int64) *Hasher {
	return &Hasher{r: io.LimitReader(r, size+1), h: sha256.New(), size: size}
}

// Read is io.Reader. More bytes than there should be are ErrMismatch.
func (h *Hasher) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.h.Write(p[:n])
	if h.n += int64(n); h.n > h.size {
		return 0, fmt.Errorf("more bytes than %d: %w", h.size, ErrMismatch)
	}
	return n, err
}

// Digest returns the digest of what was read to its end. Fewer bytes than there should be are ErrMismatch.
func (h *Hasher) Digest() (Digest, error) {
	if h.n != h.size {
		return Digest{}, fmt.Errorf("%d bytes instead of %d: %w", h.n, h.size, ErrMismatch)
	}
	return Digest{hex.EncodeToString(h.h.Sum(nil)), h.n}, nil
}
