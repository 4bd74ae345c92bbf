package client

import (
	"context"
	"io"

	"github.com/outwork-build/outwork/api"
)

// ConfigState says where the configuration came from.
func (c *Client) ConfigState(ctx context.Context) (api.ConfigState, error) {
	return call[api.ConfigState](ctx, c, "GET", path("config"), nil, nil)
}

// ConfigExport returns the farm as a file of YAML.
func (c *Client) ConfigExport(ctx context.Context) (string, error) {
	resp, err := c.request(ctx, "GET", path("config", "export"), nil, nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// ConfigPlan says what applying a file would do.
func (c *Client) ConfigPlan(ctx context.Context, t api.ConfigText) (api.ConfigPlan, error) {
	return call[api.ConfigPlan](ctx, c, "POST", path("config", "plan"), nil, t)
}

// ConfigApply makes the farm like a file.
func (c *Client) ConfigApply(ctx context.Context, t api.ConfigText) (api.ConfigPlan, error) {
	return call[api.ConfigPlan](ctx, c, "POST", path("config", "apply"), nil, t)
}

// ConfigReload applies the controller's own file anew.
func (c *Client) ConfigReload(ctx context.Context) (api.ConfigPlan, error) {
	return call[api.ConfigPlan](ctx, c, "POST", path("config", "reload"), nil, nil)
}

// ConfigUndo takes the last apply back.
func (c *Client) ConfigUndo(ctx context.Context) (api.ConfigPlan, error) {
	return call[api.ConfigPlan](ctx, c, "POST", path("config", "undo"), nil, nil)
}
