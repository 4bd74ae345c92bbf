package remote

import (
	"google.golang.org/protobuf/proto"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/api/agentpb"
)

// batchBytes is about how many bytes of a listing one message has.
const batchBytes = 256 << 10

func (s *server) Follow(r *agentpb.FollowRequest, stream agentpb.Machine_FollowServer) error {
	l, step := fromLease(r.GetLease()), agent.StepID(r.GetStep())
	if err := checkFollow(l, step, r.GetOffset()); err != nil {
		return err
	}
	return s.follow(l, step, r.GetOffset(), stream)
}

// follow is Follow, and the end of Run.
func (s *server) follow(l agent.Lease, step agent.StepID, offset int64, stream agentpb.Machine_FollowServer) error {
	exit, err := s.machine.Follow(stream.Context(), l, step, offset, func(o agent.Output) error {
		return sendOutput(stream, o)
	})
	if err != nil {
		return err
	}
	for out := exit.Stdout; len(out) > 0; {
		n := min(chunk, len(out))
		if err := stream.Send(&agentpb.FollowResponse{Event: &agentpb.FollowResponse_Stdout{Stdout: out[:n]}}); err != nil {
			return err
		}
		out = out[n:]
	}
	return stream.Send(&agentpb.FollowResponse{Event: &agentpb.FollowResponse_Exit{Exit: toExit(exit)}})
}

// sendOutput is done with o.Data when it returns: gRPC has encoded the message by then.
func sendOutput(stream agentpb.Machine_FollowServer, o agent.Output) error {
	for {
		n := min(maxOutput, len(o.Data))
		out := &agentpb.Output{Offset: o.Offset, Data: o.Data[:n]}
		if err := stream.Send(&agentpb.FollowResponse{Event: &agentpb.FollowResponse_Output{Output: out}}); err != nil {
			return err
		}
		o.Offset, o.Data = o.Offset+int64(n), o.Data[n:]
		if len(o.Data) == 0 {
			return nil
		}
	}
}

func (s *server) ReadFile(r *agentpb.ReadFileRequest, stream agentpb.Machine_ReadFileServer) error {
	l := fromLease(r.GetLease())
	if err := first(checkFile(l, r.GetPath()), checkLimit(r.GetLimit())); err != nil {
		return err
	}
	data, err := s.machine.ReadFile(stream.Context(), l, r.GetPath(), r.GetLimit())
	if err != nil {
		return err
	}
	for len(data) > 0 {
		n := min(chunk, len(data))
		if err := stream.Send(&agentpb.Chunk{Data: data[:n]}); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func (s *server) Glob(r *agentpb.GlobRequest, stream agentpb.Machine_GlobServer) error {
	req := fromGlob(r)
	if err := checkGlob(req); err != nil {
		return err
	}
	files, err := s.machine.Glob(stream.Context(), req)
	if err != nil {
		return err
	}
	return inBatches(files,
		func(f agent.FileInfo) (*agentpb.FileInfo, string) { return toFileInfo(f), f.Path },
		func(batch []*agentpb.FileInfo) error { return stream.Send(&agentpb.GlobResponse{Files: batch}) })
}

func (s *server) Pack(r *agentpb.GlobRequest, stream agentpb.Machine_PackServer) error {
	req := fromGlob(r)
	if err := checkGlob(req); err != nil {
		return err
	}
	p, err := s.machine.Pack(stream.Context(), req)
	if err != nil {
		return err
	}
	err = inBatches(p.Files,
		func(f agent.PackedFile) (*agentpb.PackedFile, string) { return toPackedFile(f), f.Path },
		func(batch []*agentpb.PackedFile) error { return stream.Send(&agentpb.PackResponse{Files: batch}) })
	if err != nil {
		return err
	}
	return stream.Send(&agentpb.PackResponse{Root: &agentpb.PackRoot{Digest: toDigest(p.Root), Uploaded: p.Uploaded}})
}

// inBatches checks and sends a listing in messages of about batchBytes.
func inBatches[T any, M proto.Message](all []T, to func(T) (M, string), send func([]M) error) error {
	var seen listing
	var batch []M
	size := 0
	for _, one := range all {
		m, path := to(one)
		if err := seen.add(path); err != nil {
			return err
		}
		batch = append(batch, m)
		if size += proto.Size(m); size >= batchBytes {
			if err := send(batch); err != nil {
				return err
			}
			batch, size = nil, 0
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return send(batch)
}
