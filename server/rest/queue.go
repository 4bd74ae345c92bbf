package rest

import (
	"context"
	"math"

	"github.com/outwork-build/outwork/api"
	"github.com/outwork-build/outwork/queue"
	"github.com/outwork-build/outwork/server/auth"
)

func (s *server) explanations() {
	register(s, route{method: "GET", path: "/queue/{item}/explain", id: "explain", summary: "Explain a placement node by node, or what would happen if", tag: "queue", scope: auth.Read},
		func(ctx context.Context, in *struct {
			Item string   `path:"item" doc:"An item's ID, or a build as JOB#NUMBER for the first thing it waits for, else what it runs or ran."`
			If   []string `query:"if,explode" maxItems:"100" doc:"What to assume, such as: node n3 online; node n3 offline; node n3 label gpu; node n3 executors 4; node n3 normal; node n3 exclusive."`
		}) (*body[api.Placement], error) {
			p, err := s.explain(ctx, in.Item, in.If)
			return ok(p), err
		})
}

func (s *server) explain(ctx context.Context, name string, assume []string) (api.Placement, error) {
	var changes []queue.Change
	for _, text := range assume {
		ch, err := queue.ParseChange(text)
		if err != nil {
			return api.Placement{}, err
		}
		changes = append(changes, ch)
	}
	id, err := s.Queue.Find(ctx, name)
	if err != nil {
		return api.Placement{}, err
	}
	r, err := s.Queue.Explain(ctx, id, changes...)
	if err != nil {
		return api.Placement{}, err
	}
	return placement(r), nil
}

func placement(r queue.Report) api.Placement {
	p := api.Placement{Item: item(queue.ItemStatus{Item: r.Item, State: r.State, Stuck: r.Stuck}), State: string(r.State), Summary: r.Summary, Position: r.Position,
		Stuck: r.Stuck, Suggestion: r.Suggestion, Nodes: candidates(r.Nodes)}
	p.Item.Why = r.Summary
	if r.Expected > 0 {
		p.Expected = r.Expected.String()
	}
	for _, ch := range r.If {
		p.If = append(p.If, ch.String())
	}
	if d := r.Decision; d != nil {
		p.Decision = &api.Decision{Node: string(d.Node), Executor: d.Executor, At: at(d.At), Admitted: d.Admitted, Free: d.Free, Candidates: candidates(d.Candidates)}
	}
	return p
}

func candidates(all []queue.Candidate) []api.Candidate {
	out := []api.Candidate{}
	for _, k := range all {
		c := api.Candidate{Node: string(k.Node), Chosen: k.Chosen, Predicate: string(k.Predicate), Reason: k.Reason}
		if k.Scored {
			score := tenth(k.Score)
			c.Score = &score
		}
		for _, t := range k.Terms {
			c.Terms = append(c.Terms, api.Term{Name: t.Name, Points: tenth(t.Points), Text: t.Text})
		}
		out = append(out, c)
	}
	return out
}

func tenth(f float64) float64 { return math.Round(f*10) / 10 }
