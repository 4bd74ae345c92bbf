package reapi_test

import (
	"bytes"
	"context"
	"net"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/castest"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/cas/reapi"
	"github.com/outwork-build/outwork/internal/fault"
)

// begin sends messages without an end, and returns the open call.
func (w world) begin(ctx context.Context, ms ...*bytestream.WriteRequest) bytestream.ByteStream_WriteClient {
	s, err := w.bytes.Write(ctx)
	if err != nil {
		w.Fatal(err)
	}
	for _, m := range ms {
		if err := s.Send(m); err != nil {
			w.Fatal(err)
		}
	}
	return s
}

// received waits until the server has so many bytes of an upload.
func (w world) received(name string, n int64) {
	for {
		q, err := w.bytes.QueryWriteStatus(w.Context(), &bytestream.QueryWriteStatusRequest{ResourceName: name})
		if err != nil {
			w.Fatal(err)
		}
		if q.CommittedSize == n {
			return
		}
	}
}

func TestUploadGoesOnInAnotherCall(t *testing.T) {
	w := serve(t)
	b := castest.Bytes(1, 1<<20)
	z, _ := zstd.NewWriter(nil)
	for name, wire := range map[string][]byte{
		"uploads/a/blobs/" + cas.Of(b).String():                     b,
		"uploads/a/compressed-blobs/zstd/" + cas.Of(b[1:]).String(): z.EncodeAll(b[1:], nil),
	} {
		n := int64(len(wire))
		w.begin(t.Context(), &bytestream.WriteRequest{ResourceName: name, Data: wire[:1000]}) // and is never heard of again
		w.received(name, 1000)
		ctx, cancel := context.WithCancel(t.Context())
		w.begin(ctx, &bytestream.WriteRequest{ResourceName: name, WriteOffset: 400, Data: wire[400:3000]}) // from earlier than it must
		w.received(name, 3000)
		cancel()
		_, err := w.write(&bytestream.WriteRequest{ResourceName: name, WriteOffset: 3001, Data: wire[3001:]})
		w.code("a gap", err, codes.InvalidArgument)
		got, err := w.write(&bytestream.WriteRequest{ResourceName: name, WriteOffset: 3000, Data: wire[3000:n]}, &bytestream.WriteRequest{WriteOffset: n, FinishWrite: true})
		if err != nil || got != n {
			t.Fatalf("%s: committed %d of %d, %v", name, got, n, err)
		}
	}
	if w.missing(b) || w.missing(b[1:]) {
		t.Error("a blob is missing")
	}
}

func TestUploadOfWhatCameByAnotherWay(t *testing.T) {
	w := serve(t)
	b := castest.Bytes(3, 1<<20)
	name := "uploads/a/blobs/" + cas.Of(b).String()
	s := w.begin(t.Context(), &bytestream.WriteRequest{ResourceName: name, Data: b[:1000]})
	w.received(name, 1000)
	w.put(b)
	if err := s.Send(&bytestream.WriteRequest{WriteOffset: 1000, Data: b[1000:], FinishWrite: true}); err != nil {
		t.Fatal(err)
	}
	if r, err := s.CloseAndRecv(); err != nil || r.CommittedSize != int64(len(b)) {
		t.Errorf("%v, %v", r, err)
	}
}

