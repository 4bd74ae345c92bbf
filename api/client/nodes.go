package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strconv"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/internal/fault"
)

// Nodes lists the nodes by name: all, or those that a label expression matches, which also knows states.
func (c *Client) Nodes(ctx context.Context, where ...string) ([]api.Node, error) {
	q := url.Values{}
	if len(where) > 0 && where[0] != "" {
		q.Set("where", where[0])
	}
	return call[[]api.Node](ctx, c, "GET", path("nodes"), q, nil)
}

// Node returns one node.
func (c *Client) Node(ctx context.Context, name string) (api.Node, error) {
	return call[api.Node](ctx, c, "GET", path("nodes", name), nil, nil)
}

// CreateNode makes a node, or copies one.
func (c *Client) CreateNode(ctx context.Context, n api.NodeCreate) (api.Node, error) {
	return call[api.Node](ctx, c, "POST", path("nodes"), nil, n)
}

// UpdateNode changes a node.
func (c *Client) UpdateNode(ctx context.Context, name string, u api.NodeUpdate) (api.Node, error) {
	return call[api.Node](ctx, c, "PATCH", path("nodes", name), nil, u)
}

// DeleteNode removes a node and its agent's credential.
func (c *Client) DeleteNode(ctx context.Context, name string) error {
	return c.do(ctx, "DELETE", path("nodes", name), nil)
}

// NodeOffline takes a node out of work; NodeOnline puts it back.
func (c *Client) NodeOffline(ctx context.Context, name string, o api.NodeOffline) error {
	return c.do(ctx, "POST", path("nodes", name, "offline"), o)
}

// NodeOnline puts a node back to work.
func (c *Client) NodeOnline(ctx context.Context, name string) error {
	return c.do(ctx, "POST", path("nodes", name, "online"), nil)
}

// DisconnectNode ends a node's connection until ReconnectNode.
func (c *Client) DisconnectNode(ctx context.Context, name string, d api.NodeDisconnect) error {
	return c.do(ctx, "POST", path("nodes", name, "disconnect"), d)
}

// ReconnectNode connects a node now.
func (c *Client) ReconnectNode(ctx context.Context, name string) error {
	return c.do(ctx, "POST", path("nodes", name, "reconnect"), nil)
}

// OrderNodes does one thing to many nodes.
func (c *Client) OrderNodes(ctx context.Context, o api.NodeOrder) (api.NodesOrdered, error) {
	return call[api.NodesOrdered](ctx, c, "POST", path("node-orders"), nil, o)
}

// NodeLog returns the end of a node's log as plain text.
func (c *Client) NodeLog(ctx context.Context, name string) (string, error) {
	r, err := c.nodeLog(ctx, name, nil)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

// FollowNodeLog opens the end of a node's log, which goes on as it grows until ctx ends or the node is deleted. The caller closes it.
func (c *Client) FollowNodeLog(ctx context.Context, name string) (io.ReadCloser, error) {
	return c.nodeLog(ctx, name, url.Values{"follow": {"true"}})
}

func (c *Client) nodeLog(ctx context.Context, name string, q url.Values) (io.ReadCloser, error) {
	resp, err := c.request(ctx, "GET", path("nodes", name, "log"), q, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// NodeHistory lists what happened to a node, newest first, at most limit.
func (c *Client) NodeHistory(ctx context.Context, name string, limit int) ([]api.NodeRecord, error) {
	return call[[]api.NodeRecord](ctx, c, "GET", path("nodes", name, "history"), url.Values{"limit": {strconv.Itoa(limit)}}, nil)
}

// NodeSeries returns what a quantity of a node did in the last hours, 24 at most.
func (c *Client) NodeSeries(ctx context.Context, name, quantity string, hours int) ([]api.NodePoint, error) {
	return call[[]api.NodePoint](ctx, c, "GET", path("nodes", name, "series", quantity), url.Values{"hours": {strconv.Itoa(hours)}}, nil)
}

// ExamineNode calls each with the findings on the way to a node as they come. The last is the first that failed, if one did.
func (c *Client) ExamineNode(ctx context.Context, name string, each func(api.NodeHop) error) error {
	resp, err := c.request(ctx, "GET", path("nodes", name, "examine"), nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for d := json.NewDecoder(resp.Body); ; {
		var h api.NodeHop
		switch err := d.Decode(&h); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fault.New(fault.Unavailable, "examine %s: the answer broke off: %w", name, err)
		}
		if err := each(h); err != nil {
			return err
		}
	}
}

// NodeHostKeys returns the keys that the hosts on the way to a node showed last.
func (c *Client) NodeHostKeys(ctx context.Context, name string) ([]api.NodeHostKey, error) {
	return call[[]api.NodeHostKey](ctx, c, "GET", path("nodes", name, "host-keys"), nil, nil)
}

// ApproveNode lets a host in with the key of a fingerprint.
func (c *Client) ApproveNode(ctx context.Context, name, fingerprint string) (api.NodeHostKey, error) {
	return call[api.NodeHostKey](ctx, c, "POST", path("nodes", name, "approve"), nil, api.NodeApproval{Fingerprint: fingerprint})
}

// NodeLogins returns how the controller logs in at the hosts on the way to a node.
func (c *Client) NodeLogins(ctx context.Context, name string) ([]api.NodeLogin, error) {
	return call[[]api.NodeLogin](ctx, c, "GET", path("nodes", name, "logins"), nil, nil)
}

// AuthorizedKeys returns what lets a key of the controller's in.
func (c *Client) AuthorizedKeys(ctx context.Context, k api.Credential) (api.AuthorizedKeys, error) {
	return call[api.AuthorizedKeys](ctx, c, "POST", path("authorized-keys"), nil, k)
}

// TestNode runs a tiny step on a node.
func (c *Client) TestNode(ctx context.Context, name string) (api.NodeTest, error) {
	return call[api.NodeTest](ctx, c, "POST", path("nodes", name, "test"), nil, nil)
}
