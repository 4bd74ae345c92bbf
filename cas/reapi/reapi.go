// Package reapi serves a cache to clients of the Remote Execution API v2: Capabilities, ContentAddressableStorage, ByteStream and
// ActionCache. Bazel and its kin speak it, and so do our agents (cas/remote).
//
// SHA-256 is the only digest function; other wishes are refused with INVALID_ARGUMENT. Blobs travel as they are or as zstd. An upload
// that broke can be gone on with for a while. Instance names keep results of actions apart, and make no difference to blobs.
// Who may do what is asked of Config.Access. All methods may be called concurrently.
package reapi

import (
	"context"
	"errors"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/bazelbuild/remote-apis/build/bazel/semver"
	"golang.org/x/sync/semaphore"
	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/action"
	"github.com/outwork-build/outwork/internal/fault"
)

// Config of a Server. Store is required.
type Config struct {
	Store cas.Store
	// MaxBatch is the most bytes of blobs in one batch call, both ways. It must leave room for the rest of the message below
	// the gRPC server's limit; 0 is 3.75 MiB, right for the usual 4 MiB.
	MaxBatch int64
	// Actions has the results of actions; nil has no ActionCache service.
	Actions cas.ActionCache
	// Access decides over each call; nil lets everybody do everything.
	Access cas.Access
	// Execution is told to clients beside what the cache can do, as some ask only one of two endpoints; nil is none.
	Execution *repb.ExecutionCapabilities
}

// batchMemory bounds the bytes of all batch reads under way: calls beyond it wait.
const batchMemory = 64 << 20

// DefaultMaxBatch is the MaxBatch of servers that were not told otherwise.
const DefaultMaxBatch = 15 << 18

// Server is the face of one store. Close ends the uploads that it keeps.
type Server struct {
	store     cas.Store
	actions   action.Cache
	access    cas.Access
	execution *repb.ExecutionCapabilities
	maxBatch  int64
	memory    *semaphore.Weighted // bytes of batch reads under way
	codecs    codecs
	uploads   uploads

	repb.UnimplementedCapabilitiesServer
	repb.UnimplementedContentAddressableStorageServer
	repb.UnimplementedActionCacheServer
	bytestream.UnimplementedByteStreamServer
}

// New returns a server for cfg.Store.
func New(cfg Config) *Server {
	if cfg.MaxBatch == 0 {
		cfg.MaxBatch = DefaultMaxBatch
	}
	return &Server{store: cfg.Store, actions: action.Cache{Store: cfg.Store, Actions: cfg.Actions}, access: cfg.Access, execution: cfg.Execution,
		maxBatch: cfg.MaxBatch, memory: semaphore.NewWeighted(max(batchMemory, cfg.MaxBatch))}
}

// Close gives up the uploads under way. Calls that come later are answered as before.
func (s *Server) Close() { s.uploads.close() }

// allow asks Config.Access.
func (s *Server) allow(ctx context.Context, u cas.Use) error { return toStatus(s.access.Allow(ctx, u)) }

// Register adds the services to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	repb.RegisterCapabilitiesServer(r, s)
	repb.RegisterContentAddressableStorageServer(r, s)
	if s.actions.Actions != nil {
		repb.RegisterActionCacheServer(r, s)
	}
	r.RegisterService(byteStream(), s)
}

// GetCapabilities says what the server can do, and whether the caller may say what actions come to.
func (s *Server) GetCapabilities(ctx context.Context, _ *repb.GetCapabilitiesRequest) (*repb.ServerCapabilities, error) {
	if err := s.allow(ctx, cas.ReadCache); err != nil {
		return nil, err
	}
	return &repb.ServerCapabilities{
		CacheCapabilities: &repb.CacheCapabilities{
			DigestFunctions: []repb.DigestFunction_Value{repb.DigestFunction_SHA256},
			ActionCacheUpdateCapabilities: &repb.ActionCacheUpdateCapabilities{
				UpdateEnabled: s.actions.Actions != nil && s.access.Allow(ctx, cas.WriteActions) == nil,
			},
			MaxBatchTotalSizeBytes:          s.maxBatch,
			SymlinkAbsolutePathStrategy:     repb.SymlinkAbsolutePathStrategy_ALLOWED,
			SupportedCompressors:            []repb.Compressor_Value{repb.Compressor_ZSTD},
			SupportedBatchUpdateCompressors: []repb.Compressor_Value{repb.Compressor_ZSTD},
		},
		ExecutionCapabilities: s.execution,
		LowApiVersion:         &semver.SemVer{Major: 2, Minor: 0},
		HighApiVersion:        &semver.SemVer{Major: 2, Minor: 3},
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
		case fault.Denied:
			code = codes.PermissionDenied
		case fault.Unauthenticated:
			code = codes.Unauthenticated
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
