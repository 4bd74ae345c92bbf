package client

import (
	"context"
	"net/url"

	"github.com/outwork-build/outwork/api"
)

// Explain says what each node is to an item of the queue, with scores, and how it got its node. item is an ID, or a build as
// JOB#NUMBER. With assumptions such as "node n3 online" it says what would happen.
func (c *Client) Explain(ctx context.Context, item string, assume ...string) (api.Placement, error) {
	return call[api.Placement](ctx, c, "GET", path("queue", item, "explain"), url.Values{"if": assume}, nil)
}
