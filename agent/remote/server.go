package remote

import (
	"context"
	"io"
	"io/fs"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/api/agentpb"
	"github.com/outwork-build/outwork/internal/fault"
)

// server serves a Machine. Kinds and panics are wire/rpc's matter.
type server struct {
	agentpb.UnimplementedMachineServer
	machine agent.Machine
}

func (s *server) Describe(ctx context.Context, _ *agentpb.DescribeRequest) (*agentpb.Description, error) {
	d, err := s.machine.Describe(ctx)
	if err := first(err, checkDescription(d)); err != nil {
		return nil, err
	}
	return toDescription(d), nil
}

func (s *server) Open(ctx context.Context, r *agentpb.OpenRequest) (*agentpb.Workspace, error) {
	req := fromOpen(r)
	if err := checkOpen(req); err != nil {
		return nil, err
	}
	w, err := s.machine.Open(ctx, req)
	if err := first(err, checkWorkspace(w)); err != nil {
		return nil, err
	}
	return toWorkspace(w), nil
}

func (s *server) Renew(ctx context.Context, r *agentpb.RenewRequest) (*agentpb.RenewResponse, error) {
	held := fromLeases(r.GetHeld())
	if err := checkLeases(held); err != nil {
		return nil, err
	}
	open, heard, feels, err := s.machine.Renew(ctx, held, agent.Heard(r.GetAnswered()))
	if err := first(err, checkLeases(open), checkVitals(feels)); err != nil {
		return nil, err
	}
	return &agentpb.RenewResponse{Open: toLeases(open), Heard: int64(heard), Vitals: toVitals(feels)}, nil
}

func (s *server) Close(ctx context.Context, r *agentpb.CloseRequest) (*agentpb.CloseResponse, error) {
	l := fromLease(r.GetLease())
	if err := checkLease(l); err != nil {
		return nil, err
	}
	return &agentpb.CloseResponse{}, s.machine.Close(ctx, l)
}

func (s *server) Start(ctx context.Context, r *agentpb.StartRequest) (*agentpb.StartResponse, error) {
	req := fromStart(r)
	if err := checkStart(req); err != nil {
		return nil, err
	}
	return &agentpb.StartResponse{}, s.machine.Start(ctx, req)
}

func (s *server) Stop(ctx context.Context, r *agentpb.StopRequest) (*agentpb.StopResponse, error) {
	req := fromStop(r)
	if err := checkStop(req); err != nil {
		return nil, err
	}
	return &agentpb.StopResponse{}, s.machine.Stop(ctx, req)
}

func (s *server) Forget(ctx context.Context, r *agentpb.ForgetRequest) (*agentpb.ForgetResponse, error) {
	l, step := fromLease(r.GetLease()), agent.StepID(r.GetStep())
	if err := checkStep(l, step); err != nil {
		return nil, err
	}
	return &agentpb.ForgetResponse{}, s.machine.Forget(ctx, l, step)
}

func (s *server) Stat(ctx context.Context, r *agentpb.StatRequest) (*agentpb.FileInfo, error) {
	l := fromLease(r.GetLease())
	if err := checkFile(l, r.GetPath()); err != nil {
		return nil, err
	}
	info, err := s.machine.Stat(ctx, l, r.GetPath())
	if err := first(err, checkPath("path", info.Path)); err != nil {
		return nil, err
	}
	return toFileInfo(info), nil
}

func (s *server) Remove(ctx context.Context, r *agentpb.RemoveRequest) (*agentpb.RemoveResponse, error) {
	l := fromLease(r.GetLease())
	if err := checkFile(l, r.GetPath()); err != nil {
		return nil, err
	}
	return &agentpb.RemoveResponse{}, s.machine.Remove(ctx, l, r.GetPath())
}

func (s *server) Unpack(ctx context.Context, r *agentpb.UnpackRequest) (*agentpb.UnpackResponse, error) {
	l, root := fromLease(r.GetLease()), fromDigest(r.GetRoot())
	if err := checkUnpack(l, root, r.GetDir()); err != nil {
		return nil, err
	}
	return &agentpb.UnpackResponse{}, s.machine.Unpack(ctx, l, root, r.GetDir())
}

func (s *server) WriteFile(stream agentpb.Machine_WriteFileServer) error {
	m, err := stream.Recv()
	if err != nil {
		return missing(err)
	}
	h := m.GetHeader()
	if h == nil {
		return fault.New(fault.Invalid, "write file: expected a header first")
	}
	l := fromLease(h.GetLease())
	if err := checkFile(l, h.GetPath()); err != nil {
		return err
	}
	data, err := receiveFile(stream, l, h.GetPath())
	if err != nil {
		return err
	}
	if err := s.machine.WriteFile(stream.Context(), l, h.GetPath(), data, fs.FileMode(h.GetMode())); err != nil {
		return err
	}
	return stream.SendAndClose(&agentpb.WriteFileResponse{})
}

func receiveFile(stream agentpb.Machine_WriteFileServer, l agent.Lease, path string) ([]byte, error) {
	var data []byte
	for {
		m, err := stream.Recv()
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
		if m.GetHeader() != nil {
			return nil, fault.New(fault.Invalid, "write file: a second header")
		}
		data = append(data, m.GetData()...)
		if err := checkWrite(l, path, len(data)); err != nil {
			return nil, err
		}
	}
}

// missing names a call that ended before its first message.
func missing(err error) error {
	if err == io.EOF {
		return fault.New(fault.Invalid, "expected a first message")
	}
	return err
}
