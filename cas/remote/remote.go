// Package remote is the cas.Store at the far end of a connection that speaks the Remote Execution API v2, such as cas/reapi.
//
// Small blobs travel in batches: those that are put or read at the same time share calls. Large ones travel by ByteStream.
// What arrives is checked here too, except for reads from an offset, which the far side checks. All methods may be called
// concurrently. The Store does not own the connection.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// Config of a Store. Conn is required.
type Config struct {
	Conn     grpc.ClientConnInterface
	Instance string // instance name at the far side; "" is its default
	// MaxBatch is the most bytes of blobs in one batch call, at most what the far side takes; 0 is 3 MiB, which leaves room
	// below the usual limit of 4 MiB.
	MaxBatch int64
}

const (
	// small is up to how many bytes a blob travels in a batch.
	small = 128 << 10
	// chunk is how many bytes one message of an upload carries.
	chunk = 256 << 10
	// digests is how many digests one FindMissingBlobs call carries, some 80 bytes each.
	digests = 20_000
)

// Store is a cas.Store at the far end of a connection.
type Store struct {
	instance string
	blobs    repb.ContentAddressableStorageClient
	stream   bytestream.ByteStreamClient
	puts     *batcher
	gets     *batcher
}

var _ cas.Store = (*Store)(nil)

// New returns the store behind a connection. It makes no call.
func New(cfg Config) *Store {
	if cfg.MaxBatch == 0 {
		cfg.MaxBatch = 3 << 20
	}
	s := &Store{
		instance: cfg.Instance,
		blobs:    repb.NewContentAddressableStorageClient(cfg.Conn),
		stream:   bytestream.NewByteStreamClient(cfg.Conn),
	}
	s.puts = &batcher{max: cfg.MaxBatch, send: s.update}
	s.gets = &batcher{max: cfg.MaxBatch, send: s.read}
	return s
}

// Missing implements cas.Store.
func (s *Store) Missing(ctx context.Context, ds []cas.Digest) ([]cas.Digest, error) {
	seen := make(map[cas.Digest]bool, len(ds))
	var ask []*repb.Digest
	for _, d := range ds {
		if err := d.Validate(); err != nil {
			return nil, err
		}
		if !seen[d] && d != cas.Empty {
			seen[d] = true
			ask = append(ask, toProto(d))
		}
	}
	absent := map[cas.Digest]bool{}
	for len(ask) > 0 {
		n := min(len(ask), digests)
		r, err := s.blobs.FindMissingBlobs(ctx, &repb.FindMissingBlobsRequest{InstanceName: s.instance, BlobDigests: ask[:n]})
		if err != nil {
			return nil, fmt.Errorf("find missing blobs: %w", fromStatus(ctx, err))
		}
		for _, d := range r.MissingBlobDigests {
			absent[fromProto(d)] = true
		}
		ask = ask[n:]
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	var missing []cas.Digest
	for _, d := range ds {
		if absent[d] {
			missing = append(missing, d)
			delete(absent, d)
		}
	}
	return missing, nil
}

// Put implements cas.Store.
func (s *Store) Put(ctx context.Context, d cas.Digest, r io.Reader) error {
	if err := d.Validate(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	v := cas.NewVerifier(d, cas.UntilDone(ctx, r))
	var err error
	if d.Size > small {
		err = s.upload(ctx, d, v)
	} else {
		data := make([]byte, d.Size)
		if _, err = io.ReadFull(v, data); err == nil {
			_, err = v.Read(make([]byte, 1))
		}
		switch {
		case err != io.EOF: // no sound blob
		case d == cas.Empty:
			return nil
		default:
			_, err = s.puts.do(ctx, d, data)
		}
	}
	if err != nil {
		return fmt.Errorf("put %s: %w", d, err)
	}
	return nil
}

// Get implements cas.Store.
func (s *Store) Get(ctx context.Context, d cas.Digest, offset int64) (io.ReadCloser, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if offset < 0 || offset > d.Size {
		return nil, fmt.Errorf("get %s from %d: %w", d, offset, cas.ErrRange)
	}
	if d == cas.Empty {
		return newBytes(nil), nil
	}
	if d.Size > small {
		r, err := s.download(ctx, d, offset)
		if err != nil {
			return nil, fmt.Errorf("get %s: %w", d, err)
		}
		return r, nil
	}
	data, err := s.gets.do(ctx, d, nil)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", d, err)
	}
	return newBytes(data[offset:]), nil
}

func toProto(d cas.Digest) *repb.Digest { return &repb.Digest{Hash: d.Hash, SizeBytes: d.Size} }

func fromProto(d *repb.Digest) cas.Digest {
	return cas.Digest{Hash: d.GetHash(), Size: d.GetSizeBytes()}
}

// fromStatus gives the far side's errors the meaning they have in a cas.Store.
func fromStatus(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	text := errors.New(st.Message())
	switch st.Code() {
	case codes.NotFound:
		return cas.ErrNotFound
	case codes.OutOfRange:
		return cas.ErrRange
	case codes.ResourceExhausted:
		return fmt.Errorf("%w: %w", cas.ErrFull, text)
	case codes.DataLoss:
		return fmt.Errorf("%w: %w", cas.ErrMismatch, text)
	case codes.InvalidArgument:
		return fault.With(fault.Invalid, text)
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Aborted:
		return fault.With(fault.Unavailable, text)
	case codes.Unauthenticated:
		return fault.With(fault.Unauthenticated, text)
	case codes.PermissionDenied:
		return fault.With(fault.Denied, text)
	case codes.Unimplemented:
		return fault.With(fault.Incompatible, text)
	}
	return fmt.Errorf("far side: %s: %w", st.Code(), text)
}
