package rest

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/server/auth"
)

// nodeFindings are what is found out about a node: its log, its past, the way to it.
func (s *server) nodeFindings() {
	register(s, route{method: "GET", path: "/nodes/{node}/log", id: "get-node-log", summary: "The end of a node's connection log, live with follow", tag: "nodes", scope: auth.Read, produces: "text/plain"}, s.nodeLog)
	register(s, route{method: "GET", path: "/nodes/{node}/history", id: "list-node-records", summary: "What happened to a node, newest first", tag: "nodes", scope: auth.Read},
		func(ctx context.Context, in *struct {
			NodePath
			Limit int `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"At most so many."`
		}) (*body[[]api.NodeRecord], error) {
			rs, err := s.Fleet.History(ctx, in.name())
			var out []api.NodeRecord
			for _, r := range rs[:min(len(rs), in.Limit)] {
				out = append(out, api.NodeRecord{At: r.At, State: string(r.State), Offline: offlineCause(r.Cause)})
			}
			return list(out), err
		})
	register(s, route{method: "GET", path: "/nodes/{node}/series/{quantity}", id: "get-node-series", summary: "What a quantity of a node did, of the last day at most", tag: "nodes", scope: auth.Read},
		func(ctx context.Context, in *struct {
			NodePath
			Quantity string `path:"quantity" maxLength:"40" doc:"What was measured: disk, temp, swap, clock, response, memory, load, or a monitor of the node's own that has a value."`
			Hours    int    `query:"hours" minimum:"1" maximum:"24" default:"24" doc:"How far back. Of the last two hours there is a point a minute, else one for each five."`
		}) (*body[[]api.NodePoint], error) {
			ps, err := s.Fleet.Series(in.name(), fleet.Quantity(in.Quantity), s.Now().Add(-time.Duration(in.Hours)*time.Hour))
			var out []api.NodePoint
			for _, p := range ps {
				out = append(out, api.NodePoint{At: p.At, Min: p.Min, Avg: p.Avg, Max: p.Max})
			}
			return list(out), err
		})
	register(s, route{method: "GET", path: "/nodes/{node}/examine", id: "examine-node", summary: "Look at the way to a node hop by hop, as they come", tag: "nodes", scope: auth.Admin, produces: "application/x-ndjson",
		about: "Each line is a NodeHop; the last is the first that failed, if one did. It changes nothing on the machine."}, s.examineNode)
	register(s, route{method: "POST", path: "/nodes/{node}/test", id: "test-node", summary: "Run a tiny step on a node, the way that a build's go", tag: "nodes", scope: auth.Admin},
		func(ctx context.Context, in *NodePath) (*body[api.NodeTest], error) {
			return s.testNode(ctx, in.name())
		})
	s.nodeKeys()
}

// flushing is a writer whose bytes leave at once.
type flushing struct {
	w     interface{ Write([]byte) (int, error) }
	flush func()
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	f.flush()
	return n, err
}

// stream answers with what write writes, as it comes.
func stream(hc huma.Context, media string, write func(w flushing) error) error {
	hc.SetHeader("Content-Type", media)
	hc.SetHeader("X-Content-Type-Options", "nosniff")
	hc.SetHeader("Cache-Control", "no-store")
	hc.SetHeader("X-Accel-Buffering", "no")
	hc.SetStatus(http.StatusOK)
	f := flushing{w: hc.BodyWriter(), flush: func() {}}
	if fl, ok := hc.BodyWriter().(http.Flusher); ok {
		f.flush = fl.Flush
	}
	f.flush()
	return write(f)
}

func (s *server) nodeLog(ctx context.Context, in *struct {
	NodePath
	Follow bool `query:"follow" doc:"Go on as it grows, until the node is deleted."`
}) (*huma.StreamResponse, error) {
	data, next, err := s.Fleet.Log(in.name(), 0)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		err := stream(hc, "text/plain; charset=utf-8", func(w flushing) error {
			if _, err := w.Write(data); err != nil || !in.Follow {
				return err
			}
			return s.Fleet.FollowLog(hc.Context(), in.name(), next, func(p []byte, _ int64) error {
				_, err := w.Write(p)
				return err
			})
		})
		if err != nil && hc.Context().Err() == nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Unavailable) {
			s.Log.Debug("serve the log of a node", "node", in.Node, "error", err)
		}
	}}, nil
}

func (s *server) examineNode(ctx context.Context, in *NodePath) (*huma.StreamResponse, error) {
	st, found := s.Fleet.Node(in.name())
	if !found {
		return nil, fault.New(fault.NotFound, "there is no node %q", in.Node)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		err := stream(hc, "application/x-ndjson", func(w flushing) error {
			out := json.NewEncoder(w)
			failed := false
			tell := func(h fleet.Hop) {
				failed = failed || !h.OK
				if err := out.Encode(api.NodeHop{Name: h.Name, OK: h.OK, Text: h.Text, Hint: h.Hint, TookMS: milliseconds(h.Took)}); err != nil {
					s.Log.Debug("examine a node", "node", in.Node, "error", err)
				}
			}
			if err := s.Fleet.Examine(hc.Context(), in.name(), tell); err != nil && !fault.Is(err, fault.Conflict) {
				return err
			}
			for _, h := range connection(st) {
				if !failed {
					tell(h)
				}
			}
			return nil
		})
		if err != nil && hc.Context().Err() == nil {
			s.Log.Warn("examine a node", "node", in.Node, "error", err)
		}
	}}, nil
}

// connection is what the controller itself knows of the way to a node: whether its agent is there, and how the machine feels.
func connection(st fleet.Status) (hops []fleet.Hop) {
	n := st.Node
	link := fleet.Hop{Name: "link", OK: st.State != fleet.Offline && st.State != fleet.Connecting, Text: "connected since " + st.Since.UTC().Format(time.RFC3339)}
	if !link.OK {
		link.Text = string(st.State)
		if st.Cause != nil {
			link.Text += ": " + st.Cause.Text
		}
		link.Hint = "outwork node log " + string(n.Name) + " tells of the attempts; outwork node reconnect " + string(n.Name) + " makes one now"
		if n.Launcher.Kind == "inbound" {
			link.Hint = "its agent dials: on the machine, outwork agent says why it does not get through; outwork node token --node " + string(n.Name) + " lets a new one join"
		}
		return append(hops, link)
	}
	hops = append(hops, link)
	for _, h := range health(st) {
		hops = append(hops, fleet.Hop{Name: h.Monitor, OK: h.Level != string(fleet.Bad), Text: h.Text})
	}
	work := fleet.Hop{Name: "work", OK: st.State == fleet.Online && n.Executors > 0, Text: "it takes work"}
	switch {
	case st.State != fleet.Online && st.Cause != nil:
		work.Text, work.Hint = string(st.State)+": "+st.Cause.Text, "outwork node online "+string(n.Name)+" gives it work again"
	case st.State != fleet.Online:
		work.Text = string(st.State)
	case n.Executors == 0:
		work.Text, work.Hint = "it has no executors", "outwork node update "+string(n.Name)+" --executors 1"
	}
	return append(hops, work)
}

// proposed are labels that fit a machine and that it has not.
func proposed(st fleet.Status, tools []string) []string {
	system := map[string]string{"darwin": "macos"}[st.Machine.OS]
	all := append([]string{cmp.Or(system, st.Machine.OS)}, tools...)
	return slices.DeleteFunc(all, func(l string) bool { return l == "" || slices.Contains(st.Assigned, l) })
}
