package run

import (
	"context"
	"fmt"
	"path"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/action"
	"github.com/outwork-build/outwork/task/graph"
)

// Explanation is what a task's key is made of, without building anything.
type Explanation struct {
	ID      string       `json:"task"`
	Key     string       `json:"key,omitempty"` // hash/size; "" when an artifact that goes into it is not known
	Cached  bool         `json:"cached"`
	Parts   []graph.Part `json:"parts"`
	Unknown []string     `json:"unknown,omitempty"` // what must be built before the key is known
	Reasons []string     `json:"reasons,omitempty"` // what is different from last time, when it is not cached
}

// Explain tells what goes into the keys of a graph's goals. Nothing runs: an artifact that the cache does not have is not known, and
// neither are the keys that depend on it.
func (b *Builder) Explain(ctx context.Context, g *graph.Graph) ([]Explanation, error) {
	w := newWalk(b, g)
	goal := map[*graph.Node]bool{}
	for _, n := range g.Goals {
		goal[n] = true
	}
	found := map[*graph.Node]Explanation{}
	for _, it := range w.items {
		x, err := w.explain(ctx, it, goal[it.node])
		if err != nil {
			return nil, err
		}
		if goal[it.node] {
			found[it.node] = x
		}
	}
	var out []Explanation
	for _, n := range g.Goals {
		out = append(out, found[n])
	}
	return out, nil
}

// unknown stands for the digest of an artifact that is not known yet.
const unknown = "not known before it is built"

func (w *walk) explain(ctx context.Context, it *item, full bool) (Explanation, error) {
	x := Explanation{ID: it.node.Task.ID}
	gone := map[string]bool{}
	for _, d := range it.node.Deps {
		if w.artifact(d.Node) == (cas.Digest{}) {
			x.Unknown = append(x.Unknown, d.Node.Task.ID)
			gone[path.Join("deps", d.As)] = true
		}
	}
	if len(gone) == 0 {
		r, err := w.prepare(ctx, it)
		if err != nil {
			return x, fmt.Errorf("task %q: %w", x.ID, err)
		}
		x.Key, x.Cached, x.Reasons = it.action.Digest.String(), r.State == Hit, r.Reasons
	} else if !full {
		return x, nil
	} else if err := w.makeUnknown(it); err != nil {
		return x, err
	}
	if full {
		x.Parts = it.parts()
		for i, p := range x.Parts {
			if p.Kind == "artifact" && gone[p.Name] {
				x.Parts[i].Value = unknown
			}
		}
	}
	return x, nil
}

// makeUnknown makes an action for its parts only: what is not known of it is replaced by the empty blob.
func (w *walk) makeUnknown(it *item) (err error) {
	it.in, err = w.inputs(it.node, func(n *graph.Node) cas.Digest {
		if d := w.artifact(n); d != (cas.Digest{}) {
			return d
		}
		return cas.Empty
	})
	if err == nil {
		it.action, err = graph.NewAction(it.node, it.in)
	}
	return err
}

// Forget removes the results of tasks from the cache, so that they are built again. It knows those that were hit or built here last.
func (b *Builder) Forget(ctx context.Context, keep func(id string) bool) (int, error) {
	keys := b.history.forget(keep)
	for _, key := range keys {
		if err := b.cfg.Actions.DeleteAction(ctx, action.Key("", key)); err != nil {
			return 0, fmt.Errorf("forget a result: %w", err)
		}
	}
	return len(keys), b.history.save()
}
