package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/outwork-build/outwork/cas"
)

const (
	small = 1 << 10
	large = 64 << 20
)

// source makes blobs that differ in their last bytes, and their hashes for little.
type source struct {
	base  []byte
	state []byte // of SHA-256 after base
	n     atomic.Uint64
}

func newSource(size int) (*source, error) {
	s := &source{base: make([]byte, size-8)}
	rand.Read(s.base)
	h := sha256.New()
	h.Write(s.base)
	var err error
	s.state, err = h.(encoding.BinaryMarshaler).MarshalBinary()
	return s, err
}

// blob is one of a source's.
type blob struct {
	base   []byte
	tail   [8]byte
	digest cas.Digest
}

func (s *source) next() *blob {
	b := &blob{base: s.base}
	binary.LittleEndian.PutUint64(b.tail[:], s.n.Add(1))
	h := sha256.New()
	h.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.state)
	h.Write(b.tail[:])
	b.digest = cas.Digest{Hash: hex.EncodeToString(h.Sum(nil)), Size: int64(len(s.base) + 8)}
	return b
}

func (b *blob) reader() io.Reader {
	return io.MultiReader(bytes.NewReader(b.base), bytes.NewReader(b.tail[:]))
}
func (b *blob) bytes() []byte { return append(bytes.Clone(b.base), b.tail[:]...) }
func (b *blob) proto() *repb.Digest {
	return &repb.Digest{Hash: b.digest.Hash, SizeBytes: b.digest.Size}
}

// drive has clients do something until the time is over, and returns how often a second they did. each counts for many.
func drive(clients int, length time.Duration, many int, do func() error) (float64, error) {
	var done atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	start := time.Now()
	for range clients {
		wg.Go(func() {
			for time.Since(start) < length && failed.Load() == nil {
				if err := do(); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				done.Add(int64(many))
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(done.Load()) / time.Since(start).Seconds(), nil
}

// web is one server over HTTP.
type web struct {
	client *http.Client
	base   string
}

func newWeb(address, path string) *web {
	return &web{&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true, WriteBufferSize: 256 << 10, ReadBufferSize: 64 << 10}}, "http://" + address + path}
}

func (w *web) put(b *blob) error {
	r, err := http.NewRequest(http.MethodPut, w.base+b.digest.Hash, b.reader())
	if err != nil {
		return err
	}
	r.ContentLength = b.digest.Size
	resp, err := w.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	if resp.StatusCode >= 300 {
		return fmt.Errorf("PUT: %s", resp.Status)
	}
	return nil
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

func (w *web) get(b *blob) error {
	resp, err := w.client.Get(w.base + b.digest.Hash)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{resp.Body}, *buf)
	if err == nil && (resp.StatusCode != 200 || n != b.digest.Size) {
		err = fmt.Errorf("GET: %s, %d bytes", resp.Status, n)
	}
	return err
}

// rpc is one server over gRPC.
type rpc struct {
	blobs  repb.ContentAddressableStorageClient
	stream bytestream.ByteStreamClient
}

func newRPC(address string) (*rpc, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithInitialWindowSize(4<<20), grpc.WithInitialConnWindowSize(8<<20))
	if err != nil {
		return nil, err
	}
	return &rpc{repb.NewContentAddressableStorageClient(conn), bytestream.NewByteStreamClient(conn)}, nil
}

func (r *rpc) update(bs ...*blob) error {
	req := &repb.BatchUpdateBlobsRequest{}
	for _, b := range bs {
		req.Requests = append(req.Requests, &repb.BatchUpdateBlobsRequest_Request{Digest: b.proto(), Data: b.bytes()})
	}
	resp, err := r.blobs.BatchUpdateBlobs(context.Background(), req)
	for _, one := range resp.GetResponses() {
		if one.GetStatus().GetCode() != 0 {
			return errors.New(one.Status.Message)
		}
	}
	return err
}

func (r *rpc) read(bs ...*blob) error {
	req := &repb.BatchReadBlobsRequest{}
	for _, b := range bs {
		req.Digests = append(req.Digests, b.proto())
	}
	resp, err := r.blobs.BatchReadBlobs(context.Background(), req)
	for _, one := range resp.GetResponses() {
		if one.GetStatus().GetCode() != 0 {
			return errors.New(one.Status.Message)
		}
	}
	return err
}

func (r *rpc) write(b *blob) error {
	w, err := r.stream.Write(context.Background())
	if err != nil {
		return err
	}
	data := b.base
	m := &bytestream.WriteRequest{ResourceName: "uploads/" + uuid.NewString() + "/blobs/" + b.digest.String()}
	for at := int64(0); len(data) > 0; {
		n := min(len(data), 256<<10)
		m.WriteOffset, m.Data = at, data[:n]
		if n == len(data) {
			m.Data, m.FinishWrite = append(bytes.Clone(data), b.tail[:]...), true
		}
		if err := w.Send(m); err != nil {
			break
		}
		at, data, m = at+int64(n), data[n:], new(bytestream.WriteRequest)
	}
	resp, err := w.CloseAndRecv()
	if err == nil && resp.CommittedSize != b.digest.Size {
		err = fmt.Errorf("%d of %d bytes were committed", resp.CommittedSize, b.digest.Size)
	}
	return err
}

func (r *rpc) readStream(b *blob) error {
	s, err := r.stream.Read(context.Background(), &bytestream.ReadRequest{ResourceName: "blobs/" + b.digest.String()})
	if err != nil {
		return err
	}
	n := int64(0)
	for {
		m, err := s.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		n += int64(len(m.Data))
	}
	if n != b.digest.Size {
		return fmt.Errorf("%d bytes of %d", n, b.digest.Size)
	}
	return nil
}