func TestCompressedBombIsNotUnpacked(t *testing.T) {
	w := serve(t)
	z, _ := zstd.NewWriter(nil)
	bomb := z.EncodeAll(make([]byte, 256<<20), nil)
	d := cas.Of([]byte("ten bytes."))
	_, err := w.write(&bytestream.WriteRequest{ResourceName: "uploads/u/compressed-blobs/zstd/" + d.String(), Data: bomb, FinishWrite: true})
	w.code("a stream", err, codes.InvalidArgument)
	r, err := w.cas.BatchUpdateBlobs(t.Context(), &repb.BatchUpdateBlobsRequest{Requests: []*repb.BatchUpdateBlobsRequest_Request{{Digest: pb(d), Data: bomb, Compressor: repb.Compressor_ZSTD}}})
	if err != nil {
		t.Fatal(err)
	}
	if codes.Code(r.Responses[0].GetStatus().GetCode()) != codes.InvalidArgument {
		t.Errorf("a batch: %v", r)
	}
	lie := &repb.Digest{Hash: d.Hash, SizeBytes: 1 << 40}
	_, err = w.cas.BatchUpdateBlobs(t.Context(), &repb.BatchUpdateBlobsRequest{Requests: []*repb.BatchUpdateBlobsRequest_Request{{Digest: lie, Data: bomb, Compressor: repb.Compressor_ZSTD}}})
	w.code("a size that lies", err, codes.InvalidArgument)
	b := bytes.Repeat([]byte("plain "), 1000)
	r, err = w.cas.BatchUpdateBlobs(t.Context(), &repb.BatchUpdateBlobsRequest{Requests: []*repb.BatchUpdateBlobsRequest_Request{{Digest: pb(cas.Of(b)), Data: z.EncodeAll(b, nil), Compressor: repb.Compressor_ZSTD}}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Responses[0].GetStatus().GetCode() != 0 || w.missing(b) {
		t.Errorf("a good blob: %v", r)
	}
}

// Each call asks whether its caller may.
func TestAccess(t *testing.T) {
	var allowed cas.Use
	l := bufconn.Listen(1 << 20)
	srv := grpc.NewServer()
	reapi.New(reapi.Config{Store: memory.New(memory.Config{}), Actions: new(memory.Actions), Access: func(_ context.Context, u cas.Use) error {
		if u > allowed {
			return fault.New(fault.Denied, "not you")
		}
		return nil
	}}).Register(srv)
	go srv.Serve(l)
	defer srv.Stop()
	conn, err := grpc.NewClient("passthrough:///cas", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w := world{t, nil, repb.NewCapabilitiesClient(conn), repb.NewContentAddressableStorageClient(conn), bytestream.NewByteStreamClient(conn), conn}
	b := []byte("bytes")
	results := repb.NewActionCacheClient(conn)
	for allowed = range cas.WriteActions + 1 {
		code := func(u cas.Use, otherwise codes.Code) codes.Code {
			if u > allowed {
				return codes.PermissionDenied
			}
			return otherwise
		}
		_, err := results.UpdateActionResult(t.Context(), &repb.UpdateActionResultRequest{ActionDigest: pb(cas.Of(b)), ActionResult: &repb.ActionResult{}})
		w.code("update result", err, code(cas.WriteActions, codes.OK))
		_, err = w.cas.BatchUpdateBlobs(t.Context(), &repb.BatchUpdateBlobsRequest{})
		w.code("update", err, code(cas.WriteBlobs, codes.OK))
		_, err = w.write(&bytestream.WriteRequest{ResourceName: "uploads/u/blobs/" + cas.Of(b).String(), Data: b, FinishWrite: true})
		w.code("write", err, code(cas.WriteBlobs, codes.OK))
		_, err = w.read("blobs/"+cas.Empty.String(), 0, 0)
		w.code("read", err, codes.OK)
		c, err := w.caps.GetCapabilities(t.Context(), &repb.GetCapabilitiesRequest{})
		if err != nil || c.CacheCapabilities.ActionCacheUpdateCapabilities.UpdateEnabled != (allowed == cas.WriteActions) {
			t.Errorf("capabilities: %v, %v", c, err)
		}
	}
}

func TestInline(t *testing.T) {
	w := serve(t)
	results := repb.NewActionCacheClient(w.conn)
	out, file := w.put([]byte("said")), w.put([]byte("content"))
	action := pb(cas.Of([]byte("action")))
	r := &repb.ActionResult{StdoutDigest: out, OutputFiles: []*repb.OutputFile{{Path: "f", Digest: file}, {Path: "g", Digest: file}}}
	if _, err := results.UpdateActionResult(t.Context(), &repb.UpdateActionResultRequest{InstanceName: "a/b", ActionDigest: action, ActionResult: r}); err != nil {
		t.Fatal(err)
	}
	got, err := results.GetActionResult(t.Context(), &repb.GetActionResultRequest{InstanceName: "a/b", ActionDigest: action, InlineStdout: true, InlineOutputFiles: []string{"g"}})
	if err != nil || string(got.StdoutRaw) != "said" || len(got.OutputFiles[0].Contents) > 0 || string(got.OutputFiles[1].Contents) != "content" {
		t.Errorf("%v, %v", got, err)
	}
	_, err = results.GetActionResult(t.Context(), &repb.GetActionResultRequest{InstanceName: "a", ActionDigest: action})
	w.code("another instance", err, codes.NotFound)
}
