package rest

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/build"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/server/filter"
)

// NodePath names a node.
type NodePath struct {
	Node string `path:"node" doc:"Name of the node." maxLength:"200"`
}

func (p NodePath) name() fleet.NodeName { return fleet.NodeName(p.Node) }

func (s *server) nodes() {
	register(s, route{method: "GET", path: "/nodes", id: "list-nodes", summary: "List the nodes by name", tag: "nodes", scope: auth.Read},
		func(ctx context.Context, in *struct {
			Where string `query:"where" maxLength:"1000" doc:"A label expression, which also knows states: linux && offline."`
		}) (*body[[]api.Node], error) {
			f, err := filter.Where(in.Where)
			if err != nil {
				return nil, err
			}
			return list(s.allNodes(ctx, f)), nil
		})
	register(s, route{method: "POST", path: "/nodes", id: "create-node", summary: "Make a node, or copy one", tag: "nodes", scope: auth.Admin, status: http.StatusCreated,
		about: "A node of launcher inbound is told to an agent with a join token of its name."}, s.createNode)
	register(s, route{method: "GET", path: "/nodes/{node}", id: "get-node", summary: "Show a node", tag: "nodes", scope: auth.Read},
		func(ctx context.Context, in *NodePath) (*body[api.Node], error) { return s.readNode(ctx, in.name()) })
	register(s, route{method: "PATCH", path: "/nodes/{node}", id: "update-node", summary: "Change a node", tag: "nodes", scope: auth.Admin}, s.updateNode)
	register(s, route{method: "DELETE", path: "/nodes/{node}", id: "delete-node", summary: "Delete a node and its agent's credential", tag: "nodes", scope: auth.Admin, status: http.StatusNoContent},
		func(ctx context.Context, in *NodePath) (*empty, error) {
			if err := s.Fleet.Remove(ctx, in.name()); err != nil {
				return nil, err
			}
			return nil, s.Auth.RevokeNode(ctx, in.Node, "")
		})
	s.nodeOrders()
	s.nodeFindings()
}

// executors lists what runs where, by node.
func (s *server) executors() map[fleet.NodeName][]api.Executor {
	out := map[fleet.NodeName][]api.Executor{}
	for _, it := range s.Queue.Snapshot() {
		if g := it.Grant; g != nil {
			out[g.Node] = append(out[g.Node], api.Executor{Number: g.Executor, Item: string(it.Item.ID), Job: string(it.Item.Build.Job),
				Build: it.Item.Build.Number, Title: it.Item.Title, Since: it.Since})
		}
	}
	for _, xs := range out {
		slices.SortFunc(xs, func(a, b api.Executor) int { return a.Number - b.Number })
	}
	return out
}

func (s *server) allNodes(ctx context.Context, f filter.Filter) []api.Node {
	busy, admin := s.executors(), auth.From(ctx).May(auth.Admin)
	var out []api.Node
	for _, st := range s.Fleet.Snapshot() {
		if b := busy[st.Node.Name]; f.Admits(st, len(b)) {
			out = append(out, s.node(st, b, admin))
		}
	}
	return out
}

func (s *server) readNode(ctx context.Context, n fleet.NodeName) (*body[api.Node], error) {
	st, found := s.Fleet.Node(n)
	if !found {
		return nil, fault.New(fault.NotFound, "there is no node %q", n)
	}
	return ok(s.node(st, s.executors()[n], auth.From(ctx).May(auth.Admin))), nil
}

