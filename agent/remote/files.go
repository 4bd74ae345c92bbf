package remote

import (
	"context"
	"fmt"
	"io"
	"io/fs"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/api/agentpb"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
)

// chunk is how many bytes of a file or of a captured stdout one message has.
const chunk = 256 << 10

// defaultLimit is what agent.Files says a limit of 0 is.
const defaultLimit = 16 << 20

func (m *machine) ReadFile(ctx context.Context, l agent.Lease, path string, limit int64) ([]byte, error) {
	if err := first(checkFile(l, path), checkLimit(limit)); err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := m.rpc.ReadFile(ctx, &agentpb.ReadFileRequest{Lease: toLease(l), Path: path, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	if limit == 0 {
		limit = defaultLimit
	}
	data := []byte{}
	for {
		c, err := stream.Recv()
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read file: %w", err)
		}
		if data = append(data, c.GetData()...); int64(len(data)) > limit {
			return nil, answered("read file", tooLong(path, len(data), int(limit)))
		}
	}
}

func (m *machine) WriteFile(ctx context.Context, l agent.Lease, path string, data []byte, mode fs.FileMode) error {
	if err := checkWrite(l, path, len(data)); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := m.rpc.WriteFile(ctx)
	if err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	header := &agentpb.WriteFileHeader{Lease: toLease(l), Path: path, Mode: uint32(mode)}
	err = stream.Send(&agentpb.WriteFileRequest{Part: &agentpb.WriteFileRequest_Header{Header: header}})
	for len(data) > 0 && err == nil {
		n := min(chunk, len(data))
		err = stream.Send(&agentpb.WriteFileRequest{Part: &agentpb.WriteFileRequest_Data{Data: data[:n]}})
		data = data[n:]
	}
	if err != nil && err != io.EOF { // io.EOF: the answer, which tells the reason, is there already
		return fmt.Errorf("write file: %w", err)
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		return fmt.Errorf("write file: %w", early(err))
	}
	return nil
}

func (m *machine) Stat(ctx context.Context, l agent.Lease, path string) (agent.FileInfo, error) {
	if err := checkFile(l, path); err != nil {
		return agent.FileInfo{}, fmt.Errorf("stat: %w", err)
	}
	r, err := m.rpc.Stat(ctx, &agentpb.StatRequest{Lease: toLease(l), Path: path})
	if err != nil {
		return agent.FileInfo{}, fmt.Errorf("stat: %w", err)
	}
	info := fromFileInfo(r)
	if err := checkPath("path", info.Path); err != nil {
		return agent.FileInfo{}, answered("stat", err)
	}
	return info, nil
}

func (m *machine) Remove(ctx context.Context, l agent.Lease, path string) error {
	if err := checkFile(l, path); err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	if _, err := m.rpc.Remove(ctx, &agentpb.RemoveRequest{Lease: toLease(l), Path: path}); err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	return nil
}

func (m *machine) Glob(ctx context.Context, r agent.GlobRequest) ([]agent.FileInfo, error) {
	if err := checkGlob(r); err != nil {
		return nil, fmt.Errorf("glob: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := m.rpc.Glob(ctx, toGlob(r))
	if err != nil {
		return nil, fmt.Errorf("glob: %w", err)
	}
	var files []agent.FileInfo
	var seen listing
	for {
		batch, err := stream.Recv()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("glob: %w", err)
		}
		for _, f := range batch.GetFiles() {
			if err := seen.add(f.GetPath()); err != nil {
				return nil, answered("glob", err)
			}
			files = append(files, fromFileInfo(f))
		}
	}
}

func (m *machine) Pack(ctx context.Context, r agent.GlobRequest) (agent.Packed, error) {
	if err := checkGlob(r); err != nil {
		return agent.Packed{}, fmt.Errorf("pack: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := m.rpc.Pack(ctx, toGlob(r))
	if err != nil {
		return agent.Packed{}, fmt.Errorf("pack: %w", err)
	}
	var p agent.Packed
	var seen listing
	for {
		batch, err := stream.Recv()
		if err != nil {
			return agent.Packed{}, fmt.Errorf("pack: %w", early(err))
		}
		for _, f := range batch.GetFiles() {
			file := fromPackedFile(f)
			if err := first(seen.add(file.Path), file.Digest.Validate()); err != nil {
				return agent.Packed{}, answered("pack", err)
			}
			p.Files = append(p.Files, file)
		}
		if root := batch.GetRoot(); root != nil {
			p.Root, p.Uploaded = fromDigest(root.GetDigest()), root.GetUploaded()
			if err := p.Root.Validate(); err != nil {
				return agent.Packed{}, answered("pack", err)
			}
			return p, nil
		}
	}
}

func (m *machine) Unpack(ctx context.Context, l agent.Lease, root cas.Digest, dir string) error {
	if err := checkUnpack(l, root, dir); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	if _, err := m.rpc.Unpack(ctx, &agentpb.UnpackRequest{Lease: toLease(l), Root: toDigest(root), Dir: dir}); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	return nil
}

// early gives a stream that ended in good order before its last message a kind.
func early(err error) error {
	if err == io.EOF {
		return fault.New(fault.Internal, "the answer ended before it was complete")
	}
	return err
}
