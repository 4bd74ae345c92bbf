package remote

import (
	"context"
	"fmt"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/api/agentpb"
	"github.com/outwork-build/outwork/internal/fault"
)

const maxKeep = 1000 // folders of one SyncTools

var _ agent.Toolkeeper = (*machine)(nil)

// SyncTools implements agent.Toolkeeper. An agent from before there was one fails with fault.Incompatible.
func (m *machine) SyncTools(ctx context.Context, r agent.ToolsRequest) (agent.ToolsSynced, error) {
	if err := checkTools(r); err != nil {
		return agent.ToolsSynced{}, fmt.Errorf("sync tools: %w", err)
	}
	a, err := m.rpc.SyncTools(ctx, &agentpb.SyncToolsRequest{Root: toDigest(r.Root), Keep: r.Keep})
	if err != nil {
		return agent.ToolsSynced{}, fmt.Errorf("sync tools: %w", err)
	}
	s := agent.ToolsSynced{Path: a.GetPath(), Changed: a.GetChanged(), Blobs: a.GetBlobs(), Bytes: a.GetBytes()}
	if err := checkSynced(s); err != nil {
		return agent.ToolsSynced{}, answered("sync tools", err)
	}
	return s, nil
}

func (s *server) SyncTools(ctx context.Context, q *agentpb.SyncToolsRequest) (*agentpb.SyncToolsResponse, error) {
	keeper, ok := s.machine.(agent.Toolkeeper)
	if !ok {
		return s.UnimplementedMachineServer.SyncTools(ctx, q)
	}
	r := agent.ToolsRequest{Root: fromDigest(q.GetRoot()), Keep: q.GetKeep()}
	if err := checkTools(r); err != nil {
		return nil, err
	}
	a, err := keeper.SyncTools(ctx, r)
	if err := first(err, checkSynced(a)); err != nil {
		return nil, err
	}
	return &agentpb.SyncToolsResponse{Path: a.Path, Changed: a.Changed, Blobs: a.Blobs, Bytes: a.Bytes}, nil
}

func checkTools(r agent.ToolsRequest) error {
	if len(r.Keep) > maxKeep {
		return fault.New(fault.Invalid, "keep: %d folders, expected at most %d", len(r.Keep), maxKeep)
	}
	for _, k := range r.Keep {
		if err := checkPath("keep", k); err != nil {
			return err
		}
	}
	return fault.With(fault.Invalid, r.Root.Validate())
}

func checkSynced(s agent.ToolsSynced) error {
	if s.Blobs < 0 || s.Bytes < 0 {
		return fault.New(fault.Invalid, "%d blobs of %d bytes: expected 0 or more", s.Blobs, s.Bytes)
	}
	return checkPath("path", s.Path)
}
