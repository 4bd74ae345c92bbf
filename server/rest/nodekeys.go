package rest

import (
	"context"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
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
	register(s, route{method: "GET", path: "/nodes/{node}/logins", id: "list-node-logins", summary: "Show how the controller logs in at the hosts on the way to a node, and the lines that let it in", tag: "nodes", scope: auth.Admin},
		func(ctx context.Context, in *NodePath) (*body[[]api.NodeLogin], error) {
			st, found := s.Fleet.Node(in.name())
			if !found {
				return nil, fault.New(fault.NotFound, "there is no node %q", in.Node)
			}
			logins, err := s.Fleet.Logins(ctx, st.Node)
			var out []api.NodeLogin
			for _, l := range logins {
				out = append(out, api.NodeLogin{Hop: l.Hop, User: l.User, Address: l.Address, Lines: append([]string{}, l.Lines...)})
			}
			return list(out), err
		})
	register(s, route{method: "POST", path: "/authorized-keys", id: "authorize-key", summary: "Show the line of authorized_keys that lets a key of the controller's in", tag: "nodes", scope: auth.Admin},
		func(ctx context.Context, in *struct{ Body api.Credential }) (*body[api.AuthorizedKeys], error) {
			logins, err := s.Fleet.Logins(ctx, fleet.Node{Name: "credential", Launcher: fleet.LauncherSpec{Kind: "ssh",
				Config: map[string]string{"key": in.Body.Key, "passphrase": in.Body.Passphrase, "certificate": in.Body.Certificate}}})
			if err != nil {
				return nil, err
			}
			return ok(api.AuthorizedKeys{Lines: logins[0].Lines}), nil
		})
}

func hostKey(k fleet.HostKey) api.NodeHostKey {
	return api.NodeHostKey{Hop: k.Hop, Address: k.Address, Algorithm: k.Algorithm, Fingerprint: k.Fingerprint, Before: k.Before, Seen: k.Seen, Approved: k.Approved}
}
