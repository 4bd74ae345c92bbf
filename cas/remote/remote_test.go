package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/castest"
	"github.com/outwork-build/outwork/cas/memory"
	"github.com/outwork-build/outwork/cas/reapi"
	"github.com/outwork-build/outwork/cas/remote"
	"github.com/outwork-build/outwork/internal/fault"
)

// connect serves a store and returns a connection to it. calls counts unary calls by method.
func connect(t testing.TB, store cas.Store, calls *sync.Map) *grpc.ClientConn {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	srv := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		if calls != nil {
			n, _ := calls.LoadOrStore(info.FullMethod, new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
		}
		return h(ctx, req)
	}))
	reapi.New(reapi.Config{Store: store}).Register(srv)
	go srv.Serve(l)
	conn, err := grpc.NewClient("passthrough:///cas", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		srv.Stop()
	})
	return conn
}

func TestConformance(t *testing.T) {
	castest.Run(t, func(t *testing.T) cas.Store {
		return remote.New(remote.Config{Conn: connect(t, memory.New(memory.Config{}), nil), Instance: "some/instance"})
	}, castest.Options{})
}

func TestSmallBlobsShareCalls(t *testing.T) {
	calls := new(sync.Map)
	s := remote.New(remote.Config{Conn: connect(t, slow{memory.New(memory.Config{})}, calls)})
	var wg sync.WaitGroup
	const blobs = 400
	for i := range blobs {
		wg.Go(func() {
			b := castest.Bytes(uint64(i), 2000)
			d, err := cas.PutBytes(t.Context(), s, b)
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := cas.ReadAll(t.Context(), s, d, 1<<20); err != nil || !bytes.Equal(got, b) {
				t.Errorf("read %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	calls.Range(func(method, n any) bool {
		if got := n.(*atomic.Int64).Load(); got > blobs/4 {
			t.Errorf("%s was called %d times for %d blobs", method, got, blobs)
		}
		return true
	})
}

// slow lets the puts of one call wait for each other's sake: a store with an fsync does.
type slow struct{ *memory.Store }

func (s slow) Put(ctx context.Context, d cas.Digest, r io.Reader) error {
	for i := range 200 { // some work, without a clock
		cas.Of(castest.Bytes(uint64(i), 1000))
	}
	return s.Store.Put(ctx, d, r)
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	s := remote.New(remote.Config{Conn: connect(t, memory.New(memory.Config{MaxBytes: 1 << 20}), nil)})
	if _, err := cas.PutBytes(t.Context(), s, castest.Bytes(1, 2<<20)); !errors.Is(err, cas.ErrFull) || fault.Of(err) != fault.Exhausted {
		t.Errorf("a large blob for a full store: %v", err)
	}
	tiny := remote.New(remote.Config{Conn: connect(t, memory.New(memory.Config{MaxBytes: 10}), nil)})
	if _, err := cas.PutBytes(t.Context(), tiny, castest.Bytes(1, 100)); !errors.Is(err, cas.ErrFull) {
		t.Errorf("a small blob for a full store: %v", err)
	}
	conn := connect(t, memory.New(memory.Config{}), nil)
	gone := remote.New(remote.Config{Conn: conn})
	conn.Close()
	for _, n := range []int64{10, 1 << 20} {
		if _, err := cas.PutBytes(t.Context(), gone, castest.Bytes(1, n)); err == nil || fault.Of(err) != fault.Unavailable {
			t.Errorf("over a closed connection: %v (%s)", err, fault.Of(err))
		}
	}
}

// liar answers every read with other bytes.
type liar struct{ cas.Store }

func (l liar) Get(_ context.Context, d cas.Digest, off int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(make([]byte, d.Size-off))), nil
}

func TestWrongBytesAreNotPassedOn(t *testing.T) {
	s := remote.New(remote.Config{Conn: connect(t, liar{memory.New(memory.Config{})}, nil)})
	for _, n := range []int64{10, 1 << 20} {
		b, err := cas.ReadAll(t.Context(), s, cas.Of(castest.Bytes(1, n)), 2<<20)
		if !errors.Is(err, cas.ErrMismatch) {
			t.Errorf("%d wrong bytes: %d were passed on, %v", n, len(b), err)
		}
	}
}

func TestSilentServerDoesNotAnswerForABlob(t *testing.T) {
	s := remote.New(remote.Config{Conn: silent{}})
	if _, err := cas.PutBytes(t.Context(), s, []byte("x")); err == nil {
		t.Error("a put that was not answered succeeded")
	}
	if _, err := cas.ReadAll(t.Context(), s, cas.Of([]byte("x")), 10); err == nil {
		t.Error("a get that was not answered succeeded")
	}
}

// silent answers every unary call with an empty message.
type silent struct{}

func (silent) Invoke(context.Context, string, any, any, ...grpc.CallOption) error { return nil }
func (silent) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errors.New("no streams")
}

func BenchmarkPutSmall(b *testing.B) {
	s := remote.New(remote.Config{Conn: connect(b, memory.New(memory.Config{MaxBytes: 4 << 30}), nil)})
	b.SetParallelism(16)
	var n atomic.Int64
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := cas.PutBytes(b.Context(), s, fmt.Appendf(make([]byte, 1000), "%d", n.Add(1))); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkGetLarge(b *testing.B) {
	store := memory.New(memory.Config{})
	d, err := cas.PutBytes(b.Context(), store, castest.Bytes(1, 64<<20))
	if err != nil {
		b.Fatal(err)
	}
	s := remote.New(remote.Config{Conn: connect(b, store, nil)})
	b.SetBytes(d.Size)
	for b.Loop() {
		r, err := s.Get(b.Context(), d, 0)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != d.Size {
			b.Fatal(n, err)
		}
		r.Close()
	}
}
