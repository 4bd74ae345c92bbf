package rest

import (
	"context"
	"slices"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/server/auth"
	"github.com/outwork-build/outwork/server/tools"
)

// Tools is what is mirrored to the nodes.
type Tools interface {
	State(n fleet.NodeName) tools.State
	Looks() []tools.Look
	Sync(ctx context.Context, names []fleet.NodeName) ([]tools.Result, error)
}

func (s *server) tools() {
	register(s, route{method: "GET", path: "/tools", id: "list-tools", summary: "List the folders that are mirrored to the nodes", tag: "tools", scope: auth.Read},
		func(context.Context, *struct{}) (*body[[]api.Tools], error) {
			var out []api.Tools
			for _, l := range s.Tools.Looks() {
				out = append(out, api.Tools{Name: l.Title(), From: l.From, To: l.To, Select: l.Select, Native: l.Native.Pattern, Folders: l.Native.Folders, Exclude: l.Exclude,
					Keep: l.Keep, Required: l.Required, Files: l.Files, Bytes: l.Bytes, Read: l.Read, Looked: at(l.At), TookMS: milliseconds(l.Took), Error: l.Error, Problems: l.Problems})
			}
			return list(out), nil
		})
	register(s, route{method: "POST", path: "/tools/sync", id: "sync-tools", summary: "Look at the folders now, and make the nodes' tools like them", tag: "tools", scope: auth.Admin,
		about: "It answers when all of it is done. What was changed on a node is put right."}, s.syncTools)
}

func (s *server) syncTools(ctx context.Context, in *struct{ Body api.ToolsSync }) (*body[[]api.NodeSynced], error) {
	var names []fleet.NodeName
	if in.Body.Where == "" && len(in.Body.Names) == 0 {
		for _, st := range s.Fleet.Snapshot() {
			names = append(names, st.Node.Name)
		}
	} else {
		var err error
		if names, err = s.chosen(api.NodeOrder{Where: in.Body.Where, Names: in.Body.Names}); err != nil {
			return nil, err
		}
	}
	slices.Sort(names)
	results, err := s.Tools.Sync(ctx, names)
	if err != nil {
		return nil, err
	}
	out := make([]api.NodeSynced, 0, len(results))
	for _, r := range results {
		out = append(out, api.NodeSynced{Node: string(r.Node), Tools: toolSync(r.State)})
	}
	return list(out), nil
}

// toolSync is what the API says of a node's tools; nil when it gets none.
func toolSync(t tools.State) *api.NodeTools {
	if t.State == tools.None {
		return nil
	}
	n := &api.NodeTools{State: t.State, Path: t.Path, Files: t.Files, Bytes: t.Bytes, Fetched: t.Fetched, Moved: t.Moved, Changed: t.Changed,
		TookMS: milliseconds(t.Took), At: at(t.At), Error: t.Error, Warnings: t.Warnings}
	if t.Root != (cas.Digest{}) {
		n.Root = t.Root.String()
	}
	return n
}
