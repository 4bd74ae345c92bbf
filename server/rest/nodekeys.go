package rest

import (
	"context"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/server/auth"
)

// nodeKeys are the keys by which machines are known.
func (s *server) nodeKeys() {
	register(s, route{method: "GET", path: "/nodes/{node}/host-keys", id: "list-node-host-keys", summary: "Show by which keys the hosts on the way to a node are known, or ask to be", tag: "nodes", scope: auth.Admin},
		func(ctx context.Context, in *NodePath) (*body[[]api.NodeHostKey], error) {
			keys, err := s.Fleet.HostKeys(ctx, in.name())
			var out []api.NodeHostKey
			for _, k := range keys {
				out = append(out, hostKey(k))
			}
			return list(out), err
		})
	register(s, route{method: "POST", path: "/nodes/{node}/approve", id: "approve-node", summary: "Let a host in with the key that awaits approval, and connect the node", tag: "nodes", scope: auth.Admin,
		about: "The key is named by its fingerprint: when the host has shown another one since, nothing is approved. Who did is in the node's history."},
		func(ctx context.Context, in *struct {
			NodePath
			Body api.NodeApproval
		}) (*body[api.NodeHostKey], error) {
			k, err := s.Fleet.Approve(ctx, in.name(), in.Body.Fingerprint, auth.From(ctx).User)
			return ok(hostKey(k)), err
		})
}

func hostKey(k fleet.HostKey) api.NodeHostKey {
	return api.NodeHostKey{Hop: k.Hop, Address: k.Address, Algorithm: k.Algorithm, Fingerprint: k.Fingerprint, Before: k.Before, Seen: k.Seen, Approved: k.Approved}
}
