package conform

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

const zstdBlobs = "compressed-blobs/zstd"

// text is a blob that can be compressed.
func text(n int) []byte {
	return append(fresh(40), bytes.Repeat([]byte("once upon a time "), n/17)...)
}

func compress(b []byte) []byte {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // no option can be wrong
	}
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func decompress(b []byte) ([]byte, error) {
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.DecodeAll(b, nil)
}

func compressed() []Check {
	return []Check{
		{"compressed Write: is taken", func(ctx context.Context, s *Server) error {
			b := text(1 << 20)
			_, err := s.write(ctx, s.upload(zstdBlobs, of(b)), 0, compress(b))
			return err
		}},
		{"compressed Write: of a present blob ends early with -1", func(ctx context.Context, s *Server) error {
			b := text(1 << 20)
			if _, err := s.put(ctx, b); err != nil {
				return err
			}
			w, err := s.stream.Write(ctx)
			if err != nil {
				return err
			}
			w.Send(&bytestream.WriteRequest{ResourceName: s.upload(zstdBlobs, of(b)), Data: compress(b)[:10]})
			r, err := w.CloseAndRecv()
			if err == nil && r.CommittedSize != -1 {
				err = fmt.Errorf("committed_size is %d", r.CommittedSize)
			}
			return err
		}},
		{"compressed Write: can be read as it was", func(ctx context.Context, s *Server) error {
			b := text(1 << 20)
			if _, err := s.write(ctx, s.upload(zstdBlobs, of(b)), 0, compress(b)); err != nil {
				return err
			}
			got, err := s.read(ctx, s.name("blobs", of(b)), 0, 0)
			return same("read", got, err, b)
		}},
		{"compressed Read: of what was written as it is", func(ctx context.Context, s *Server) error {
			b := text(1 << 20)
			d, err := s.put(ctx, b)
			if err != nil {
				return err
			}
			return s.readCompressed(ctx, d, 0, b)
		}},
		{"compressed Read: the offset counts the blob's bytes", func(ctx context.Context, s *Server) error {
			b := text(1 << 20)
			d, err := s.put(ctx, b)
			if err != nil {
				return err
			}
			return s.readCompressed(ctx, d, 777_777, b[777_777:])
		}},
		{"compressed Read: a limit is INVALID_ARGUMENT", func(ctx context.Context, s *Server) error {
			d, err := s.put(ctx, text(1000))
			if err != nil {
				return err
			}
			_, err = s.read(ctx, s.name(zstdBlobs, d), 0, 10)
			return want("a limit", err, codes.InvalidArgument)
		}},
		{"compressed Write: wrong bytes are INVALID_ARGUMENT", func(ctx context.Context, s *Server) error {
			b := text(5000)
			b2 := bytes.Clone(b)
			b2[17] ^= 1
			d := of(b)
			_, err := s.write(ctx, s.upload(zstdBlobs, d), 0, compress(b2))
			if err := want("wrong bytes", err, codes.InvalidArgument); err != nil {
				return err
			}
			return s.absent(ctx, d)
		}},
	}
}

func (s *Server) readCompressed(ctx context.Context, d *repb.Digest, offset int64, expected []byte) error {
	z, err := s.read(ctx, s.name(zstdBlobs, d), offset, 0)
	if err != nil {
		return err
	}
	got, err := decompress(z)
	return same("decompressed", got, err, expected)
}

func (s *Server) result(ctx context.Context, action *repb.Digest) (*repb.ActionResult, error) {
	return s.actions.GetActionResult(ctx, &repb.GetActionResultRequest{InstanceName: s.Instance, ActionDigest: action})
}

func (s *Server) update(ctx context.Context, action *repb.Digest, r *repb.ActionResult) error {
	_, err := s.actions.UpdateActionResult(ctx, &repb.UpdateActionResultRequest{InstanceName: s.Instance, ActionDigest: action, ActionResult: r})
	return err
}

// newAction uploads an action that nobody ran.
func (s *Server) newAction(ctx context.Context) (*repb.Digest, error) {
	command, err := s.putMessage(ctx, &repb.Command{Arguments: []string{"true", fmt.Sprintf("%x", fresh(8))}})
	if err != nil {
		return nil, err
	}
	root, err := s.put(ctx, nil)
	if err != nil {
		return nil, err
	}
	return s.putMessage(ctx, &repb.Action{CommandDigest: command, InputRootDigest: root})
}

func results() []Check {
	return []Check{
		{"GetActionResult: NOT_FOUND for an unknown action", func(ctx context.Context, s *Server) error {
			_, err := s.result(ctx, of(fresh(90)))
			return want("unknown", err, codes.NotFound)
		}},
		{"ActionCache: what was put is what comes", func(ctx context.Context, s *Server) error {
			action, err := s.newAction(ctx)
			if err != nil {
				return err
			}
			out, err := s.put(ctx, fresh(300))
			if err != nil {
				return err
			}
			r := &repb.ActionResult{ExitCode: 0, StdoutRaw: []byte("said"), OutputFiles: []*repb.OutputFile{{Path: "a/b", Digest: out, IsExecutable: true}}}
			if err := s.update(ctx, action, r); err != nil {
				return err
			}
			got, err := s.result(ctx, action)
			if err != nil {
				return err
			}
			if len(got.OutputFiles) != 1 || !proto.Equal(got.OutputFiles[0].Digest, out) || got.OutputFiles[0].Path != "a/b" || !got.OutputFiles[0].IsExecutable {
				return fmt.Errorf("outputs are %v", got.OutputFiles)
			}
			if string(got.StdoutRaw) != "said" {
				return errors.New("standard output did not come")
			}
			return nil
		}},
		{"ActionCache: a result with an absent output file is no hit", func(ctx context.Context, s *Server) error {
			return s.noHit(ctx, func(gone *repb.Digest) (*repb.ActionResult, error) {
				return &repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "a", Digest: gone}}}, nil
			})
		}},
		{"ActionCache: a result whose Tree names an absent file is no hit", func(ctx context.Context, s *Server) error {
			return s.noHit(ctx, func(gone *repb.Digest) (*repb.ActionResult, error) {
				child := &repb.Directory{Files: []*repb.FileNode{{Name: "f", Digest: gone}}}
				b, err := proto.MarshalOptions{Deterministic: true}.Marshal(child)
				if err != nil {
					return nil, err
				}
				tree, err := s.putMessage(ctx, &repb.Tree{Root: &repb.Directory{Directories: []*repb.DirectoryNode{{Name: "d", Digest: of(b)}}}, Children: []*repb.Directory{child}})
				return &repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{{Path: "d", TreeDigest: tree}}}, err
			})
		}},
	}
}

// noHit puts a result that names an absent blob. It may be refused at once; it may not be served.
func (s *Server) noHit(ctx context.Context, naming func(gone *repb.Digest) (*repb.ActionResult, error)) error {
	action, err := s.newAction(ctx)
	if err != nil {
		return err
	}
	r, err := naming(of(fresh(200)))
	if err != nil {
		return err
	}
	s.update(ctx, action, r)
	_, err = s.result(ctx, action)
	return want("a result of which an output is gone", err, codes.NotFound)
}
