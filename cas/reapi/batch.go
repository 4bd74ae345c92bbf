package reapi

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/tree"
)

// parallel is how many blobs of one batch are worked on at once.
const parallel = 16

// FindMissingBlobs implements the service.
func (s *Server) FindMissingBlobs(ctx context.Context, r *repb.FindMissingBlobsRequest) (*repb.FindMissingBlobsResponse, error) {
	if err := s.begin(ctx, r.DigestFunction, cas.ReadCache); err != nil {
		return nil, err
	}
	ds := make([]cas.Digest, len(r.BlobDigests))
	for i, d := range r.BlobDigests {
		var err error
		if ds[i], err = toDigest(d); err != nil {
			return nil, err
		}
	}
	missing, err := s.store.Missing(ctx, ds)
	if err != nil {
		return nil, toStatus(err)
	}
	out := &repb.FindMissingBlobsResponse{}
	for _, d := range missing {
		out.MissingBlobDigests = append(out.MissingBlobDigests, fromDigest(d))
	}
	return out, nil
}

// begin checks what all batch calls begin with.
func (s *Server) begin(ctx context.Context, f repb.DigestFunction_Value, u cas.Use) error {
	if err := s.allow(ctx, u); err != nil {
		return err
	}
	return checkFunction(f)
}

// BatchUpdateBlobs implements the service: each blob has a status of its own, and those that are right are one commit.
func (s *Server) BatchUpdateBlobs(ctx context.Context, r *repb.BatchUpdateBlobsRequest) (*repb.BatchUpdateBlobsResponse, error) {
	if err := s.begin(ctx, r.DigestFunction, cas.WriteBlobs); err != nil {
		return nil, err
	}
	sent, plain := int64(0), int64(0)
	for _, b := range r.Requests {
		sent += int64(len(b.Data))
		if b.Compressor != repb.Compressor_IDENTITY {
			plain += min(max(b.Digest.GetSizeBytes(), 0), s.maxBatch+1)
		}
	}
	if err := s.checkBatch(sent); err != nil {
		return nil, err
	}
	if err := s.checkBatch(plain); err != nil {
		return nil, err
	}
	out := &repb.BatchUpdateBlobsResponse{Responses: make([]*repb.BatchUpdateBlobsResponse_Response, len(r.Requests))}
	var blobs []cas.Blob
	var at []int
	for i, b := range r.Requests {
		blob, err := s.blob(b)
		out.Responses[i] = &repb.BatchUpdateBlobsResponse_Response{Digest: b.Digest, Status: status.Convert(err).Proto()}
		if err == nil {
			blobs, at = append(blobs, blob), append(at, i)
		}
	}
	for i, err := range cas.PutBatch(ctx, s.store, blobs) {
		out.Responses[at[i]].Status = status.Convert(toStatus(err)).Proto()
	}
	return out, nil
}

// blob is what one part of a batch update says, decompressed.
func (s *Server) blob(b *repb.BatchUpdateBlobsRequest_Request) (cas.Blob, error) {
	d, err := toDigest(b.Digest)
	if err != nil {
		return cas.Blob{}, err
	}
	switch b.Compressor {
	case repb.Compressor_IDENTITY:
		return cas.Blob{Digest: d, Data: b.Data}, nil
	case repb.Compressor_ZSTD:
		data, err := s.codecs.all(d, b.Data)
		return cas.Blob{Digest: d, Data: data}, err
	}
	return cas.Blob{}, status.Errorf(codes.InvalidArgument, "compressor %s: expected IDENTITY or ZSTD", b.Compressor)
}

