package reapi

import (
	"context"
	"slices"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/action"
)

// maxInline is the most bytes of standard output, standard error or an output file that are sent along with a result.
const maxInline = 1 << 20

// GetActionResult implements the service: a result one of whose outputs is gone is NOT_FOUND.
func (s *Server) GetActionResult(ctx context.Context, r *repb.GetActionResultRequest) (*repb.ActionResult, error) {
	d, err := s.actionDigest(ctx, r.ActionDigest, r.DigestFunction, cas.ReadCache)
	if err != nil {
		return nil, err
	}
	res, err := s.actions.Get(ctx, action.Key(r.InstanceName, d.Hash))
	if err != nil {
		return nil, toStatus(err)
	}
	s.inline(ctx, r, res)
	return res, nil
}

// UpdateActionResult implements the service.
func (s *Server) UpdateActionResult(ctx context.Context, r *repb.UpdateActionResultRequest) (*repb.ActionResult, error) {
	d, err := s.actionDigest(ctx, r.ActionDigest, r.DigestFunction, cas.WriteActions)
	if err != nil {
		return nil, err
	}
	if err := s.actions.Put(ctx, action.Key(r.InstanceName, d.Hash), r.ActionResult); err != nil {
		return nil, toStatus(err)
	}
	return r.ActionResult, nil
}

// actionDigest checks what both calls begin with.
func (s *Server) actionDigest(ctx context.Context, pb *repb.Digest, f repb.DigestFunction_Value, u cas.Use) (cas.Digest, error) {
	if s.actions.Actions == nil {
		return cas.Digest{}, status.Error(codes.Unimplemented, "there is no action cache here")
	}
	if err := s.allow(ctx, u); err != nil {
		return cas.Digest{}, err
	}
	if err := checkFunction(f); err != nil {
		return cas.Digest{}, err
	}
	return toDigest(pb)
}

// inline adds the bytes that the client asked for, while they are few. What cannot be had is left to be read by its digest.
func (s *Server) inline(ctx context.Context, r *repb.GetActionResultRequest, res *repb.ActionResult) {
	left := s.maxBatch / 2
	fill := func(wanted bool, pb *repb.Digest, to *[]byte) {
		d, err := toDigest(pb)
		if !wanted || len(*to) > 0 || err != nil || d.Size > min(left, maxInline) {
			return
		}
		if b, err := cas.ReadAll(ctx, s.store, d, maxInline); err == nil {
			*to = b
			left -= d.Size
		}
	}
	fill(r.InlineStdout, res.StdoutDigest, &res.StdoutRaw)
	fill(r.InlineStderr, res.StderrDigest, &res.StderrRaw)
	for _, f := range res.OutputFiles {
		fill(slices.Contains(r.InlineOutputFiles, f.Path), f.Digest, &f.Contents)
	}
}
