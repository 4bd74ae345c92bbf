// Package graph puts tasks in order and makes actions of them. It is pure: files, stores and clocks are its callers'.
//
// Resolve turns goals into a Graph. When the artifacts of all that a node requires are known, NewAction makes its Remote Execution
// API action, whose digest is the node's key. Of what an action's outputs were, Publish makes the node's artifact: a tree of digests
// that exist already. A key depends on what an artifact is and not on how it came about, so work that ends in the same bytes as last
// time ends the rebuilding there.
//
// All functions may be called concurrently.
package graph

import (
	"context"
	"fmt"
	"strings"

	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/task/recipe"
)

// Node is a task in a graph.
type Node struct {
	Task  *recipe.Task
	Index int   // in Graph.Nodes
	Deps  []Dep // as the recipe lists them, aliases replaced by what they stand for
	Users []*Node
}

// Dep is a node whose artifact another one sees at deps/As.
type Dep struct {
	As   string
	Node *Node
}

// Graph is all that is needed for some goals.
type Graph struct {
	Nodes []*Node // each behind what it requires; the order depends on the recipes and the goals alone
	Goals []*Node // each once, in the order they were asked for, aliases replaced
}

// maxNodes bounds a graph: recipes can ask for anything.
const maxNodes = 200_000

// Resolve makes a graph of goals. A task that requires itself is fault.Invalid, with the way from it to itself; what a Set says of
// tasks that are not there comes through.
func Resolve(ctx context.Context, set *recipe.Set, goals []recipe.Ref) (*Graph, error) {
	r := &resolver{ctx: ctx, set: set, done: map[string][]Dep{}, open: map[string]bool{}, g: &Graph{}}
	seen := map[*Node]bool{}
	for _, goal := range goals {
		deps, err := r.resolve(recipe.Require{As: goal.Name, Task: goal})
		if err != nil {
			return nil, err
		}
		for _, d := range deps {
			if !seen[d.Node] {
				seen[d.Node] = true
				r.g.Goals = append(r.g.Goals, d.Node)
			}
		}
	}
	return r.g, nil
}

type resolver struct {
	ctx  context.Context
	set  *recipe.Set
	done map[string][]Dep // by a task's ID; of an alias all that it stands for
	open map[string]bool
	path []string
	g    *Graph
}

// resolve returns the nodes that a requirement stands for: one, unless it names an alias.
func (r *resolver) resolve(q recipe.Require) ([]Dep, error) {
	task, err := r.set.Task(r.ctx, q.Task, q.Pos)
	if err != nil {
		return nil, err
	}
	if r.open[task.ID] {
		return nil, fault.New(fault.Invalid, "%s: tasks require each other in a circle: %s", orCommand(q.Pos), strings.Join(append(from(r.path, task.ID), task.ID), " → "))
	}
	deps, ok := r.done[task.ID]
	if !ok {
		if deps, err = r.enter(task); err != nil {
			return nil, err
		}
		r.done[task.ID] = deps
	}
	if !task.Alias {
		return []Dep{{q.As, deps[0].Node}}, nil
	}
	if q.As == task.Name {
		return deps, nil
	}
	below := make([]Dep, len(deps))
	for i, d := range deps {
		below[i] = Dep{q.As + "/" + d.As, d.Node}
	}
	return below, nil
}

// enter resolves what a task requires, then the task.
func (r *resolver) enter(task *recipe.Task) ([]Dep, error) {
	r.open[task.ID] = true
	r.path = append(r.path, task.ID)
	defer func() {
		delete(r.open, task.ID)
		r.path = r.path[:len(r.path)-1]
	}()
	var all []Dep
	for _, q := range task.Requires {
		deps, err := r.resolve(q)
		if err != nil {
			return nil, err
		}
		all = append(all, deps...)
	}
	if task.Alias {
		return all, nil
	}
	if len(r.g.Nodes) == maxNodes {
		return nil, fault.New(fault.Exhausted, "%s: more than %d tasks are needed", task.Pos, maxNodes)
	}
	n := &Node{Task: task, Index: len(r.g.Nodes), Deps: all}
	for _, d := range all {
		if err := n.apart(d); err != nil {
			return nil, err
		}
		d.Node.Users = append(d.Node.Users, n)
	}
	r.g.Nodes = append(r.g.Nodes, n)
	return []Dep{{task.Name, n}}, nil
}

// apart refuses two artifacts where one would hide the other.
func (n *Node) apart(d Dep) error {
	for _, other := range n.Deps {
		same := other.As == d.As && other.Node != d.Node
		if same || strings.HasPrefix(other.As, d.As+"/") {
			return fault.New(fault.Invalid, "%s: task %q: %s at deps/%s and %s at deps/%s would be one inside the other; give one another name: \"NAME=%s\"",
				n.Task.Pos, n.Task.Name, d.Node.Task.ID, d.As, other.Node.Task.ID, other.As, d.Node.Task.ID)
		}
	}
	return nil
}

func from(path []string, id string) []string {
	for i, p := range path {
		if p == id {
			return append([]string(nil), path[i:]...)
		}
	}
	return nil
}

func orCommand(p recipe.Pos) string {
	if p == (recipe.Pos{}) {
		return "goals"
	}
	return fmt.Sprint(p)
}
