package host

import (
	"context"
	"path/filepath"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/agent/host/tools"
)

// toolsVariable tells steps where the tools are.
const toolsVariable = "OUTWORK_TOOLS"

var _ agent.Toolkeeper = (*Host)(nil)

func (h *Host) openTools() *tools.Tools {
	return tools.Open(tools.Config{Dir: h.own("tools"), Link: filepath.Join(h.cfg.Root, "tools"), CAS: h.cfg.CAS,
		Free: func() (int64, error) {
			free, err := freeBytes(h.cfg.Root)
			return free - max(h.cfg.MinFree, 0), err
		},
		Full: isFull, Discard: h.discardTools, Background: h.background, Log: h.log})
}

// discardTools removes a state of the tools, or part of one, whose names are used again.
func (h *Host) discardTools(dir string) error {
	return h.discardAs(dir, "tools-"+filepath.Base(dir))
}

// retainTools lets go of the tools of leases that are no more.
func (h *Host) retainTools() {
	var workspaces []string
	for _, l := range h.open() {
		workspaces = append(workspaces, l.work.Path)
	}
	h.tools.Retain(workspaces)
}

// SyncTools implements agent.Toolkeeper.
func (h *Host) SyncTools(ctx context.Context, r agent.ToolsRequest) (agent.ToolsSynced, error) {
	if h.stop.Err() != nil {
		return agent.ToolsSynced{}, errStopped()
	}
	return h.tools.Sync(ctx, r)
}
