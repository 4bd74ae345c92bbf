package steptest

import (
	"context"
	"errors"
	"fmt"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/fleet"
	"github.com/outwork-build/outwork/pipeline/step"
	"github.com/outwork-build/outwork/queue"
)

type nodes struct{ w *World }

func (n nodes) Acquire(ctx context.Context, a step.Address, r step.Request, _ func(string)) (*step.Node, error) {
	if n.w.Refuse != nil {
		return nil, n.w.Refuse
	}
	host := n.w.Host
	if host == "" {
		host = "agent-1"
	}
	item := n.w.Record.ID.String() + "/" + string(a)
	n.w.mu.Lock()
	if n.w.open[item] == 0 {
		n.w.open[item] = 1
		n.w.acquire++
	}
	n.w.mu.Unlock()
	return n.w.node(ctx, host, item, r)
}

func (n nodes) Attach(g queue.Grant, ws agent.Workspace) *step.Node {
	return &step.Node{Name: string(g.Node), Grant: g, Workspace: ws, OS: "linux", Labels: []string{string(g.Node)},
		Machine: func(context.Context) (agent.Machine, error) { return n.w.machine(string(g.Node)), nil }}
}

func (n nodes) Release(ctx context.Context, node *step.Node) error {
	n.w.mu.Lock()
	n.w.open[string(node.Grant.Item)] = 0
	n.w.mu.Unlock()
	m, err := node.Machine(ctx)
	if err != nil {
		return err
	}
	return m.Close(ctx, node.Grant.Lease())
}

func (w *World) machine(name string) agent.Machine {
	if m := w.Farm[name]; m != nil {
		return m
	}
	return w.Machine
}

func (w *World) node(ctx context.Context, host, item string, r step.Request) (*step.Node, error) {
	m := w.machine(host)
	if m == nil {
		return nil, errors.New("steptest: the world has no machine")
	}
	d, err := m.Describe(ctx)
	if err != nil {
		return nil, err
	}
	g := queue.Grant{Item: queue.ItemID(item), Epoch: 1, Node: fleet.NodeName(host)}
	ws, err := m.Open(ctx, agent.OpenRequest{Lease: g.Lease(), Job: string(w.OfJob.Name), Workspace: r.Workspace, Build: w.Record.ID.String(), Policy: r.Policy})
	if err != nil {
		return nil, fmt.Errorf("open the lease on %s: %w", host, err)
	}
	n := nodes{w}.Attach(g, ws)
	n.OS, n.Env = d.OS, d.Env
	return n, nil
}
