package client

import (
	"context"

	"github.com/outwork-build/outwork/api"
)

// Tools lists the folders that are mirrored to the nodes.
func (c *Client) Tools(ctx context.Context) ([]api.Tools, error) {
	return call[[]api.Tools](ctx, c, "GET", path("tools"), nil, nil)
}

// SyncTools has the tools of nodes made what they should be, and waits for that.
func (c *Client) SyncTools(ctx context.Context, s api.ToolsSync) ([]api.NodeSynced, error) {
	return call[[]api.NodeSynced](ctx, c, "POST", path("tools", "sync"), nil, s)
}
