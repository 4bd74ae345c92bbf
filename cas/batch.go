package cas

import (
	"bytes"
	"context"
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