// node is what the API says of a node. A launcher's settings can hold command lines, which are an admin's to see.
func (s *server) node(st fleet.Status, busy []api.Executor, admin bool) api.Node {
	m, n := st.Machine, st.Node
	a := api.Node{Name: string(n.Name), Description: n.Description, Executors: n.Executors, Labels: n.Labels, Assigned: st.Assigned,
		Mode: cmp.Or(string(n.Mode), string(fleet.Normal)), Launcher: n.Launcher.Kind, Launches: s.Fleet.Launches(n), RemoteRoot: n.RemoteRoot, Env: n.Env, Tools: n.Tools,
		State: string(st.State), TakenOff: n.Offline != nil, Busy: busy, Version: m.Version, OS: m.OS, Arch: m.Arch, Hostname: m.Hostname, CPUs: m.CPUs,
		Health: health(st), Session: st.Session, Since: st.Since, LastHeard: at(st.LastHeard), RoundTripMS: milliseconds(st.RoundTrip)}
	if admin {
		a.LauncherConfig, a.Setup, a.Probes = n.Launcher.Config, nodeSetup(n.Setup), nodeProbes(n.Probes)
	}
	if n.Retention.Kind != "" {
		a.Retention = &api.NodeRetention{Kind: n.Retention.Kind, Config: n.Retention.Config}
	}
	for name, l := range n.Monitors {
		if a.Monitors == nil {
			a.Monitors = map[string]api.NodeLimit{}
		}
		a.Monitors[name] = api.NodeLimit{Action: string(l.Action), Bad: l.Bad, Warn: l.Warn}
	}
	if m.PID != 0 {
		a.Agent = &api.Agent{PID: m.PID, Root: m.Root, Memory: max(0, st.Vitals.Agent), Shells: m.Shells, Path: pathOf(m)}
	}
	if a.Busy == nil {
		a.Busy = []api.Executor{}
	}
	if a.Assigned == nil {
		a.Assigned = []string{}
	}
	a.Offline = offlineCause(st.Cause)
	a.ToolSync = toolSync(s.Tools.State(n.Name))
	return a
}

