// Package cas keeps bytes by their digest.
//
// A Store holds blobs; a blob's name is its content. cas/memory and cas/disk keep them here, cas/remote keeps them at the
// far end of a connection, cas/tree packs directories into blobs in the encoding of the Remote Execution API. Every Store
// passes cas/castest. Stores verify what they are given and may be used concurrently.
package cas

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strconv"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
)

// Digest names a blob: the lower-case hex SHA-256 of its bytes, and their number.
// The zero value is not a digest of anything. Source: REAPI v2 build.bazel.remote.execution.v2.Digest.
type Digest struct {
	Hash string
	Size int64
}

// The errors of a Store. Test for them with errors.Is; each carries its kind across borders.
var (
	// ErrNotFound says that the store does not have the blob.
	ErrNotFound = fault.New(fault.NotFound, "blob not found")
	// ErrMismatch says that bytes did not have the digest they came under. Nothing was kept.
	ErrMismatch = fault.New(fault.Invalid, "bytes do not match their digest")
	// ErrFull says that the store has no room and could make none.
	ErrFull = fault.New(fault.Exhausted, "blob store is full")
	// ErrRange says that an offset lies outside of the blob.
	ErrRange = fault.New(fault.Invalid, "offset is outside of the blob")
)

// Of returns the digest of b.
func Of(b []byte) Digest {
	h := sha256.Sum256(b)
	return Digest{hex.EncodeToString(h[:]), int64(len(b))}
}

// Empty is the digest of no bytes. Every store has it.
var Empty = Of(nil)

// String returns "hash/size", the form REAPI resource names use.
func (d Digest) String() string { return d.Hash + "/" + strconv.FormatInt(d.Size, 10) }

// ParseDigest reads what String prints. It refuses anything but 64 lower-case hex digits and a size ≥ 0.
func ParseDigest(s string) (Digest, error) {
	h, n, ok := strings.Cut(s, "/")
	if !ok {
		return Digest{}, fault.New(fault.Invalid, "digest %q: expected hash/size", s)
	}
	size, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		return Digest{}, fault.New(fault.Invalid, "digest %q: size: %w", s, err)
	}
	d := Digest{h, size}
	return d, d.Validate()
}

// Validate reports whether d is well formed. Call it on every digest that came from elsewhere: stores use Hash in paths.
func (d Digest) Validate() error {
	if len(d.Hash) != sha256.Size*2 || strings.Trim(d.Hash, "0123456789abcdef") != "" {
		return fault.New(fault.Invalid, "digest hash %q: expected 64 lower-case hex digits", d.Hash)
	}
	if d.Size < 0 {
		return fault.New(fault.Invalid, "digest size %d: expected 0 or more", d.Size)
	}
	return nil
}

// Store keeps blobs by digest. All methods may be called concurrently.
type Store interface {
	// Missing returns those of ds that the store does not have, in their order, each once. What it does not return is
	// protected from eviction for a while (the store says how long), so that it can be referred to.
	Missing(ctx context.Context, ds []Digest) ([]Digest, error)
	// Put keeps the bytes of r under d, all or nothing. It reads at most d.Size+1 bytes, answers ErrMismatch when they are
	// not d's, ErrFull when there is no room. When it returns nil the blob survives a crash, if the store is durable at
	// all. Putting what is there already is cheap and not an error.
	Put(ctx context.Context, d Digest, r io.Reader) error
	// Get opens a blob from the byte at offset. The caller closes the reader. ErrNotFound if it is not there; ErrRange when
	// offset is below 0 or above d.Size (d.Size itself reads nothing). ctx may end the reads too. A blob that
	// turns out to be corrupt is never served to its end: the reader fails with ErrMismatch and the store drops it.
	Get(ctx context.Context, d Digest, offset int64) (io.ReadCloser, error)
}
