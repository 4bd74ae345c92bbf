package remote

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/api/agentpb"
	"github.com/outwork-build/outwork/internal/fault"
)

// New returns the Machine that answers on conn. Errors of conn are expected to have fault kinds, as those of wire/rpc do.
func New(conn grpc.ClientConnInterface) agent.Machine {
	return &machine{rpc: agentpb.NewMachineClient(conn)}
}

type machine struct {
	rpc     agentpb.MachineClient
	forgets forgets
	runs    atomic.Bool // the agent has answered a Run
	single  atomic.Bool // the agent has no Run
}

var _ agent.Runner = (*machine)(nil)

func (m *machine) Describe(ctx context.Context) (agent.Description, error) {
	r, err := m.rpc.Describe(ctx, &agentpb.DescribeRequest{})
	if err != nil {
		return agent.Description{}, fmt.Errorf("describe: %w", err)
	}
	d := fromDescription(r)
	if err := checkDescription(d); err != nil {
		return agent.Description{}, answered("describe", err)
	}
	return d, nil
}

func (m *machine) Open(ctx context.Context, r agent.OpenRequest) (agent.Workspace, error) {
	if err := checkOpen(r); err != nil {
		return agent.Workspace{}, fmt.Errorf("open: %w", err)
	}
	resp, err := m.rpc.Open(ctx, toOpen(r))
	if err != nil {
		return agent.Workspace{}, fmt.Errorf("open: %w", err)
	}
	w := fromWorkspace(resp)
	if err := checkWorkspace(w); err != nil {
		return agent.Workspace{}, answered("open", err)
	}
	return w, nil
}

func (m *machine) Renew(ctx context.Context, held []agent.Lease, last agent.Heard) ([]agent.Lease, agent.Heard, agent.Vitals, error) {
	if err := checkLeases(held); err != nil {
		return nil, 0, agent.Vitals{}, fmt.Errorf("renew: %w", err)
	}
	r, err := m.rpc.Renew(ctx, &agentpb.RenewRequest{Held: toLeases(held), Answered: int64(last)})
	if err != nil {
		return nil, 0, agent.Vitals{}, fmt.Errorf("renew: %w", err)
	}
	open := fromLeases(r.GetOpen())
	if err := checkLeases(open); err != nil {
		return nil, 0, agent.Vitals{}, answered("renew", err)
	}
	feels := fromVitals(r.GetVitals())
	if err := checkVitals(feels); err != nil {
		return nil, 0, agent.Vitals{}, answered("renew", err)
	}
	return open, agent.Heard(r.GetHeard()), feels, nil
}

func (m *machine) Close(ctx context.Context, l agent.Lease) error {
	if err := checkLease(l); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	load := m.forgets.take(l, math.MaxInt)
	_, err := m.rpc.Close(ctx, &agentpb.CloseRequest{Lease: toLease(l)})
	load.settle(err == nil, nil) // nothing of a closed lease is left
	if err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

func (m *machine) Start(ctx context.Context, r agent.StartRequest) error {
	if err := checkStart(r); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if _, err := m.rpc.Start(ctx, toStart(r)); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	return nil
}

func (m *machine) Stop(ctx context.Context, r agent.StopRequest) error {
	if err := checkStop(r); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	if _, err := m.rpc.Stop(ctx, toStop(r)); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// answered marks an answer that breaks the protocol. It is the agent's fault, not the caller's input, whatever kind the check gave.
func answered(call string, err error) error {
	return fault.New(fault.Internal, "%s: the agent's answer breaks the protocol: %w", call, err)
}
