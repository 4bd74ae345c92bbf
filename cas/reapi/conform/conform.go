// Package conform checks a server of the Remote Execution API v2 against the rules of the standard that real clients depend on.
//
// Each Check is one rule, and needs nothing but a connection: the suite runs against any server. Its own test runs it against this
// project's, and against another one with
//
//	go test ./cas/reapi/conform -server HOST:PORT [-instance NAME]
//
// Blobs are different in each run, so that a server may be checked again. The functions may be called concurrently.
package conform

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/outwork-build/outwork/cas"
)

// Check is one rule.
type Check struct {
	Name string
	Run  func(ctx context.Context, s *Server) error // nil: the server keeps the rule
}

// Server is what is checked.
type Server struct {
	Instance string

	caps    repb.CapabilitiesClient
	blobs   repb.ContentAddressableStorageClient
	actions repb.ActionCacheClient
	stream  bytestream.ByteStreamClient
}

// At returns the server behind a connection.
func At(conn grpc.ClientConnInterface, instance string) *Server {
	return &Server{Instance: instance, caps: repb.NewCapabilitiesClient(conn), blobs: repb.NewContentAddressableStorageClient(conn),
		actions: repb.NewActionCacheClient(conn), stream: bytestream.NewByteStreamClient(conn)}
}

// Cache are the rules of the services that a cache has.
func Cache() []Check {
	return append(append(append(append(capabilities(), batches()...), streams()...), compressed()...), results()...)
}

// fresh returns n bytes that no server has seen.
func fresh(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func toProto(d cas.Digest) *repb.Digest { return &repb.Digest{Hash: d.Hash, SizeBytes: d.Size} }

func of(b []byte) *repb.Digest { return toProto(cas.Of(b)) }

// want says what is wrong unless err has the code.
func want(what string, err error, code codes.Code) error {
	if status.Code(err) != code {
		return fmt.Errorf("%s: %w: expected %s", what, orOK(err), code)
	}
	return nil
}

func orOK(err error) error {
	if err == nil {
		return fmt.Errorf("no error")
	}
	return err
}

// put uploads a blob that a check needs.
func (s *Server) put(ctx context.Context, b []byte) (*repb.Digest, error) {
	r, err := s.blobs.BatchUpdateBlobs(ctx, &repb.BatchUpdateBlobsRequest{InstanceName: s.Instance,
		Requests: []*repb.BatchUpdateBlobsRequest_Request{{Digest: of(b), Data: b}}})
	if err != nil {
		return nil, fmt.Errorf("put %d bytes: %w", len(b), err)
	}
	if len(r.Responses) != 1 {
		return nil, fmt.Errorf("put %d bytes: %d responses", len(b), len(r.Responses))
	}
	return of(b), status.ErrorProto(r.Responses[0].Status)
}

func (s *Server) putMessage(ctx context.Context, m proto.Message) (*repb.Digest, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	return s.put(ctx, b)
}

// missing returns what the server says it lacks.
func (s *Server) missing(ctx context.Context, ds ...*repb.Digest) ([]*repb.Digest, error) {
	r, err := s.blobs.FindMissingBlobs(ctx, &repb.FindMissingBlobsRequest{InstanceName: s.Instance, BlobDigests: ds})
	return r.GetMissingBlobDigests(), err
}

// absent says what is wrong unless the server lacks the blob.
func (s *Server) absent(ctx context.Context, d *repb.Digest) error {
	ds, err := s.missing(ctx, d)
	if err == nil && len(ds) != 1 {
		err = fmt.Errorf("a refused blob is there")
	}
	return err
}

func (s *Server) prefix() string {
	if s.Instance == "" {
		return ""
	}
	return s.Instance + "/"
}

// name is a blob's resource name; kind is blobs or compressed-blobs/zstd.
func (s *Server) name(kind string, d *repb.Digest) string {
	return fmt.Sprintf("%s%s/%s/%d", s.prefix(), kind, d.Hash, d.SizeBytes)
}

// upload is a resource name that nobody used yet.
func (s *Server) upload(kind string, d *repb.Digest) string {
	return fmt.Sprintf("%suploads/%s/%s/%s/%d", s.prefix(), uuid.NewString(), kind, d.Hash, d.SizeBytes)
}

// write sends data in messages of 256 KiB, from an offset on, and returns the committed size.
func (s *Server) write(ctx context.Context, name string, offset int64, data []byte) (int64, error) {
	w, err := s.stream.Write(ctx)
	if err != nil {
		return 0, err
	}
	for first := true; first || len(data) > 0; first = false {
		n := min(len(data), 256<<10)
		m := &bytestream.WriteRequest{WriteOffset: offset, Data: data[:n], FinishWrite: n == len(data)}
		if first {
			m.ResourceName = name
		}
		if err := w.Send(m); err != nil {
			break // CloseAndRecv tells why
		}
		data, offset = data[n:], offset+int64(n)
	}
	r, err := w.CloseAndRecv()
	return r.GetCommittedSize(), err
}

func (s *Server) read(ctx context.Context, name string, offset, limit int64) ([]byte, error) {
	r, err := s.stream.Read(ctx, &bytestream.ReadRequest{ResourceName: name, ReadOffset: offset, ReadLimit: limit})
	if err != nil {
		return nil, err
	}
	var all []byte
	for {
		m, err := r.Recv()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, m.Data...)
	}
}

// same says what is wrong unless the bytes came as they should.
func same(what string, got []byte, err error, expected []byte) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if !bytes.Equal(got, expected) {
		return fmt.Errorf("%s: %d bytes that are not the %d expected", what, len(got), len(expected))
	}
	return nil
}
