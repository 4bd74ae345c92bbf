package conform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/outwork-build/outwork/cas"
)

func capabilities() []Check {
	return []Check{
		{"capabilities: SHA256 on the cache's endpoint", func(ctx context.Context, s *Server) error {
			c, err := s.caps.GetCapabilities(ctx, &repb.GetCapabilitiesRequest{InstanceName: s.Instance})
			if err == nil && !slices.Contains(c.GetCacheCapabilities().GetDigestFunctions(), repb.DigestFunction_SHA256) {
				err = fmt.Errorf("digest functions are %v", c.GetCacheCapabilities().GetDigestFunctions())
			}
			return err
		}},
		{"capabilities: low_api_version is 2.0, for clients that say nothing newer", func(ctx context.Context, s *Server) error {
			c, err := s.caps.GetCapabilities(ctx, &repb.GetCapabilitiesRequest{InstanceName: s.Instance})
			if err == nil && (c.GetLowApiVersion().GetMajor() != 2 || c.LowApiVersion.Minor != 0 || c.GetHighApiVersion().GetMajor() < 2) {
				err = fmt.Errorf("versions are %v to %v", c.GetLowApiVersion(), c.GetHighApiVersion())
			}
			return err
		}},
	}
}

func batches() []Check {
	empty := toProto(cas.Empty)
	return []Check{
		{"empty blob: never missing", func(ctx context.Context, s *Server) error {
			ds, err := s.missing(ctx, empty)
			if err == nil && len(ds) > 0 {
				err = errors.New("it is missing")
			}
			return err
		}},
		{"empty blob: ByteStream reads it", func(ctx context.Context, s *Server) error {
			b, err := s.read(ctx, s.name("blobs", empty), 0, 0)
			return same("read", b, err, nil)
		}},
		{"empty blob: BatchReadBlobs reads it", func(ctx context.Context, s *Server) error {
			r, err := s.blobs.BatchReadBlobs(ctx, &repb.BatchReadBlobsRequest{InstanceName: s.Instance, Digests: []*repb.Digest{empty}})
			if err == nil && (len(r.Responses) != 1 || r.Responses[0].GetStatus().GetCode() != 0 || len(r.Responses[0].Data) != 0) {
				err = fmt.Errorf("%v", r)
			}
			return err
		}},
		{"BatchUpdateBlobs: a wrong digest fails alone, INVALID_ARGUMENT", func(ctx context.Context, s *Server) error {
			good, bad := fresh(100), fresh(100)
			r, err := s.blobs.BatchUpdateBlobs(ctx, &repb.BatchUpdateBlobsRequest{InstanceName: s.Instance, Requests: []*repb.BatchUpdateBlobsRequest_Request{
				{Digest: of(bad), Data: fresh(100)}, {Digest: of(good), Data: good}}})
			if err != nil {
				return err
			}
			for _, one := range r.Responses {
				code := codes.OK
				if one.GetDigest().GetHash() == of(bad).Hash {
					code = codes.InvalidArgument
				}
				if err := want(one.GetDigest().GetHash(), status.ErrorProto(one.Status), code); err != nil {
					return err
				}
			}
			if len(r.Responses) != 2 {
				return fmt.Errorf("%d responses for two blobs", len(r.Responses))
			}
			return s.absent(ctx, of(bad))
		}},
		{"FindMissingBlobs: what is absent only; a digest may come twice", func(ctx context.Context, s *Server) error {
			here, err := s.put(ctx, fresh(50))
			if err != nil {
				return err
			}
			gone := of(fresh(50))
			ds, err := s.missing(ctx, gone, here, gone, here)
			if err == nil && (len(ds) == 0 || slices.ContainsFunc(ds, func(d *repb.Digest) bool { return !proto.Equal(d, gone) })) {
				err = fmt.Errorf("missing are %v", ds)
			}
			return err
		}},
		{"BatchReadBlobs: NOT_FOUND for one blob alone", func(ctx context.Context, s *Server) error {
			b := fresh(70)
			here, err := s.put(ctx, b)
			if err != nil {
				return err
			}
			r, err := s.blobs.BatchReadBlobs(ctx, &repb.BatchReadBlobsRequest{InstanceName: s.Instance, Digests: []*repb.Digest{of(fresh(70)), here}})
			if err != nil {
				return err
			}
			for _, one := range r.Responses {
				if one.GetDigest().GetHash() != here.Hash {
					err = want("an absent blob", status.ErrorProto(one.Status), codes.NotFound)
				} else {
					err = same("a present blob", one.Data, status.ErrorProto(one.Status), b)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"GetTree: streams the whole hierarchy", getTree},
		{"GetTree: NOT_FOUND for an absent root", func(ctx context.Context, s *Server) error {
			r, err := s.blobs.GetTree(ctx, &repb.GetTreeRequest{InstanceName: s.Instance, RootDigest: of(fresh(30))})
			if err == nil {
				_, err = r.Recv()
			}
			return want("an absent root", err, codes.NotFound)
		}},
	}
}

func getTree(ctx context.Context, s *Server) error {
	file := of(fresh(9))
	leaf := &repb.Directory{Files: []*repb.FileNode{{Name: "f", Digest: file}}}
	ld, err := s.putMessage(ctx, leaf)
	if err != nil {
		return err
	}
	mid := &repb.Directory{Directories: []*repb.DirectoryNode{{Name: "leaf", Digest: ld}}}
	md, err := s.putMessage(ctx, mid)
	if err != nil {
		return err
	}
	root := &repb.Directory{Directories: []*repb.DirectoryNode{{Name: "a", Digest: md}, {Name: "b", Digest: ld}}}
	rd, err := s.putMessage(ctx, root)
	if err != nil {
		return err
	}
	r, err := s.blobs.GetTree(ctx, &repb.GetTreeRequest{InstanceName: s.Instance, RootDigest: rd})
	if err != nil {
		return err
	}
	var got []*repb.Directory
	for {
		m, err := r.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		got = append(got, m.Directories...)
	}
	for name, dir := range map[string]*repb.Directory{"the root": root, "its child": mid, "the leaf": leaf} {
		if !slices.ContainsFunc(got, func(g *repb.Directory) bool { return proto.Equal(g, dir) }) {
			return fmt.Errorf("%d directories came, %s is not among them", len(got), name)
		}
	}
	return nil
}

func streams() []Check {
	return []Check{
		{"Write: 3 MiB; committed_size is the size", func(ctx context.Context, s *Server) error {
			b := fresh(3 << 20)
			n, err := s.write(ctx, s.upload("blobs", of(b)), 0, b)
			if err == nil && n != int64(len(b)) {
				err = fmt.Errorf("committed_size is %d", n)
			}
			if err != nil {
				return err
			}
			got, err := s.read(ctx, s.name("blobs", of(b)), 0, 0)
			return same("read", got, err, b)
		}},
		{"Write: of a present blob ends early with the full size", func(ctx context.Context, s *Server) error {
			b := fresh(1 << 20)
			if _, err := s.put(ctx, b); err != nil {
				return err
			}
			w, err := s.stream.Write(ctx)
			if err != nil {
				return err
			}
			if err := w.Send(&bytestream.WriteRequest{ResourceName: s.upload("blobs", of(b)), Data: b[:1000]}); err != nil && err != io.EOF {
				return err
			}
			r, err := w.CloseAndRecv()
			if err == nil && r.CommittedSize != int64(len(b)) {
				err = fmt.Errorf("committed_size is %d", r.CommittedSize)
			}
			return err
		}},
		{"Write: wrong bytes are INVALID_ARGUMENT", func(ctx context.Context, s *Server) error {
			_, err := s.write(ctx, s.upload("blobs", of(fresh(500))), 0, fresh(500))
			return want("wrong bytes", err, codes.InvalidArgument)
		}},
		{"Write: after wrong bytes the blob is missing", func(ctx context.Context, s *Server) error {
			d := of(fresh(600 << 10))
			if _, err := s.write(ctx, s.upload("blobs", d), 0, fresh(600<<10)); err == nil {
				return errors.New("wrong bytes were taken")
			}
			return s.absent(ctx, d)
		}},
		{"Write: more bytes than the size are INVALID_ARGUMENT", func(ctx context.Context, s *Server) error {
			b := fresh(500)
			_, err := s.write(ctx, s.upload("blobs", of(b)), 0, append(slices.Clone(b), 'x'))
			return want("a byte too many", err, codes.InvalidArgument)
		}},
		{"Read: offset and limit", func(ctx context.Context, s *Server) error {
			b := fresh(300 << 10)
			d, err := s.put(ctx, b)
			if err != nil {
				return err
			}
			got, err := s.read(ctx, s.name("blobs", d), 1000, 200<<10)
			return same("from 1000, 200 KiB", got, err, b[1000:1000+200<<10])
		}},
		{"Read: at the blob's end there is nothing, and no error", func(ctx context.Context, s *Server) error {
			d, err := s.put(ctx, fresh(100))
			if err != nil {
				return err
			}
			got, err := s.read(ctx, s.name("blobs", d), 100, 0)
			return same("from 100 of 100", got, err, nil)
		}},
		{"Read: beyond the blob's end is OUT_OF_RANGE", func(ctx context.Context, s *Server) error {
			d, err := s.put(ctx, fresh(100))
			if err != nil {
				return err
			}
			_, err = s.read(ctx, s.name("blobs", d), 101, 0)
			return want("from 101 of 100", err, codes.OutOfRange)
		}},
		{"Read: an absent blob is NOT_FOUND", func(ctx context.Context, s *Server) error {
			_, err := s.read(ctx, s.name("blobs", of(fresh(100))), 0, 0)
			return want("absent", err, codes.NotFound)
		}},
		{"Write: goes on where QueryWriteStatus says", resume},
		{"QueryWriteStatus: a present blob is complete", func(ctx context.Context, s *Server) error {
			d, err := s.put(ctx, fresh(100))
			if err != nil {
				return err
			}
			q, err := s.stream.QueryWriteStatus(ctx, &bytestream.QueryWriteStatusRequest{ResourceName: s.upload("blobs", d)})
			if err == nil && (!q.Complete || q.CommittedSize != 100) {
				err = fmt.Errorf("%v", q)
			}
			return err
		}},
	}
}

// resume breaks an upload in its middle and goes on with it.
func resume(ctx context.Context, s *Server) error {
	b := fresh(2 << 20)
	name := s.upload("blobs", of(b))
	broken, hangUp := context.WithCancel(ctx)
	defer hangUp()
	w, err := s.stream.Write(broken)
	if err != nil {
		return err
	}
	for at := 0; at < 1<<20; at += 256 << 10 {
		m := &bytestream.WriteRequest{WriteOffset: int64(at), Data: b[at : at+256<<10]}
		if at == 0 {
			m.ResourceName = name
		}
		if err := w.Send(m); err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	hangUp()
	q, err := s.stream.QueryWriteStatus(ctx, &bytestream.QueryWriteStatusRequest{ResourceName: name})
	from := int64(0)
	if status.Code(err) != codes.NotFound { // allowed when nothing is kept
		if err != nil {
			return fmt.Errorf("query: %w", err)
		}
		from = q.CommittedSize
	}
	if q.GetComplete() || from < 0 || from > 1<<20 {
		return fmt.Errorf("1 MiB of 2 was sent, the status is %v", q)
	}
	if _, err := s.write(ctx, name, from, b[from:]); err != nil {
		return fmt.Errorf("go on from %d: %w", from, err)
	}
	got, err := s.read(ctx, s.name("blobs", of(b)), 0, 0)
	return same("read", got, err, b)
}
