package reapi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/castest"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/cas/reapi"
)

type world struct {
	*testing.T
	store cas.Store
	caps  repb.CapabilitiesClient
	cas   repb.ContentAddressableStorageClient
	bytes bytestream.ByteStreamClient
	conn  *grpc.ClientConn
}

func serve(t *testing.T) world {
	l := bufconn.Listen(1 << 20)
	store := memory.New(memory.Config{})
	srv := grpc.NewServer()
	face := reapi.New(reapi.Config{Store: store, Actions: new(memory.Actions)})
	face.Register(srv)
	go srv.Serve(l)
	conn, err := grpc.NewClient("passthrough:///cas", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		srv.Stop()
		face.Close()
	})
	return world{t, store, repb.NewCapabilitiesClient(conn), repb.NewContentAddressableStorageClient(conn), bytestream.NewByteStreamClient(conn), conn}
}

func (w world) put(b []byte) *repb.Digest {
	d, err := cas.PutBytes(w.Context(), w.store, b)
	if err != nil {
		w.Fatal(err)
	}
	return pb(d)
}

func pb(d cas.Digest) *repb.Digest { return &repb.Digest{Hash: d.Hash, SizeBytes: d.Size} }

func (w world) missing(b []byte) bool {
	r, err := w.cas.FindMissingBlobs(w.Context(), &repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{pb(cas.Of(b))}})
	if err != nil {
		w.Fatal(err)
	}
	return len(r.MissingBlobDigests) == 1
}

func (w world) code(what string, err error, want codes.Code) {
	w.Helper()
	if status.Code(err) != want {
		w.Errorf("%s: %v, expected %s", what, err, want)
	}
}

