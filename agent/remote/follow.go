package remote

import (
	"context"
	"fmt"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/api/agentpb"
	"github.com/outwork-build/outwork/internal/fault"
)

// Follow ends the call when sink fails. After an error of kind fault.Unavailable the caller follows again from the offset it has
// reached, on the next link.
func (m *machine) Follow(ctx context.Context, l agent.Lease, s agent.StepID, offset int64, sink func(agent.Output) error) (agent.Exit, error) {
	if err := checkFollow(l, s, offset); err != nil {
		return agent.Exit{}, fmt.Errorf("follow: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := m.rpc.Follow(ctx, &agentpb.FollowRequest{Lease: toLease(l), Step: string(s), Offset: offset})
	if err != nil {
		return agent.Exit{}, fmt.Errorf("follow: %w", err)
	}
	f := follower{at: offset, sink: sink, call: "follow"}
	for {
		r, err := stream.Recv()
		if err != nil {
			return agent.Exit{}, fmt.Errorf("follow: %w", early(err))
		}
		exit, err := f.take(r)
		if err != nil {
			return agent.Exit{}, err
		}
		if exit != nil {
			return *exit, nil
		}
	}
}

// follower checks what comes: output without a gap or an overlap, stdout within its limit, one exit that agrees with them.
type follower struct {
	call   string // for errors
	at     int64
	sink   func(agent.Output) error
	stdout []byte
}

func (f *follower) take(r *agentpb.FollowResponse) (*agent.Exit, error) {
	switch e := r.GetEvent().(type) {
	case *agentpb.FollowResponse_Output:
		return nil, f.output(agent.Output{Offset: e.Output.GetOffset(), Data: e.Output.GetData()})
	case *agentpb.FollowResponse_Stdout:
		f.stdout = append(f.stdout, e.Stdout...)
		if len(f.stdout) > maxStdout {
			return nil, answered(f.call, tooLong("stdout", len(f.stdout), maxStdout))
		}
		return nil, nil
	case *agentpb.FollowResponse_Exit:
		exit := fromExit(e.Exit)
		exit.Stdout = f.stdout
		if err := checkExit(exit); err != nil {
			return nil, answered(f.call, err)
		}
		return &exit, nil
	}
	return nil, answered(f.call, fault.New(fault.Invalid, "an event that is neither output, stdout nor exit"))
}

func (f *follower) output(o agent.Output) error {
	if o.Offset != f.at {
		return answered(f.call, fault.New(fault.Invalid, "output at %d, expected at %d", o.Offset, f.at))
	}
	if len(o.Data) > maxOutput {
		return answered(f.call, tooLong("output", len(o.Data), maxOutput))
	}
	if err := f.sink(o); err != nil {
		return err
	}
	f.at += int64(len(o.Data))
	return nil
}