// BatchReadBlobs implements the service.
func (s *Server) BatchReadBlobs(ctx context.Context, r *repb.BatchReadBlobsRequest) (*repb.BatchReadBlobsResponse, error) {
	if err := s.begin(ctx, r.DigestFunction, cas.ReadCache); err != nil {
		return nil, err
	}
	total := int64(0)
	for _, d := range r.Digests {
		if total += max(d.GetSizeBytes(), 0); total > s.maxBatch {
			break
		}
	}
	if err := s.checkBatch(total); err != nil {
		return nil, err
	}
	if err := s.memory.Acquire(ctx, total); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	defer s.memory.Release(total)
	out := &repb.BatchReadBlobsResponse{Responses: make([]*repb.BatchReadBlobsResponse_Response, len(r.Digests))}
	var g errgroup.Group
	g.SetLimit(parallel)
	for i, d := range r.Digests {
		g.Go(func() error {
			data, err := s.readAll(ctx, d)
			out.Responses[i] = &repb.BatchReadBlobsResponse_Response{Digest: d, Data: data, Status: status.Convert(err).Proto()}
			return nil
		})
	}
	g.Wait()
	return out, nil
}

func (s *Server) readAll(ctx context.Context, pb *repb.Digest) ([]byte, error) {
	d, err := toDigest(pb)
	if err != nil {
		return nil, err
	}
	b, err := cas.ReadAll(ctx, s.store, d, s.maxBatch)
	return b, toReadStatus(err)
}

func (s *Server) checkBatch(total int64) error {
	if total > s.maxBatch {
		return status.Errorf(codes.InvalidArgument, "batch of more than %d bytes: use ByteStream for large blobs", s.maxBatch)
	}
	return nil
}

const (
	treePage    = 1000      // directories of one page, when the client does not say
	treeEntries = 1_000_000 // directories of one tree
)

// GetTree implements the service: every different directory below the root, breadth first. Absent ones below it are left out.
// A page token is the number of directories that were sent before.
func (s *Server) GetTree(r *repb.GetTreeRequest, stream grpc.ServerStreamingServer[repb.GetTreeResponse]) error {
	if err := s.begin(stream.Context(), r.DigestFunction, cas.ReadCache); err != nil {
		return err
	}
	root, err := toDigest(r.RootDigest)
	if err != nil {
		return err
	}
	skip := 0
	if r.PageToken != "" {
		if skip, err = strconv.Atoi(r.PageToken); err != nil || skip < 0 || strings.HasPrefix(r.PageToken, "+") {
			return status.Errorf(codes.InvalidArgument, "page token %.40q: expected one that this server gave", r.PageToken)
		}
	}
	size := int(r.PageSize)
	if size <= 0 || size > treePage {
		size = treePage
	}
	seen := map[cas.Digest]bool{root: true}
	page, bytes := &repb.GetTreeResponse{}, int64(0)
	sent := 0
	for todo := []cas.Digest{root}; len(todo) > 0; todo = todo[1:] {
		dir, err := s.directory(stream.Context(), todo[0])
		if status.Code(err) == codes.NotFound && todo[0] != root {
			continue
		}
		if err != nil {
			return err
		}
		for _, n := range dir.Directories {
			if d := (cas.Digest{Hash: n.Digest.GetHash(), Size: n.Digest.GetSizeBytes()}); !seen[d] {
				seen[d] = true
				todo = append(todo, d)
			}
		}
		if len(seen) > treeEntries {
			return status.Errorf(codes.ResourceExhausted, "tree %s: expected at most %d directories", root, treeEntries)
		}
		if sent++; sent <= skip {
			continue
		}
		if len(page.Directories) == size || bytes+todo[0].Size > s.maxBatch && len(page.Directories) > 0 {
			page.NextPageToken = strconv.Itoa(sent - 1)
			if err := stream.Send(page); err != nil {
				return err
			}
			page, bytes = &repb.GetTreeResponse{}, 0
		}
		page.Directories = append(page.Directories, dir)
		bytes += todo[0].Size
	}
	return stream.Send(page)
}

func (s *Server) directory(ctx context.Context, d cas.Digest) (*repb.Directory, error) {
	b, err := cas.ReadAll(ctx, s.store, d, s.maxBatch)
	if err != nil {
		return nil, toReadStatus(err)
	}
	dir, err := tree.Decode(b)
	if err != nil {
		return nil, toStatus(fmt.Errorf("%s: %w", d, err))
	}
	return dir, nil
}
