package rest

import (
	"context"
	"net/http"
	"slices"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/server/filter"
)

// nodeOrders are what is done to nodes that there are: to one, or to all that an expression matches.
func (s *server) nodeOrders() {
	type reason struct {
		NodePath
		Body api.NodeDisconnect
	}
	order := func(id, verb, summary string) route {
		return route{method: "POST", path: "/nodes/{node}/" + verb, id: id, summary: summary, tag: "nodes", scope: auth.Admin, status: http.StatusNoContent}
	}
	register(s, order("node-offline", "offline", "Give a node no new work"),
		func(ctx context.Context, in *struct {
			NodePath
			Body api.NodeOffline
		}) (*empty, error) {
			verb := fleet.VerbOffline
			if in.Body.Drain {
				verb = fleet.VerbDrain
			}
			return nil, s.order(ctx, in.name(), verb, in.Body.Reason)
		})
	register(s, order("node-online", "online", "Give a node work again"),
		func(ctx context.Context, in *NodePath) (*empty, error) {
			return nil, s.order(ctx, in.name(), fleet.VerbOnline, "")
		})
	register(s, order("node-disconnect", "disconnect", "End a node's connection until it is reconnected; what runs on it runs on"),
		func(ctx context.Context, in *reason) (*empty, error) {
			return nil, s.order(ctx, in.name(), fleet.VerbDisconnect, in.Body.Reason)
		})
	register(s, order("node-reconnect", "reconnect", "Connect a node now, whatever kept it from it; a connection that there is is made anew"),
		func(ctx context.Context, in *NodePath) (*empty, error) {
			return nil, s.order(ctx, in.name(), fleet.VerbReconnect, "")
		})
	register(s, route{method: "POST", path: "/node-orders", id: "order-nodes", summary: "Take offline, drain, put online, disconnect or reconnect all nodes that an expression matches", tag: "nodes", scope: auth.Admin}, s.orderNodes)
}

func (s *server) order(ctx context.Context, n fleet.NodeName, verb fleet.Verb, reason string) error {
	done, err := s.Fleet.Bulk(ctx, []fleet.NodeName{n}, fleet.Order{Verb: verb, Cause: fleet.ByUser(auth.From(ctx).User, reason)})
	if err == nil && len(done) == 0 {
		return fault.New(fault.NotFound, "there is no node %q", n)
	}
	return err
}

func (s *server) orderNodes(ctx context.Context, in *struct{ Body api.NodeOrder }) (*body[api.NodesOrdered], error) {
	o := in.Body
	names, err := s.chosen(o)
	if err != nil {
		return nil, err
	}
	out := api.NodesOrdered{Verb: o.Verb, Matched: plain(names), Done: []string{}}
	if o.DryRun || len(names) == 0 {
		return ok(out), nil
	}
	done, err := s.Fleet.Bulk(ctx, names, fleet.Order{Verb: fleet.Verb(o.Verb), Cause: fleet.ByUser(auth.From(ctx).User, o.Reason)})
	out.Done = plain(done)
	return ok(out), err
}

// chosen are the nodes that an order is meant for, by name. A name of no node fails all of it.
func (s *server) chosen(o api.NodeOrder) (names []fleet.NodeName, err error) {
	if (o.Where == "") == (len(o.Names) == 0) {
		return nil, fault.New(fault.Invalid, "expected where or names, one of them: where \"connected || offline\" is every node")
	}
	for _, n := range o.Names {
		if _, found := s.Fleet.Node(fleet.NodeName(n)); !found {
			return nil, fault.New(fault.NotFound, "there is no node %q: nothing was done", n)
		}
		names = append(names, fleet.NodeName(n))
	}
	if o.Where != "" {
		f, err := filter.Where(o.Where)
		if err != nil {
			return nil, err
		}
		busy := s.executors()
		for _, st := range s.Fleet.Snapshot() {
			if f.Admits(st, len(busy[st.Node.Name])) {
				names = append(names, st.Node.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func plain(names []fleet.NodeName) []string {
	out := make([]string, 0, len(names))
	for _, n := range names {
		out = append(out, string(n))
	}
	return out
}
