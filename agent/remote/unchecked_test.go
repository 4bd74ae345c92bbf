package remote

import (
	"context"
	"io/fs"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/api/agentpb"
	"github.com/outwork-build/outwork/cas"
)

// unchecked is a controller's Machine that sends whatever it is given.
type unchecked struct{ rpc agentpb.MachineClient }

func (u *unchecked) Describe(ctx context.Context) (agent.Description, error) {
	d, err := u.rpc.Describe(ctx, &agentpb.DescribeRequest{})
	return fromDescription(d), err
}

func (u *unchecked) Open(ctx context.Context, r agent.OpenRequest) (agent.Workspace, error) {
	w, err := u.rpc.Open(ctx, toOpen(r))
	return fromWorkspace(w), err
}

func (u *unchecked) Renew(ctx context.Context, held []agent.Lease, answered agent.Heard) ([]agent.Lease, agent.Heard, agent.Vitals, error) {
	r, err := u.rpc.Renew(ctx, &agentpb.RenewRequest{Held: toLeases(held), Answered: int64(answered)})
	return fromLeases(r.GetOpen()), agent.Heard(r.GetHeard()), fromVitals(r.GetVitals()), err
}

func (u *unchecked) Close(ctx context.Context, l agent.Lease) error {
	_, err := u.rpc.Close(ctx, &agentpb.CloseRequest{Lease: toLease(l)})
	return err
}

func (u *unchecked) Start(ctx context.Context, r agent.StartRequest) error {
	_, err := u.rpc.Start(ctx, toStart(r))
	return err
}

func (u *unchecked) Follow(ctx context.Context, l agent.Lease, s agent.StepID, offset int64, _ func(agent.Output) error) (agent.Exit, error) {
	stream, err := u.rpc.Follow(ctx, &agentpb.FollowRequest{Lease: toLease(l), Step: string(s), Offset: offset})
	if err == nil {
		_, err = stream.Recv()
	}
	return agent.Exit{}, err
}

func (u *unchecked) Stop(ctx context.Context, r agent.StopRequest) error {
	_, err := u.rpc.Stop(ctx, toStop(r))
	return err
}

func (u *unchecked) Forget(ctx context.Context, l agent.Lease, s agent.StepID) error {
	_, err := u.rpc.Forget(ctx, &agentpb.ForgetRequest{Lease: toLease(l), Step: string(s)})
	return err
}

func (u *unchecked) ReadFile(ctx context.Context, l agent.Lease, path string, limit int64) ([]byte, error) {
	stream, err := u.rpc.ReadFile(ctx, &agentpb.ReadFileRequest{Lease: toLease(l), Path: path, Limit: limit})
	if err == nil {
		_, err = stream.Recv()
	}
	return nil, err
}

func (u *unchecked) WriteFile(ctx context.Context, l agent.Lease, path string, _ []byte, _ fs.FileMode) error {
	stream, err := u.rpc.WriteFile(ctx)
	if err != nil {
		return err
	}
	// An error of Send says only that the answer is there.
	_ = stream.Send(&agentpb.WriteFileRequest{Part: &agentpb.WriteFileRequest_Header{Header: &agentpb.WriteFileHeader{Lease: toLease(l), Path: path}}})
	_, err = stream.CloseAndRecv()
	return err
}

func (u *unchecked) Stat(ctx context.Context, l agent.Lease, path string) (agent.FileInfo, error) {
	i, err := u.rpc.Stat(ctx, &agentpb.StatRequest{Lease: toLease(l), Path: path})
	return fromFileInfo(i), err
}

func (u *unchecked) Remove(ctx context.Context, l agent.Lease, path string) error {
	_, err := u.rpc.Remove(ctx, &agentpb.RemoveRequest{Lease: toLease(l), Path: path})
	return err
}

func (u *unchecked) Glob(ctx context.Context, r agent.GlobRequest) ([]agent.FileInfo, error) {
	stream, err := u.rpc.Glob(ctx, toGlob(r))
	if err == nil {
		_, err = stream.Recv()
	}
	return nil, err
}

func (u *unchecked) Pack(ctx context.Context, r agent.GlobRequest) (agent.Packed, error) {
	stream, err := u.rpc.Pack(ctx, toGlob(r))
	if err == nil {
		_, err = stream.Recv()
	}
	return agent.Packed{}, err
}

func (u *unchecked) Unpack(ctx context.Context, l agent.Lease, root cas.Digest, dir string) error {
	_, err := u.rpc.Unpack(ctx, &agentpb.UnpackRequest{Lease: toLease(l), Root: toDigest(root), Dir: dir})
	return err
}