func TestCapabilities(t *testing.T) {
	w := serve(t)
	c, err := w.caps.GetCapabilities(t.Context(), &repb.GetCapabilitiesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if f := c.CacheCapabilities.DigestFunctions; len(f) != 1 || f[0] != repb.DigestFunction_SHA256 || c.LowApiVersion.Major != 2 || c.LowApiVersion.Minor != 0 {
		t.Errorf("%v", c)
	}
}

func TestBatches(t *testing.T) {
	w := serve(t)
	good, bad := []byte("good"), pb(cas.Of([]byte("bad")))
	up, err := w.cas.BatchUpdateBlobs(t.Context(), &repb.BatchUpdateBlobsRequest{Requests: []*repb.BatchUpdateBlobsRequest_Request{
		{Digest: bad, Data: []byte("BAD")}, {Digest: pb(cas.Of(good)), Data: good}, {Digest: &repb.Digest{Hash: "../x", SizeBytes: 1}, Data: []byte("x")},
		{Digest: pb(cas.Empty)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []codes.Code{codes.InvalidArgument, codes.OK, codes.InvalidArgument, codes.OK} {
		w.code(fmt.Sprint("update ", i), status.ErrorProto(up.Responses[i].Status), want)
	}
	down, err := w.cas.BatchReadBlobs(t.Context(), &repb.BatchReadBlobsRequest{Digests: []*repb.Digest{bad, pb(cas.Of(good)), pb(cas.Empty)}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []codes.Code{codes.NotFound, codes.OK, codes.OK} {
		w.code(fmt.Sprint("read ", i), status.ErrorProto(down.Responses[i].Status), want)
	}
	if !bytes.Equal(down.Responses[1].Data, good) {
		t.Errorf("read %q", down.Responses[1].Data)
	}
	big := make([]byte, reapi.DefaultMaxBatch+1)
	_, err = w.cas.BatchReadBlobs(t.Context(), &repb.BatchReadBlobsRequest{Digests: []*repb.Digest{w.put(big)}})
	w.code("batch read over the limit", err, codes.InvalidArgument)
	_, err = w.cas.BatchUpdateBlobs(t.Context(), &repb.BatchUpdateBlobsRequest{Requests: []*repb.BatchUpdateBlobsRequest_Request{{Digest: pb(cas.Of(big)), Data: big}}})
	w.code("batch update over the limit", err, codes.InvalidArgument)
	_, err = w.cas.FindMissingBlobs(t.Context(), &repb.FindMissingBlobsRequest{DigestFunction: repb.DigestFunction_BLAKE3})
	w.code("another digest function", err, codes.InvalidArgument)
	_, err = w.cas.FindMissingBlobs(t.Context(), &repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{{Hash: "x"}}})
	w.code("a malformed digest", err, codes.InvalidArgument)
	r, err := w.cas.FindMissingBlobs(t.Context(), &repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{bad, pb(cas.Empty), bad, pb(cas.Of(good))}})
	if err != nil || len(r.MissingBlobDigests) != 1 || !proto.Equal(r.MissingBlobDigests[0], bad) {
		t.Errorf("missing: %v %v", r, err)
	}
}

func (w world) read(name string, offset, limit int64) ([]byte, error) {
	s, err := w.bytes.Read(w.Context(), &bytestream.ReadRequest{ResourceName: name, ReadOffset: offset, ReadLimit: limit})
	if err != nil {
		return nil, err
	}
	var got []byte
	for {
		m, err := s.Recv()
		if err == io.EOF {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		got = append(got, m.Data...)
	}
}

func TestRead(t *testing.T) {
	w := serve(t)
	b := castest.Bytes(1, 1<<20)
	name := "blobs/" + cas.Of(b).String()
	w.put(b)
	for _, c := range []struct{ offset, limit, from, to int64 }{
		{0, 0, 0, 1 << 20}, {100, 0, 100, 1 << 20}, {100, 50, 100, 150}, {0, 1, 0, 1}, {300000, 300000, 300000, 600000}, {1 << 20, 0, 1 << 20, 1 << 20}, {1<<20 - 1, 9, 1<<20 - 1, 1 << 20},
	} {
		got, err := w.read("an/instance/"+name, c.offset, c.limit)
		if err != nil || !bytes.Equal(got, b[c.from:c.to]) {
			t.Errorf("read from %d at most %d: %d bytes, %v", c.offset, c.limit, len(got), err)
		}
	}
	if got, err := w.read("blobs/"+cas.Empty.String(), 0, 0); err != nil || len(got) != 0 {
		t.Errorf("the empty blob: %d bytes, %v", len(got), err)
	}
	for what, c := range map[string]struct {
		name          string
		offset, limit int64
		want          codes.Code
	}{
		"beyond the end":  {name, 1<<20 + 1, 0, codes.OutOfRange},
		"negative offset": {name, -1, 0, codes.OutOfRange},
		"negative limit":  {name, 0, -1, codes.InvalidArgument},
		"absent":          {"blobs/" + strings.Repeat("a", 64) + "/3", 0, 0, codes.NotFound},
		"compressed part": {"compressed-blobs/zstd/" + cas.Of(b).String(), 0, 9, codes.InvalidArgument},
		"a compressor":    {"compressed-blobs/lzw/" + cas.Of(b).String(), 0, 0, codes.InvalidArgument},
		"no digest":       {"blobs", 0, 0, codes.InvalidArgument},
		"no keyword":      {cas.Of(b).String(), 0, 0, codes.InvalidArgument},
		"no size":         {"blobs/" + strings.Repeat("a", 64) + "/x", 0, 0, codes.InvalidArgument},
		"a path":          {"blobs/../../etc/3", 0, 0, codes.InvalidArgument},
	} {
		_, err := w.read(c.name, c.offset, c.limit)
		w.code(what, err, c.want)
	}
}

// write sends the messages and returns the answer.
func (w world) write(ms ...*bytestream.WriteRequest) (int64, error) {
	s, err := w.bytes.Write(w.Context())
	if err != nil {
		return 0, err
	}
	for _, m := range ms {
		if err := s.Send(m); err == io.EOF {
			break
		} else if err != nil {
			return 0, err
		}
	}
	r, err := s.CloseAndRecv()
	return r.GetCommittedSize(), err
}

func TestWrite(t *testing.T) {
	w := serve(t)
	b := castest.Bytes(2, 3000)
	upload := 0
	name := func(b []byte) string { return fmt.Sprintf("i/uploads/%d/blobs/%s", upload, cas.Of(b)) }
	type ms = []*bytestream.WriteRequest
	refused := func(what string, want codes.Code, m ms) {
		t.Helper()
		_, err := w.write(m...)
		w.code(what, err, want)
		if !w.missing(b) {
			t.Fatalf("%s: the blob is there", what)
		}
		upload++
	}
	refused("wrong bytes", codes.InvalidArgument, ms{{ResourceName: name(b), Data: make([]byte, 3000), FinishWrite: true}})
	refused("longer", codes.InvalidArgument, ms{{ResourceName: name(b), Data: append(bytes.Clone(b), 1), FinishWrite: true}})
	refused("shorter", codes.InvalidArgument, ms{{ResourceName: name(b), Data: b[:2999], FinishWrite: true}})
	refused("no finish", codes.OK, ms{{ResourceName: name(b), Data: b}})
	refused("a gap", codes.InvalidArgument, ms{{ResourceName: name(b), Data: b[:10]}, {WriteOffset: 20, Data: b[20:], FinishWrite: true}})
	refused("another name", codes.InvalidArgument, ms{{ResourceName: name(b), Data: b[:10]}, {ResourceName: name(b[:1]), WriteOffset: 10, Data: b[10:], FinishWrite: true}})
	refused("resumed at what is not kept", codes.OutOfRange, ms{{ResourceName: name(b), WriteOffset: 10, Data: b[10:], FinishWrite: true}})
	refused("no name", codes.InvalidArgument, ms{{Data: b, FinishWrite: true}})
	refused("a name for reading", codes.InvalidArgument, ms{{ResourceName: "blobs/" + cas.Of(b).String(), Data: b, FinishWrite: true}})
	refused("not compressed", codes.InvalidArgument, ms{{ResourceName: "uploads/u/compressed-blobs/zstd/" + cas.Of(b).String(), Data: b, FinishWrite: true}})
	refused("nothing at all", codes.InvalidArgument, nil)
	q, err := w.bytes.QueryWriteStatus(t.Context(), &bytestream.QueryWriteStatusRequest{ResourceName: name(b)})
	if err != nil || q.Complete || q.CommittedSize != 0 {
		t.Errorf("status of an absent blob: %v %v", q, err)
	}
	n, err := w.write(&bytestream.WriteRequest{ResourceName: name(b) + "/metadata/x", Data: b[:1000]}, &bytestream.WriteRequest{WriteOffset: 1000, Data: b[1000:]}, &bytestream.WriteRequest{WriteOffset: 3000, FinishWrite: true})
	if err != nil || n != 3000 || w.missing(b) {
		t.Fatalf("write: %d, %v", n, err)
	}
	n, err = w.write(&bytestream.WriteRequest{ResourceName: name(b), Data: b[:1]})
	if err != nil || n != 3000 {
		t.Errorf("write of what is there: %d, %v", n, err)
	}
	q, err = w.bytes.QueryWriteStatus(t.Context(), &bytestream.QueryWriteStatusRequest{ResourceName: name(b)})
	if err != nil || !q.Complete || q.CommittedSize != 3000 {
		t.Errorf("status of a present blob: %v %v", q, err)
	}
	if n, err := w.write(&bytestream.WriteRequest{ResourceName: name(nil), FinishWrite: true}); err != nil || n != 0 {
		t.Errorf("write of the empty blob: %d, %v", n, err)
	}
}

func TestGetTree(t *testing.T) {
	w := serve(t)
	dir := func(subs ...*repb.Digest) *repb.Digest {
		d := &repb.Directory{}
		for i, s := range subs {
			d.Directories = append(d.Directories, &repb.DirectoryNode{Name: fmt.Sprint("d", i), Digest: s})
		}
		b, err := proto.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return w.put(b)
	}
	leaf := dir()
	mid := dir(leaf, leaf)
	root := dir(mid, leaf, dir(mid), pb(cas.Of([]byte("an absent directory"))))
	for _, page := range []int32{0, 1, 3} {
		s, err := w.cas.GetTree(t.Context(), &repb.GetTreeRequest{RootDigest: root, PageSize: page})
		if err != nil {
			t.Fatal(err)
		}
		var got []*repb.Directory
		token := ""
		for {
			m, err := s.Recv()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, m.Directories...)
			if token == "" {
				token = m.NextPageToken
			}
		}
		if len(got) != 4 || len(got[0].Directories) != 4 {
			t.Errorf("pages of %d: %d directories", page, len(got))
		}
		if page == 1 {
			s, err := w.cas.GetTree(t.Context(), &repb.GetTreeRequest{RootDigest: root, PageToken: token, PageSize: 100})
			if err != nil {
				t.Fatal(err)
			}
			if m, err := s.Recv(); err != nil || len(m.Directories) != 3 {
				t.Errorf("from the second page on: %v %v", m, err)
			}
		}
	}
	recv := func(r *repb.GetTreeRequest) error {
		s, err := w.cas.GetTree(t.Context(), r)
		if err != nil {
			return err
		}
		_, err = s.Recv()
		return err
	}
	w.code("absent root", recv(&repb.GetTreeRequest{RootDigest: pb(cas.Of([]byte("absent")))}), codes.NotFound)
	w.code("bad token", recv(&repb.GetTreeRequest{RootDigest: root, PageToken: "x"}), codes.InvalidArgument)
}
