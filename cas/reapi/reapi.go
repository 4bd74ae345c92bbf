// Package reapi serves a cas.Store to clients of the Remote Execution API v2: Capabilities, ContentAddressableStorage and
// ByteStream. Bazel and its kin speak it, and so do our agents (cas/remote).
//
// SHA-256 is the only digest function and blobs travel uncompressed; other wishes are refused with INVALID_ARGUMENT. An upload
// that broke begins again: QueryWriteStatus knows only blobs that are complete. A Server keeps no state of its own; who may
// call it is decided in front of it. All methods may be called concurrently.
package reapi

import (
	"context"
	"errors"
	"strconv"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/bazelbuild/remote-apis/build/bazel/semver"
	"golang.org/x/sync/semaphore"
	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// Config of a Server. Store is required.
type Config struct {
	Store cas.Store
	// MaxBatch is the most bytes of blobs in one batch call, both ways. It must leave room for the rest of the message below
	// the gRPC server's limit; 0 is 3.75 MiB, right for the usual 4 MiB.
	MaxBatch int64
}

// batchMemory bounds the bytes of all batch reads under way: calls beyond it wait.
const batchMemory = 64 << 20

// DefaultMaxBatch is the MaxBatch of servers that were not told otherwise.
const DefaultMaxBatch = 15 << 18

// Server is the face of one store. Instance names are accepted and make no difference.
type Server struct {
	store    cas.Store
	maxBatch int64
	memory   *semaphore.Weighted // bytes of batch reads under way

	repb.UnimplementedCapabilitiesServer
	repb.UnimplementedContentAddressableStorageServer
	bytestream.UnimplementedByteStreamServer
}

// New returns a server for cfg.Store.
func New(cfg Config) *Server {
	if cfg.MaxBatch == 0 {
		cfg.MaxBatch = DefaultMaxBatch
	}
	return &Server{store: cfg.Store, maxBatch: cfg.MaxBatch, memory: semaphore.NewWeighted(max(batchMemory, cfg.MaxBatch))}
}

// Register adds the services to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	repb.RegisterCapabilitiesServer(r, s)
	repb.RegisterContentAddressableStorageServer(r, s)
	r.RegisterService(byteStream(), s)
}

// GetCapabilities says what the cache can do.
func (s *Server) GetCapabilities(context.Context, *repb.GetCapabilitiesRequest) (*repb.ServerCapabilities, error) {
	return &repb.ServerCapabilities{
		CacheCapabilities: &repb.CacheCapabilities{
			DigestFunctions:               []repb.DigestFunction_Value{repb.DigestFunction_SHA256},
			ActionCacheUpdateCapabilities: &repb.ActionCacheUpdateCapabilities{},
			MaxBatchTotalSizeBytes:        s.maxBatch,
			SymlinkAbsolutePathStrategy:   repb.SymlinkAbsolutePathStrategy_DISALLOWED,
		},
		LowApiVersion:  &semver.SemVer{Major: 2, Minor: 0},
		HighApiVersion: &semver.SemVer{Major: 2, Minor: 3},
	}, nil
}

// toDigest checks a digest of a message.
func toDigest(d *repb.Digest) (cas.Digest, error) {
	c := cas.Digest{Hash: d.GetHash(), Size: d.GetSizeBytes()}
	if err := c.Validate(); err != nil {
		return c, status.Error(codes.InvalidArgument, err.Error())
	}
	return c, nil
}

func fromDigest(d cas.Digest) *repb.Digest { return &repb.Digest{Hash: d.Hash, SizeBytes: d.Size} }

func checkFunction(f repb.DigestFunction_Value) error {
	if f != repb.DigestFunction_UNKNOWN && f != repb.DigestFunction_SHA256 {
		return status.Errorf(codes.InvalidArgument, "digest function %s: expected SHA256", f)
	}
	return nil
}

// toStatus gives an error of the store the code that clients of the API expect.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	code := codes.Internal
	switch {
	case errors.Is(err, cas.ErrMismatch):
		code = codes.InvalidArgument
	case errors.Is(err, cas.ErrRange):
		code = codes.OutOfRange
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	default:
		switch fault.Of(err) {
		case fault.NotFound:
			code = codes.NotFound
		case fault.Exhausted:
			code = codes.ResourceExhausted
		case fault.Invalid:
			code = codes.InvalidArgument
		case fault.Canceled:
			code = codes.Canceled
		case fault.Unavailable:
			code = codes.Unavailable
		}
	}
	if s, ok := status.FromError(err); ok {
		return s.Err()
	}
	return status.Error(code, err.Error())
}

// toReadStatus is toStatus for reads: bytes that rotted here are as good as gone, and no fault of the caller.
func toReadStatus(err error) error {
	if errors.Is(err, cas.ErrMismatch) {
		return status.Error(codes.NotFound, err.Error())
	}
	return toStatus(err)
}

// parseName reads the digest from a resource name: {instance/}blobs/{hash}/{size}, and for uploads
// {instance/}uploads/{uuid}/blobs/{hash}/{size}{/anything}. Instance names may hold slashes, not the keywords.
func parseName(name string, upload bool) (cas.Digest, error) {
	bad := func(why string) (cas.Digest, error) {
		return cas.Digest{}, status.Errorf(codes.InvalidArgument, "resource name %.300q: %s", name, why)
	}
	segs := strings.Split(name, "/")
	at := 0
	if upload {
		for at < len(segs) && segs[at] != "uploads" {
			at++
		}
		if at+2 >= len(segs) {
			return bad("expected [INSTANCE/]uploads/UUID/blobs/HASH/SIZE")
		}
		at += 2
		if segs[at] == "compressed-blobs" {
			return bad("compressed blobs are not supported")
		}
		if segs[at] != "blobs" {
			return bad("expected blobs after the UUID")
		}
	} else {
		for at < len(segs) && segs[at] != "blobs" && segs[at] != "compressed-blobs" {
			at++
		}
		if at < len(segs) && segs[at] == "compressed-blobs" {
			return bad("compressed blobs are not supported")
		}
	}
	rest := segs[min(at+1, len(segs)):]
	if len(rest) < 2 || !upload && len(rest) > 2 {
		return bad("expected [INSTANCE/]blobs/HASH/SIZE")
	}
	size, err := strconv.ParseInt(rest[1], 10, 64)
	d := cas.Digest{Hash: rest[0], Size: size}
	if err != nil {
		return bad("the size is no number")
	}
	if err := d.Validate(); err != nil {
		return bad(err.Error())
	}
	return d, nil
}