func offlineCause(c *fleet.OfflineCause) *api.OfflineCause {
	if c == nil {
		return nil
	}
	return &api.OfflineCause{Kind: c.Kind, Text: c.Text, By: c.By, When: c.When}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// pathOf is the PATH that a machine's steps find; Windows spells its name as it likes.
func pathOf(m agent.Description) string {
	for name, value := range m.Env {
		if strings.EqualFold(name, "PATH") {
			return value
		}
	}
	return ""
}

// health lists the monitors' findings by name.
func health(st fleet.Status) []api.Health {
	var out []api.Health
	for _, name := range slices.Sorted(maps.Keys(st.Monitors)) {
		v := st.Monitors[name]
		out = append(out, api.Health{Monitor: name, Level: cmp.Or(string(v.Level), "good"), Value: v.Value, Text: v.Text, Action: string(v.Action),
			Since: at(v.Since), Full: at(v.Full)})
	}
	return out
}

func item(st queue.ItemStatus) api.QueueItem {
	it := st.Item
	return api.QueueItem{ID: string(it.ID), Job: string(it.Build.Job), Build: it.Build.Number, Title: it.Title, Label: it.Label, Priority: it.Priority, Since: it.Waiting, Stuck: st.Stuck}
}

// maxWhy bounds for how many items of a list the reason is computed: reasons look at every node.
const maxWhy = 200

func (s *server) waiting(ctx context.Context) []api.QueueItem {
	var out []api.QueueItem
	for _, st := range s.Queue.Snapshot() {
		if st.State != queue.Waiting {
			continue
		}
		a := item(st)
		if len(out) < maxWhy {
			if x, err := s.Queue.Why(ctx, st.Item.ID); err == nil {
				a.Why = x.Summary
			}
		}
		out = append(out, a)
	}
	return out
}

func (s *server) queue() {
	register(s, route{method: "GET", path: "/queue", id: "list-queue", summary: "List what waits for an executor, in order", tag: "queue", scope: auth.Read},
		func(ctx context.Context, _ *struct{}) (*body[[]api.QueueItem], error) {
			return list(s.waiting(ctx)), nil
		})
	register(s, route{method: "GET", path: "/queue/{item}/why", id: "why", summary: "Explain why an item waits, node by node", tag: "queue", scope: auth.Read},
		func(ctx context.Context, in *struct {
			Item string `path:"item" doc:"An item's ID, or a build as JOB#NUMBER for the first thing it waits for."`
		}) (*body[api.Explanation], error) {
			st, err := s.findItem(in.Item)
			if err != nil {
				return nil, err
			}
			x, err := s.Queue.Why(ctx, st.Item.ID)
			if err != nil {
				return nil, err
			}
			out := api.Explanation{Item: item(st), Summary: x.Summary, Position: x.Position, Suggestion: x.Suggestion, Nodes: []api.NodeReason{}}
			out.Item.Why = x.Summary
			for _, n := range x.Nodes {
				out.Nodes = append(out.Nodes, api.NodeReason{Node: string(n.Node), Predicate: string(n.Predicate), Reason: n.Reason})
			}
			return ok(out), nil
		})
}

func (s *server) findItem(name string) (queue.ItemStatus, error) {
	id, idErr := build.ParseID(name)
	for _, st := range s.Queue.Snapshot() {
		if st.State == queue.Waiting && (string(st.Item.ID) == name || (idErr == nil && st.Item.Build == id)) {
			return st, nil
		}
	}
	return queue.ItemStatus{}, fault.New(fault.NotFound, "nothing called %q waits in the queue", name)
}

func (s *server) agents() {
	register(s, route{method: "POST", path: "/agents/tokens", id: "create-join-token", summary: "Make a one-use token with which one agent can join", tag: "agents", scope: auth.Admin, status: http.StatusCreated},
		func(ctx context.Context, in *struct{ Body api.JoinTokenCreate }) (*body[api.JoinToken], error) {
			d, err := ttl(in.Body.TTL)
			if err != nil {
				return nil, err
			}
			if in.Body.Node != "" {
				if err := fleet.CheckName(fleet.NodeName(in.Body.Node)); err != nil {
					return nil, fault.With(fault.Invalid, err)
				}
			}
			plain, t, err := s.Auth.CreateJoinToken(ctx, auth.From(ctx).User, in.Body.Node, d)
			if err != nil {
				return nil, err
			}
			command, script := s.Join(plain), "curl -fsS "+s.URL()+"/agent.sh | sh -s -- --token "+plain
			if in.Body.Node != "" {
				command += " --name " + in.Body.Node
				script += " --name " + in.Body.Node
			}
			return ok(api.JoinToken{Secret: plain, Expires: t.Expires, Command: command, Script: script}), nil
		})
	register(s, route{method: "POST", path: "/agents/join", id: "join", summary: "Exchange a join token for a node's own credential", tag: "agents", scope: open, status: http.StatusCreated, maxBody: 1 << 16}, s.join)
}

// join makes the node, when there is none of the name, and gives its credential. A node that there is can be taken over only with
// a token that names it: a token that anybody may have been given must not end another agent's credential. Labels, executors and mode are taken only
// then: later they are the administrator's.
func (s *server) join(ctx context.Context, in *struct{ Body api.Join }) (*body[api.Joined], error) {
	j := in.Body
	name := fleet.NodeName(j.Name)
	if err := fleet.CheckName(name); err != nil {
		return nil, fault.With(fault.Invalid, err)
	}
	if err := checkLabels(j.Labels); err != nil {
		return nil, err
	}
	s.joining.Lock() // of two that join under one new name, the second finds the first's node
	defer s.joining.Unlock()
	st, exists := s.Fleet.Node(name)
	if exists && st.Node.Launcher.Kind != "inbound" {
		return nil, fault.New(fault.Conflict, "node %q is started by the controller (launcher %s): an agent cannot join as it", name, st.Node.Launcher.Kind)
	}
	credential, err := s.Auth.Join(ctx, j.Token, j.Name, exists)
	if err != nil {
		return nil, err
	}
	if !exists {
		n := fleet.Node{Name: name, Description: j.Description, Executors: max(j.Executors, 1), Labels: j.Labels, Mode: fleet.Mode(j.Mode),
			Launcher: fleet.LauncherSpec{Kind: "inbound"}, Created: s.Now().UTC()}
		if n.Mode == "" {
			n.Mode = fleet.Normal
		}
		if err := s.Fleet.Put(ctx, n); err != nil {
			return nil, err
		}
	}
	return ok(api.Joined{Name: j.Name, Credential: credential}), nil
}
